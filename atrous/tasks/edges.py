"""Edges: at each pixel how strongly one is seen, learned from what several annotators marked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.ranks import totals
from atrous.tasks.edge_matching import TooManyPairs
from atrous.tasks.edge_metrics import CONVENTIONS, MAX_DISTANCE, THRESHOLDS, EdgeMetrics, count_edges, edge_thresholds
from atrous.tasks.measures import Measures
from atrous.tasks.task import NotFinite
from atrous.tasks.thinning import suppress
from atrous.tasks.values import ValueTask

QUICK_THRESHOLDS = 9
"""Of a quick validation."""
REPORTED_THRESHOLDS = 13
"""Of the metrics at the end of a training, whose matching would take longer than the training with all of them."""


@dataclass(frozen=True)
class EdgeTask(ValueTask):
    """The probability of an edge at each pixel.

    Attributes:
        eta: a pixel is an edge if more than this share of the annotators marked it. Where fewer marked it, but some
            did, it counts for nothing: they disagree, or drew the same line a pixel apart.
        negative_weight: factor on the weight of pixels without an edge.
        dice: weight of the Dice loss beside the cross-entropy.
        max_distance: largest distance of matched pixels, as a share of the image's diagonal.
        thresholds: at how many the edges are matched, evenly spread between 0 and 1.
        side_weight: what each side output of a network weighs in the loss, compared with the one before it: the fused
            output is the first, then from fine to coarse.

    >>> task = EdgeTask.build({"dice": 0.0, "options": {"eta": 0.4}})
    >>> task.eta, task.probabilities(torch.zeros(1, 1, 2)).tolist()
    (0.4, [[[0.5, 0.5]]])
    """

    eta: float = 0.3
    negative_weight: float = 1.1
    dice: float = 0.0
    max_distance: float = MAX_DISTANCE
    thresholds: int = THRESHOLDS
    side_weight: float = 1.0

    watched = ("ods",)
    higher_is_better = True
    joint_loss = True

    def __post_init__(self) -> None:
        for name, value, fits, wanted in (
            ("eta", self.eta, 0 <= self.eta < 1, "a share of the annotators, such as 0.3"),
            ("negative_weight", self.negative_weight, self.negative_weight > 0, "a number above 0, such as 1.1"),
            ("max_distance", self.max_distance, 0 <= self.max_distance < 1, "a share of the diagonal, such as 0.0075"),
            ("thresholds", self.thresholds, isinstance(self.thresholds, int) and self.thresholds > 0, "a whole number"),
            ("side_weight", self.side_weight, 0 < self.side_weight <= 1, "a number above 0, at most 1"),
        ):
            if not fits:
                raise UserError(f"task.options.{name} = {value}: give {wanted}")

    @classmethod
    def build(cls, section: Mapping[str, Any]) -> "EdgeTask":
        """Make the task of the section `task` of a recipe; its options are the attributes, but for `dice`.

        Raises:
            UserError: an option is no number in its range.
        """
        options = section["options"]
        names = ("eta", "negative_weight", "max_distance", "thresholds", "side_weight")
        given = {name: options[name] for name in names if name in options}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"task.options.{name} = {value!r}: give a number")
        return cls(("edge",), (0.0,), (1.0,), limits=(0.0, 1.0), dice=section["dice"], **given)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the class-balanced cross-entropy with consensus, and the Dice loss if that has a weight.

        With P pixels that are edges and N that nobody marked, both of the whole batch, edges weigh N / (P + N) and the
        others `negative_weight` * P / (P + N), so that both count alike although edges are rare (Liu et al. 2017,
        "Richer convolutional features for edge detection", arXiv:1612.02103, equation 1); the weighted mean is taken.
        The Dice loss is 1 - 2 sum(p g) / (sum(p^2) + sum(g^2)) over the same pixels (Deng et al. 2018, "Learning to
        predict crisp boundaries").

        Args:
            output: `(N, 1, *S)`, of any floating dtype; the loss is computed in float32.
            target: `(N, A, *S)`: 1 where each of A annotators marked an edge, else 0; or, with A = 1, the share of the
                annotators who did. NaN where nothing is known.

        Raises:
            UserError: output and target have different grids.
        """
        if output.shape[2:] != target.shape[2:] or output.shape[1] != 1:
            raise UserError(
                f"the network gives {tuple(output.shape[1:])}, the target is {tuple(target.shape[1:])}: edges are one "
                "channel on the grid of the target"
            )
        share, logits = target.float().mean(dim=1, keepdim=True), output.float()
        edge, rest = (share > self.eta).float(), (share == 0).float()  # where the share is NaN, both are 0
        positives, negatives = totals(edge.sum(), rest.sum())
        weights = (edge * negatives + rest * (self.negative_weight * positives)) / (positives + negatives).clamp_min(1)
        losses = F.binary_cross_entropy_with_logits(logits, edge, reduction="none")
        found = logits.sigmoid() * (edge + rest)
        parts = ((weights * losses).sum(), weights.sum(), found.square().sum(), (found * edge).sum())
        error, mass, squares, common = totals(*parts)
        loss = error / mass.clamp_min(1e-6)  # a batch without edges has loss 0, not nan
        if self.dice > 0:
            loss = loss + self.dice * (1 - 2 * common / (squares + positives).clamp_min(1e-6))
        return loss

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return the probability of an edge, `(N, 1, *S)` float32; see `Task.probabilities`."""
        return output.float().sigmoid()

    def metrics(self, *, full: bool = True) -> "EdgeMeasures":
        """See `Task.metrics`: ODS, OIS and AP; quick ones are of few thresholds."""
        return EdgeMeasures(self, full)


class EdgeMeasures:
    """ODS, OIS and AP of images, after non-maximum suppression, as `atrous score-edges --nms` measures them.

    Args:
        task: makes probabilities of raw output, and says how far matched pixels may be apart.
        full: whether they are measured at all thresholds of the task, of probabilities; else at few, of the network's
            output as it is.
    """

    def __init__(self, task: EdgeTask, full: bool = True) -> None:
        self._task, self._full = task, full
        count = task.thresholds if full else min(task.thresholds, QUICK_THRESHOLDS)
        self._thresholds = edge_thresholds(count)
        self._metrics = EdgeMetrics(self._thresholds)

    def update(
        self,
        name: str,
        probabilities: torch.Tensor,
        target: torch.Tensor,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        """Count the edges `(1, H, W)` of an image against those of its annotators `(A, H, W)`, NaN where unknown.

        Where nothing is known of the truth, nothing that is found counts.

        Raises:
            NotFinite: a value is nan or infinite.
            UserError: it is no image, or too many of its pixels lie near each other to be matched.
        """
        values = probabilities if self._full else self._task.probabilities(probabilities[None])[0]
        strength, marks = values[0].float().cpu().numpy(), target.cpu().numpy()
        if not np.isfinite(strength).all():
            raise NotFinite(name)
        if strength.ndim != 2:
            raise UserError(f"{name}: {strength.ndim} axes: edges are measured in images")
        strength = suppress(strength)
        strength[np.isnan(marks).any(axis=0)] = 0
        try:
            distance = self._task.max_distance
            counts = count_edges(strength, list(marks > 0.5), self._thresholds, max_distance=distance)
        except TooManyPairs as error:
            raise UserError(f"{name}: {error}: set a smaller task.options.max_distance") from error
        self._metrics.add(name, counts)

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics; ODS is the first. The metric of an image is its F at its own best threshold."""
        scores = self._metrics.result(seconds)
        values = {
            "ods": scores.best.f, "ois": scores.best_of_images.f, "ap": scores.ap,
            "ods_threshold": scores.best.threshold, "ods_precision": scores.best.precision,
            "ods_recall": scores.best.recall,
        }  # fmt: skip
        per_image = {name: point.f for name, point in scores.per_image.items()}
        return Measures(values, per_image, seconds, tta, conventions=self._conventions())

    def _conventions(self) -> str:
        return f"Edges are thinned first, and matched at {len(self._thresholds)} thresholds. {CONVENTIONS}"
