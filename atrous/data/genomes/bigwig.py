"""bigWig files by their bytes: names and lengths of the sequences, and values base by base.

The library that others use ends the process where a file is damaged; this reader checks every offset. The format is
described by Kent et al. 2010, "BigWig and BigBed: enabling browsing of large distributed datasets" (supplement).
"""

import struct
import zlib
from pathlib import Path

import numpy as np

MAGIC, BIG_BED, TREE, INDEX = 0x888FFC26, 0x8789F2EB, 0x78CA8C91, 0x2468ACE0
MOST_BLOCK = 1 << 26
"""Bytes to which a block may inflate; writers make blocks of some ten thousand."""
_BRANCH = [("chrom", "u4"), ("start", "u4"), ("last", "u4"), ("end", "u4"), ("offset", "u8")]


class BigWig:
    """A bigWig file; it is opened for each read.

    Args:
        path: the file.

    Attributes:
        chroms: length of each sequence, by name.

    Raises:
        ValueError: it is no bigWig file, or damaged. `struct.error` and `zlib.error` mean damage too.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._size = path, path.stat().st_size
        head = self._bytes(0, 64)
        self._order = "<" if struct.unpack("<I", head[:4])[0] in (MAGIC, BIG_BED) else ">"
        magic, _, _, tree, _, index, _, _, _, _, self._inflated = struct.unpack(self._order + "IHHQQQHHQQI", head[:56])
        if magic != MAGIC:
            raise ValueError("it is bigBed, not bigWig" if magic == BIG_BED else "it does not begin as bigWig does")
        self._numbers: dict[str, int] = {}
        self.chroms: dict[str, int] = {}
        self._read_names(tree)
        self._blocks = self._read_index(index)

    def values(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return the values of the bases `start` to `stop - 1` of a sequence, float32; NaN where there are none."""
        number = self._numbers[name]
        values = np.full(stop - start, np.nan, np.float32)
        here = self._blocks[(self._blocks["chrom"] <= number) & (self._blocks["last"] >= number)]
        for block in here[(here["start"] < stop) & (here["end"] > start)]:
            content = self._bytes(int(block["offset"]), int(block["size"]))
            if self._inflated:
                inflate = zlib.decompressobj()
                content = inflate.decompress(content, MOST_BLOCK)
                if inflate.unconsumed_tail:
                    raise ValueError(f"a block inflates to more than {MOST_BLOCK >> 20} MB")
            self._fill(values, start, number, content)
        return values

    def _fill(self, values: np.ndarray, offset: int, number: int, content: bytes) -> None:
        """Write the items of a block: bedGraph (1), variable steps (2) or fixed steps (3)."""
        head = self._order + "IIIIIBBH"
        chrom, first, _, step, width, kind, _, count = struct.unpack(head, content[:24])
        if chrom != number:
            return
        order = self._order
        fields = {
            1: [("start", order + "u4"), ("end", order + "u4"), ("value", order + "f4")],
            2: [("start", order + "u4"), ("value", order + "f4")],
            3: [("value", order + "f4")],
        }
        if kind not in fields:
            raise ValueError(f"a block is of the kind {kind}")
        items = np.frombuffer(content, np.dtype(fields[kind]), count, 24)
        starts = np.arange(count, dtype=np.int64) * step + first if kind == 3 else items["start"].astype(np.int64)
        ends = items["end"].astype(np.int64) if kind == 1 else starts + width
        low, high = np.clip(starts - offset, 0, len(values)), np.clip(ends - offset, 0, len(values))
        lengths = np.maximum(high - low, 0)
        if lengths.sum() > 4 * len(values):
            raise ValueError("the items of a block lie upon each other")
        places = np.repeat(low - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths) + np.arange(lengths.sum())
        values[places] = np.repeat(items["value"], lengths)

    def _bytes(self, offset: int, size: int) -> bytes:
        if not 0 <= offset <= offset + size <= self._size:
            raise ValueError(f"it has {self._size} bytes, and refers to {size} bytes at {offset}")
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _read_names(self, offset: int) -> None:
        """Read the tree of names."""
        magic, _, key_size, value_size, *_ = struct.unpack(self._order + "IIIIQQ", self._bytes(offset, 32))
        if magic != TREE or value_size != 8:
            raise ValueError("its list of sequences is damaged")
        waiting, seen = [offset + 32], set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                raise ValueError("its list of sequences refers to itself")
            seen.add(node)
            leaf, _, count = struct.unpack(self._order + "BBH", self._bytes(node, 4))
            items = self._bytes(node + 4, count * (key_size + 8))
            for at in range(0, len(items), key_size + 8):
                key, value = items[at : at + key_size], items[at + key_size : at + key_size + 8]
                if leaf:
                    number, length = struct.unpack(self._order + "II", value)
                    name = key.rstrip(b"\x00").decode()
                    self._numbers[name], self.chroms[name] = number, length
                else:
                    waiting.append(struct.unpack(self._order + "Q", value)[0])

    def _read_index(self, offset: int) -> np.ndarray:
        """Return the blocks of data, in the order of their places."""
        if struct.unpack(self._order + "I", self._bytes(offset, 48)[:4])[0] != INDEX:
            raise ValueError("its index is damaged")
        branch = np.dtype([(name, self._order + kind) for name, kind in _BRANCH])
        leaf = np.dtype([*((name, self._order + kind) for name, kind in _BRANCH), ("size", self._order + "u8")])
        waiting, seen, found = [offset + 48], set(), [np.empty(0, leaf)]
        while waiting:
            node = waiting.pop()
            if node in seen:
                raise ValueError("its index refers to itself")
            seen.add(node)
            is_leaf, _, count = struct.unpack(self._order + "BBH", self._bytes(node, 4))
            kind = leaf if is_leaf else branch
            items = np.frombuffer(self._bytes(node + 4, count * kind.itemsize), kind)
            if is_leaf:
                found.append(items)
            else:
                waiting += [int(child) for child in items["offset"]]
        blocks = np.concatenate(found)
        return blocks[np.lexsort((blocks["start"], blocks["chrom"]))]
