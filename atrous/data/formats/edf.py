"""EDF, EDF+ and BDF: recordings in physical units, sliced where they lie, and annotations.

The format: Kemp et al. 1992, "A simple format for exchange of digitized polygraphic recordings"; Kemp and Olivan 2003,
"European data format 'plus' (EDF+)". Reading is pyedflib's; annotations are written here, as many as there are (its
writer drops what exceeds the data records).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.header import Header
from atrous.data.formats.intervals import Annotations, Interval, runs
from atrous.data.formats.rates import Channels
from atrous.errors import UserError

ERRORS = (OSError, ValueError, IndexError, MemoryError)
"""What pyedflib raises on files that are damaged or are not EDF."""
RECORD = 8192
"""Bytes of a data record of annotations."""
NOBODY = "X X X X".ljust(80) + "Startdate X X X X".ljust(80)
"""Patient and recording of an EDF+ header that tells neither."""
_OPEN = threading.Lock()  # the library refuses to open a file twice at a time


def read_header(path: Path) -> Header:
    """Header of the recording; spacing in seconds, of the fastest channel."""
    source = open_source(path)
    return Header(source.shape, "float32", "signal", stored=_stored(path), spacing=(1 / source.rate,))


def open_source(path: Path) -> Channels:
    """The channels `(C, L)` float32 in physical units; only what is sliced is read, slow channels are interpolated.

    Raises:
        ValueError: it has annotations alone.
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


def read_image(path: Path) -> np.ndarray:
    """The channels, `(C, L)` float32, in physical units."""
    return open_source(path)[...]


def channel_names(path: Path) -> tuple[str, ...]:
    """Labels of the channels, `EEG Fpz-Cz`."""
    with _reading(path) as file:
        return tuple(label.strip() for label in file.getSignalLabels())


def is_annotated(path: Path, _: str) -> bool:
    """Whether the file can hold annotations: EDF+ and BDF+."""
    with path.open("rb") as file:
        return file.read(197)[192:].decode("latin-1").startswith(("EDF+", "BDF+"))


def read_annotations(path: Path, _: str) -> Annotations:
    """All annotations; one without duration is an instant."""
    with _reading(path, annotations=True) as file:
        onsets, durations, texts = file.readAnnotations()
    found = [
        Interval(float(onset), float(onset) + max(0.0, float(duration)), str(text).strip())
        for onset, duration, text in zip(onsets, durations, texts, strict=True)
    ]
    return Annotations(tuple(sorted(found, key=lambda i: i.start)))


def encode_label(words: np.ndarray, like: Path | None) -> bytes:
    """Bytes of an EDF+ file of annotations alone, one per run of equal labels `(L,)`.

    Patient, recording and start are those of `like`, which also says the rate.
    """
    if like is None:
        raise ValueError("labels are written as EDF+ beside the recording that they belong to")
    with like.open("rb") as file:
        who = file.read(184)[8:].decode("latin-1")
    if not is_annotated(like, ""):  # plain EDF says who in free text, which EDF+ forbids
        who = NOBODY + who[160:]
    return encode_annotations(runs(words.astype(str), open_source(like).rate), who)


def encode_annotations(intervals: Sequence[Interval], who: str) -> bytes:
    """Bytes of an EDF+ file that holds these annotations and no signal.

    Args:
        intervals: texts without control characters.
        who: 176 characters of an EDF header: patient, recording, date and time of start.
    """
    keeping = b"+0\x14\x14\x00"
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
    """As EDF+ writes times: a sign, no exponent.

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
