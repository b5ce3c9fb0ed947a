"""Problems that the data doctor reports: one line each, with the file and how to fix it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]
FEW = 3
"""More files than this with the very same problem share one line."""
ALIKE, ONE_CLASS = "differ by capital letters or spaces alone", "write both alike in the files, if they are one class"
"""What is wrong with two classes whose names `spelled_alike` finds, and how to fix it."""
_NUMBER = re.compile(r"-?\d[\d.,]*")
MANY = 10
"""More problems of one kind than this share one line, even where their details differ."""


@dataclass(frozen=True)
class Problem:
    """One problem, in one file or in several files alike.

    Attributes:
        file: the (first) file, relative to the data set.
        what: what is wrong.
        fix: what the user can do about it.
        severity: `error` stops a training, `warning` does not.
        kind: a short name that problems of one kind share.
        others: further files with the same problem.

    >>> Problem("masks/a.png", "it is empty", "label it", "warning").line()
    'masks/a.png: it is empty: label it'
    """

    file: str
    what: str
    fix: str
    severity: Severity = "error"
    kind: str = ""
    others: tuple[str, ...] = ()

    def line(self) -> str:
        """Return file, problem and fix in one line."""
        return f"{some([self.file, *self.others], 3)}: {self.what}: {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as JSON can hold it; `mend` repeats `fix` for readers of earlier versions."""
        return {
            "file": self.file,
            "what": self.what,
            "fix": self.fix,
            "mend": self.fix,
            "severity": self.severity,
            "kind": self.kind,
            "others": list(self.others),
        }


def gather(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Put errors first, and join more than `FEW` problems that differ in numbers alone, or `MANY` of one kind.

    The words are those of the first, which is said where the others differ.

    >>> blank = [Problem(f"{i}.png", f"the image is blank (all {i})", "look at it", kind="blank") for i in range(4)]
    >>> gather(blank)[0].line()
    '0.png, 1.png, 2.png and 1 more: the image is blank (all 0) (so the first of them): look at it'
    >>> many = [Problem(f"{i}.png", "it is empty", "label it", kind="empty") for i in range(9)]
    >>> gather(many)[0].line()
    '0.png, 1.png, 2.png and 6 more: it is empty: label it'
    """
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.severity, problem.kind), []).append(problem)
    gathered: list[Problem] = []
    for group in groups.values():
        alike = len({_NUMBER.sub("", f"{problem.what}: {problem.fix}") for problem in group}) == 1
        if not group[0].kind or len(group) <= (FEW if alike else MANY):
            gathered += group
            continue
        first = group[0]
        files = list(dict.fromkeys(file for problem in group for file in (problem.file, *problem.others)))
        what = first.what if len({problem.what for problem in group}) == 1 else f"{first.what} (so the first of them)"
        gathered.append(Problem(files[0], what, first.fix, first.severity, first.kind, tuple(files[1:])))
    return tuple(sorted(gathered, key=lambda problem: problem.severity != "error"))


def spelled_alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that differs from an earlier one by capital letters, spaces and underscores alone, after that.

    >>> list(spelled_alike(["Walk", "CD3+", "walk", "CD3-", "red_cell", "red cell"]))
    [('Walk', 'walk'), ('red_cell', 'red cell')]
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(re.sub(r"[\s_]+", "", name.casefold()), name)
        if other != name:
            yield other, name


def relative(path: Path, root: Path) -> str:
    """Return the path as the user would name it inside the data set.

    >>> relative(Path("data/masks/a.png"), Path("data"))
    'masks/a.png'
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def some(names: Sequence[str], most: int = 6) -> str:
    """List the first names, and count the rest.

    >>> some(["a", "b"]), some([str(i) for i in range(10)])
    ('a, b', '0, 1, 2, 3, 4, 5 and 4 more')
    """
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest} more"
