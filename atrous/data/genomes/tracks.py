"""Signals along sequences in bigWig: one number per base."""

import struct
import zlib
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.genomes.bigwig import BigWig
from atrous.data.source import Key, LazySource, span
from atrous.errors import UserError

_Result = TypeVar("_Result")
TRACK_SUFFIXES = (".bw", ".bigwig")


def is_track(path: Path | str) -> bool:
    """Whether a file's name says that it is bigWig."""
    return str(path).lower().endswith(TRACK_SUFFIXES)


def track_name(path: Path, stem: str) -> str:
    """Return what a bigWig file is called beside the genome `stem`.

    >>> track_name(Path("a/X.coverage.bw"), "X")
    'coverage'
    """
    suffix = next(s for s in TRACK_SUFFIXES if path.name.lower().endswith(s))
    return path.name[len(stem) : -len(suffix)].strip(".") or "signal"


def new_track(path: Path) -> Any:
    """A new bigWig file, written by pyBigWig.

    Raises:
        UserError: pyBigWig is not installed.
    """
    try:
        import pyBigWig
    except ImportError:
        raise UserError(f'{path}: writing bigWig needs pyBigWig: pip install "atrous[genomes]"') from None
    return pyBigWig.open(str(path), "w")


def read_track(path: Path) -> BigWig:
    """A bigWig file, opened to be read.

    Raises:
        FileFault: it is missing, no bigWig, or damaged.
    """
    if not path.exists():
        raise FileFault(path, "no such file", "check the path")
    state = path.stat()
    return _guarded(path, lambda: _opened(path, state.st_mtime_ns, state.st_size))


@lru_cache(64)
def _opened(path: Path, _changed: int, _size: int) -> BigWig:
    return BigWig(path)


def _guarded(path: Path, read: Callable[[], _Result]) -> _Result:
    try:
        return read()
    except (OSError, ValueError, KeyError, OverflowError, MemoryError, struct.error, zlib.error) as error:
        what = f"is no bigWig file, or damaged ({' '.join(str(error).split()) or type(error).__name__})"
        raise FileFault(path, what, "make it anew, with bedGraphToBigWig, say") from error


def missing_sequences(path: Path, names: Collection[str]) -> list[str]:
    """Return which sequences of a FASTA file a bigWig file does not have.

    Raises:
        FileFault: it has none of them; or it cannot be read.
    """
    known = read_track(path).chroms
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

    Bases that a file does not cover are 0, and so is a sequence that it does not have, if it has others; or they have
    another value that is given.

    Args:
        paths: the files; None for a channel of which nothing is known, whose values are NaN.
        name: of the sequence.
        length: of the sequence.
        names: of all sequences of the FASTA file.
        missing: for each file, the value of bases that it does not cover; NaN where they are unknown. Infinite values
            are then unknown too.

    Raises:
        FileFault: a file cannot be read, has none of the sequences, or this one in another length.
    """

    def __init__(
        self,
        paths: Sequence[Path | None],
        name: str,
        length: int,
        names: Collection[str],
        missing: Sequence[float] | None = None,
    ) -> None:
        super().__init__((len(paths), length), np.float32)
        for path in paths:
            if path is not None and name not in read_track(path).chroms:
                missing_sequences(path, names)
        self._missing = missing
        self._files = [None if path is None else read_track(path) for path in paths]
        for path, file in zip(paths, self._files, strict=True):
            known = None if file is None else file.chroms.get(name)
            if path is not None and known is not None and known != length:
                what = f"its sequence {name} has {known} bases, that of the FASTA file {length}"
                raise FileFault(path, what, "make it on the same sequence")
        self._name = name

    def _read(self, key: Key) -> np.ndarray:
        start, stop, rest = span(key[1], self.shape[1])
        values = np.empty((self.shape[0], 0), np.float32) if stop <= start else self._values(start, stop)
        return values[key[0], rest]

    def _values(self, start: int, stop: int) -> np.ndarray:
        rows = []
        for number, file in enumerate(self._files):
            blank = 0.0 if self._missing is None else self._missing[number]
            if file is None or self._name not in file.chroms:
                rows.append(np.full(stop - start, np.nan if file is None else blank, np.float32))
                continue
            values = _guarded(file.path, partial(file.values, self._name, start, stop))
            if self._missing is None:
                rows.append(np.nan_to_num(values, nan=0.0))
            else:
                values[np.isnan(values)] = blank
                values[np.isinf(values)] = np.nan
                rows.append(values)
        return np.stack(rows)
