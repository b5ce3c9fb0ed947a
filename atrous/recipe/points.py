"""The plan of a task whose answer are points: distances, crops and network from the points of the training data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atrous.data.check.fingerprint import Fingerprint
from atrous.data.check.points import PointFacts
from atrous.data.dataset import Dataset
from atrous.errors import UserError
from atrous.objects.steps import unit_steps
from atrous.recipe.aspect import plan_aspect
from atrous.recipe.intensity import SCALES_DIFFER

PART = 3.0
"""The deviation of a Gaussian is the distance of neighbors divided by this: two of them then have two peaks."""
PART_OF_SIZE = 0.02
"""Where points are few, the deviation is this part of the size of the image."""
SEEN = 0.5
"""The deviation of a Gaussian is at least so many positions along the axis whose positions are furthest apart: midway
between two of them the heat of a point is then still 0.6."""
COUNTED_CROP = 256
"""Crops for counting are at most so large along an axis. Smaller ones have more border, beside which objects are half
seen whose point lies outside; a training that balances what is counted there counts too few in whole images."""
TURNED = 1.5
"""Crops are turned by any angle where images are so many times as large, so that turned ones lie inside."""
COUNTED_BATCH = 8
ONE_CHANNEL = 0.1
"""Where a channel varies less than this part of another, an 8-bit color image is no photograph."""
PCK_FRACTION = 0.1
"""Part of the box around the key points of an image within which one counts as found (Yang & Ramanan 2013: 0.1)."""


def plan_points(
    dataset: Dataset, fingerprint: Fingerprint, reasons: dict[str, str], aspect: Sequence[float] = ()
) -> dict[str, Any]:
    """Return the keys `task.options` of a task of points.

    Args:
        dataset: the data set.
        fingerprint: what is known of it.
        reasons: takes the reason.
        aspect: distances of neighboring positions along each axis; none for equal ones. Lengths are then in units of
            the side of a cube (square) of a position's volume.

    Raises:
        UserError: no training image has a point.
    """
    facts = fingerprint.points
    if facts is None or not facts.count:
        raise UserError(f"{dataset.root}: no training image has a point: mark the objects with a dot each")
    steps = unit_steps(tuple(aspect), fingerprint.ndim)
    size = min(length * step for length, step in zip(fingerprint.sizes.median, steps, strict=True))
    least = max(1.0, SEEN * max(steps))
    facts = replace(facts, apart=facts.spaced) if aspect else facts
    plan = plan_keypoints if dataset.task == "keypoints" else plan_counting
    return plan(facts, fingerprint.ndim, size, reasons, least)


def with_aspect(
    options: dict[str, Any],
    dataset: Dataset,
    fingerprint: Fingerprint,
    augment: Mapping[str, Any],
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Return the keys `task.options` of a task of points with the key `aspect`, where the spacing asks for one.

    The other keys are then planned again, in the unit that belongs to it.
    """
    aspect = plan_aspect(fingerprint, augment, {"task.options": ""}).get("aspect")
    if aspect is None:
        return options
    return plan_points(dataset, fingerprint, reasons, aspect) | plan_aspect(fingerprint, augment, reasons)


def plan_counting(
    facts: PointFacts, ndim: int, size: float, reasons: dict[str, str], least: float = 1.0
) -> dict[str, Any]:
    """Return the keys `task.options` of counting.

    Args:
        facts: what is known of the points.
        ndim: number of axes.
        size: of an image along its shortest axis, in the unit of the distances.
        reasons: takes the reason.
        least: deviation of a Gaussian, at least.

    >>> plan_counting(PointFacts(900, (2.2, 5.4, 8.5), False), 2, 256, {})
    {'ndim': 2, 'sigma': 2.8, 'spread': 1.8, 'apart': 2.2, 'distance': 4.2}
    """
    near, close, typical = facts.apart or (size / 8,) * 3
    sigma = min(max(typical / PART, least), max(least, PART_OF_SIZE * size))
    spread = min(max(close / PART, least), sigma)
    reasons["task.options"] = (
        f"the nearest neighbor of a point is {typical:.1f} positions away (median; 5 %: {near:.1f}): the density has a "
        f"deviation of a third of it, a point is found within half of it"
    )
    values = {"sigma": sigma, "spread": spread, "apart": max(1.5, min(near, 2 * spread)), "distance": typical / 2}
    return {"ndim": ndim} | {name: round(max(value, 1.0), 1) for name, value in values.items()}


def plan_keypoints(
    facts: PointFacts, ndim: int, size: float, reasons: dict[str, str], least: float = 1.0
) -> dict[str, Any]:
    """Return the keys `task.options` of key points; arguments as for `plan_counting`.

    >>> plan_keypoints(PointFacts(40, (20.0, 30.0, 40.0), True), 2, 100, {})
    {'ndim': 2, 'spread': 2.0, 'apart': 6.0, 'distance': 5.0, 'single': True, 'threshold': 0.05, 'fraction': 0.1}
    """
    typical = facts.apart[2] if facts.apart else size / 8
    spread = min(max(typical / PART, least), max(1.5, least, PART_OF_SIZE * size))
    distance = min(max(typical / 2, 1.0), max(1.0, 0.05 * size))
    kept = "one of each name in an image: only the best peak of each is kept" if facts.single else "several of a name"
    reasons["task.options"] = f"{kept}; heat has a deviation of 2 % of the size, less where neighbors are close"
    values = {"spread": spread, "apart": 3 * spread if facts.single else max(1.5, 2 * spread), "distance": distance}
    rounded = {name: round(value, 1) for name, value in values.items()}
    # Where a name is there once, its best peak is wanted even if it is weak.
    more: dict[str, Any] = {"single": True, "threshold": 0.05} if facts.single else {"single": False}
    if facts.single and facts.apart:
        more["fraction"] = PCK_FRACTION
    return {"ndim": ndim, **rounded, **more}


def plan_point_augment(
    dataset: Dataset, fingerprint: Fingerprint, ndim: int, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return keys of the section `augment` that differ from those of other tasks; nothing where none does."""
    changes: dict[str, Any] = {}
    if fingerprint.channels == 3 and not is_photograph(fingerprint):
        reasons["augment.saturation"] = "all contrast is in one channel: others are kept without it"
        changes["saturation"] = 0.0
    if dataset.task == "keypoints":
        if len(dataset.classes) == 1:
            return changes
        reasons["augment.flip"] = "a mirrored image would need mirrored names, such as left and right: never mirrored"
        return changes | {"flip": [False] * ndim}
    # Crops on points would show more of them than the images have.
    changes["foreground"] = 0.0
    if ndim == 2:
        reasons["augment.scale"] = "objects have about the size of the training data's"
        reasons["augment.rotate"] = "what is counted lies in any direction, but a turned crop must fit into the image"
        turned = min(fingerprint.sizes.median) >= TURNED * COUNTED_CROP
        changes |= {"flip": [True, True], "rotate": 180.0 if turned else 0.0, "scale": (0.85, 1.2)}
    if ndim == 2 and (fingerprint.channels == 1 or "saturation" in changes) and fingerprint.case_scale < SCALES_DIFFER:
        reasons["augment.scale"] = "objects that overlap are told apart by their size and brightness: both are kept"
        changes |= {"scale": (1.0, 1.0), "brightness": 0.0, "contrast": 0.0, "noise": 0.0}
    return changes


def counted_size(dataset: Dataset, size: Sequence[float]) -> list[float]:
    """Return the size from which the crop is planned: that of the images, of counting at most `COUNTED_CROP`."""
    if dataset.task != "counting" or len(size) != 2:
        return list(size)
    return [min(axis, COUNTED_CROP) for axis in size]


def is_photograph(fingerprint: Fingerprint) -> bool:
    """Return whether color images of points look like photographs, which pretrained weights know.

    Fluorescence images have all their contrast in one channel.
    """
    return fingerprint.points is None or min(fingerprint.std) >= ONE_CHANNEL * max(fingerprint.std)
