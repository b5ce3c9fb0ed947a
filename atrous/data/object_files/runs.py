"""Masks as run lengths: COCO's, plain and compressed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.formats.base import require_room
from atrous.data.object_files.base import RunLengths

_BITS = 5
_MORE, _SIGN, _VALUE = 0x20, 0x10, 0x1F
_FIRST, _LAST = 48, 48 + 63


def read_runs(path: Path, where: str, stored: Any) -> RunLengths:
    """Return the mask that COCO's `segmentation` stores as `{"size": [h, w], "counts": ...}`.

    Args:
        path: the file, for messages.
        where: the object in it.
        stored: the dictionary; its counts are a list, or a string (compressed).

    Raises:
        FileFault: it is no such dictionary, or the lengths do not add up to the size.
    """
    size, counts = stored.get("size"), stored.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 0 < n < 2**31 for n in size):
        raise FileFault(path, f"{where}: the size of its mask is {str(size)[:40]}", "write [height, width] in pixels")
    lengths = decompress(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise FileFault(path, f"{where}: `counts` of its mask are no run lengths", "export the mask again")
    total = sum(lengths)
    if total != size[0] * size[1]:
        wanted = f"{size[0]} x {size[1]} pixels are {size[0] * size[1]}"
        what = f"{where}: run lengths of its mask add up to {total}, but {wanted}"
        raise FileFault(path, what, "export the mask again; `size` is [height, width]")
    return RunLengths((size[0], size[1]), np.array(lengths, np.int64))


def decompress(text: str) -> list[int] | None:
    """Return the run lengths of COCO's compressed string (`rleFrString` of pycocotools); None where it is none.

    Each number takes characters of 5 bits, the lowest first, with a sign in the last one; from the fourth number on
    the difference to the number two before is stored.

    >>> decompress("52203"), decompress("é")
    ([5, 2, 2, 2, 5], None)
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - _FIRST
        if not 0 <= code <= _LAST - _FIRST or shift > 12 * _BITS:
            return None
        value |= (code & _VALUE) << shift
        shift += _BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths if shift == 0 else None


def compress(lengths: Sequence[int]) -> str:
    """Return run lengths as COCO's compressed string; see `decompress`.

    >>> compress([5, 2, 2, 2, 5])
    '52203'
    """
    letters = []
    for place, length in enumerate(lengths):
        value = int(length) - (int(lengths[place - 2]) if place > 2 else 0)
        more = True
        while more:
            code = value & _VALUE
            value >>= _BITS
            more = value != (-1 if code & _SIGN else 0)
            letters.append(chr(_FIRST + code + (_MORE if more else 0)))
    return "".join(letters)


def mask_of(runs: RunLengths, path: Path) -> np.ndarray:
    """Return the mask `(h, w)` bool.

    Raises:
        FileFault: it does not fit in memory.
    """
    require_room(path, runs.size, np.bool_, "a mask in it")
    values = np.zeros(len(runs.counts), bool)
    values[1::2] = True
    return np.repeat(values, runs.counts).reshape(runs.size[::-1]).T


def runs_of(mask: np.ndarray) -> RunLengths:
    """Return a mask `(h, w)` bool as run lengths.

    >>> runs_of(np.array([[False, True], [True, True]])).counts.tolist()
    [1, 3]
    """
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return RunLengths((mask.shape[0], mask.shape[1]), counts.astype(np.int64))
