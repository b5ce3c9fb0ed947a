"""Directions of rays: evenly spread over the circle (images) or over the sphere (volumes), always in the same order."""

from functools import cache

import numpy as np

RAYS = {2: 32, 3: 96}
"""Rays that a plan takes, by the number of axes."""
MOST = 256
"""Rays at most: each is a channel of the network's output."""
GOLDEN = np.pi * (3 - np.sqrt(5.0))
"""The golden angle: turned by it again and again, directions never meet an earlier one."""


def fewest(ndim: int) -> int:
    """Return how many rays a body has at least, a triangle or a tetrahedron.

    >>> fewest(2), fewest(3)
    (3, 4)
    """
    return ndim + 1


@cache
def directions(rays: int, ndim: int = 2) -> np.ndarray:
    """Return the unit vectors `(rays, ndim)` float64 of the rays, first axis first.

    In images ray k points to the angle 2 pi k / rays, from the last axis towards the first. In volumes the rays are a
    spiral from one end of the first axis to the other (a Fibonacci lattice, as in Weigert et al., "Star-convex
    Polyhedra for 3D Object Detection and Segmentation in Microscopy", WACV 2020): ray k has the first coordinate
    1 - (2 k + 1) / rays and is turned around that axis by k golden angles. The paper's rays go from pole to pole,
    1 - 2 k / (rays - 1); here each ray has the same share of the sphere.

    Raises:
        ValueError: there are too few rays, or other than two or three axes.

    >>> directions(4).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]]
    >>> directions(96, 3)[:, 0][[0, 1, 95]].round(3).tolist()
    [0.99, 0.969, -0.99]
    """
    if ndim not in RAYS:
        raise ValueError(f"rays have two or three axes, not {ndim}")
    if rays < fewest(ndim):
        raise ValueError(f"{rays} rays: {'a polygon' if ndim == 2 else 'a polyhedron'} has at least {fewest(ndim)}")
    if ndim == 2:
        angles = 2 * np.pi * np.arange(rays) / rays
        found = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    else:
        along, angles = 1 - (2 * np.arange(rays) + 1) / rays, GOLDEN * np.arange(rays)
        around = np.sqrt(1 - along**2)
        found = np.stack([along, around * np.sin(angles), around * np.cos(angles)], axis=1)
    found.setflags(write=False)
    return found
