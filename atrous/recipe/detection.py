"""A recipe planned for boxes: from the lengths of their sides and what is planned for other grids."""

import math
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.recipe.plan import BATCH, POSITIONS, PlannedRecipe, Request, plan_batch, plan_crop, plan_grids
from atrous.recipe.schema import validate

LARGE = 1 / 5
"""Beyond this part of a crop's side boxes are large: most crops of a smaller size would cut some."""
WIDTH = {1: 64, 2: 96, 3: 32}
"""Channels of the pyramid."""


def plan_detection(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for boxes in images, volumes or recordings.

    Raises:
        UserError: no training image has a box.
    """
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons, ndim = planned.recipe.model_dump(), dict(planned.reasons), fingerprint.ndim
    for key in ("task.dice", "task.tolerance"):
        reasons.pop(key, None)
    values["task"]["tolerance"] = None
    finest = max(2, *values["task"]["options"]["stride"])
    values["model"] |= {"name": "fcos", "width": WIDTH[ndim], "finest": finest}
    reasons["model.name"] = "a feature pyramid down to the stride that small boxes need, for what and for where"
    if ndim == 2:
        _plan_whole_objects(values, fingerprint, request, reasons)
        _plan_augmented(values, fingerprint, reasons)
    return PlannedRecipe(validate(values, "plan"), reasons)


def _plan_whole_objects(
    values: dict[str, Any], fingerprint: Fingerprint, request: Request, reasons: dict[str, str]
) -> None:
    """Where boxes are large, fewer and larger crops: they cut fewer objects."""
    crop = values["train"]["crop"]
    if max(side / length for side, length in zip(fingerprint.box_sides[2], crop, strict=True)) <= LARGE:
        return
    crop = plan_crop(fingerprint.sizes.median, times=2)
    wanted = max(2, round(BATCH * POSITIONS[2] / math.prod(crop)))
    values["train"] |= {"crop": list(crop), "batch_size": plan_batch(crop, min(BATCH, wanted), request, reasons)}
    reasons["train.crop"] = "boxes are large, so crops are as large as the images, or nearly so, to cut few of them"


def _plan_augmented(values: dict[str, Any], fingerprint: Fingerprint, reasons: dict[str, str]) -> None:
    """Boxes move with the images; a turn makes the box of an angular object inexact."""
    augment = values["augment"]
    augment["scale"] = (0.75, 1.35)
    reasons["augment.scale"] = "boxes have about the size of the training data's"
    if fingerprint.channels == 3 and fingerprint.dtype == "uint8":
        augment["rotate"] = 5.0
        reasons["augment.rotate"] = "the box of a turned object is known exactly only where the object is round"
    else:
        augment |= {"flip": [True, True], "rotate": 180.0}
        reasons["augment.rotate"] = "objects in gray images are mostly cells, which lie in any direction and are round"
        reasons["augment.flip"] = "objects in gray images are mostly cells: mirrored along both axes"
