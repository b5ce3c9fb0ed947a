"""Which of the two ways to find objects a recipe takes: by votes for centers, or as star-convex polygons."""

from collections.abc import Mapping
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.errors import UserError

SHAPES = ("votes", "stars", "auto")
ENOUGH = 0.9
"""Mean overlap (IoU) of objects with star-convex polygons from which "auto" takes these."""
RAYS = 32


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
        UserError: there is no such shape, or stars are wanted of data that are no images.
    """
    if wanted is not None and wanted not in SHAPES:
        raise UserError(f"--set task.options.shape={wanted}: choose one of {', '.join(SHAPES)}")
    if wanted == "stars" and fingerprint.ndim != 2:
        raise UserError(
            f"--set task.options.shape=stars: star-convex polygons are for images, these data have {fingerprint.ndim} "
            "axes: write votes"
        )
    iou = fingerprint.star_iou
    if wanted is None or wanted == "votes":
        return {"shape": "votes", **options}
    told = "objects are compared with star-convex polygons in images only"
    if iou is not None:
        told = (
            f"star-convex polygons reproduce the objects with a mean IoU of {iou:.2f} (auto takes them from {ENOUGH})"
        )
    if wanted == "stars" or (iou is not None and iou >= ENOUGH):
        reasons["task.options"] = f"{told}; distances are in units of the typical radius"
        return {"shape": "stars", "rays": RAYS, **{name: options[name] for name in ("ndim", "scale", "smallest")}}
    reasons["task.options"] = f"{told}; {reasons['task.options']}"
    return {"shape": "votes", **options}
