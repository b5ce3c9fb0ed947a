"""Peaks of a map: the positions from which objects are proposed."""

from collections.abc import Sequence

import numpy as np

Region = Sequence[slice]
"""A part of a grid `*S`: a slice with start and stop for each axis."""


def peaks(heat: np.ndarray, halo: Sequence[tuple[int, int]], threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of a region whose value exceeds a threshold and is the greatest of its neighborhood.

    The neighborhood has three positions along each axis. Of equal neighbors the first in row-major order is the peak.
    Not-a-number is never a peak.

    Args:
        heat: `(*R)` values of the region with its halo.
        halo: for each axis how many positions before and after the region `heat` has: one, or none at a border.
        threshold: values up to this one are no peaks.

    Returns:
        Coordinates `(n, ndim)` in the region without halo, in row-major order, and the values `(n,)` float32.

    >>> peaks(np.array([0.1, 0.75, 0.75, 0.2, 0.6]), [(0, 0)], 0.5)[0].tolist()
    [[1], [4]]
    """
    heat = np.asarray(heat, np.float32)
    inner = tuple(slice(before, size - after) for (before, after), size in zip(halo, heat.shape, strict=True))
    values = heat[inner]
    places = np.stack(np.nonzero(values > threshold), axis=1)
    scores = values[tuple(places.T)]
    # Only the few positions beyond the threshold are compared with their neighbors.
    padded = np.pad(heat, [(1 - before, 1 - after) for before, after in halo], constant_values=-np.inf)
    middle = 3**values.ndim // 2
    for number, offset in enumerate(np.ndindex(*(3,) * values.ndim)):
        if number == middle:
            continue
        neighbors = padded[tuple((places + np.array(offset)).T)]
        higher = scores > neighbors if number < middle else scores >= neighbors
        places, scores = places[higher], scores[higher]
    return places, scores


def with_halo(region: Region, shape: Sequence[int]) -> tuple[tuple[slice, ...], list[tuple[int, int]]]:
    """Return a region with one more position on either side where the grid has one, and how many were added.

    >>> with_halo([slice(0, 4), slice(2, 4)], (4, 9))
    ((slice(0, 4, None), slice(1, 5, None)), [(0, 0), (1, 1)])
    """
    added = [(int(part.start > 0), int(part.stop < size)) for part, size in zip(region, shape, strict=True)]
    wider = tuple(slice(p.start - before, p.stop + after) for p, (before, after) in zip(region, added, strict=True))
    return wider, added


def flat_index(places: np.ndarray, region: Region, shape: Sequence[int]) -> np.ndarray:
    """Return the row-major indices `(n,)` int64 in the whole grid of coordinates in a region."""
    index = np.zeros(len(places), np.int64)
    for axis, size in enumerate(shape):
        index = index * size + (places[:, axis] + region[axis].start)
    return index
