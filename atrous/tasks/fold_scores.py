"""How good a recipe is on groups that it has not seen: the table of `atrous evaluate --folds`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class FoldRow:
    """A group that was left out of a training, and measured.

    Attributes:
        group: its name.
        samples: how many samples it has.
        metrics: by name; NaN where one does not exist.
        run: folder of the training.
    """

    group: str
    samples: int
    metrics: Mapping[str, float]
    run: str


@dataclass(frozen=True)
class FoldScores:
    """The metrics of all groups that were left out.

    Attributes:
        data: name of the data set.
        metric: the first metric of the task.
        validation: its value on the validation split of the run itself; NaN where nobody knows it.
        rows: one for each group that was measured.
        waiting: groups whose training has not ended yet.
        interrupted: whether the user interrupted a training.

    >>> rows = (FoldRow("a", 3, {"miou": 0.5}, "folds/a"), FoldRow("b", 12, {"miou": 0.7}, "folds/b"))
    >>> scores = FoldScores("cells", "miou", 0.75, rows)
    >>> round(scores.mean, 3), round(scores.std, 3), round(scores.difference(rows[0]), 3)
    (0.6, 0.141, -0.25)
    >>> print(scores.text())
    miou of the groups of cells, each measured by a training without it:
    group                 samples      miou  difference
    a                           3     0.500      -0.250
    b                          12     0.700      -0.050
    mean                              0.600      -0.150
    standard deviation                0.141
    the run's validation              0.750
    """

    data: str
    metric: str
    validation: float
    rows: tuple[FoldRow, ...]
    waiting: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def mean(self) -> float:
        """Mean of the metric over the groups that have one, each counted once."""
        known = self._known()
        return float(np.mean(known)) if known else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the metric over the groups, of a sample: divided by their number less one."""
        known = self._known()
        return float(np.std(known, ddof=1)) if len(known) > 1 else math.nan

    def value(self, row: FoldRow) -> float:
        """Return the metric of a group."""
        return row.metrics[self.metric]

    def difference(self, row: FoldRow | None = None) -> float:
        """Return the metric of a group, or the mean over the groups, less that of the run's own validation."""
        return (self.mean if row is None else self.value(row)) - self.validation

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None where a number does not exist."""
        groups = [
            {
                "group": row.group,
                "samples": row.samples,
                "metrics": {name: _number(value) for name, value in row.metrics.items()},
                "difference": _number(self.difference(row)),
                "run": row.run,
            }
            for row in self.rows
        ]
        numbers = {"validation": self.validation, "mean": self.mean, "std": self.std, "difference": self.difference()}
        return {
            "data": self.data,
            "metric": self.metric,
            **{name: _number(value) for name, value in numbers.items()},
            "groups": groups,
            "waiting": list(self.waiting),
        }

    def text(self) -> str:
        """Return an aligned table for the terminal."""
        cells = [("group", "samples", self.metric, "difference")]
        cells += [(r.group, str(r.samples), _cell(self.value(r)), _cell(self.difference(r), "+")) for r in self.rows]
        cells += [
            ("mean", "", _cell(self.mean), _cell(self.difference(), "+")),
            ("standard deviation", "", _cell(self.std), ""),
            ("the run's validation", "", _cell(self.validation), ""),
        ]
        first, metric = (max(len(row[place]) for row in cells) for place in (0, 2))
        lines = [f"{a:<{first}}  {b:>7}  {c:>{max(8, metric)}}  {d:>10}".rstrip() for a, b, c, d in cells]
        if self.waiting:
            lines.append(f"not trained yet: {', '.join(self.waiting)}")
        title = f"{self.metric} of the groups of {self.data}, each measured by a training without it:"
        return "\n".join([title, *lines])

    def _known(self) -> list[float]:
        return [value for row in self.rows if not math.isnan(value := self.value(row))]


def _cell(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign}.4g}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
