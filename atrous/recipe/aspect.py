"""How far apart neighboring positions of objects count along each axis, where voxels are no cubes or pixels no squares.

In volumes the objects themselves tell it, as in StarDist 3-D (Weigert et al., "Star-convex Polyhedra for 3D Object
Detection and Segmentation in Microscopy", WACV 2020): headers are often missing or wrong, and what the lengths of a
recipe assume, that the typical object is a ball, is what is measured. In images the files' spacing tells it: objects in
pictures may all be tall or wide, but their pixels are squares.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atrous.data.check.fingerprint import Fingerprint

UNEQUAL = 1.25
"""Distances that differ by less along the axes are taken as equal."""
COMPARABLE = 10.0
"""Spacings that differ by more are of axes that measure different things, such as a time and a length."""
TURNED = 45.0
"""Crops that are turned further than this, in degrees, exchange axes."""


def plan_aspect(
    fingerprint: Fingerprint, augment: Mapping[str, Any], reasons: dict[str, str]
) -> dict[str, list[float]]:
    """Return the key `aspect` of objects and points where positions are further apart along one axis than another.

    Args:
        fingerprint: what is known of the training data.
        augment: the section of a recipe: axes that it turns into each other count the same.
        reasons: takes the reason, after that of the other keys.
    """
    sides, spacing = fingerprint.object_sides, fingerprint.spacing
    if sides:
        apart = 1 / np.array(sides)
        told = f"whole objects are {_listed(sides)} positions long (geometric means)"
    elif spacing is not None and fingerprint.ndim > 1:
        apart = np.array(spacing.median)
        told = f"positions are {_listed(spacing.median)} apart"
    else:
        return {}
    if turned := exchanged(augment, len(apart)):
        apart[turned] = np.exp(np.log(apart[turned]).mean())
    apart /= apart.min()
    if apart.max() < UNEQUAL or (not sides and apart.max() > COMPARABLE):
        return {}
    aspect = [round(float(step), 2) for step in apart]
    reasons["task.options"] += (
        f"; {told}, so steps along the axes count as {' : '.join(f'{step:g}' for step in aspect)}, and lengths are in "
        "units of the side of a cube (square) of a position's size"
    )
    return {"aspect": aspect}


def exchanged(augment: Mapping[str, Any], ndim: int) -> list[int]:
    """Return the axes that crops are turned across so far that they exchange places.

    >>> exchanged({"rotate": 180.0, "about": [0]}, 3), exchanged({"rotate": 15.0, "about": [0, 1, 2]}, 3)
    ([1, 2], [])
    """
    if ndim < 2 or augment.get("rotate", 0.0) <= TURNED:
        return []
    about = augment["about"] if ndim == 3 else []
    return [axis for axis in range(ndim) if len(about) != 1 or axis not in about]


def _listed(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
