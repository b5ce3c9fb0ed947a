"""The keys `task.options` of boxes, upright and rotated ones, from the sides of those in the training data."""

import math
from collections.abc import Sequence
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.targets.rotated import RotatedBoxes
from atrous.errors import UserError

POINTS = 6
"""So many positions that propose boxes lie along a side of a small box, if there are so many."""
GREATEST_STRIDE = 8


def box_options(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, Any]:
    """Return the keys `task.options` of boxes.

    Raises:
        UserError: no training image has a box.
    """
    if not fingerprint.box_sides:
        raise UserError(f"{dataset.root}: no training image has a box: add boxes")
    rotated = issubclass(dataset.target, RotatedBoxes)
    return plan_rotated(fingerprint.box_sides, reasons) if rotated else plan_boxes(fingerprint.box_sides, reasons)


def plan_boxes(sides: Sequence[Sequence[float]], reasons: dict[str, str]) -> dict[str, Any]:
    """Return the keys `task.options` of boxes from the sides of small, typical and large ones, per axis.

    >>> plan_boxes([(30.0, 26.0), (100.0, 110.0), (230.0, 240.0)], {})
    {'scale': [50.0, 55.0], 'stride': [4, 4]}
    """
    small, typical, _ = sides
    scale = [round(max(0.5, side / 2), 1) for side in typical]
    stride = [min(GREATEST_STRIDE, power_of_two(side / POINTS)) for side in small]
    words = [" x ".join(f"{side:.0f}" for side in row) for row in sides]
    reasons["task.options"] = (
        f"typical boxes are {words[1]} (10 % of the boxes of a class are smaller than {words[0]}): distances are in "
        f"halves of that, and about {POINTS} positions propose boxes along a side of a small one"
    )
    return {"scale": scale, "stride": stride}


def plan_rotated(sides: Sequence[Sequence[float]], reasons: dict[str, str]) -> dict[str, Any]:
    """Return the keys `task.options` of rotated boxes from the longer and the shorter side of small and typical ones.

    >>> plan_rotated([(30.0, 13.0), (100.0, 60.0), (230.0, 240.0)], {})
    {'rotated': True, 'scale': [40.0, 40.0], 'stride': [2, 2]}
    """
    small, typical, large = sides
    options = plan_boxes([(min(small),) * 2, (sum(typical) / 2,) * 2, large], {})
    reasons["task.options"] = (
        f"boxes lie in any direction; typical ones are {typical[0]:.0f} x {typical[1]:.0f}: distances are in halves of "
        f"the mean of that, and about {POINTS} positions propose boxes across a small one of {min(small):.0f}"
    )
    return {"rotated": True, **options}


def power_of_two(most: float) -> int:
    """Return the greatest power of two up to a number, at least 1.

    >>> power_of_two(0.3), power_of_two(7.9), power_of_two(8)
    (1, 4, 8)
    """
    return 2 ** int(math.log2(max(1.0, most)))
