"""WFDB records (PhysioNet): a header `.hea` with its signal files, and annotation files.

The formats are described at https://physionet.org/physiotools/wag (header, signal, annot). The package wfdb reads and
writes them. It loads slowly, since it imports pandas and matplotlib, so it is imported when the first record is opened.
"""

import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, LabelDetails, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations, Interval, labeled_runs
from atrous.data.formats.rates import Channels
from atrous.data.inside import is_plain_name
from atrous.errors import UserError

_SILENT = threading.RLock()  # warning filters are global in a process, so one thread at a time may change them

_MOST_HEADER = 1 << 20
"""Bytes of a header that are read; one of 100 signals has about 10,000."""


class WfdbFormat(Format):
    """WFDB records. Labels are written as an annotation file beside the record."""

    name = "WFDB"
    suffixes = (".hea",)
    kind = "signal"
    annotated = True
    label_suffixes = (".atr",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header; the spacing is that of the fastest channel, in seconds."""
        source = self.source(path)
        return Header(source.shape, "float32", "signal", spacing=(1 / source.rate,))

    def source(self, path: Path) -> Channels:
        """Return the channels `(C, L)` float32 in physical units; samples that are marked as invalid are NaN.

        Raises:
            ValueError: the record has no signals, or consists of segments.
        """
        head, name = _header(path), _name(path)
        frames = [int(n) for n in head.samps_per_frame]
        counts, rates = [head.sig_len * n for n in frames], [float(head.fs) * n for n in frames]

        def read(channel: int, start: int, stop: int) -> np.ndarray:
            per_frame, first = frames[channel], start // frames[channel]
            last = -(-stop // per_frame)
            with library(path) as wfdb:
                record = wfdb.rdrecord(name, sampfrom=first, sampto=last, channels=[channel], smooth_frames=False)
            return record.e_p_signal[0][start - first * per_frame : stop - first * per_frame]

        return Channels(counts, rates, read)

    def image(self, path: Path) -> np.ndarray:
        """Return all channels, `(C, L)` float32 in physical units."""
        source = self.source(path)
        require_room(path, source.shape, source.dtype)
        return source[...]

    def channel_names(self, path: Path) -> tuple[str, ...]:
        """Return the names of the signals, such as `MLII`."""
        return tuple(_header(path).sig_name)

    def has_annotations(self, path: Path, annotator: str) -> bool:
        """Return whether the annotation file `RECORD.annotator` is beside the header."""
        return path.with_suffix(f".{annotator}").is_file()

    def annotations(self, path: Path, annotator: str) -> Annotations:
        """Return the annotations of the file `RECORD.annotator`.

        `(` and `)` enclose an interval, both ends included; its text is the symbol between them, or the note of `(`.
        A note of `+` such as `(AFIB` (a rhythm) holds until the next such note. All other symbols are instants.
        """
        head = _header(path)
        with library(path) as wfdb:
            stored = wfdb.rdann(_name(path), annotator)
        rate = float(stored.fs or head.fs)
        notes = [str(note).strip("\x00 ") for note in stored.aux_note]
        samples = [int(n) for n in stored.sample]
        rhythms = [i for i, symbol in enumerate(stored.symbol) if symbol == "+" and notes[i]]
        ends = [*(samples[i] for i in rhythms), round(head.sig_len * rate / float(head.fs))][1:]
        intervals = [
            Interval(samples[i] / rate, end / rate, notes[i])
            for i, end in zip(rhythms, ends, strict=True)
            if end > samples[i]
        ]
        waves, instants = _waves(samples, list(stored.symbol), notes, list(stored.chan), rate)
        intervals += waves + instants
        known = (min(w.start for w in waves), max(w.stop for w in waves)) if waves else None
        return Annotations(tuple(sorted(intervals, key=lambda interval: interval.start)), known)

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("wfdb", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".atr"

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return an annotation file with `(` and `)` around each run of equal labels `(L,)`; the note is the label."""
        like = details.labeled_file("wfdb")
        if like is None:
            raise ValueError("labels are written as WFDB annotations beside the record that they belong to")
        words = details.words(labels)
        rate = self.source(like).rate
        # wfdb writes no file without an annotation: a pair of parentheses that says nothing stands for none.
        intervals = labeled_runs(words, rate) or [Interval(0.0, len(words) / rate, "")]
        samples = np.array([[round(i.start * rate), round(i.stop * rate) - 1] for i in intervals], dtype=np.int64)
        with tempfile.TemporaryDirectory() as folder, library(like) as wfdb:
            wfdb.wrann(
                "labels",
                "atr",
                sample=samples.reshape(-1),
                symbol=["(", ")"] * len(intervals),
                aux_note=[note for interval in intervals for note in (interval.text, "")],
                fs=rate,
                write_dir=folder,
            )
            return (Path(folder) / "labels.atr").read_bytes()


def _waves(
    samples: Sequence[int], symbols: Sequence[str], notes: Sequence[str], channels: Sequence[int], rate: float
) -> tuple[list[Interval], list[Interval]]:
    """Return the intervals between parentheses of one channel, and the symbols outside of them as instants."""
    waves: list[Interval] = []
    instants: list[Interval] = []
    opened: dict[int, tuple[int, str]] = {}
    for sample, symbol, note, channel in zip(samples, symbols, notes, channels, strict=True):
        if symbol == "(":
            opened[channel] = sample, note
        elif symbol == ")":
            start, text = opened.pop(channel, (sample, ""))
            if text:
                waves.append(Interval(start / rate, (sample + 1) / rate, text))
        elif channel in opened:
            start, text = opened[channel]
            opened[channel] = start, text or symbol
        elif symbol != "+":
            instants.append(Interval(sample / rate, sample / rate, symbol))
    return waves, instants


def _header(path: Path) -> Any:
    _require_plain_names(path)
    with library(path) as wfdb:
        head = wfdb.rdheader(_name(path))
    if not hasattr(head, "samps_per_frame"):
        raise ValueError("it consists of segments: join them, or give each by itself")
    if not head.n_sig or not head.sig_len:
        raise ValueError("it has no signals, or does not say how long they are")
    return head


def _require_plain_names(path: Path) -> None:
    """Raise if a header names signal files, or records, that are not in its folder."""
    if path.stat().st_size > _MOST_HEADER:
        raise ValueError(f"its header is longer than {_MOST_HEADER} bytes")
    with path.open(encoding="latin-1") as file:
        lines = [line for line in file.read().splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        name = line.split()[0]
        if not is_plain_name(name):
            what = f"it names the signal file {name[:80]!r}, which is not in its folder"
            raise FileFault(path, what, "copy the file beside it, and write its name without a folder")


def _name(path: Path) -> str:
    """Return the name of a record for wfdb: its header file without the suffix."""
    return str(path.absolute().with_suffix(""))


@contextmanager
def library(path: Path) -> Iterator[Any]:
    """Give the package wfdb, and silence the warnings that pandas raises about its calls.

    Raises:
        UserError: wfdb is not installed; the message names `path`, which needs it.
    """
    with _SILENT, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            import wfdb
        except ImportError as error:
            raise UserError(f'{path}: WFDB records need wfdb: pip install "atrous[signals]"') from error
        yield wfdb
