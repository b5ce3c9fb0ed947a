"""EDF, EDF+ and BDF: recordings in physical units, and annotations.

The formats are described by Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings", and
by Kemp and Olivan 2003, "European data format 'plus' (EDF+)". `edf_file.py` reads their bytes: dead channels and gaps,
which other readers refuse, are in much that is published.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from atrous.data.formats.base import Errors, FileGeometry, Format, LabelDetails, require_room
from atrous.data.formats.edf_file import read_edf
from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations, Interval, labeled_runs, nearest_sample
from atrous.data.formats.rates import Channels
from atrous.data.source import Key, LazySource, span

RECORD = 8192
"""Size of a data record of annotations, in bytes."""
NOBODY = "X X X X".ljust(80) + "Startdate X X X X".ljust(80)
"""Patient and recording in the header of an EDF+ file that names neither."""


class EdfFormat(Format):
    """Recordings in EDF, EDF+ and BDF. Labels are written as the annotations of an EDF+ file."""

    name = "EDF"
    suffixes = (".edf", ".bdf")
    kind = "signal"
    annotated = True
    label_suffixes = (".edf",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, IndexError, OverflowError, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header; the spacing is that of the fastest channel, in seconds."""
        file, source = read_edf(path), self.source(path)
        stored = "int24" if file.wide == 3 else "int16"
        return Header(source.shape, "float32", "signal", stored, spacing=(1 / source.rate,), dropped=file.dead)

    def source(self, path: Path) -> Channels:
        """Return the channels `(C, L)` float32 in physical units; slow channels are interpolated.

        Dead channels are left out. In the gaps of a discontinuous file a channel keeps its last value (`valid`).

        Raises:
            ValueError: the file has only annotations, or all of its channels are dead.
        """
        file = read_edf(path)
        channels = file.channels
        if not channels:
            what = "every channel is dead (its limits are equal)" if file.dead else "it has annotations and no signals"
            raise ValueError(what)
        if any(channel.count < 1 for channel in channels):
            raise ValueError(f"its signal {next(c.label for c in channels if c.count < 1)!r} has no samples")
        times, rates = file.times(), [channel.count / file.duration for channel in channels]
        counts = [
            nearest_sample(times[-1], rate) + channel.count for rate, channel in zip(rates, channels, strict=True)
        ]

        def read(number: int, start: int, stop: int) -> np.ndarray:
            channel = channels[number]
            record, place, _ = _places(times, rates[number], channel.count, start, stop)
            first, last = int(record.min()), int(record.max()) + 1
            return channel.physical(file.numbers(channel, first, last)[record - first, place])

        return Channels(counts, rates, read)

    def valid(self, path: Path) -> "Recorded | None":
        """Return a mask `(L,)` of the samples that were recorded; None if the file has no gaps."""
        file = read_edf(path)
        if not file.gaps or not file.channels:
            return None
        times, fastest = file.times(), max(file.channels, key=lambda channel: channel.count)
        recorded = Recorded(times, fastest.count, fastest.count / file.duration)
        return recorded if recorded.shape[0] > file.records * fastest.count else None

    def image(self, path: Path) -> np.ndarray:
        """Return all channels, `(C, L)` float32 in physical units."""
        source = self.source(path)
        require_room(path, source.shape, source.dtype)
        return source[...]

    def has_signals(self, path: Path) -> bool:
        """Return whether the file has channels, and not annotations alone."""
        return any(not signal.annotates for signal in read_edf(path).signals)

    def channel_names(self, path: Path) -> tuple[str, ...]:
        """Return the labels of the channels, such as `EEG Fpz-Cz`; dead ones are left out."""
        return tuple(channel.label for channel in read_edf(path).channels)

    def has_annotations(self, path: Path, annotator: str = "") -> bool:
        """Return whether the file can hold annotations, as EDF+ and BDF+ can."""
        with path.open("rb") as file:
            return file.read(197)[192:].decode("latin-1").startswith(("EDF+", "BDF+"))

    def annotations(self, path: Path, annotator: str = "") -> Annotations:
        """Return all annotations; an annotation without a duration is an instant."""
        file = read_edf(path)
        begin = file.first_time()
        intervals = [
            Interval(onset - begin, onset - begin + duration, text.strip())
            for _, onset, duration, texts in file.lists()
            for text in texts
        ]
        started = None if file.started is None else file.started + timedelta(seconds=begin)
        return Annotations(tuple(sorted(intervals, key=lambda interval: interval.start)), started=started)

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("edf", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".edf"

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return an EDF+ file with one annotation for each run of equal labels `(L,)`, and no signal.

        Patient, recording, start and sampling rate are those of the labeled recording.
        """
        like = details.labeled_file("edf")
        if like is None:
            raise ValueError("labels are written as EDF+ beside the recording that they belong to")
        words = details.words(labels)
        with like.open("rb") as file:
            who = file.read(184)[8:].decode("latin-1")
        if not self.has_annotations(like):  # plain EDF has free text there, which EDF+ forbids
            who = NOBODY + who[160:]
        return encode_annotations(labeled_runs(words, self.source(like).rate), who)


def encode_annotations(intervals: Sequence[Interval], who: str) -> bytes:
    """Return the content of an EDF+ file that holds these annotations and no signal.

    Args:
        intervals: the annotations; control characters are removed from their texts.
        who: 176 characters for the header: patient, recording, date and time of the start.

    Raises:
        ValueError: an annotation is longer than a data record.
    """
    keeping = b"+0\x14\x14\x00"  # every record begins with its own time
    records = [keeping]
    for i in intervals:
        text = "".join(c for c in i.text if c >= " ").encode()
        entry = _seconds(i.start).encode() + b"\x15" + _seconds(i.stop - i.start)[1:].encode() + b"\x14" + text
        entry += b"\x14\x00"
        if len(records[-1]) + len(entry) > RECORD:
            records.append(keeping)
        if len(keeping) + len(entry) > RECORD:
            raise ValueError(f"an annotation of {len(entry)} bytes does not fit a record of {RECORD}")
        records[-1] += entry
    fields = [("0", 8), (who, 176), ("512", 8), ("EDF+C", 44), (str(len(records)), 8), ("0", 8), ("1", 4)]
    fields += [("EDF Annotations", 16), ("", 80), ("", 8), ("-1", 8), ("1", 8), ("-32768", 8), ("32767", 8)]
    fields += [("", 80), (str(RECORD // 2), 8), ("", 32)]
    head = "".join(text.ljust(width)[:width] for text, width in fields).encode("latin-1", "replace")
    return head + b"".join(record.ljust(RECORD, b"\x00") for record in records)


def _seconds(value: float) -> str:
    """Return a time as EDF+ writes it: with a sign, without an exponent.

    >>> _seconds(0.5), _seconds(12.0)
    ('+0.5', '+12')
    """
    return f"{value:+.7f}".rstrip("0").rstrip(".")


class Recorded(LazySource):
    """A mask `(L,)` of bool: true where a sample of the fastest channel was recorded, false in a gap.

    Args:
        times: when each data record begins, in seconds from the first.
        count: samples in a record.
        rate: samples per second.
    """

    def __init__(self, times: np.ndarray, count: int, rate: float) -> None:
        super().__init__((nearest_sample(times[-1], rate) + count,), bool)
        self._times, self._count, self._rate = times, count, rate

    def _read(self, key: Key) -> np.ndarray:
        start, stop, rest = span(key[0], self.shape[0])
        return _places(self._times, self._rate, self._count, start, stop)[2][rest]


def _places(
    times: np.ndarray, rate: float, count: int, start: int, stop: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return record and place within it of the samples from `start` to `stop`, and which of them were recorded.

    A sample in a gap has the place of the last one before it.
    """
    first = np.floor(times * rate + 0.5).astype(np.int64)  # the sample at which each record begins
    samples = np.arange(start, stop)
    record = np.searchsorted(first, samples, side="right") - 1
    place = samples - first[record]
    return record, np.minimum(place, count - 1), place < count
