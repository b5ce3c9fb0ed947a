"""What the data doctor found: one line each, with file and mend."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["error", "warning"]
FEW = 3
"""More files than this with the very same fault are one line."""
MANY = 10
"""More faults than this of one kind are one line, even where they differ in detail."""


@dataclass(frozen=True)
class Fault:
    """One fault, in one file or in several alike.

    Attributes:
        file: the (first) file, relative to the data set.
        what: what is wrong.
        mend: what to do about it.
        severity: `error` stops a training, `warning` does not.
        kind: a short name for faults of this kind.
        others: further files with the same fault.

    >>> Fault("masks/a.png", "it is empty", "label it", "warning").line()
    'masks/a.png: it is empty: label it'
    """

    file: str
    what: str
    mend: str
    severity: Severity = "error"
    kind: str = ""
    others: tuple[str, ...] = ()

    def line(self) -> str:
        """The fault in one line: file, what, mend."""
        return f"{some([self.file, *self.others], 3)}: {self.what}: {self.mend}"

    def to_dict(self) -> dict[str, Any]:
        """The fault as JSON can hold it."""
        return {
            "file": self.file,
            "what": self.what,
            "mend": self.mend,
            "severity": self.severity,
            "kind": self.kind,
            "others": list(self.others),
        }


def gather(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Faults with errors first; more than `FEW` alike, or `MANY` of one kind, become one with the first's words.

    >>> many = [Fault(f"{i}.png", "it is empty", "label it", kind="empty") for i in range(9)]
    >>> gather(many)[0].line()
    '0.png, 1.png, 2.png and 6 more: it is empty: label it'
    """
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.severity, fault.kind), []).append(fault)
    gathered: list[Fault] = []
    for group in groups.values():
        alike = len({fault.what for fault in group}) == 1
        if not group[0].kind or len(group) <= (FEW if alike else MANY):
            gathered += group
            continue
        first = group[0]
        files = [first.file, *first.others, *(file for fault in group[1:] for file in (fault.file, *fault.others))]
        gathered.append(Fault(first.file, first.what, first.mend, first.severity, first.kind, tuple(files[1:])))
    return tuple(sorted(gathered, key=lambda fault: fault.severity != "error"))


def relative(path: Path, root: Path) -> str:
    """The path as the user would name it inside the data set.

    >>> relative(Path("data/masks/a.png"), Path("data"))
    'masks/a.png'
    """
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def some(names: Sequence[str], most: int = 6) -> str:
    """A few names, and how many more.

    >>> some(["a", "b"]), some([str(i) for i in range(10)])
    ('a, b', '0, 1, 2, 3, 4, 5 and 4 more')
    """
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest} more"
