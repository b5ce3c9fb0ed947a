"""The plan of a task that learns numbers: the units of the output, and the network and crops of a restoration."""

import math
from collections.abc import Sequence
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.check.values import ValueFacts
from atrous.data.dataset import Dataset
from atrous.data.restoration import BLUR, RESTORATIONS, STYLE, TYPES, usual_noise
from atrous.errors import UserError
from atrous.recipe.plan import PlannedRecipe, Request, plan_batch, plan_grids
from atrous.recipe.schema import validate
from atrous.recipe.style import plan_style

CROP = {1: 4080, 2: 96, 3: 48}
"""Along each axis, in positions of the clean image: a network that looks near by learns most from many places."""
STEP_POSITIONS = {1: 32_768, 2: 73_728, 3: 131_072}
"""Positions of a step."""
WIDTH = {1: 32, 2: 32, 3: 16}
"""Channels of the finest level of the network."""
STEP = 24
"""Sides of crops are multiples of this, so that 2, 3, 4, 6 and 8 divide them."""
RATE = 1e-3
SCALE = 2
"""Of super-resolution where nobody says one."""
FINER_WIDTH = {1: 64, 2: 64, 3: 16}
"""Channels of the finest level of super-resolution, whose grid is that of the coarse input and so has few positions."""
FINER_LEVELS = 2
FINER_CROP = {1: 1024, 2: 48, 3: 24}
"""Of super-resolution: along each axis, in positions of the coarse input."""
FINER_POSITIONS = {1: 16_384, 2: 36_864, 3: 55_296}
"""Of super-resolution: positions of a step, of the coarse input."""
OTHER_SPREAD = 4.0
"""Pairs whose standard deviations differ by a greater factor have other units: noise makes them differ by less."""
VALIDATIONS = 6
"""Whole images take long to validate."""


def plan_values(dataset: Dataset, fingerprint: Fingerprint, request: Request) -> PlannedRecipe:
    """Plan a recipe for numbers at every position."""
    planned = plan_grids(dataset, fingerprint, request)
    values, reasons = planned.recipe.model_dump(), dict(planned.reasons)
    reasons.pop("task.tolerance", None)
    values["task"]["tolerance"] = None
    if dataset.task in RESTORATIONS:
        _plan_restoration(values, dataset, fingerprint, request, reasons)
    elif dataset.task == STYLE:
        plan_style(values, dataset, fingerprint, request, reasons)
    else:
        values["task"]["options"] = plan_outputs(dataset, fingerprint, reasons)
    return PlannedRecipe(validate(values, "plan"), reasons)


def plan_outputs(
    dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str], partners: Sequence[int] = ()
) -> dict[str, Any]:
    """Return the keys `task.options` of numbers: outputs in units of the deviation of the training targets.

    Args:
        dataset: names the outputs, if its files do.
        fingerprint: the numbers of the data.
        reasons: why keys are what they are; this one is added.
        partners: the output that each output is on the other strand of a genome; both then have one unit.
    """
    facts = fingerprint.values
    assert facts is not None
    count = len(facts.mean)
    usual = ("value",) if count == 1 else tuple(f"value {number}" for number in range(1, count + 1))
    mean, std = facts.mean, facts.std
    if partners:
        spread = [math.hypot(std[k], mean[k] - (mean[k] + mean[p]) / 2) for k, p in enumerate(partners)]
        std = tuple(math.hypot(spread[k], spread[p]) / math.sqrt(2) for k, p in enumerate(partners))
        mean = tuple((mean[k] + mean[p]) / 2 for k, p in enumerate(partners))
    reasons["task.options"] = "the network gives deviations of the training targets from their mean"
    return {
        "outputs": list(dataset.outputs or usual),
        "offset": [_digits(value) for value in mean],
        "scale": [_digits(value) if value > 0 else 1.0 for value in std],
    }


def _plan_restoration(
    values: dict[str, Any], dataset: Dataset, fingerprint: Fingerprint, request: Request, reasons: dict[str, str]
) -> None:
    ndim, channels = fingerprint.ndim, fingerprint.channels
    task, given, model = values["task"], values["input"], values["model"]
    given |= {"intensity": ["keep"], "low": [], "high": [], "spacing": []}
    mean = [_digits(value) for value in fingerprint.mean]
    std = [_digits(max(fingerprint.std) or 1.0)] * channels
    model.clear()
    model |= {
        "name": "restorer", "ndim": ndim, "in_channels": channels, "width": WIDTH[ndim], "mean": mean, "std": std,
    }  # fmt: skip
    reasons["model.name"] = "restoration needs the full resolution: a U-Net that keeps it, and adds to its input"
    clean = fingerprint.values  # None where the images are their own targets
    dtype = fingerprint.dtype if clean is None else clean.dtype
    least, most = (fingerprint.minimum, fingerprint.maximum) if clean is None else (clean.least, clean.most)
    if clean is not None and len(clean.mean) != channels:
        raise UserError(
            f"{dataset.root}: the images have {channels} channels, the clean ones {len(clean.mean)}: save both alike"
        )
    peak = TYPES.get(dtype, most - least)
    task["options"] = {"offset": mean, "scale": std, "peak": _digits(peak or 1.0)}
    if clean is not None and _in_other_units(clean, mean, std[0]):
        spread = [_digits(max(clean.std) or 1.0)] * channels
        task["options"] |= {"offset": [_digits(value) for value in clean.mean], "scale": spread}
        reasons["task.options"] = "the clean images have another mean or spread: the network begins with theirs"
    if dtype in TYPES:
        task["options"]["limits"] = [0.0, TYPES[dtype]]
    if task["kind"] == "super-resolution" and clean is not None:
        task["scale"] = clean.factor
        reasons["task.scale"] = f"the clean images are {clean.factor} times as fine as what is given of them"
    if dataset.target.own:
        _plan_degradation(task, usual_noise(task["kind"], dtype, (least, most)), request.scale, reasons)
    factor = task["scale"] or 1
    if factor > 1:
        model |= {"width": FINER_WIDTH[ndim], "levels": FINER_LEVELS}
    crop = _plan_crop(fingerprint, factor, own=dataset.target.own)
    positions = STEP_POSITIONS[ndim] if factor == 1 else FINER_POSITIONS[ndim] * factor**ndim
    batch = max(1, round(positions / math.prod(crop)))
    values["train"] |= {
        "crop": crop, "batch_size": plan_batch(crop, batch, request, reasons), "learning_rate": RATE,
        "weight_decay": 0.0, "validations": VALIDATIONS,
    }  # fmt: skip
    reasons["train.crop"] = "what restores a position lies near it: many small crops show more than few large ones"
    values["augment"] |= {
        "flip": [True] * ndim, "scale": (1.0, 1.0), "rotate": 0.0, "keep": list(range(ndim)), "foreground": 0.0,
        "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "noise": 0.0, "gamma": 0.0,
    }  # fmt: skip
    for key in [key for key in reasons if key.startswith("augment.")]:
        del reasons[key]
    reasons["augment.flip"] = "mirrored, but never zoomed or turned between positions: that would change the noise"


def _in_other_units(clean: ValueFacts, mean: Sequence[float], std: float) -> bool:
    """Whether clean images have other units than what is given of them: 8 bits for 12, or darkness for daylight.

    The network begins with its normalized input and has no biases, so it could not learn such a shift.

    Args:
        clean: the clean images.
        mean: of each channel of the inputs.
        std: standard deviation of the inputs.
    """
    spread = max(clean.std) or 1.0
    apart = max(abs(one - other) for one, other in zip(clean.mean, mean, strict=True))
    return apart > max(spread, std) or max(spread / std, std / spread) > OTHER_SPREAD


def _plan_crop(fingerprint: Fingerprint, factor: int, *, own: bool) -> list[int]:
    """Sides of crops of the clean image: as the table of the task says, but not larger than a typical image.

    Args:
        fingerprint: says how large the images are.
        factor: by how much the clean image is finer than what the network is given.
        own: whether the images are the clean ones; else they are what the network is given.
    """
    ndim = fingerprint.ndim
    step = STEP if STEP % factor == 0 else STEP // factor * factor
    wanted = CROP[ndim] // step * step if factor == 1 else FINER_CROP[ndim] * factor
    sizes = [int(size) * (1 if own else factor) for size in fingerprint.sizes.median]
    return [min(wanted, max(step, size // step * step)) for size in sizes]


def _plan_degradation(task: dict[str, Any], noise: float, scale: int | None, reasons: dict[str, str]) -> None:
    """Say what is done to clean images where no setting says it (`build_restoration` does it)."""
    if task["kind"] == "denoise":
        reasons["task.noise"] = f"not set: the images are taken as clean, and noise of {noise:g} is added"
    elif task["kind"] == "deblur":
        reasons["task.psf"] = (
            f"not set: the images are taken as sharp, a Gaussian blur of {BLUR:g} and noise of {noise:g} are added"
        )
    else:
        task["scale"] = scale or SCALE
        reasons["task.scale"] = "the images are taken as fine: antialiased bicubic interpolation makes them coarse"


def _digits(value: float) -> float:
    return float(f"{value:.9g}")
