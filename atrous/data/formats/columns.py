"""Signals as text: CSV with one row per sample, its channels and its label in columns."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header

SUFFIXES = (".csv", ".tsv")
ERRORS = (OSError, ValueError, UnicodeDecodeError, csv.Error, MemoryError)
"""What reading a file raises that is damaged or is no table."""

LABEL_NAMES = ("label", "labels", "class", "annotation", "annotations", "target", "symbol", "state", "y")
INDEX_NAMES = ("", "index", "time", "t", "sample", "samples", "seconds", "timestamp", "unnamed: 0")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes:
        names: of all columns, in order.
        signals: positions of the columns that are channels.
        label: position of the label column, or None.
        index: position of the column that numbers or times the rows, or None.
    """

    names: tuple[str, ...]
    signals: tuple[int, ...]
    label: int | None
    index: int | None


def columns(path: Path) -> Columns:
    """What the columns are, by the header and the first row.

    The label is known by its name (`LABEL_NAMES`) or as the only column that is not numeric, the index by its name
    (`INDEX_NAMES`); all others are channels.

    Raises:
        ValueError: no header or no rows.
        FileFault: several columns that are not numeric, or rows of more entries than the header.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        rows = csv.reader(file, delimiter=_delimiter(head))
        first = next(rows, None)
    names = tuple(name.strip() for name in next(csv.reader(io.StringIO(head), delimiter=_delimiter(head)), []))
    if not names or first is None:
        raise ValueError("it has no rows below a header line")
    if any(entry.strip() for entry in first[len(names) :]):
        what = f"its rows have {len(first)} entries, its header {len(names)}"
        raise FileFault(path, what, "give every column a name, and write decimal points, not commas")
    if all(_is_number(name) for name in names):
        raise ValueError("its first line is no header: give the columns names, the labels' one `label`")
    lower = [name.lower() for name in names]
    words = [i for i, entry in enumerate(first) if entry.strip() and not _is_number(entry)]
    label = next((lower.index(name) for name in LABEL_NAMES if name in lower), None)
    if label is None and len(words) == 1:
        label = words[0]
    wrong = [names[i] for i in words if i != label]
    if wrong:
        raise FileFault(path, *_no_number(f"column {wrong[0]!r} is not numeric", first[names.index(wrong[0])]))
    index = next((lower.index(name) for name in INDEX_NAMES if name in lower and lower.index(name) != label), None)
    signals = tuple(i for i in range(len(names)) if i not in (label, index))
    return Columns(names, signals, label, index)


def read_header(path: Path) -> Header:
    """Header of the table: channels and rows; a table of labels alone counts as one channel."""
    found = columns(path)
    with path.open("rb") as file:
        lines = sum(1 for line in file if line.strip())
    return Header((max(1, len(found.signals)), lines - 1), "float32", "signal")


def read_image(path: Path) -> np.ndarray:
    """The channels, `(C, L)` float32; an empty field is nan."""
    found, rows = columns(path), _rows(path)
    if not found.signals:
        raise ValueError(f"no column of numbers beside {', '.join(found.names)}")
    fields = [_column(rows, i) for i in found.signals]
    try:
        return np.array([[float(text) if text.strip() else np.nan for text in one] for one in fields], np.float32)
    except ValueError:
        bad = next(text for one in fields for text in one if text.strip() and not _is_number(text))
        raise FileFault(path, *_no_number(f"{bad!r} is no number", bad)) from None


def has_label(path: Path) -> bool:
    """Whether there is a label column."""
    return columns(path).label is not None


def read_words(path: Path) -> np.ndarray | None:
    """Labels `(L,)` as strings; None when they are numbers."""
    words = _label_words(path)
    return None if all(_is_number(word) for word in dict.fromkeys(words.tolist()) if word) else words


def read_values(path: Path) -> np.ndarray:
    """Labels `(L,)` as numbers; what is empty is void, 255."""
    words = _label_words(path)
    known = {word: float(word) if word else 255.0 for word in dict.fromkeys(words.tolist())}
    return np.array([known[word] for word in words.tolist()])


def encode_label(words: np.ndarray, like: Path | None) -> bytes:
    """CSV bytes of labels `(L,)`: the index of `like` where it has one, else the row number, and the label."""
    found = columns(like) if like is not None else None
    if like is not None and found is not None and found.index is not None:
        name, index = found.names[found.index] or "index", _column(_rows(like), found.index)
    else:
        name, index = "index", [str(i) for i in range(len(words))]
    if len(index) != len(words):
        raise ValueError(f"{len(index)} rows, but {len(words)} labels")
    text = io.StringIO()
    writer = csv.writer(
        text, lineterminator="\n", delimiter="\t" if like is not None and like.suffix == ".tsv" else ","
    )
    writer.writerow([name, "label"])
    writer.writerows(zip(index, words.tolist(), strict=True))
    return text.getvalue().encode()


def _label_words(path: Path) -> np.ndarray:
    label = columns(path).label
    if label is None:
        raise ValueError("it has no label column")
    return np.array([word.strip() for word in _column(_rows(path), label)])


def _column(rows: list[list[str]], position: int) -> list[str]:
    for number, row in enumerate(rows, 1):
        if len(row) <= position:
            raise ValueError(f"row {number} of {len(rows)} is shorter than the header")
    return [row[position] for row in rows]


def _no_number(what: str, text: str) -> tuple[str, str]:
    """A field that is no number, and its mend."""
    if _is_number(text.replace(",", ".", 1)):
        return f"{what}: it has a decimal comma", "export it with decimal points"
    return what, "export numbers alone, and the labels in a column named `label`"


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        return [row for row in csv.reader(file, delimiter=_delimiter(head)) if row]


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
