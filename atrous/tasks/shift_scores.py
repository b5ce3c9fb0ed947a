"""By how much a metric drops when images change: the table of `atrous evaluate --shifts`."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ShiftRow:
    """One change at one strength.

    Attributes:
        name: of the change (`atrous.data.shifts`).
        meaning: of its strength.
        strength: of the change.
        value: of the metric.
        drop: by how much it is lower than without a change.
    """

    name: str
    meaning: str
    strength: float
    value: float
    drop: float


@dataclass(frozen=True)
class ShiftScores:
    """The first metric of a split under every change.

    Attributes:
        metric: its name.
        clean: its value on the same samples as they are.
        samples: how many were measured.
        rows: three for each change that makes sense for the data.

    >>> print(ShiftScores("miou", 0.8, 5, (ShiftRow("noise", "a share", 0.1, 0.7, 0.1),)).text())
    miou of 5 samples: 0.800 as they are; by how much less where they are changed:
      noise       0.100 (0.1)    a share
      mean        0.100
    """

    metric: str
    clean: float
    samples: int
    rows: tuple[ShiftRow, ...]

    @property
    def mean_drop(self) -> float:
        """The mean drop over all changes and strengths."""
        return float(np.mean([row.drop for row in self.rows])) if self.rows else math.nan

    def changes(self) -> dict[str, tuple[ShiftRow, ...]]:
        """Return the rows of each change, by its name."""
        names = dict.fromkeys(row.name for row in self.rows)
        return {name: tuple(row for row in self.rows if row.name == name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None where the metric does not exist."""
        changes = {}
        for name, rows in self.changes().items():
            values = [{"strength": r.strength, self.metric: _number(r.value), "drop": _number(r.drop)} for r in rows]
            changes[name] = {"meaning": rows[0].meaning, "rows": values}
        numbers = {"clean": _number(self.clean), "mean_drop": _number(self.mean_drop)}
        return {"metric": self.metric, "samples": self.samples, **numbers, "changes": changes}

    def text(self) -> str:
        """Return an aligned table for the terminal."""
        lines = [
            f"{self.metric} of {self.samples} samples: {self.clean:.3f} as they are; by how much less where they are "
            "changed:"
        ]
        for name, rows in self.changes().items():
            cells = "  ".join(f"{row.drop:.3f} ({row.strength:g})".ljust(13) for row in rows)
            lines.append(f"  {name:<12}{cells}  {rows[0].meaning}")
        return "\n".join([*lines, f"  {'mean':<12}{self.mean_drop:.3f}"])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
