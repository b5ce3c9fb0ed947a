"""Signals along sequences in bigWig: one number per base."""

from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.source import Key, LazySource, span
from atrous.errors import UserError

TRACK_SUFFIXES = (".bw", ".bigwig")


def is_track(path: Path | str) -> bool:
    """Whether a file's name says that it is bigWig."""
    return str(path).lower().endswith(TRACK_SUFFIXES)


def big_wig(path: Path, mode: str = "r") -> Any:
    """The file, opened by pyBigWig.

    Raises:
        UserError: pyBigWig is not installed, or the file is missing or no bigWig.
    """
    try:
        import pyBigWig
    except ImportError:
        raise UserError(f'{path}: bigWig needs pyBigWig: pip install "atrous[genomes]"') from None
    if mode == "r" and not path.exists():
        raise FileFault(path, "no such file", "check the path")
    try:
        opened = pyBigWig.open(str(path), mode)
    except RuntimeError as error:
        raise FileFault(path, "is no bigWig file, or damaged", "make it anew, with bedGraphToBigWig, say") from error
    if mode == "r" and not opened.isBigWig():
        raise FileFault(path, "is no bigWig file (bigBed?)", "give bigWig")
    return opened


def missing_sequences(path: Path, names: Collection[str]) -> list[str]:
    """Return which sequences of a FASTA file a bigWig file does not have.

    Raises:
        FileFault: it has none of them; or it cannot be read.
    """
    with closing(big_wig(path)) as file:
        known = file.chroms()
    missing = [name for name in names if name not in known]
    if len(missing) == len(names):
        ours, theirs = (", ".join(list(some)[:3]) + (", ..." if len(some) > 3 else "") for some in (known, names))
        what = (
            f"it has none of the sequences of the FASTA file: its names are {ours or 'none'}, those of FASTA {theirs}"
        )
        raise FileFault(path, what, "name them alike (1 is not chr1)")
    return missing


class Tracks(LazySource):
    """bigWig files as the channels of one sequence, `(number of files, L)` float32, read as they are sliced.

    Bases that a file does not cover are 0, and so is a sequence that it does not have, if it has others.

    Args:
        paths: the files.
        name: of the sequence.
        length: of the sequence.
        names: of all sequences of the FASTA file.
    """

    def __init__(self, paths: Sequence[Path], name: str, length: int, names: Collection[str]) -> None:
        super().__init__((len(paths), length), np.float32)
        for path in paths:
            missing_sequences(path, names)
        self._files = [big_wig(path) for path in paths]
        for path, file in zip(paths, self._files, strict=True):
            known = file.chroms(name)
            if known is not None and known != length:
                what = f"its sequence {name} has {known} bases, that of the FASTA file {length}"
                raise FileFault(path, what, "make it on the same sequence")
        self._name = name

    def _read(self, key: Key) -> np.ndarray:
        start, stop, rest = span(key[1], self.shape[1])
        values = np.empty((self.shape[0], 0), np.float32) if stop <= start else self._values(start, stop)
        return values[key[0], rest]

    def _values(self, start: int, stop: int) -> np.ndarray:
        rows = []
        for file in self._files:
            if file.chroms(self._name) is None:
                rows.append(np.zeros(stop - start, np.float32))
            else:
                rows.append(np.nan_to_num(np.asarray(file.values(self._name, start, stop), np.float32), nan=0.0))
        return np.stack(rows)
