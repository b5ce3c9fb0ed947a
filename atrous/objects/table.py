"""Measurements of objects: gathered region by region, joined, and put into a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from atrous.objects.peaks import Region

NOWHERE = np.iinfo(np.int64).max
"""First position of an object that has no position."""


@dataclass
class ObjectSums:
    """Sums over the positions of objects. They are whole numbers, so the order of adding does not matter.

    Coordinates count from the anchor of each object, which keeps the sums small.

    Attributes:
        anchors: `(n, ndim)` int64, the position that proposed each object.
        first: `(n,)` row-major index of the object's first position.
        counts: `(n,)` number of positions.
        low, high: `(n, ndim)` box around the positions, `high` exclusive.
        linear: `(n, ndim)` sums of the coordinates.
        square: `(n, ndim * (ndim + 1) / 2)` sums of the products of two coordinates.
    """

    anchors: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    linear: np.ndarray
    square: np.ndarray

    @classmethod
    def none(cls, anchors: np.ndarray) -> "ObjectSums":
        """Return the sums of objects of which no position was seen."""
        n, ndim = anchors.shape
        pairs = ndim * (ndim + 1) // 2
        return cls(
            anchors, np.full(n, NOWHERE), np.zeros(n, np.int64), np.full((n, ndim), NOWHERE),
            np.full((n, ndim), -1), np.zeros((n, ndim), np.int64), np.zeros((n, pairs), np.int64),
        )  # fmt: skip

    def add(self, painted: np.ndarray, region: Region, grid: Sequence[int]) -> None:
        """Add the positions of a region.

        Args:
            painted: `(*R)`, k + 1 where object k is, 0 for none.
            region: where it lies in the grid.
            grid: size of the grid.
        """
        places = np.nonzero(painted)
        if not len(places[0]):
            return
        numbers, inverse = np.unique(painted[places], return_inverse=True)
        objects: np.ndarray = numbers.astype(np.int64) - 1
        whole = [axis.astype(np.int64) + part.start for axis, part in zip(places, region, strict=True)]
        flat = np.asarray(np.ravel_multi_index(whole, tuple(grid)))
        self.counts[objects] += np.bincount(inverse, minlength=len(objects))
        local = [axis - self.anchors[objects][inverse, i] for i, axis in enumerate(whole)]
        order = np.argsort(inverse, kind="stable")
        bounds = np.flatnonzero(np.diff(inverse[order], prepend=-1))
        # Positions come in row-major order, also among those of one object.
        self.first[objects] = np.minimum(self.first[objects], flat[order][bounds])
        for i, axis in enumerate(whole):
            self.low[objects, i] = np.minimum(self.low[objects, i], np.minimum.reduceat(axis[order], bounds))
            self.high[objects, i] = np.maximum(self.high[objects, i], np.maximum.reduceat(axis[order], bounds) + 1)
            self.linear[objects, i] += np.add.reduceat(local[i][order], bounds)
        for pair, (i, j) in enumerate(combinations_with_replacement(range(len(whole)), 2)):
            self.square[objects, pair] += np.add.reduceat((local[i] * local[j])[order], bounds)

    def join(self, other: "ObjectSums") -> None:
        """Add the sums of the same objects over other positions."""
        np.minimum(self.first, other.first, out=self.first)
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)
        self.counts += other.counts
        self.linear += other.linear
        self.square += other.square

    def numbers(self, smallest: int = 1) -> np.ndarray:
        """Return the number of each object, `(n,)` uint32: the rank of its first position, from 1.

        Objects of fewer than `smallest` positions have the number 0.
        """
        first = np.where(self.counts >= max(1, smallest), self.first, NOWHERE)
        order = np.argsort(first, kind="stable")
        seen = int((first != NOWHERE).sum())
        numbers = np.zeros(len(order), np.uint32)
        numbers[order[:seen]] = np.arange(1, seen + 1)
        return numbers


def measurements(sums: ObjectSums, spacing: Sequence[float]) -> dict[str, np.ndarray]:
    """Return what is measured of each object, in units of the spacing, one array per column.

    The lengths of the axes are those of the ellipsoid with the same second moments, the longest first. Each position
    counts as a box, not as a point. All values of objects without a position are NaN.

    Args:
        sums: over all positions.
        spacing: distance of positions along each axis.
    """
    ndim, step = sums.anchors.shape[1], np.asarray(spacing, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.linear / sums.counts[:, None]
        covariance = np.empty((len(mean), ndim, ndim))
        for pair, (i, j) in enumerate(combinations_with_replacement(range(ndim), 2)):
            value = sums.square[:, pair] / sums.counts - mean[:, i] * mean[:, j] + (1 / 12 if i == j else 0)
            covariance[:, i, j] = covariance[:, j, i] = value * step[i] * step[j]
    missing = sums.counts == 0
    covariance[missing] = 0
    spread = np.maximum(np.linalg.eigvalsh(covariance), 0)[:, ::-1]
    # A solid ball of radius r has the variance r^2 / (ndim + 2) along each axis.
    lengths = 2 * np.sqrt(spread * (ndim + 2))
    centroid = (sums.anchors + mean + 0.5) * step
    columns = {"size": sums.counts * np.prod(step)}
    columns |= {f"centroid_{i}": centroid[:, i] for i in range(ndim)}
    columns |= {f"start_{i}": sums.low[:, i] * step[i] for i in range(ndim)}
    columns |= {f"stop_{i}": sums.high[:, i] * step[i] for i in range(ndim)}
    columns |= {f"axis_{i}": lengths[:, i] for i in range(ndim)}
    return {name: np.where(missing, np.nan, values) for name, values in columns.items()}
