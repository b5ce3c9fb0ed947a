"""What is done to intensities and grids before the network, planned from the modality and how much cases differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.dataset import Dataset
from atrous.data.preprocess import SPACINGS_DIFFER

CONSTANT = 1e-7
"""A deviation below this part of the mean is rounding: the channel is constant."""
SCALES_DIFFER = 3.0
"""Intensities of signals and of 8-bit volumes have no common unit when the spread of cases differs by more."""


def plan_input(dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str]) -> dict[str, object]:
    """The recipe's section `input`; why goes to `reasons`.

    Channels of volumes named `CT` are clipped. What has no common unit, as MR, gets a z-score per case. Pictures stay
    as they are, but for gray ones of objects: their network normalizes by the whole data set.
    """
    channels, ndim = fingerprint.channels, fingerprint.ndim
    named = [name.upper() for name in dataset.channel_names or ()]
    ct = [ndim == 3 and len(named) == channels and named[i] == "CT" for i in range(channels)]
    of_one_unit = fingerprint.case_scale < SCALES_DIFFER
    # Objects in gray images are mostly stained cells, whose brightness depends on the stain and the exposure.
    pictures = ndim == 2 and (of_one_unit or not fingerprint.object_sizes or fingerprint.color)
    alike = pictures or (of_one_unit and (ndim == 1 or fingerprint.dtype == "uint8"))
    clips = fingerprint.foreground is not None
    intensity = ["clip" if clipped and clips else "keep" if alike else "zscore" for clipped in ct]
    given: dict[str, object] = {"intensity": intensity if len(set(intensity)) > 1 else intensity[:1]}
    if "clip" in intensity and fingerprint.foreground is not None:
        given |= {"low": list(fingerprint.foreground.low), "high": list(fingerprint.foreground.high)}
        reasons["input.intensity"] = "CT has one scale: clipped to the percentiles 0.5 and 99.5 of what is labeled"
    elif "zscore" in intensity:
        times = f"cases spread up to {fingerprint.case_scale:.3g} times as far as others"
        reasons["input.intensity"] = f"intensities have no common unit ({times}): mean 0 and deviation 1 for each case"
    given |= training_inputs(dataset, fingerprint)
    spacing = fingerprint.spacing
    if ndim == 1 and spacing is not None:
        given["rate"] = round(1 / spacing.median[0], 6)
    if ndim == 3 and spacing is not None:
        apart = max(b / a for a, b in zip(spacing.min, spacing.max, strict=True))
        if apart > SPACINGS_DIFFER:
            given["spacing"] = [round(value, 4) for value in spacing.median]
            reasons["input.spacing"] = f"spacings differ by a factor of {apart:.2g}: resampled to the median"
    return given


def training_inputs(dataset: Dataset, fingerprint: Fingerprint) -> dict[str, object]:
    """Return the keys of the section `input` that tell what the training inputs were like."""
    spacing = fingerprint.spacing
    return {
        "channels": list(fingerprint.channel_names),
        "orientation": fingerprint.orientation,
        "time_column": "" if dataset.columns is None else dataset.columns.time or "",
        "color": fingerprint.color,
        "grid": [] if spacing is None else [round(value, 6) for value in spacing.median],
        "nodata": list(dataset.nodata),
        "dtype": fingerprint.dtype,
        "range": [fingerprint.minimum, fingerprint.maximum],
    }


def working_spacing(fingerprint: Fingerprint, given: Mapping[str, object]) -> tuple[float, ...]:
    """Distance of positions on the grid that the network sees, 1 where nobody knows."""
    chosen = given.get("spacing")
    if isinstance(chosen, list):
        return tuple(chosen)
    return fingerprint.spacing.median if fingerprint.spacing is not None else (1.0,) * fingerprint.ndim


def normalization(mean: Sequence[float], std: Sequence[float]) -> dict[str, list[float]]:
    """Return the keys `mean` and `std` of the section `model`, with nine digits, in whatever unit the values are.

    A channel that is constant in the training data has no deviation: it is divided by its value, or by the mean
    deviation of the other channels if it is zero, so that it stays small where it varies later.

    >>> normalization([2e-8, 5.0], [1e-8, 0.0])
    {'mean': [2e-08, 5.0], 'std': [1e-08, 5.0]}
    """
    constant = [s <= CONSTANT * abs(m) for m, s in zip(mean, std, strict=True)]
    others = [s for s, still in zip(std, constant, strict=True) if not still]
    usual = sum(others) / len(others) if others else 1.0
    spread = [(abs(m) or usual) if still else s for m, s, still in zip(mean, std, constant, strict=True)]
    return {"mean": [float(f"{m:.9g}") for m in mean], "std": [float(f"{s:.9g}") for s in spread]}


def network_statistics(fingerprint: Fingerprint, given: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and deviation of what the network is fed: of the file's values, of clipped foreground, or 0 and 1."""
    kinds = given["intensity"] * (1 if len(given["intensity"]) > 1 else fingerprint.channels)
    mean, std = [float(m) for m in fingerprint.mean], [float(s) for s in fingerprint.std]
    for i, kind in enumerate(kinds):
        if kind == "zscore":
            mean[i], std[i] = 0.0, 1.0
        elif kind == "clip" and fingerprint.foreground is not None:
            mean[i], std[i] = fingerprint.foreground.mean[i], fingerprint.foreground.std[i]
    return mean, std
