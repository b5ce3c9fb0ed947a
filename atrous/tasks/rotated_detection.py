"""Detection of rotated boxes: rectangles in any direction, in images.

As in `atrous.tasks.detection` every `stride`-th position says how well it could place a box of each class. Where the
box is, it says by the way to the center and by a form that does not jump where the angle of a box does
(`atrous.objects.rotated.form_of`), so that a small turn of an object is a small change of what is learned.

The first three numbers of the form are those of the matrix that maps the unit disc to the ellipse in the box, the root
of the covariance of a Gaussian that stands for the box. They are learned by the Kullback-Leibler divergence of the
proposed Gaussian from the true one (Yang et al., "Learning high-precision bounding box for rotated object detection via
Kullback-Leibler divergence", NeurIPS 2021), the other two, which tell the angle of squares too, by their distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from atrous.objects.rotated import boxes_of, rotated_iou, sides_of
from atrous.objects.rotated_boxes import DenseRotatedBoxes
from atrous.tasks.detection import PRIOR, REACH, THIN, UNIT, DetectionTask

NUMBERS = 7
"""What a position says of its box: the way to its center along both axes, and its form."""
ANGLE = 0.2
"""Weight of the two numbers that tell the angle. In short trainings on made scenes 0.5 and 1 learned more slowly."""


@dataclass(frozen=True)
class RotatedDetectionTask(DetectionTask):
    """Rotated boxes of several classes; the attributes are those of `DetectionTask`.

    A target is `(m, 10)`: the number of the crop, the corners and the class of each box.

    >>> RotatedDetectionTask(("ship", "plane"), scale=(20.0, 20.0), stride=(4, 4)).out_channels
    9
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ndim != 2:
            raise ValueError("rotated boxes are for images: give two numbers for scale and stride, or rotated = false")

    @property
    def out_channels(self) -> int:  # type: ignore[override]
        """A score for each class, and the numbers of a box."""
        return len(self.classes) + NUMBERS

    @property
    def decoder(self) -> DenseRotatedBoxes:
        """What makes boxes of the maps."""
        return DenseRotatedBoxes(
            len(self.classes), self.threshold, self.overlap, REACH * max(self.scale), stride=self.stride
        )  # fmt: skip

    def probabilities(self, output: torch.Tensor) -> torch.Tensor:
        """Return dense maps `(N, K + 7, H, W)`: a score for each class, then the numbers of a box in positions."""
        scores, numbers = output.float().split([len(self.classes), NUMBERS], dim=1)
        return torch.cat([(scores + PRIOR).sigmoid(), self._numbers(numbers.movedim(1, 0)).movedim(0, 1)], dim=1)

    def _numbers(self, output: torch.Tensor) -> torch.Tensor:
        """What outputs `(7, ...)` say of boxes: the way to the center and the form, in positions.

        A fresh network proposes squares of the scale around each position. However large the output, the width that the
        form tells stays above 0.
        """
        unit = sum(self.scale) / 2
        mean = F.softplus(output[2] + UNIT) * unit
        differ = mean * output[3:5] / (1 + output[3:5].square().sum(dim=0)).sqrt()
        return torch.cat([output[:2] * unit, mean[None], differ, output[5:]])

    def compare(
        self, numbers: torch.Tensor, places: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DetectionTask.compare`; overlaps are exact, and have no gradient."""
        said = self._numbers(numbers)
        centers, half, along = rectangles(boxes)
        shift, form = places.T + said[:2] - centers.T, said[2:]
        divergence = kl_divergence(shift, form[:3], half.T, along.T)
        sine, cosine = along.T
        even, odd = cosine.square() - sine.square(), 2 * sine * cosine  # cos 2a and sin 2a
        angle = torch.stack([even.square() - odd.square(), 2 * even * odd])
        away = (form[3:] - angle).square().sum(dim=0)
        lost = 1 - 1 / (1 + torch.log1p(divergence)) + ANGLE * away
        proposed = torch.cat([places + said[:2].T, form.T], dim=1).detach().double().cpu().numpy()
        sides = sides_of(proposed[:, 2:])
        proposed[:, 2:5] = sides
        iou = rotated_iou(proposed[:, :5], boxes_of(boxes.double().cpu().numpy()))
        return torch.from_numpy(iou).to(numbers), lost

    def fall(self, boxes: torch.Tensor, centers: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DetectionTask.fall`; distances are along the sides of each box.

        Less than half a stride along the axes are, along the sides, at most the projections of half a stride.
        """
        middles, half, along = rectangles(boxes)
        fall = boxes.new_zeros((len(boxes), *map(len, centers)))
        for side, direction in enumerate((along, _across(along))):
            rows, columns = ((centers[a] - middles[:, a, None]) * direction[:, a, None] for a in range(2))
            slack = (direction.abs() * direction.new_tensor(self.stride)).sum(dim=1) / 2
            away = (rows[:, :, None] + columns[:, None]).abs() - slack[:, None, None]
            fall = fall + (away.clamp_min(0) / half[:, side, None, None]).square()
        return fall, half

    def covers(self, box: torch.Tensor, centers: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return which positions `(*L)` lie in a rotated box `(8,)`."""
        middles, half, along = rectangles(box[None])
        within = torch.ones([len(axis) for axis in centers], dtype=torch.bool, device=box.device)
        for side, direction in enumerate((along[0], _across(along)[0])):
            rows, columns = ((centers[a] - middles[0, a]) * direction[a] for a in range(2))
            within &= (rows[:, None] + columns).abs() <= half[0, side]
        return within


def rectangles(corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the centers `(n, 2)`, half the sides `(n, 2)` and the directions `(n, 2)` of rotated boxes.

    Args:
        corners: `(n, 8)`, as `atrous.objects.rotated.corners_of` gives them.

    Returns:
        The direction is that of the first side, a vector of length 1.
    """
    first, second, third, fourth = corners.reshape(-1, 4, 2).unbind(dim=1)
    one, other = (second - first + third - fourth) / 4, (third - second + fourth - first) / 4
    half = torch.stack([one.norm(dim=1), other.norm(dim=1)], dim=1).clamp_min(THIN)
    return (first + second + third + fourth) / 4, half, F.normalize(one, dim=1)


def _across(along: torch.Tensor) -> torch.Tensor:
    """The directions of the other sides of boxes whose first sides have the directions `(n, 2)`."""
    return torch.stack([along[:, 1], -along[:, 0]], dim=1)


def kl_divergence(shift: torch.Tensor, form: torch.Tensor, half: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of Gaussians that stand for proposed boxes from true ones, `(n,)`.

    The covariance of a box has the half sides as deviations along its sides. The root of that of a proposed box is
    m I + [[-e, o], [o, e]] with the numbers m, e and o of its form.

    Args:
        shift: `(2, n)`, from the true center to the proposed one.
        form: `(3, n)`, the first numbers of `atrous.objects.rotated.form_of`; m is more than the root of e^2 + o^2.
        half: `(2, n)`, half the sides of the true boxes.
        along: `(2, n)`, the direction of their first sides.

    >>> form, half, along = torch.tensor([[2.0], [-1], [0]]), torch.tensor([[3.0], [1]]), torch.tensor([[1.0], [0]])
    >>> float(kl_divergence(torch.zeros(2, 1), form, half, along)), float(kl_divergence(half, form, half, along))
    (0.0, 1.0)
    """
    mean, even, odd = form
    total = -1 - torch.log(mean.square() - even.square() - odd.square()) + half.log().sum(dim=0)
    for length, direction in zip(half, (along, _across(along.T).T), strict=True):
        y, x = direction
        root = torch.stack([(mean - even) * y + odd * x, odd * y + (mean + even) * x])
        spread, away = root.square().sum(dim=0), (shift * direction).sum(dim=0).square()
        total = total + (spread + away) / (2 * length.square())
    return total.clamp_min(0)
