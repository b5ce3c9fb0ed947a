"""A plan for scenes of a fixed camera: a small network at full resolution over frame, background and difference."""

from typing import Any

from atrous.data.background import Background
from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.layouts.scenes import SceneImage
from atrous.recipe.background import KEYS
from atrous.recipe.intensity import normalization, training_inputs
from atrous.recipe.plan import (
    BATCH,
    EPOCHS_DEFAULT,
    PlannedRecipe,
    Request,
    plan_batch,
    plan_crop,
    plan_data,
    plan_precision,
    plan_task,
)
from atrous.recipe.schema import validate

CROPS = 1 / 3
"""Of the positions of a crop of other images: what moves is small and rare, and many steps see more of it."""
FOREGROUND = 0.5


def plan_motion(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for sequences of a fixed camera."""
    reasons: dict[str, str] = {}
    _, height, width = fingerprint.sizes.median
    crop = (1, *plan_crop((height, width), times=CROPS))
    reasons["train.crop"] = (
        f"frames are {height:g} x {width:g} (median); small crops: what moves is rare, and more steps see more of it"
    )
    values = {
        "data": plan_data(dataset),
        "task": {**plan_task(dataset, fingerprint, reasons), "options": _plan_background(dataset, reasons)},
        "input": {"intensity": ["keep"], **training_inputs(dataset, fingerprint)},
        "model": _plan_model(fingerprint, reasons),
        "augment": _plan_augment(reasons),
        "train": {
            "crop": list(crop),
            "batch_size": plan_batch(crop, BATCH, request, reasons),
            **plan_precision(request, reasons),
            **request.length(EPOCHS_DEFAULT, reasons),
        },
    }
    return PlannedRecipe(validate(values, "plan"), reasons)


def _plan_background(dataset: Dataset, reasons: dict[str, str]) -> dict[str, int]:
    """The keys `task.options` with which the samples were made."""
    scenes = [sample.image.scene for sample in dataset.samples if isinstance(sample.image, SceneImage)]
    background = scenes[0].background if scenes else Background()
    reasons["task.options"] = (
        f"the background is the median of {background.frames} earlier frames of the last {background.span}; a longer "
        "span for things that stand still, a shorter one for light that changes"
    )
    return {key: getattr(background, name) for name, key in KEYS.items()}


def _plan_model(fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, Any]:
    """A ResNet that keeps the resolution of the frame: what moves is often a few pixels wide."""
    channels = fingerprint.channels // 2
    # Frame and background in one unit, so that they differ where something moves alone.
    scale = normalization(fingerprint.mean[:channels], fingerprint.std[:channels])
    reasons["model.encoder"] = (
        "trained from scratch: the difference from the background says more than pretrained features, and a small "
        "network keeps full resolution"
    )
    reasons["model.compare"] = "frame, background and how they differ, as channels: edges stay as sharp as the frame's"
    reasons["model.temporal"] = "every frame by itself: what was before is in its background"
    return {
        "ndim": 3,
        "in_channels": fingerprint.channels,
        "encoder": "resnet",
        "depth": 18,
        "encoder_width": 24,
        "width": 64,
        "temporal": "frames",
        "compare": "values",
        "mean": scale["mean"] * 2,
        "std": scale["std"] * 2,
    }


def _plan_augment(reasons: dict[str, str]) -> dict[str, Any]:
    reasons["augment.flip"] = "left and right are alike in most scenes; the camera stands still, so little else varies"
    reasons["augment.apart"] = "light falls on frame and background alike"
    reasons["augment.foreground"] = "what moves is rare: half of the crops are centered on a class drawn evenly"
    return {
        "flip": [False, False, True], "scale": (0.7, 1.4), "rotate": 5.0, "about": [0], "keep": [0],
        "foreground": FOREGROUND, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "apart": False,
    }  # fmt: skip
