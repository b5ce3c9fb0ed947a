"""Signals as text: CSV with one row for each sample, and its channels and its label in columns."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats.base import (
    ALWAYS,
    Errors,
    FileFault,
    FileGeometry,
    Format,
    LabelDetails,
    guarded,
    require_bytes,
)
from atrous.data.formats.column_roles import (
    ColumnRule,
    column_names,
    columns,
    delimiter,
    index_column,
    is_missing,
    is_number,
    not_a_number,
    place_of,
)
from atrous.data.formats.header import Header
from atrous.data.plain_text import text_encoding

_FIELD = 72
"""Bytes of a short text in Python, with its place in a list."""


@dataclass(frozen=True)
class CsvFormat(Format):
    """Tables with one row for each sample: a column for each channel, one for the label, one for the time.

    Attributes:
        rule: which column is what, where dataset.toml says it.
    """

    rule: ColumnRule | None = None

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
        table = columns(path, self.rule)
        spacing = None if table.step is None else (table.step,)
        return Header((max(1, len(table.signals)), table.rows), "float32", "signal", spacing=spacing)

    def image(self, path: Path) -> np.ndarray:
        """Return the channels, `(C, L)` float32; a missing value (empty, NaN, NA) is NaN."""
        table, rows = columns(path, self.rule), _rows(path)
        if not table.signals:
            what = f"no column of numbers beside {', '.join(table.names)}"
            raise FileFault(path, what, "put the channels of a recording and its labels into one table")
        return _numbers(path, rows, table.signals)

    def numbers(self, path: Path) -> np.ndarray:
        """See `Format.numbers`: the columns that dataset.toml names as targets, else the label column."""
        table = columns(path, self.rule)
        places = table.targets or (() if table.label is None else (table.label,))
        if not places:
            raise ValueError("it has no label column")
        return _numbers(path, _rows(path), places)

    def channel_names(self, path: Path) -> tuple[str, ...]:
        """Return the names of the columns that are channels."""
        table = columns(path, self.rule)
        return tuple(table.names[i] for i in table.signals)

    def has_labels(self, path: Path) -> bool:
        """Return whether there is a label column, or columns that a regression learns."""
        table = columns(path, self.rule)
        return table.label is not None or bool(table.targets)

    def words(self, path: Path) -> np.ndarray | None:
        """See `Format.words`; columns that a regression learns hold numbers."""
        if columns(path, self.rule).targets:
            return None
        words = self._label_words(path)
        return None if all(is_number(word) for word in dict.fromkeys(words.tolist()) if word) else words

    def values(self, path: Path) -> np.ndarray:
        """Return the labels `(L,)` as numbers; a missing one (empty, NaN, NA) is void, 255."""
        words = self._label_words(path)
        numbers = {word: float(word) if word else 255.0 for word in dict.fromkeys(words.tolist())}
        return np.array([numbers[word] for word in words.tolist()])

    def _label_words(self, path: Path) -> np.ndarray:
        """The labels as text, "" where one is missing."""
        label = columns(path, self.rule).label
        if label is None:
            raise ValueError("it has no label column")
        return np.array(["" if is_missing(word) else word.strip() for word in _column(_rows(path), label)])

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("table", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return suffix

    def encode(self, path: Path, labels: np.ndarray, details: LabelDetails) -> bytes:
        """Return a table of labels `(L,)` with the index column of the labeled table, or with row numbers."""
        words = details.words(labels)
        like = details.labeled_file("table")
        place = None if like is None else index_column(like)
        if like is not None and place is not None:
            name, index = column_names(like)[place] or "index", _column(_rows(like), place)
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


def table_reader(path: Path, rule: ColumnRule | None) -> CsvFormat | None:
    """Return what reads a table by a rule for its columns; None for other files, and without a rule."""
    return CsvFormat(rule) if rule is not None and _is_table(path) else None


def reader_like(path: Path, channels: Sequence[str], time: str = "") -> CsvFormat | None:
    """Return what finds the columns of a table by the names that other tables have; None for other files.

    Names that are not those of the table are passed over: the usual rules then say which columns are channels.

    Args:
        path: the table, which need not exist.
        channels: names of the channels, in order.
        time: name of the column of times.

    Raises:
        FileFault: the table cannot be read.
    """
    if not _is_table(path) or not path.exists():
        return None
    names = guarded(path, path.suffix[1:], CsvFormat().errors, lambda: column_names(path))
    there = all(place_of(names, name) is not None for name in channels)
    found = time and place_of(names, time) is not None
    return CsvFormat(ColumnRule(time=time if found else None, channels=tuple(channels) if channels and there else None))


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in CsvFormat.suffixes


def _numbers(path: Path, rows: list[list[str]], places: Sequence[int]) -> np.ndarray:
    """Columns as numbers `(K, L)` float32, NaN where an entry says nothing."""
    fields = [_column(rows, i) for i in places]
    try:
        numbers = [[np.nan if is_missing(text) else float(text) for text in column] for column in fields]
    except ValueError:
        bad = next(text for column in fields for text in column if not is_missing(text) and not is_number(text))
        raise FileFault(path, *not_a_number(f"{bad!r} is not a number", bad)) from None
    return np.array(numbers, np.float32)


def _column(rows: list[list[str]], position: int) -> list[str]:
    for number, row in enumerate(rows, 1):
        if len(row) <= position:
            raise ValueError(f"row {number} of {len(rows)} is shorter than the header")
    return [row[position] for row in rows]


def _rows(path: Path) -> list[list[str]]:
    _require_room(path)
    with path.open(newline="", encoding=text_encoding(path)) as file:
        head = file.readline()
        return [row for row in csv.reader(file, delimiter=delimiter(head)) if row]


def _require_room(path: Path) -> None:
    """Raise if the fields of a table do not fit into memory as text."""
    size = path.stat().st_size
    if size * _FIELD > ALWAYS:  # where every byte were a field
        fields = 0
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                fields += sum(piece.count(mark) for mark in b",;\t\n\r")
        require_bytes(path, 2 * size + fields * _FIELD, "its table", "split it, or save it as .npz or .edf")
