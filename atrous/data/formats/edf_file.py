"""The bytes of EDF, EDF+, BDF and BDF+ files: header, samples, times of the data records, annotations.

A file is a header of 256 bytes, 256 more for each signal, and data records. A record holds, signal after signal, its
samples as little-endian whole numbers of 16 bits (BDF: 24). In EDF+ one signal or more, `EDF Annotations`, holds text:
lists `+ONSET[<21>DURATION]<20>TEXT<20>...<20><0>`, the first of which, without a text, is the time of the record. Where
EDF+ is discontinuous (EDF+D), records do not follow each other without gaps.

The formats are described at https://www.edfplus.info/specs
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Widths of the fields of a signal: label, transducer, unit, limits of its values and numbers, filter, count, rest."""
_LIST = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14")

_AT_ONCE = 1024
"""Records whose annotations are read together."""


@dataclass(frozen=True)
class EdfSignal:
    """One signal of a file.

    Attributes:
        label: its name.
        low: physical value of the number `least`.
        high: physical value of the number `most`.
        least: smallest stored number.
        most: largest stored number.
        count: samples in one data record.
        start: of its samples in a record, in samples.
    """

    label: str
    low: float
    high: float
    least: int
    most: int
    count: int
    start: int

    @property
    def annotates(self) -> bool:
        """Whether it holds annotations and no samples."""
        return self.label in ANNOTATIONS

    @property
    def dead(self) -> bool:
        """Whether it has no scale: its channel was switched off when the file was written."""
        return self.low == self.high or self.least == self.most

    def physical(self, numbers: np.ndarray) -> np.ndarray:
        """Return stored numbers in physical units, float64."""
        step = (self.high - self.low) / (self.most - self.least)
        return step * (self.high / step - self.most + numbers)


@dataclass(frozen=True)
class EdfFile:
    """A file, of which the header was read.

    Attributes:
        path: the file.
        wide: bytes of a sample: 2, or 3 in BDF.
        offset: bytes of the header.
        plus: whether it is EDF+ or BDF+, which may hold annotations.
        gaps: whether it is discontinuous: the times of its records say where they lie.
        records: number of data records.
        duration: of a data record, in seconds; 0 in files of annotations alone.
        signals: all of them, in order.
        started: date and time of the first sample; None if the header does not say it.
    """

    path: Path
    wide: int
    offset: int
    plus: bool
    gaps: bool
    records: int
    duration: float
    signals: tuple[EdfSignal, ...]
    started: datetime | None

    @property
    def channels(self) -> tuple[EdfSignal, ...]:
        """The signals that hold samples, without dead ones."""
        return tuple(signal for signal in self.signals if not signal.annotates and not signal.dead)

    @property
    def dead(self) -> tuple[str, ...]:
        """Names of the dead channels."""
        return tuple(signal.label for signal in self.signals if not signal.annotates and signal.dead)

    @property
    def samples(self) -> int:
        """Samples of all signals in one data record."""
        return sum(signal.count for signal in self.signals)

    def numbers(self, signal: EdfSignal, first: int, last: int) -> np.ndarray:
        """Return the stored numbers of the records `first` to `last - 1`, `(records, count)` int32."""
        raw = self._raw(signal, first, last)
        if self.wide == 2:
            return raw.view("<i2").astype(np.int32)
        parts = raw.reshape(len(raw), signal.count, 3).astype(np.int32)
        whole = parts[..., 0] | parts[..., 1] << 8 | parts[..., 2] << 16
        return whole - ((whole & 0x800000) << 1)

    def _raw(self, signal: EdfSignal, first: int, last: int) -> np.ndarray:
        """Return the bytes of a signal in some records, `(records, bytes)` uint8."""
        width = self.samples * self.wide
        records = np.memmap(self.path, np.uint8, "r", self.offset, (self.records, width))
        start = signal.start * self.wide
        return np.ascontiguousarray(records[first:last, start : start + signal.count * self.wide])

    def lists(self) -> Iterator[tuple[int, float, float, list[str]]]:
        """Yield the lists of annotations: record, onset and duration in seconds, and texts; the record's own has none.

        Raises:
            ValueError: a list is not written as the format demands.
        """
        for signal in (one for one in self.signals if one.annotates):
            for first in range(0, self.records, _AT_ONCE):
                rows = self._raw(signal, first, first + _AT_ONCE)
                for record, row in enumerate(rows, first):
                    for onset, duration, texts in _parsed(row.tobytes(), record):
                        yield record, onset, duration, texts

    def times(self) -> np.ndarray:
        """Return when each record begins, `(records,)` in seconds from the first one.

        Raises:
            ValueError: a record of a discontinuous file does not say its time, or begins before the end of another.
        """
        if not self.gaps:
            return np.arange(self.records) * self.duration
        times = np.full(self.records, np.nan)
        for record, onset, _, texts in self.lists():
            if not texts and np.isnan(times[record]):
                times[record] = onset
        if np.isnan(times).any():
            raise ValueError(f"record {int(np.isnan(times).argmax())} of {self.records} does not say its time (EDF+D)")
        early = np.flatnonzero(np.diff(times) < self.duration * (1 - 1e-6))
        if len(early):
            raise ValueError(f"record {int(early[0]) + 1} begins before the end of the one before it (EDF+D)")
        return times - times[0]

    def first_time(self) -> float:
        """Return the time of the first record in seconds from `started`, which annotations count from."""
        if not self.plus:
            return 0.0
        return next((onset for record, onset, _, texts in self.lists() if not texts), 0.0)


def _parsed(content: bytes, record: int) -> Iterator[tuple[float, float, list[str]]]:
    """Yield onset, duration and texts of the lists in one record of an annotation signal."""
    for entry in content.split(b"\x14\x00"):
        if not (text := entry.strip(b"\x00")):
            continue
        match = _LIST.match(text + b"\x14")
        if match is None:
            raise ValueError(f"an annotation in record {record} has no time: {text[:20]!r}")
        texts = [part.decode("utf-8", "replace") for part in text[match.end() :].split(b"\x14") if part]
        yield float(match[1]), float(match[2] or 0), texts


def read_edf(path: Path) -> EdfFile:
    """Read the header of a file, and compare its length with what the header says.

    Raises:
        ValueError: it is no EDF or BDF file, or is cut short.
    """
    status = path.stat()
    return _read_edf(path, status.st_size, status.st_mtime_ns)


@lru_cache(64)
def _read_edf(path: Path, size: int, _changed: int) -> EdfFile:
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256 or head[:8] not in (b"0       ", b"\xffBIOSEMI"):
            raise ValueError("it does not begin as EDF and BDF files do")
        wide = 3 if head[:1] == b"\xff" else 2
        count = _whole(head[252:256], "number of signals")
        if not 0 < count <= 4096:
            raise ValueError(f"it has {count} signals")
        fields = file.read(256 * count)
    if len(fields) < 256 * count:
        raise ValueError(f"its header ends before its {count} signals do")
    duration = _number(head[244:252], "duration of a record")
    signals = _signals(fields, count)
    width, offset = sum(signal.count for signal in signals) * wide, 256 * (count + 1)
    records, there = _whole(head[236:244], "number of records"), (size - offset) // max(1, width)
    if records == -1:  # the recorder did not come to write it
        records = there
    if records < 1 or width < 1:
        raise ValueError(f"it has {records} records of {width} bytes")
    if there < records:
        raise ValueError(f"it has {there} of its {records} records")
    if any(not signal.annotates for signal in signals) and not 0 < duration < math.inf:
        raise ValueError(f"its records last {duration:g} seconds")
    kind = head[192:197].decode("latin-1")
    plus = kind.startswith(("EDF+", "BDF+"))
    return EdfFile(path, wide, offset, plus, plus and kind[4:] == "D", records, duration, signals, _started(head))


def _signals(fields: bytes, count: int) -> tuple[EdfSignal, ...]:
    columns, at = [], 0
    for width in _FIELDS:
        columns.append([fields[at + i * width : at + (i + 1) * width] for i in range(count)])
        at += count * width
    signals, start = [], 0
    for i in range(count):
        label = columns[0][i].decode("latin-1").strip("\x00 ")
        low, high = (_number(columns[k][i], f"physical limit of {label!r}") for k in (3, 4))
        least, most = (_whole(columns[k][i], f"digital limit of {label!r}") for k in (5, 6))
        samples = _whole(columns[8][i], f"number of samples of {label!r}")
        if samples < 0 or least > most:
            raise ValueError(f"its signal {label!r} has {samples} samples a record, and numbers {least}..{most}")
        signals.append(EdfSignal(label, low, high, least, most, samples, start))
        start += samples
    return tuple(signals)


def _number(field: bytes, what: str) -> float:
    text = field.decode("latin-1").strip("\x00 ").replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"its {what} is {text!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"its {what} is {text!r}")
    return value


def _whole(field: bytes, what: str) -> int:
    value = _number(field, what)
    if value != int(value):
        raise ValueError(f"its {what} is {value:g}")
    return int(value)


def _started(head: bytes) -> datetime | None:
    """Return the start; years from 85 on are of the last century (EDF, 1992)."""
    numbers = [n for part in (head[168:176], head[176:184]) for n in re.findall(r"\d+", part.decode("latin-1"))]
    if len(numbers) != 6:
        return None
    day, month, year, hour, minute, second = map(int, numbers)
    try:
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:
        return None
