"""Metrics of numbers at every position, from sums over all known positions of all images."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from atrous.tasks.measures import Measures
from atrous.tasks.task import NotFinite

RANKED = 1 << 16
"""Positions of an image, evenly spread, whose ranks are compared."""
CONSTANT = 1e-12
"""A sum of squared deviations below this part of the sum of squares is rounding: the values are constant."""
CONVENTIONS = (
    "Over all known positions of all images together. r2 is 1 - (squared error) / (squared deviation of the truth from "
    f"its mean); spearman is of {RANKED:,} positions an image at most, evenly spread."
)


class ValueMetrics:
    """Mean absolute error, root of the mean squared error, R2, and the correlations of Pearson and Spearman.

    With several outputs each has its own (`mae_NAME`), and the mean of these is given first, over the outputs that have
    the metric.

    Args:
        names: of the outputs.
        ranks: whether Spearman's correlation is measured.
    """

    def __init__(self, names: Sequence[str], *, ranks: bool = True) -> None:
        self._names, self._ranks = tuple(names), ranks
        self._sums = np.zeros((len(self._names), 7))
        self._shift: np.ndarray | None = None
        self._pairs: list[list[np.ndarray]] = [[] for _ in self._names]
        self._per_image: dict[str, float] = {}

    def update(self, name: str, values: torch.Tensor, target: torch.Tensor) -> None:
        """Count the values `(K, *S)` of an image against its target, NaN where it is unknown.

        Raises:
            NotFinite: a value is nan or infinite at a known position.
        """
        errors = []
        for output in range(len(self._names)):
            truth = target[output].double().cpu().numpy().ravel()
            known = np.isfinite(truth)
            found = values[output].double().cpu().numpy().ravel()[known]
            truth = truth[known]
            if not np.isfinite(found).all():
                raise NotFinite(name)
            if not len(truth):
                continue
            self._add(output, found, truth)
            errors.append(float(np.abs(found - truth).mean()))
        self._per_image[name] = float(np.mean(errors)) if errors else math.nan

    def _add(self, output: int, found: np.ndarray, truth: np.ndarray) -> None:
        """Add the sums of one image; values are shifted by about their mean, so that squares lose no digits."""
        if self._shift is None:
            self._shift = np.full(len(self._names), np.nan)
        if math.isnan(self._shift[output]):
            self._shift[output] = truth.mean()
        error = found - truth
        found, truth = found - self._shift[output], truth - self._shift[output]
        self._sums[output] += (
            len(truth), np.abs(error).sum(), (error**2).sum(), truth.sum(), (truth**2).sum(), found.sum(),
            (found**2).sum(),
        )  # fmt: skip
        if self._ranks:
            chosen = np.linspace(0, len(truth) - 1, min(RANKED, len(truth))).round().astype(int)
            self._pairs[output].append(np.stack([found[chosen], truth[chosen]]))

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics; the mean absolute error is the first."""
        rows = [self._of(output) for output in range(len(self._names))]
        values = {metric: _mean([row[metric] for row in rows]) for metric in rows[0]}
        if len(rows) > 1:
            for name, row in zip(self._names, rows, strict=True):
                values |= {f"{metric}_{name}": value for metric, value in row.items()}
        return Measures(values, self._per_image, seconds, tta, higher_is_better=False, conventions=CONVENTIONS)

    def _of(self, output: int) -> dict[str, float]:
        """The metrics of one output; nan where they do not exist."""
        count, absolute, squared, truth, truth2, found, found2 = self._sums[output]
        names = ("mae", "rmse", "r2", "pearson", *(("spearman",) if self._ranks else ()))
        if not count:
            return dict.fromkeys(names, math.nan)
        spread = truth2 - truth**2 / count
        other = found2 - found**2 / count
        # sum of products, from the squared error: (f - t)^2 = f^2 - 2 f t + t^2
        common = (found2 + truth2 - squared) / 2 - found * truth / count
        varies = spread > CONSTANT * truth2
        pearson = math.nan  # of a constant there is no correlation
        if varies and other > CONSTANT * found2:
            pearson = max(-1.0, min(1.0, common / math.sqrt(spread * other)))
        values = {
            "mae": absolute / count,
            "rmse": math.sqrt(squared / count),
            "r2": 1 - squared / spread if varies else math.nan,
            "pearson": pearson,
        }
        if self._ranks:
            values["spearman"] = _spearman(np.concatenate(self._pairs[output], axis=1))
        return {metric: float(value) for metric, value in values.items()}


def _mean(values: Sequence[float]) -> float:
    """The mean of those that exist; nan where none does."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _spearman(pairs: np.ndarray) -> float:
    """Spearman's correlation of two rows; nan where one of them is constant."""
    from scipy.stats import rankdata

    if pairs.shape[1] < 2 or (np.ptp(pairs, axis=1) == 0).any():
        return math.nan
    return float(np.corrcoef(rankdata(pairs, axis=1))[0, 1])
