"""EDF, EDF+ and BDF: recordings in physical units, and annotations.

The formats are described by Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings", and
by Kemp and Olivan 2003, "European data format 'plus' (EDF+)". pyedflib reads them. Annotations are written here, since
the writer of pyedflib drops annotations that do not fit into the data records of the signals.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Errors, FileGeometry, Format, LabelDetails
from atrous.data.formats.budget import require_room
from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations, Interval, runs
from atrous.data.formats.rates import Channels
from atrous.errors import UserError

RECORD = 8192
"""Size of a data record of annotations, in bytes."""
NOBODY = "X X X X".ljust(80) + "Startdate X X X X".ljust(80)
"""Patient and recording in the header of an EDF+ file that names neither."""
_OPEN = threading.Lock()  # pyedflib refuses to open a file that is open already


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
        return (OSError, ValueError, IndexError, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header; the spacing is that of the fastest channel, in seconds."""
        source = self.source(path)
        return Header(source.shape, "float32", "signal", stored=_stored(path), spacing=(1 / source.rate,))

    def source(self, path: Path) -> Channels:
        """Return the channels `(C, L)` float32 in physical units; slow channels are interpolated.

        Raises:
            ValueError: the file has only annotations.
        """
        with _reading(path) as file:
            counts = [int(n) for n in file.getNSamples()]
            rates = [float(rate) for rate in file.getSampleFrequencies()]
        if not counts:
            raise ValueError("it has annotations and no signals")

        def read(channel: int, start: int, stop: int) -> np.ndarray:
            with _reading(path) as file:
                return file.readSignal(channel, start, stop - start)

        return Channels(counts, rates, read)

    def image(self, path: Path) -> np.ndarray:
        """Return all channels, `(C, L)` float32 in physical units."""
        source = self.source(path)
        require_room(path, source.shape, source.dtype)
        return source[...]

    def channel_names(self, path: Path) -> tuple[str, ...]:
        """Return the labels of the channels, such as `EEG Fpz-Cz`."""
        with _reading(path) as file:
            return tuple(label.strip() for label in file.getSignalLabels())

    def has_annotations(self, path: Path, annotator: str = "") -> bool:
        """Return whether the file can hold annotations, as EDF+ and BDF+ can."""
        with path.open("rb") as file:
            return file.read(197)[192:].decode("latin-1").startswith(("EDF+", "BDF+"))

    def annotations(self, path: Path, annotator: str = "") -> Annotations:
        """Return all annotations; an annotation without a duration is an instant."""
        with _reading(path, annotations=True) as file:
            onsets, durations, texts = file.readAnnotations()
        intervals = [
            Interval(float(onset), float(onset) + max(0.0, float(duration)), str(text).strip())
            for onset, duration, text in zip(onsets, durations, texts, strict=True)
        ]
        return Annotations(tuple(sorted(intervals, key=lambda interval: interval.start)))

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
        words = labels if details.names is None else np.array(details.names)[labels]
        with like.open("rb") as file:
            who = file.read(184)[8:].decode("latin-1")
        if not self.has_annotations(like):  # plain EDF has free text there, which EDF+ forbids
            who = NOBODY + who[160:]
        return encode_annotations(runs(words.astype(str), self.source(like).rate), who)


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


def _stored(path: Path) -> str:
    with path.open("rb") as file:
        return "int24" if file.read(1) == b"\xff" else "int16"


@contextmanager
def _reading(path: Path, annotations: bool = False) -> Iterator[Any]:
    try:
        import pyedflib
    except ImportError as error:
        raise UserError(f'{path}: EDF needs pyedflib: pip install "atrous[signals]"') from error
    mode = pyedflib.READ_ALL_ANNOTATIONS if annotations else pyedflib.DO_NOT_READ_ANNOTATIONS
    with _OPEN, pyedflib.EdfReader(str(path), mode) as file:
        yield file
