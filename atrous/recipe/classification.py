"""The plan of a task that learns classes of whole inputs: in batches where inputs are small, else whole in strips."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.recipe.network import build_encoder
from atrous.recipe.plan import PlannedRecipe, Request, plan_batch, plan_grids
from atrous.recipe.schema import Recipe, validate

SMALL = {1: 131_072, 2: 262_144, 3: 884_736}
"""Inputs of at most so many positions are trained on in batches; larger ones whole, one in a step."""
STEP = {1: 262_144, 2: 589_824, 3: 884_736}
"""Positions of a step of batches."""
MOST = 32
"""Inputs of a step of batches at most."""
STRIDES = {1: [4, 4, 2], 2: [4, 2, 2], 3: [2, 2, 2]}
"""Of the stages of the light encoder that large inputs are given."""
NEAR = {1: 4096, 2: 64, 3: 32}
"""Inputs of which an axis is not longer than this are given an encoder of a smaller stride."""


def plan_classes(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for classes of whole images, volumes or recordings."""
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons = planned.recipe.model_dump(), dict(planned.reasons)
    for key in ("task.tolerance", "task.dice", "model.name", "model.strides", "train.crop"):
        reasons.pop(key, None)
    for key in [key for key in reasons if key.startswith("augment.") and key != "augment.flip"]:
        del reasons[key]
    ndim, largest = fingerprint.ndim, fingerprint.sizes.max
    values["task"] |= {"tolerance": None, "class_weights": None}
    small = math.prod(largest) <= SMALL[ndim]
    _plan_encoder(values["model"], fingerprint, reasons, small=small)
    stride = stride_of(values)
    crop = [-(-length // step) * step for length, step in zip(largest, stride, strict=True)]
    values["augment"] |= {"scale": (1.0, 1.0), "rotate": 0.0, "foreground": 0.0}
    if small:
        few = max(2, fingerprint.images.get("train", 1) // 4)
        batch = plan_batch(crop, min(MOST, few, max(2, round(STEP[ndim] / math.prod(crop)))), request, reasons)
        values["train"] |= {"crop": crop, "batch_size": batch}
        reasons["train.crop"] = "the label is that of the whole input, so crops hold the largest one"
    else:
        values["train"] |= {"crop": crop, "batch_size": 1, "whole": True, "precision": "32-true"}
        values["augment"] |= {"noise": 0.0, "gamma": 0.0, "saturation": 0.0}
        reasons.pop("train.batch_size", None)
        reasons.pop("train.precision", None)
        reasons["train.whole"] = (
            f"inputs of {' x '.join(map(str, largest))}: a crop need not show what the label says, so a step takes a "
            "whole input, in strips"
        )
    grid = [-(-length // step) for length, step in zip(fingerprint.sizes.median, stride, strict=True)]
    exclusive = values["task"]["options"]["exclusive"]
    values["task"]["options"] |= {"stride": list(stride), "positions": float(math.prod(grid))}
    reasons["task.options"] = (
        "each input has one class: log-sum-exp over positions, then a softmax"
        if exclusive
        else "classes are there or not: noisy-or over positions"
    )
    return PlannedRecipe(validate(values, "plan"), reasons)


def stride_of(values: dict[str, Any]) -> tuple[int, ...]:
    """Return the stride of the evidence of a recipe's encoder, which is built without memory for its weights."""
    section = Recipe.model_validate(values).model.model_copy(update={"pretrained": False})
    with torch.device("meta"):
        return build_encoder(section).strides[-1]


def _plan_encoder(model: dict[str, Any], fingerprint: Fingerprint, reasons: dict[str, str], *, small: bool) -> None:
    """Choose the encoder: for large inputs one whose norms are of single positions, since each other adds a pass."""
    near = min(fingerprint.sizes.median) <= NEAR[fingerprint.ndim]
    if not small:
        model |= {
            "encoder": "strided", "pretrained": False, "encoder_width": 16, "strides": _strides(fingerprint.ndim, near),
        }  # fmt: skip
        reasons["model.encoder"] = "its norms are of single positions: a step on a whole input, in strips, has one pass"
    elif not model["pretrained"]:
        model |= {"encoder": "resnet", "depth": 10, "encoder_width": 24, "strides": [2, 2, 2, 1 if near else 2]}


def _strides(ndim: int, near: bool) -> Sequence[int]:
    return [2, 2, 2] if near else STRIDES[ndim]
