"""Tables of labels of whole inputs: `file,label`, or `file` and a column of 0 and 1 for each class."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrous.data.formats import stem
from atrous.data.inside import is_plain_name
from atrous.data.plain_text import read_text
from atrous.data.problems import Problem, relative
from atrous.errors import UserError

NAMES = ("labels.csv", "labels.tsv")
"""Files that are such tables."""
FILE = ("file", "filename", "image", "path", "name")
"""Headings of the column of files."""
LABEL = ("label", "class")
"""Headings of the column of the one class."""
SPLIT = "split"
UNKNOWN = ("", "nan", "na")
"""What stands in a column of 0 and 1 where nobody knows."""
NUMBERS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}


@dataclass
class LabelRows:
    """What tables say of files.

    Attributes:
        classes: names: of a column of labels those that occur, sorted; else the headings of the columns.
        exclusive: whether each file has exactly one class.
        present: by file, 1, 0 or NaN for each class.
        splits: by file, its split, where the table has a column `split`.
        tables: by file, the table that names it.
        problems: what is wrong with the rows.
    """

    classes: tuple[str, ...] = ()
    exclusive: bool = False
    present: dict[Path, tuple[float, ...]] = field(default_factory=dict)
    splits: dict[Path, str] = field(default_factory=dict)
    tables: dict[Path, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_tables(root: Path, tables: Sequence[Path], known: Sequence[Path]) -> LabelRows:
    """Read the tables of a data set, which have the same columns. Names of files are relative to their table.

    Args:
        root: the folder of the data set.
        tables: paths.
        known: files that can be read.

    Raises:
        UserError: a table has no column of files or of classes, or a column that is neither.
    """
    rows, words, values = LabelRows(), dict[Path, str](), dict[Path, tuple[float, ...]]()
    files = {path.with_name(stem(path)): path for path in known} | {path: path for path in known}
    for table in tables:
        head, body = _lines(table)
        file, label, columns = _roles(table, head, body)
        if rows.tables and (label is not None, tuple(head[c] for c in columns)) != (rows.exclusive, rows.classes):
            raise UserError(
                f"{table}: its columns are not those of {next(iter(rows.tables.values()))}: name them alike"
            )
        rows.exclusive, rows.classes = label is not None, tuple(head[column] for column in columns)
        split = next((place for place, name in enumerate(head) if name.lower() == SPLIT), None)
        for number, line in enumerate(body, 2):
            cells = [cell.strip() for cell in line] + [""] * (len(head) - len(line))
            path = _found(root, table, number, cells[file], files, rows)
            if path is None:
                continue
            if label is not None and not cells[label]:
                _add(rows, root, table, number, f"{cells[file]} has no label", "write its class, or remove the row")
                continue
            entry = (
                cells[label] if label is not None else tuple(NUMBERS.get(cells[c].lower(), math.nan) for c in columns)
            )
            before = words.get(path) if label is not None else values.get(path)
            if before is not None:
                if str(before) != str(entry):
                    _add(rows, root, table, number, f"{cells[file]} is there twice, with two labels", "keep one row")
                continue
            if isinstance(entry, str):
                words[path] = entry
            else:
                values[path] = entry
            rows.tables[path] = table
            if split is not None and cells[split]:
                rows.splits[path] = cells[split]
    if rows.exclusive:
        rows.classes = tuple(sorted(set(words.values())))
        values = {path: tuple(float(name == word) for name in rows.classes) for path, word in words.items()}
    rows.present = values
    return rows


def _lines(table: Path) -> tuple[list[str], list[list[str]]]:
    """The headings and the rows of a table."""
    text = read_text(table)
    first = text.partition("\n")[0]
    mark = max("\t;,", key=first.count)
    lines = [row for row in csv.reader(text.splitlines(), delimiter=mark) if any(cell.strip() for cell in row)]
    if len(lines) < 2:
        raise UserError(f"{table}: has no rows: write a heading such as file,label and a row for each file")
    return [cell.strip() for cell in lines[0]], lines[1:]


def _roles(table: Path, head: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[int, int | None, list[int]]:
    """The column of files, that of labels (None where classes have columns of their own), and those of the classes."""
    lower = [name.lower() for name in head]
    twice = next((name for name in head if not name or lower.count(name.lower()) > 1), None)
    if twice is not None:
        raise UserError(f"{table}: two columns are called {twice!r}: give each a name of its own")
    file = next((lower.index(name) for name in FILE if name in lower), None)
    if file is None:
        raise UserError(f"{table}: no column names the files: call it {FILE[0]} (columns: {', '.join(head)})")
    label = next((lower.index(name) for name in LABEL if name in lower), None)
    others = [c for c, name in enumerate(lower) if c not in (file, label) and name != SPLIT]
    for column in others:
        cells = {row[column].strip().lower() for row in body if len(row) > column}
        odd = sorted(cells - set(NUMBERS) - set(UNKNOWN))
        if odd or label is not None:
            why = "is beside a column of labels" if label is not None else f"holds {odd[0][:40]!r}, neither 0 nor 1"
            raise UserError(f"{table}: the column {head[column]!r} {why}: take it out, or call it {LABEL[0]}")
    if label is None and not others:
        raise UserError(f"{table}: no column has labels: add one called {LABEL[0]}, or one of 0 and 1 for each class")
    return file, label, others


def _found(root: Path, table: Path, number: int, name: str, files: dict[Path, Path], rows: LabelRows) -> Path | None:
    """The file that a row names; None where there is none, which is a problem."""
    path = files.get(table.parent / name) if is_plain_name(name) else None
    if path is None:
        _add(rows, root, table, number, f"{name or 'an empty name'} is not there", "copy the file, or remove the row")
    return path


def _add(rows: LabelRows, root: Path, table: Path, number: int, what: str, fix: str) -> None:
    rows.problems.append(Problem(relative(table, root), f"row {number}: {what}", fix, kind="label"))
