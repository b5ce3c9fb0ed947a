"""The plan of style transfer."""

from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.restoration import TYPES
from atrous.errors import UserError
from atrous.recipe.plan import Request, plan_batch
from atrous.tasks.style import SIDE, WEIGHTS

CROP, BATCH, STEP, STRIDE = 256, 2, 2 * 256 * 256, 32
"""Side of a crop, crops of a step, pixels of a step, and what sides of crops are multiples of."""
WIDTH = 32
RATE = 1e-3


def plan_style(
    values: dict[str, Any], dataset: Dataset, fingerprint: Fingerprint, request: Request, reasons: dict[str, str]
) -> None:
    """Change the values of a planned recipe to those of style transfer.

    Raises:
        UserError: the data are no pictures.
    """
    channels, ndim = fingerprint.channels, fingerprint.ndim
    if ndim != 2 or channels not in (1, 3):
        raise UserError(
            f"{dataset.root}: {ndim} axes and {channels} channels: style is for color or gray pictures: give a folder "
            "of these"
        )
    least, most = (0.0, TYPES[fingerprint.dtype]) if fingerprint.dtype in TYPES else _extremes(dataset, fingerprint)
    values["task"]["options"] = {"limits": [least, most], **WEIGHTS, "style_side": SIDE}
    reasons["task.options"] = "weights found by looking at pictures: a larger style_weight keeps less of the content"
    values["input"] |= {"intensity": ["keep"], "low": [], "high": [], "spacing": []}
    model = values["model"]
    model.clear()
    model |= {
        "name": "stylizer", "ndim": 2, "in_channels": channels, "width": WIDTH,
        "mean": [float(f"{value:.9g}") for value in fingerprint.mean],
        "std": [float(f"{max(fingerprint.std) or 1.0:.9g}")] * channels,
    }  # fmt: skip
    reasons["model.name"] = (
        "a network that paints: instance norms at its beginning alone, so that it streams in 4 passes"
    )
    crop = [min(CROP, max(STRIDE, int(side) // STRIDE * STRIDE)) for side in fingerprint.sizes.median]
    batch = min(16, max(BATCH, round(STEP / (crop[0] * crop[1]))))
    values["train"] |= {
        "crop": crop, "batch_size": plan_batch(crop, batch, request, reasons), "learning_rate": RATE,
        "weight_decay": 0.0,
    }  # fmt: skip
    reasons["train.crop"] = "large enough to show what a picture is of, small enough for many steps"
    zoomed = min(1.0, max(0.5, *(length / side for length, side in zip(crop, fingerprint.sizes.median, strict=True))))
    values["augment"] |= {
        "flip": [False, True], "scale": (round(zoomed, 2), 1.0), "rotate": 0.0, "foreground": 0.0, "brightness": 0.0,
        "contrast": 0.0, "saturation": 0.0, "noise": 0.0, "gamma": 0.0,
    }  # fmt: skip
    for key in [key for key in reasons if key.startswith("augment.")]:
        del reasons[key]
    reasons["augment.scale"] = "zoomed out until an image fills the crop, at most by a half; colors as they are"


def _extremes(dataset: Dataset, fingerprint: Fingerprint) -> tuple[float, float]:
    """What black and white are in images of floats."""
    if not fingerprint.minimum < fingerprint.maximum:
        raise UserError(f"{dataset.root}: all values are {fingerprint.minimum:g}: give pictures")
    return float(fingerprint.minimum), float(fingerprint.maximum)
