"""Which of the two ways to find objects a recipe takes: by votes for centers, or as star-convex shapes."""

from collections.abc import Mapping
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.errors import UserError
from atrous.objects.directions import RAYS

SHAPES = ("votes", "stars", "auto")
ENOUGH = {2: 0.9, 3: 0.85}
"""By the number of axes, the mean overlap (IoU) of objects with star-convex shapes from which "auto" takes these.

An error of the border by the same part of the radius costs more of a volume: 0.9 ** (3 / 2) is 0.85.
"""
SHAPE = {2: "polygons", 3: "polyhedra"}


def plan_shape(
    options: Mapping[str, Any], wanted: str | None, fingerprint: Fingerprint, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return the keys `task.options` of instances for the shape that is wanted.

    Args:
        options: the keys of votes, as `plan_objects` gives them.
        wanted: "votes", "stars", or "auto" for what the shapes of the training objects suggest; None for votes.
        fingerprint: what is known of the training data.
        reasons: takes the reason.

    Raises:
        UserError: there is no such shape, or stars are wanted of data that are neither images nor volumes.
    """
    if wanted is not None and wanted not in SHAPES:
        raise UserError(f"--set task.options.shape={wanted}: choose one of {', '.join(SHAPES)}")
    ndim, iou = fingerprint.ndim, fingerprint.star_iou
    if wanted == "stars" and ndim not in SHAPE:
        raise UserError(
            "--set task.options.shape=stars: star-convex shapes are for images and volumes, these data have one axis: "
            "write votes"
        )
    if wanted is None or wanted == "votes":
        return {"shape": "votes", **options}
    told = "objects are compared with star-convex shapes in images and volumes only"
    if iou is not None:
        told = (
            f"star-convex {SHAPE[ndim]} reproduce the objects with a mean IoU of {iou:.2f} (auto takes them from "
            f"{ENOUGH[ndim]})"
        )
    if wanted == "stars" or (iou is not None and iou >= ENOUGH[ndim]):
        reasons["task.options"] = f"{told}; distances are in units of the typical radius"
        return {"shape": "stars", "rays": RAYS[ndim], **{name: options[name] for name in ("ndim", "scale", "smallest")}}
    reasons["task.options"] = f"{told}; {reasons['task.options']}"
    return {"shape": "votes", **options}
