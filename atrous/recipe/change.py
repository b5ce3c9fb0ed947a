"""A plan for pairs of images: one encoder that sees both dates, and crops in which these are shifted apart."""

from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.encoders.lite import LITE_MEAN, LITE_STD, lite_weights
from atrous.errors import UserError
from atrous.recipe.plan import BATCH, PlannedRecipe, Request, plan_batch, plan_crop, plan_grids
from atrous.recipe.schema import validate

SHIFT = 2.0
"""Pixels by which the images of a place are often apart, though somebody registered them."""
CROPS = 0.5
"""Of the positions of a crop of one image: the encoder sees two."""
FOREGROUND = 0.5
"""Share of the crops that are centered on a class drawn evenly: what changed is rare."""
COLOR = 6
"""Channels of two color pictures."""


def plan_change(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for pairs of images, volumes or recordings.

    Raises:
        UserError: the samples have an odd number of channels, so that they are no pairs.
    """
    if fingerprint.channels % 2:
        raise UserError(
            f"{dataset.root}: {fingerprint.channels} channel(s): give both images of a pair as one, the channels of "
            "the first before those of the second"
        )
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons = planned.recipe.model_dump(), dict(planned.reasons)
    for key in ("task.class_weights", "task.tolerance"):
        reasons.pop(key, None)
    values["task"] |= {"class_weights": None, "tolerance": None}
    values["model"]["compare"] = "features"
    reasons["model.compare"] = "the same features of both images, and how they differ: coarse ones hardly feel a shift"
    if fingerprint.ndim == 2:
        _plan_pictures(values, fingerprint, request, reasons)
    values["augment"] |= {"apart": True, "foreground": FOREGROUND}
    reasons["augment.apart"] = "light and season change between two dates, and are no change of the place"
    reasons["augment.foreground"] = "what changed is rare: half of the crops are centered on a class drawn evenly"
    if fingerprint.ndim > 1:
        values["augment"]["shift"] = SHIFT
        reasons["augment.shift"] = "two dates rarely lie exactly on each other; 0 if yours do"
    return PlannedRecipe(validate(values, "plan"), reasons)


def _plan_pictures(values: dict[str, Any], fingerprint: Fingerprint, request: Request, reasons: dict[str, str]) -> None:
    """Pretrained weights for color pictures, crops of half as many positions, and no side that is up."""
    if fingerprint.dtype == "uint8" and fingerprint.channels == COLOR and lite_weights() is not None:
        values["model"] |= {
            "encoder": "efficientnet_lite0",
            "pretrained": True,
            "width": 96,
            "mean": [*LITE_MEAN, *LITE_MEAN],
            "std": [*LITE_STD, *LITE_STD],
        }
        reasons["model.encoder"] = "two 8-bit color pictures: ImageNet weights are worth more than any other choice"
    crop = plan_crop(fingerprint.sizes.median, times=CROPS)
    values["train"] |= {"crop": list(crop), "batch_size": plan_batch((2, *crop), BATCH, request, reasons)}
    size = " x ".join(f"{length:g}" for length in fingerprint.sizes.median)
    reasons["train.crop"] = f"images are {size} (median); half of the positions of one image's, as the encoder sees two"
    values["augment"] |= {"flip": [True, True], "scale": (0.8, 1.25)}
    reasons["augment.flip"] = "most pairs show places from above, where no side is up: set [false, true] for others"
    reasons["augment.scale"] = "both dates have about the scale of the training data's"
