"""Metrics of the probabilities themselves: calibrated or not, and do they tell where the network errs?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atrous.labels import IGNORE
from atrous.tasks.calibration import BINS, Reliability, calibration_counts
from atrous.tasks.conformal import LEVELS, MissCurve, level_counts
from atrous.tasks.uncertainty import OCTAVES, STEPS, ErrorRanking, normalized_entropy, ranking_counts

__all__ = ["CONFIDENCE_CONVENTIONS", "Confidence", "ConfidenceCounter", "Doubt"]

PIECE = 1 << 18
"""Positions that are counted together."""
TINY = torch.finfo(torch.float32).tiny
CONFIDENCE_CONVENTIONS = (
    " Probabilities are calibrated by the run's temperature; ece_before is the calibration error without it. nll is "
    "the mean -log p of the truth (nats); brier the mean over positions of the squared distance between the "
    "probabilities and the truth, summed over classes (0 to 2), where classes may overlap the mean over them (0 to 1). "
    "Uncertainty is the entropy divided by its largest value; auroc_error is the probability that a wrong position is "
    "more uncertain than a right one, uncertainties within 0.3 % counting as ties; errors_caught_10 is the share of "
    "the errors in the most uncertain tenth of the positions."
)
COVERAGE_CONVENTIONS = (
    " coverage is the mean over {unit}s of the share of positions whose true class is in their set of classes, "
    "set_size the mean size of the sets over positions."
)


@dataclass(frozen=True)
class Doubt:
    """How uncertain a network is about one sample.

    Attributes:
        uncertainty: mean over the positions that count.
        errors: how many of them are wrong.
        positions: how many count.
    """

    uncertainty: float
    errors: int
    positions: int


@dataclass(frozen=True, eq=False)
class Confidence:
    """How much the probabilities of one evaluation can be trusted.

    Attributes:
        temperature: what the outputs were divided by.
        before: accuracy by confidence without the temperature.
        after: accuracy by confidence with it.
        nll: mean negative log-likelihood of the truth, nats.
        brier: Brier score.
        ranking: right and wrong positions by their uncertainty.
        doubts: by sample; those without a position that counts are left out.
        misses: how often the true class is missed at each threshold, by unit; empty where classes may overlap.
        coverage: the mean over units of the share of positions whose set holds the true class; nan if no sets were
            asked for.
        coverage_asked: what was asked for.
        set_size: mean number of classes in a set.
        unit: "image" or "group": over what `coverage` is a mean.
    """

    temperature: float
    before: Reliability
    after: Reliability
    nll: float
    brier: float
    ranking: ErrorRanking
    doubts: Mapping[str, Doubt]
    misses: tuple[MissCurve, ...] = ()
    coverage: float = math.nan
    coverage_asked: float = math.nan
    set_size: float = math.nan
    unit: str = "image"

    @property
    def conventions(self) -> str:
        """How the metrics are counted, in words."""
        sets = "" if math.isnan(self.coverage) else COVERAGE_CONVENTIONS.format(unit=self.unit)
        return CONFIDENCE_CONVENTIONS + sets

    def review_order(self) -> list[str]:
        """Return the names of the samples, the most uncertain first."""
        return sorted(self.doubts, key=lambda name: (-self.doubts[name].uncertainty, name))

    def review_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of the positions in the most uncertain samples, and of the errors in them; both from 0 to 1.

        Nothing is returned where there is no error.
        """
        order = [self.doubts[name] for name in self.review_order()]
        errors, positions = np.array([(each.errors, each.positions) for each in order], float).reshape(-1, 2).T
        if not errors.sum():
            return np.zeros(0), np.zeros(0)
        reviewed, caught = (np.concatenate([[0.0], np.cumsum(part) / part.sum()]) for part in (positions, errors))
        return reviewed, caught

    def lines(self) -> list[str]:
        """Return lines for the terminal."""
        lines = [
            f"  before        {_cell(self.before.ece)} (without the temperature {self.temperature:.3g})",
            f"likelihood      {_cell(self.nll)} (mean -log p of the truth, nats); Brier score {_cell(self.brier)}",
        ]
        if not math.isnan(self.ranking.auroc):
            lines.append(
                f"uncertainty     {_cell(self.ranking.auroc)} (a wrong position is more uncertain than a right one); "
                f"{100 * self.ranking.caught(0.1):.0f} % of the errors lie in the most uncertain 10 %"
            )
        if not math.isnan(self.coverage):
            lines.append(
                f"coverage        {_cell(self.coverage)} ({self.coverage_asked:g} asked, mean over {self.unit}s), "
                f"{self.set_size:.3g} classes in a set"
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON; None where a metric does not exist."""
        numbers = {
            "temperature": self.temperature, "ece_before": self.before.ece, "nll": self.nll, "brier": self.brier,
            "auroc_error": self.ranking.auroc, "errors_caught_10": self.ranking.caught(0.1), "coverage": self.coverage,
            "coverage_asked": self.coverage_asked, "set_size": self.set_size,
        }  # fmt: skip
        return {name: None if math.isnan(value) else float(value) for name, value in numbers.items()}


@dataclass
class _Unit:
    """The sums over the images of one unit."""

    images: int = 0
    missed: np.ndarray = field(default_factory=lambda: np.zeros(len(LEVELS)))
    covered: float = 0.0


class ConfidenceCounter:
    """Counts probabilities against labels, image by image, in bounded memory.

    Of each image three numbers are kept, of each group one curve, and of all images together some histograms.

    Args:
        classes: K.
        bits: whether labels are sets of classes, one bit per class, and not class numbers.
        temperature: by which the probabilities were calibrated.
        level: where labels are sets, the probability from which a position has a class.
        coverage: what was asked of sets of classes; None for no sets.
        threshold: probability from which a class is in the set of a position.
        unit: "image" or "group": over what the coverage is a mean.

    >>> counter = ConfidenceCounter(2)
    >>> counter.update("a", torch.tensor([[0.8, 0.6], [0.2, 0.4]]), torch.tensor([0, 1]))
    >>> found = counter.result()
    >>> round(found.nll, 3), round(found.brier, 3)
    (0.57, 0.4)
    """

    def __init__(
        self,
        classes: int,
        *,
        bits: bool = False,
        temperature: float = 1.0,
        level: float = 0.5,
        coverage: float | None = None,
        threshold: float | None = None,
        unit: str = "image",
    ) -> None:
        self._classes, self._bits, self._temperature, self._level = classes, bits, temperature, level
        self._asked, self._threshold, self._unit = coverage, threshold, unit
        self._before, self._after = np.zeros((3, BINS)), np.zeros((3, BINS))
        self._ranking = np.zeros((2, STEPS * OCTAVES), np.int64)
        self._nll = self._brier = self._sizes = 0.0
        self._doubts: dict[str, Doubt] = {}
        self._images = _Unit()
        self._groups: dict[str, _Unit] = {}
        self._missed = np.zeros(len(LEVELS), np.int64)

    @torch.no_grad()
    def update(self, name: str, probabilities: torch.Tensor, target: torch.Tensor, group: str = "") -> None:
        """Count one image.

        Args:
            name: of the image.
            probabilities: `(K, *S)`, calibrated; finite where the target counts.
            target: `(*S)` integers, labels; `IGNORE` where nothing counts. Of sets the low byte counts.
            group: what the image comes from; "" where it stands alone.
        """
        flat, labels = probabilities[: self._classes].flatten(1), target.flatten()
        doubt, errors, positions = 0.0, 0, 0
        self._missed = np.zeros(len(LEVELS), np.int64)
        for start in range(0, labels.numel(), PIECE):
            truth = labels[start : start + PIECE].long() & 0xFF
            counted = truth != IGNORE
            piece = flat[:, start : start + PIECE].cpu()[:, counted].float()
            wrong = self._count_sets(piece, truth[counted]) if self._bits else self._count(piece, truth[counted])
            uncertainty = normalized_entropy(piece, bits=self._bits)
            self._ranking += ranking_counts(uncertainty, wrong).numpy()
            doubt += float(uncertainty.sum(dtype=torch.float64))
            errors, positions = errors + int(wrong.sum()), positions + piece.shape[1]
        if positions:
            self._doubts[name] = Doubt(doubt / positions, errors, positions)
            self._close(group, np.cumsum(self._missed) / positions)

    def _count(self, p: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Count probabilities `(K, n)` of labels `(n,)`; return where the most probable class is wrong."""
        top, predicted = p.max(0)
        right, true = predicted == truth, p.gather(0, truth[None])[0]
        self._nll -= float(true.clamp_min(TINY).log().sum(dtype=torch.float64))
        self._brier += float(((p * p).sum(0) - 2 * true + 1).sum(dtype=torch.float64))
        self._after += calibration_counts(top, right).numpy()
        if self._temperature != 1:
            before = 1 / ((p / top) ** self._temperature).sum(0)  # not top ** 20, which can be 0 of many classes
            self._before += calibration_counts(before, right).numpy()
        self._missed += level_counts(true)
        if self._threshold is not None:
            self._sizes += float((p >= np.float32(self._threshold)).sum())
        return ~right

    def _count_sets(self, p: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Count probabilities `(K, n)` of sets `(n,)`; return where the set of classes is not the true one."""
        true = ((truth >> torch.arange(len(p))[:, None]) & 1).bool()  # (K, n)
        of_truth = torch.where(true, p, 1 - p)
        self._nll -= float(of_truth.clamp_min(TINY).log().mean(0).sum(dtype=torch.float64))
        self._brier += float(((1 - of_truth) ** 2).mean(0).sum(dtype=torch.float64))
        top, right = torch.maximum(p, 1 - p), (p >= 0.5) == true
        self._after += calibration_counts(top, right).numpy()
        if self._temperature != 1:
            powers = top**self._temperature, (1 - top) ** self._temperature
            self._before += calibration_counts(powers[0] / (powers[0] + powers[1]), right).numpy()
        return ((p >= self._level) != true).any(0)

    def _close(self, group: str, missed: np.ndarray) -> None:
        """Add the miss curve of an image to its units."""
        covered = math.nan
        if self._threshold is not None:
            covered = 1 - float(missed[np.searchsorted(LEVELS, np.float32(self._threshold))])
        for unit in (self._images, *([self._groups.setdefault(group, _Unit())] if group else [])):
            unit.images, unit.missed, unit.covered = unit.images + 1, unit.missed + missed, unit.covered + covered

    def result(self) -> Confidence:
        """Return the metrics of all images counted so far."""
        positions = sum(doubt.positions for doubt in self._doubts.values())
        after = Reliability.of(self._after)
        grouped = self._unit == "group" and self._all_grouped()
        units = list(self._groups.values()) if grouped else [self._images]
        covered = [unit.covered / unit.images for unit in units if unit.images]
        sets = self._threshold is not None and positions > 0
        return Confidence(
            temperature=self._temperature,
            before=after if self._temperature == 1 else Reliability.of(self._before),
            after=after,
            nll=self._nll / positions if positions else math.nan,
            brier=self._brier / positions if positions else math.nan,
            ranking=ErrorRanking(self._ranking.copy()),
            doubts=dict(self._doubts),
            misses=() if self._bits or not positions else self._curves(),
            coverage=float(np.mean(covered)) if sets else math.nan,
            coverage_asked=math.nan if self._asked is None else self._asked,
            set_size=self._sizes / positions if sets else math.nan,
            unit="group" if grouped else "image",
        )

    def _curves(self) -> tuple[MissCurve, ...]:
        """Return the miss curves of groups, if every image has one, and of images."""
        curves = [MissCurve("image", self._images.images, (self._images.missed / self._images.images).tolist())]
        if self._all_grouped():
            mean = np.mean([unit.missed / unit.images for unit in self._groups.values()], axis=0)
            curves.insert(0, MissCurve("group", len(self._groups), mean.tolist()))
        return tuple(curves)

    def _all_grouped(self) -> bool:
        """Whether every image has a group."""
        return 0 < self._images.images == sum(unit.images for unit in self._groups.values())


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
