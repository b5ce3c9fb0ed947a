"""A mistake: how a data set with it is written, and what `atrous check` must say of it."""

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.errors import UserError
from atrous.verbs.check import check

PAGE = Path(__file__).resolve().parents[2] / "docs" / "check.md"
LEVELS = {
    "Errors, and how to fix them": ("error", "refused"),
    "Warnings, and how to fix them": ("warning",),
    "Notes": ("note",),
    "What ends the command": ("refused",),
}
"""Sections of the page, and how the check may report what they list. `refused`: one line that ends the command."""


@dataclass(frozen=True)
class Mistake:
    """A mistake and the line that is expected.

    Attributes:
        row: a part of the row, or of the item, of docs/check.md that lists it; no other row has this part.
        make: writes a data set with the mistake to a folder that does not exist yet.
        level: how the check reports it: "error", "warning", "note" or "refused".
        says: parts of the line: the file, what is wrong, and how to fix it.
        task: what is learned (`--task`); None: what dataset.toml says.
    """

    row: str
    make: Callable[[Path], object]
    level: str
    says: tuple[str, ...]
    task: str | None = None


@dataclass(frozen=True)
class Finding:
    """A line of the check, and its level."""

    level: str
    line: str


@dataclass(frozen=True)
class Outcome:
    """What the check said of a mistake.

    Attributes:
        mistake: the mistake.
        expected: the line that was expected; None if no line is.
        others: all other lines.
    """

    mistake: Mistake
    expected: Finding | None
    others: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the expected line was printed."""
        return self.expected is not None

    def text(self) -> str:
        """Return the mistake and all lines about it."""
        found = [self.expected] if self.expected else []
        said = [f"    {one.level:<8}{one.line}" for one in found]
        said += [f"    {'also ' + one.level:<8} {one.line}" for one in self.others]
        wanted = " ... ".join(self.mistake.says)
        missing = [] if self.ok else [f"    expected {self.mistake.level}: {wanted}"]
        return "\n".join([f"{'ok  ' if self.ok else 'BAD '}{self.mistake.row}", *missing, *said])


def outcome_of(mistake: Mistake, then: Callable[[Path], None] | None = None) -> Outcome:
    """Make a mistake in a temporary folder, check it, and look for the expected line.

    Args:
        mistake: the mistake.
        then: called with the folder before it is removed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        mistake.make(folder)
        found = [
            Finding(one.level, _printable(one.line.replace(f"{folder}/", "").replace(scratch, ".")))
            for one in findings(folder, mistake.task)
        ]
        if then is not None:
            then(folder)
    wanted = [one for one in found if one.level == mistake.level and _has(one.line, mistake.says)]
    expected = wanted[0] if wanted else None
    return Outcome(mistake, expected, tuple(one for one in found if one is not expected))


def findings(folder: Path, task: str | None = None) -> list[Finding]:
    """Check a folder, and return every line about problems and notes."""
    try:
        report = check(folder, task=task)
    except UserError as error:
        return [Finding("refused", str(error))]
    problems = [Finding(problem.severity, problem.line()) for problem in report.faults]
    return [*problems, *(Finding("note", note) for note in report.notes)]


def _printable(line: str) -> str:
    """Return a line with the bytes of file names that are no text as `\\udcfc`, as the command line prints it."""
    return line.encode(errors="backslashreplace").decode()


def _has(line: str, parts: Sequence[str]) -> bool:
    """Return whether a line has some parts, in this order."""
    return "\n" not in line and re.search(".*".join(map(re.escape, parts)), line) is not None


def promised(page: Path = PAGE) -> dict[str, tuple[str, ...]]:
    """Return the rows and items of the page that list what the check reports, with the levels of their section."""
    text, rows = page.read_text(encoding="utf-8"), {}
    for title, levels in LEVELS.items():
        section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        if section is None:
            raise ValueError(f"{page} has no section {title!r}")
        cells = re.findall(r"^\| (.+?) \| ", section[1], re.MULTILINE)
        items = re.findall(r"^- (.+(?:\n  .+)*)", section[1], re.MULTILINE)
        rows |= {" ".join(cell.split()): levels for cell in (*cells, *items) if cell != "problem"}
    return rows


def row_of(mistake: Mistake, rows: Sequence[str]) -> str:
    """Return the row of the page that lists a mistake.

    Raises:
        ValueError: no row has the part of it that the mistake names, or several have.
    """
    found = [row for row in rows if mistake.row in row]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of docs/check.md have {mistake.row!r}")
    return found[0]
