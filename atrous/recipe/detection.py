"""A recipe planned for boxes: from the lengths of their sides and what is planned for other grids."""

import math
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.recipe.box_options import power_of_two
from atrous.recipe.plan import BATCH, POSITIONS, PlannedRecipe, Request, plan_batch, plan_crop, plan_grids
from atrous.recipe.schema import validate

CELLS = 4
"""A small box has so many positions of the network's finest map along a side, if there are so many."""
ENOUGH = 10
"""The encoder sees small boxes with sides of so many positions; where they are larger, it sees means of blocks."""
GREATEST_SHRINK = 4
WIDTH = {1: 64, 2: 96, 3: 32}
"""Channels of the pyramid."""


def plan_detection(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for boxes in images, volumes or recordings.

    Raises:
        UserError: no training image has a box.
    """
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons, ndim = planned.recipe.model_dump(), dict(planned.reasons), fingerprint.ndim
    reasons.pop("task.tolerance", None)
    values["task"]["tolerance"] = None
    small = min(fingerprint.box_sides[0])
    shrink = min(GREATEST_SHRINK, power_of_two(small / ENOUGH)) if ndim == 2 else 1
    finest = max(2 * shrink, power_of_two(small / CELLS))
    values["model"] |= {"name": "fcos", "width": WIDTH[ndim], "finest": finest, "shrink": shrink}
    if shrink > 1:
        reasons["model.shrink"] = (
            f"small boxes have sides of {small:.0f}: means of {shrink} positions show them as well"
        )
    reasons["model.name"] = "a feature pyramid down to the stride that small boxes need, for what and for where"
    if ndim == 2:
        _plan_whole_images(values, fingerprint, request, reasons)
        _plan_augmented(values, fingerprint, reasons, rotated=bool(values["task"]["options"].get("rotated")))
    return PlannedRecipe(validate(values, "plan"), reasons)


def _plan_whole_images(
    values: dict[str, Any], fingerprint: Fingerprint, request: Request, reasons: dict[str, str]
) -> None:
    """Crops as large as the encoder can see for the same cost, since crops cut objects at their border."""
    area = values["model"]["shrink"] ** 2
    crop = plan_crop(fingerprint.sizes.median, times=2 * area)
    wanted = max(2, round(BATCH * POSITIONS[2] * area / math.prod(crop)))
    batch = plan_batch([length // values["model"]["shrink"] for length in crop], min(BATCH, wanted), request, reasons)
    values["train"] |= {"crop": list(crop), "batch_size": batch}
    reasons["train.crop"] = "crops cut objects at their border: as large as the images, or as the cost allows"


def _plan_augmented(
    values: dict[str, Any], fingerprint: Fingerprint, reasons: dict[str, str], *, rotated: bool
) -> None:
    """Boxes move with the images; a turn makes the upright box of an angular object inexact."""
    augment = values["augment"]
    augment["scale"] = (0.75, 1.35)
    reasons["augment.scale"] = "boxes have about the size of the training data's"
    if rotated:
        augment |= {"flip": [True, True], "rotate": 180.0}
        reasons["augment.rotate"] = "objects lie in any direction, and rotated boxes turn with them exactly"
        reasons["augment.flip"] = "objects that lie in any direction are mostly seen from above: mirrored both ways"
    elif fingerprint.channels == 3 and fingerprint.dtype == "uint8":
        augment["rotate"] = 5.0
        reasons["augment.rotate"] = "the box of a turned object is known exactly only where the object is round"
    else:
        augment |= {"flip": [True, True], "rotate": 180.0}
        reasons["augment.rotate"] = "objects in gray images are mostly cells, which lie in any direction and are round"
        reasons["augment.flip"] = "objects in gray images are mostly cells: mirrored along both axes"
