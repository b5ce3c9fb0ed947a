"""WFDB records (PhysioNet): a header `.hea` with its signal files, sliced where they lie, and annotation files.

The formats: https://physionet.org/physiotools/wag (header, signal, annot). Reading and writing is wfdb's; it loads
slowly (it brings pandas and matplotlib), so it is imported when the first record is opened.
"""

import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations, Interval, runs
from atrous.data.formats.rates import Channels
from atrous.errors import UserError

ERRORS = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, MemoryError)
"""What wfdb raises on files that are damaged or are no WFDB records."""
_SILENT = threading.RLock()  # filters of warnings belong to the process: one thread at a time may change them


def read_header(path: Path) -> Header:
    """Header of the record; spacing in seconds, of the fastest channel."""
    source = open_source(path)
    return Header(source.shape, "float32", "signal", spacing=(1 / source.rate,))


def open_source(path: Path) -> Channels:
    """The channels `(C, L)` float32 in physical units; samples that the record marks as invalid are nan.

    Raises:
        ValueError: the record has no signals, or consists of segments.
    """
    head, name = _header(path), _name(path)
    frames = [int(n) for n in head.samps_per_frame]
    counts, rates = [head.sig_len * n for n in frames], [float(head.fs) * n for n in frames]

    def read(channel: int, start: int, stop: int) -> np.ndarray:
        per, first = frames[channel], start // frames[channel]
        with library(path) as wfdb:
            found = wfdb.rdrecord(name, sampfrom=first, sampto=-(-stop // per), channels=[channel], smooth_frames=False)
        return found.e_p_signal[0][start - first * per : stop - first * per]

    return Channels(counts, rates, read)


def read_image(path: Path) -> np.ndarray:
    """The channels, `(C, L)` float32, in physical units."""
    return open_source(path)[...]


def channel_names(path: Path) -> tuple[str, ...]:
    """Names of the signals, `MLII`."""
    return tuple(_header(path).sig_name)


def is_annotated(path: Path, annotator: str) -> bool:
    """Whether the annotation file `RECORD.annotator` lies beside the header."""
    return path.with_suffix(f".{annotator}").is_file()


def read_annotations(path: Path, annotator: str) -> Annotations:
    """Annotations of the file `RECORD.annotator`.

    `(` ... `)` is an interval, both ends included, whose text is the symbol between, or the note of `(`. A note of `+`
    such as `(AFIB` (a rhythm) holds until the next such note. All other symbols are instants.
    """
    head = _header(path)
    with library(path) as wfdb:
        found = wfdb.rdann(_name(path), annotator)
    rate = float(found.fs or head.fs)
    notes = [str(note).strip("\x00 ") for note in found.aux_note]
    places = [int(n) for n in found.sample]
    rhythms = [i for i, symbol in enumerate(found.symbol) if symbol == "+" and notes[i]]
    ends = [*(places[i] for i in rhythms), round(head.sig_len * rate / float(head.fs))][1:]
    intervals = [
        Interval(places[i] / rate, end / rate, notes[i])
        for i, end in zip(rhythms, ends, strict=True)
        if end > places[i]
    ]
    waves, instants = _waves(places, list(found.symbol), notes, list(found.chan), rate)
    intervals += waves + instants
    known = (min(w.start for w in waves), max(w.stop for w in waves)) if waves else None
    return Annotations(tuple(sorted(intervals, key=lambda i: i.start)), known)


def encode_label(words: np.ndarray, like: Path | None) -> bytes:
    """Bytes of an annotation file with `(` and `)` around each run of equal labels `(L,)`, the label as their note."""
    if like is None:
        raise ValueError("labels are written as WFDB annotations beside the record that they belong to")
    rate = open_source(like).rate
    found = runs(words.astype(str), rate)
    places = np.array([[round(i.start * rate), round(i.stop * rate) - 1] for i in found], dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder, library(like) as wfdb:
        wfdb.wrann(
            "labels",
            "atr",
            sample=places.reshape(-1),
            symbol=["(", ")"] * len(found),
            aux_note=[note for i in found for note in (i.text, "")],
            fs=rate,
            write_dir=folder,
        )
        return (Path(folder) / "labels.atr").read_bytes()


def _waves(
    places: Sequence[int], symbols: Sequence[str], notes: Sequence[str], channels: Sequence[int], rate: float
) -> tuple[list[Interval], list[Interval]]:
    """Intervals between parentheses (of one channel each), and the symbols that stand in none, as instants."""
    waves: list[Interval] = []
    instants: list[Interval] = []
    opened: dict[int, tuple[int, str]] = {}
    for place, symbol, note, channel in zip(places, symbols, notes, channels, strict=True):
        if symbol == "(":
            opened[channel] = place, note
        elif symbol == ")":
            start, text = opened.pop(channel, (place, ""))
            if text:
                waves.append(Interval(start / rate, (place + 1) / rate, text))
        elif channel in opened:
            start, text = opened[channel]
            opened[channel] = start, text or symbol
        elif symbol != "+":
            instants.append(Interval(place / rate, place / rate, symbol))
    return waves, instants


def _header(path: Path) -> Any:
    with library(path) as wfdb:
        head = wfdb.rdheader(_name(path))
    if not hasattr(head, "samps_per_frame"):
        raise ValueError("it consists of segments: join them, or give each by itself")
    if not head.n_sig or not head.sig_len:
        raise ValueError("it has no signals, or does not say how long they are")
    return head


def _name(path: Path) -> str:
    """The record as wfdb wants it named: the header without its suffix."""
    return str(path.absolute().with_suffix(""))


@contextmanager
def library(path: Path) -> Iterator[Any]:
    """The package wfdb, while it is silenced: it calls pandas in ways that pandas warns of.

    Raises:
        UserError: it is not installed; the message says that `path` needs it.
    """
    with _SILENT, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            import wfdb
        except ImportError as error:
            raise UserError(f'{path}: WFDB records need wfdb: pip install "atrous[signals]"') from error
        yield wfdb
