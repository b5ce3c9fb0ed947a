"""Signals as text: CSV with one row for each sample, and its channels and its label in columns."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats.base import ALWAYS, Errors, FileFault, FileGeometry, Format, LabelDetails, require_bytes
from atrous.data.formats.header import Header
from atrous.data.plain_text import text_encoding

LABEL_NAMES = ("label", "labels", "class", "annotation", "annotations", "target", "symbol", "state", "y")
INDEX_NAMES = ("", "index", "time", "t", "sample", "samples", "seconds", "timestamp", "unnamed: 0")
_FIELD = 72
"""Bytes of a short text in Python, with its place in a list."""


@dataclass(frozen=True)
class Columns:
    """The role of each column of a table.

    Attributes:
        names: of all columns, in order.
        signals: numbers of the columns that are channels.
        label: number of the label column, None if there is none.
        index: number of the column with the times or the numbers of the rows, None if there is none.
    """

    names: tuple[str, ...]
    signals: tuple[int, ...]
    label: int | None
    index: int | None


def columns(path: Path) -> Columns:
    """Return the role of each column, from the header line and the first row.

    The label column has one of `LABEL_NAMES`, or is the only column that is not numeric. The index column has one of
    `INDEX_NAMES`. All other columns are channels.

    Raises:
        ValueError: there is no header line, or no row.
        FileFault: several columns are not numeric, or rows have more entries than the header.
    """
    with path.open(newline="", encoding=text_encoding(path)) as file:
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
        raise ValueError("its first line is not a header: name the columns, the column of labels `label`")
    lower = [name.lower() for name in names]
    words = [i for i, entry in enumerate(first) if entry.strip() and not _is_number(entry)]
    label = next((lower.index(name) for name in LABEL_NAMES if name in lower), None)
    if label is None and len(words) == 1:
        label = words[0]
    wrong = [names[i] for i in words if i != label]
    if wrong:
        raise FileFault(path, *_not_a_number(f"column {wrong[0]!r} is not numeric", first[names.index(wrong[0])]))
    index = next((lower.index(name) for name in INDEX_NAMES if name in lower and lower.index(name) != label), None)
    signals = tuple(i for i in range(len(names)) if i not in (label, index))
    return Columns(names, signals, label, index)


class CsvFormat(Format):
    """Tables with one row for each sample: a column for each channel, one for the label, one for the time."""

    name = "a table"
    suffixes = (".csv", ".tsv")
    kind = "signal"
    label_suffixes = (".csv", ".tsv")

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, UnicodeDecodeError, csv.Error, MemoryError)

    def header(self, path: Path) -> Header:
        """Return the header: channels and rows; a table that has only labels counts as one channel."""
        table = columns(path)
        with path.open(newline="", encoding=text_encoding(path)) as file:  # lines may end in CR alone
            head = file.readline()
            rows = sum(1 for row in csv.reader(file, delimiter=_delimiter(head)) if row)
        return Header((max(1, len(table.signals)), rows), "float32", "signal")

    def image(self, path: Path) -> np.ndarray:
        """Return the channels, `(C, L)` float32; an empty field is NaN."""
        table, rows = columns(path), _rows(path)
        if not table.signals:
            raise ValueError(f"no column of numbers beside {', '.join(table.names)}")
        fields = [_column(rows, i) for i in table.signals]
        try:
            numbers = [[float(text) if text.strip() else np.nan for text in column] for column in fields]
        except ValueError:
            bad = next(text for column in fields for text in column if text.strip() and not _is_number(text))
            raise FileFault(path, *_not_a_number(f"{bad!r} is not a number", bad)) from None
        return np.array(numbers, np.float32)

    def channel_names(self, path: Path) -> tuple[str, ...]:
        """Return the names of the columns that are channels."""
        table = columns(path)
        return tuple(table.names[i] for i in table.signals)

    def has_labels(self, path: Path) -> bool:
        """Return whether there is a label column."""
        return columns(path).label is not None

    def words(self, path: Path) -> np.ndarray | None:
        """See `Format.words`."""
        words = _label_words(path)
        return None if all(_is_number(word) for word in dict.fromkeys(words.tolist()) if word) else words

    def values(self, path: Path) -> np.ndarray:
        """Return the labels `(L,)` as numbers; an empty field is void, 255."""
        words = _label_words(path)
        numbers = {word: float(word) if word else 255.0 for word in dict.fromkeys(words.tolist())}
        return np.array([numbers[word] for word in words.tolist()])

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("table", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return a table of labels `(L,)` with the index column of the labeled table, or with row numbers."""
        words = labels if details.names is None else np.array(details.names)[labels]
        like = details.labeled_file("table")
        table = None if like is None else columns(like)
        if like is not None and table is not None and table.index is not None:
            name, index = table.names[table.index] or "index", _column(_rows(like), table.index)
        else:
            name, index = "index", [str(i) for i in range(len(words))]
        if len(index) != len(words):
            raise ValueError(f"{len(index)} rows, but {len(words)} labels")
        text = io.StringIO()
        tabs = like is not None and like.suffix == ".tsv"
        writer = csv.writer(text, lineterminator="\n", delimiter="\t" if tabs else ",")
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


def _not_a_number(what: str, text: str) -> tuple[str, str]:
    """Return what is wrong with a field that is not a number, and what to do about it."""
    if _is_number(text.replace(",", ".", 1)):
        return f"{what}: it has a decimal comma", "export it with decimal points"
    return what, "export only numbers, and the labels in a column named `label`"


def _rows(path: Path) -> list[list[str]]:
    _require_room(path)
    with path.open(newline="", encoding=text_encoding(path)) as file:
        head = file.readline()
        return [row for row in csv.reader(file, delimiter=_delimiter(head)) if row]


def _require_room(path: Path) -> None:
    """Raise if the fields of a table do not fit into memory as text."""
    size = path.stat().st_size
    if size * _FIELD > ALWAYS:  # where every byte were a field
        fields = 0
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                fields += sum(piece.count(mark) for mark in b",;\t\n\r")
        require_bytes(path, 2 * size + fields * _FIELD, "its table", "split it, or save it as .npz or .edf")


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
