"""The role of each column of a table of signals: times, labels, channels, or none.

The rules are those of docs/signals.md: dataset.toml decides (`ColumnRule`), else the name of a column, else what it
holds.
"""

import csv
import difflib
import io
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from atrous.data.formats.base import FileFault
from atrous.data.formats.clock import SECONDS, across_midnight, moment, name_and_unit, step_between
from atrous.data.plain_text import plain_name, text_encoding
from atrous.errors import UserError

LABEL_NAMES = (
    "label", "labels", "class", "annotation", "annotations", "target", "symbol", "state", "activity", "stage", "y",
)  # fmt: skip
INDEX_NAMES = (
    "", "index", "unnamed: 0", "sample", "samples", "time", "t", "timestamp", "timestamps", "date", "datetime",
    "date time", "elapsed", "elapsed time", "second", "seconds", "milliseconds",
)  # fmt: skip
MISSING = ("", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "<NA>", "null", "NULL")
"""Entries that say nothing; `na` in small letters is a word, by which data sets call a class."""


LISTED = 20
"""Rows of a table that are looked at to tell whether it lists files."""


@dataclass(frozen=True)
class ColumnRule:
    """The table `[columns]` of dataset.toml: names of columns; case and spaces at their ends do not count.

    Attributes:
        label: the column of labels; None: by the rules.
        time: the column of times or row numbers; None: by the rules.
        channels: the columns that are channels, in order; None: all that have no other role.
        ignore: columns that have no role.
        targets: columns of numbers that a regression learns, in order, in place of a label.
    """

    label: str | None = None
    time: str | None = None
    channels: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that it names."""
        single = [name for name in (self.label, self.time) if name is not None]
        return (*single, *(self.channels or ()), *self.ignore, *self.targets)


@dataclass(frozen=True)
class Columns:
    """The role of each column of a table.

    Attributes:
        names: of all columns, in order.
        rows: below the header.
        signals: numbers of the columns that are channels.
        label: number of the label column, None if there is none.
        index: number of the column with the times or the numbers of the rows, None if there is none.
        step: seconds between rows, None where the index does not say it.
        targets: numbers of the columns that a regression learns.
    """

    names: tuple[str, ...]
    rows: int
    signals: tuple[int, ...]
    label: int | None
    index: int | None
    step: float | None = None
    targets: tuple[int, ...] = ()

    def text(self) -> str:
        """Return the role of every column in words.

        >>> Columns(("t", "x", "class", "id"), 9, (1,), 2, 0).text()
        'time t; channels x; label class; no role id'
        """
        alone = {
            role: [] if place is None else [place] for role, place in (("time", self.index), ("label", self.label))
        }
        known = (*self.signals, self.label, self.index, *self.targets)
        others = [i for i in range(len(self.names)) if i not in known]
        roles = {"time": alone["time"], "channels": self.signals, "label": alone["label"], "targets": self.targets}
        roles["no role"] = others
        said = {role: ", ".join(self.names[i] or '""' for i in places) for role, places in roles.items() if places}
        return "; ".join(f"{role} {names}" for role, names in said.items())


@dataclass(frozen=True)
class _Scanned:
    """A table, looked at once.

    Attributes:
        names: of its columns.
        rows: below the header.
        kinds: of the entries of each column: `numbers`, `times` (ISO 8601), `words`, or `empty`.
        firsts: the first entry of each column that says something and is of that kind.
    """

    names: tuple[str, ...]
    rows: int
    kinds: tuple[str, ...]
    firsts: tuple[str, ...]


def parse_columns(value: object, file: Path, _: Path | None = None) -> ColumnRule:
    """Return the rule from its table in dataset.toml.

    Raises:
        UserError: an unknown key, a value that is no name, or a column with two roles.

    >>> parse_columns({"label": "stage", "channels": ["x", "y"]}, Path("dataset.toml")).channels
    ('x', 'y')
    """
    keys = ("label", "time", "channels", "ignore", "targets")
    if not isinstance(value, dict) or set(value) - set(keys):
        unknown = sorted(set(value) - set(keys)) if isinstance(value, dict) else [value]
        raise UserError(f"{file}: [columns] knows {', '.join(keys)}, not {unknown[0]!r}")
    for key, entry in value.items():
        names = [entry] if key in ("label", "time") else entry
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            wanted = "the name of a column" if key in ("label", "time") else 'names of columns, such as ["x", "y"]'
            raise UserError(f"{file}: `columns.{key}` must be {wanted}, not {entry!r}")
    tuples = {key: tuple(entry) for key, entry in value.items() if isinstance(entry, list)}
    rule = ColumnRule(**{**value, **tuples})
    plain = [plain_name(name) for name in rule.names]
    twice = [name for name in rule.names if plain.count(plain_name(name)) > 1]
    if twice:
        raise UserError(f"{file}: [columns] names {twice[0]!r} twice: give each column one role")
    return rule


def require_known(rule: ColumnRule, tables: Sequence[Path], file: Path | None) -> None:
    """Refuse a rule that names a column which no table has.

    Args:
        rule: the rule.
        tables: all tables of a data set; those that cannot be read are passed over.
        file: the dataset.toml.

    Raises:
        UserError: a name is unknown; the message tells the nearest one.
    """
    known: dict[str, str] = {}
    for path in tables:
        try:
            known |= {plain_name(name): name for name in column_names(path)}
        except (OSError, ValueError, csv.Error):
            continue  # said of this file when it is read as a sample
    for name in rule.names if known else ():
        if plain_name(name) not in known:
            near = difflib.get_close_matches(plain_name(name), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {known[near[0]]!r}?" if near else f"there are {', '.join(known.values())}"
            raise UserError(f"{file}: [columns] names {name!r}, which no table has: {hint}")


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names in the header line."""
    with path.open(newline="", encoding=text_encoding(path)) as file:
        return _names(file.readline())


def lists_files(path: Path, names: Collection[str]) -> bool:
    """Return whether a table is a list of files: the first entry of each of its first rows is the name of one.

    Args:
        path: the file; other files than tables list nothing.
        names: names of files, with or without their suffixes.
    """
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        return False
    with path.open(newline="", encoding=text_encoding(path), errors="replace") as file:
        mark = delimiter(file.readline())
        rows = [row for row in islice(csv.reader(file, delimiter=mark), LISTED) if row]
    return bool(rows) and all(row[0].strip() in names for row in rows)


def columns(path: Path, rule: ColumnRule | None = None) -> Columns:
    """Return the role of each column.

    Args:
        path: the table.
        rule: what dataset.toml says of its columns.

    Raises:
        FileFault: there is no header line, or no row; several columns are not numeric, a column that dataset.toml names
            is missing, or rows have more entries than the header.
    """
    stat = path.stat()
    return _columns(path, rule or ColumnRule(), stat.st_mtime_ns, stat.st_size)


def index_column(path: Path) -> int | None:
    """Return the number of the column with times or row numbers, whatever the other columns hold; None without one."""
    stat = path.stat()
    return next(iter(_indices(path, _scanned(path, stat.st_mtime_ns, stat.st_size), ColumnRule())), None)


def named_roles(names: Sequence[str]) -> set[int]:
    """Return which columns are, by their names alone, times, row numbers or labels, and so no channels.

    >>> sorted(named_roles(["Time (s)", "x", "y", "z", "label"]))
    [0, 4]
    """
    index = {i for i, name in enumerate(names) if name_and_unit(name)[0] in INDEX_NAMES}
    label = _label_by_name(names, range(len(names)))
    return index | (set() if label is None else {label})


def place_of(names: Sequence[str], name: str) -> int | None:
    """Return which column has a name; None if none has. Case and spaces do not count."""
    plain = [plain_name(other) for other in names]
    return plain.index(plain_name(name)) if plain_name(name) in plain else None


def is_missing(text: str) -> bool:
    """Return whether an entry says nothing: empty, NaN, NA, N/A or null."""
    return text.strip() in MISSING


def is_number(text: str) -> bool:
    """Return whether an entry is a number, NaN included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def not_a_number(what: str, text: str) -> tuple[str, str]:
    """Return what is wrong with a field that is not a number, and what to do about it."""
    if is_number(text.replace(",", ".", 1)):
        return f"{what}: it has a decimal comma", "export it with decimal points"
    if is_number(text.replace(",", "")):
        return f"{what}: it has commas between thousands", "export it without them"
    return what, "export only numbers, and the labels in a column named `label`"


def delimiter(head: str) -> str:
    """Return what separates the columns, from the header line."""
    return max(",;\t", key=head.count)


@lru_cache(maxsize=1024)
def _columns(path: Path, rule: ColumnRule, _changed: int, _size: int) -> Columns:
    scanned = _scanned(path, _changed, _size)
    names, kinds = scanned.names, scanned.kinds
    ignored = {place for name in rule.ignore if (place := place_of(names, name)) is not None}
    wanted = rule.channels
    chosen = None if wanted is None else tuple(_required(path, names, name, "channels") for name in wanted)
    targets = tuple(_required(path, names, name, "targets") for name in rule.targets)
    free = [i for i in range(len(names)) if i not in ignored and i not in (*(chosen or ()), *targets)]
    indices = [i for i in _indices(path, scanned, rule) if i in free]
    named = place_of(names, rule.label) if rule.label is not None else _label_by_name(names, free)
    label = None if targets else named
    rest = [i for i in free if i not in indices and i != label]
    words = [i for i in rest if kinds[i] in ("words", "times")]
    alone = len(words) == 1 and not targets and not _has_comma(scanned.firsts[words[0]])
    if label is None and rule.label is None and alone:
        label = words[0]
    signals = chosen if chosen is not None else tuple(i for i in rest if i != label)
    wrong = [i for i in signals if kinds[i] in ("words", "times")]
    if wrong:
        what, fix = not_a_number(f"column {names[wrong[0]]!r} is not numeric", scanned.firsts[wrong[0]])
        if not _has_comma(scanned.firsts[wrong[0]]):
            fix = f"write its role in dataset.toml: [columns] with label, time or ignore = [{names[wrong[0]]!r}]"
        raise FileFault(path, what, fix)
    index = next((i for i in indices if i != label), None)
    step = None if index is None else _step(path, names[index], kinds[index], index)
    return Columns(names, scanned.rows, signals, label, index, step, targets)


def _indices(path: Path, scanned: _Scanned, rule: ColumnRule) -> Iterator[int]:
    """The columns of times and row numbers; the first is the index of the table, the others have no role."""
    chosen = None if rule.time is None else _required(path, scanned.names, rule.time, "time")
    label = None if rule.label is None else place_of(scanned.names, rule.label)
    if chosen is not None:
        yield chosen
    for i, name in enumerate(scanned.names):
        base, kind = name_and_unit(name)[0], scanned.kinds[i]
        named = base in INDEX_NAMES and (base != "t" or _rises(path, i, kind))
        if (named or kind == "times") and i not in (chosen, label):
            yield i


def _label_by_name(names: Sequence[str], free: Sequence[int]) -> int | None:
    plain = {plain_name(names[i]): i for i in reversed(free)}
    axes = {"x", "z"} & {plain_name(name) for name in names}  # of an accelerometer, beside which `y` is the third
    return next((plain[name] for name in LABEL_NAMES if name in plain and not (name == "y" and axes)), None)


def _required(path: Path, names: Sequence[str], name: str, key: str) -> int:
    place = place_of(names, name)
    if place is None:
        what = f"it has no column {name!r}, which dataset.toml names in columns.{key} (its columns: {', '.join(names)})"
        raise FileFault(path, what, "export that column too, or correct [columns]")
    return place


@lru_cache(maxsize=1024)
def _scanned(path: Path, _changed: int, _size: int) -> _Scanned:
    with path.open(newline="", encoding=text_encoding(path)) as file:  # lines may end in CR alone
        head = file.readline()
        names = _names(head)
        kinds, firsts, rows, own = ["empty"] * len(names), [""] * len(names), 0, [False] * len(names)
        for row in csv.reader(file, delimiter=delimiter(head)):
            if not row:
                continue
            rows += 1
            if rows == 1:
                _require_header(path, names, row)
            for i, kind in enumerate(kinds):
                if kind != "numbers" and i < len(row) and not is_missing(row[i]):
                    own[i] |= row[i].strip() == names[i]
                    kinds[i] = _kind(kind, row[i])
                    firsts[i] = row[i] if kinds[i] != kind else firsts[i]
    if not names or not rows:
        raise FileFault(path, "it has no rows below a header line", "export it again, or remove it")
    if _is_data(names, kinds, own):
        what = "its first line is a row and not a header"
        raise FileFault(path, what, "put a line with the names of the columns above it, that of the labels `label`")
    return _Scanned(names, rows, tuple(kinds), tuple(firsts))


def _is_data(names: Sequence[str], kinds: Sequence[str], own: Sequence[bool]) -> bool:
    """Whether the first line is data: numbers above numbers, and above words one of these words.

    Args:
        names: the entries of the first line.
        kinds: of the entries below.
        own: whether the entry is among those below, for columns of words.
    """
    numbers = [is_number(name) for name, kind in zip(names, kinds, strict=True) if kind == "numbers"]
    words = [there for there, kind in zip(own, kinds, strict=True) if kind == "words"]
    return bool(words) and bool(numbers) and all(numbers) and all(words)


def _require_header(path: Path, names: Sequence[str], row: Sequence[str]) -> None:
    if any(entry.strip() for entry in row[len(names) :]):
        what = f"its rows have {len(row)} entries, its header {len(names)}"
        fix = "begin with a line that names every column (no line above it), and write decimal points, not commas"
        raise FileFault(path, what, fix)
    if names and all(is_number(name) for name in names):
        raise FileFault(path, "its first line is not a header", "name the columns, that of the labels `label`")


def _kind(before: str, text: str) -> str:
    """Return the kind of a column after one more entry: one number makes numbers of it, whose errors are then named."""
    if is_number(text):
        return "numbers"
    return "times" if before in ("empty", "times") and moment(text) is not None else "words"


def _entries(path: Path, column: int) -> Iterator[str]:
    with path.open(newline="", encoding=text_encoding(path)) as file:
        mark = delimiter(file.readline())
        yield from (row[column] for row in csv.reader(file, delimiter=mark) if len(row) > column)


def _rises(path: Path, column: int, kind: str) -> bool:
    """Whether a column named `t` is one of times, which never fall, and not of temperatures."""
    if kind != "numbers":
        return kind == "times"
    last = -math.inf
    for text in _entries(path, column):
        if not is_number(text) or not float(text) >= last:
            return False
        last = float(text)
    return True


def _step(path: Path, name: str, kind: str, column: int) -> float | None:
    """Seconds between rows; None where the unit or the order of the times is unknown."""
    unit = SECONDS.get(name_and_unit(name)[1])
    if kind == "times":
        return step_between(across_midnight(moment(text) for text in _entries(path, column)))
    if kind == "numbers" and unit is not None:
        return step_between(float(text) * unit if is_number(text) else None for text in _entries(path, column))
    return None


def _names(head: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in next(csv.reader(io.StringIO(head), delimiter=delimiter(head)), []))


def _has_comma(text: str) -> bool:
    return is_number(text.replace(",", ".", 1)) or is_number(text.replace(",", ""))
