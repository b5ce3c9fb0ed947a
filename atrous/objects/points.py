"""Points from dense maps: the peaks of a heat map for each class, and the exact sum of a density."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from atrous.objects.assemble import keep, pieces, strips
from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.objects.votes import Spots
from atrous.source import Source, release

UNIT = 1 << 36
"""Densities are added up as whole multiples of 1 / UNIT, so that the order of adding does not matter."""
DENSEST = 1 << 10
"""No position has a greater density."""
LEAST_HEAT = 1e-6
"""Heat is not taken as less than this where its logarithm is needed."""


@dataclass(frozen=True)
class PointPeaks(ObjectDecoder):
    """Points: the peaks of `classes` heat maps, placed between positions by the shape of the peak.

    Heat falls off from a point as a Gaussian does, so its logarithm is a parabola along each axis, and the top of the
    parabola through a peak and its two neighbors is the point (Zhang et al., "Distribution-aware coordinate
    representation for human pose estimation", CVPR 2020, in one dimension at a time).

    Attributes:
        classes: number of heat maps.
        first: channel of the first heat map.
        threshold: a peak with more heat is a candidate.
        apart: of two points of one class that are closer than this, the one with less heat is removed.
        single: whether only the best point of each class is kept.
        steps: length of a step along each axis, in the unit of `apart`; none for 1 along all.
        reach: see `ObjectDecoder`.
    """

    classes: int = 1
    first: int = 0
    threshold: float = 0.3
    apart: float = 2.0
    single: bool = False
    steps: tuple[float, ...] = ()
    reach: float = field(init=False)

    overlap = 0.0
    per_class = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", self.apart / 2 / (self.steps or (1.0,))[0] + 1)

    def shape(self, grid: Sequence[int]) -> Spots:
        """See `ObjectDecoder.shape`."""
        return Spots(self.apart, self.steps)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`; the values are the places of the points, `(n, ndim)`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        heat = np.asarray(maps[(slice(self.first, self.first + self.classes), *wider)], np.float32)
        start = np.array([part.start for part in region])
        found = [(*peaks(one, halo, self.threshold), one) for one in heat]
        places = np.concatenate([at for at, _, _ in found])
        return Candidates(
            flat_index(places, region, grid),
            np.concatenate([scores for _, scores, _ in found]),
            np.repeat(np.arange(self.classes), [len(scores) for _, scores, _ in found]),
            np.concatenate([at + start + 0.5 + between(one, halo, at) for at, _, one in found]),
        )

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Points have no extent, so they have no label image.

        Raises:
            TypeError: always.
        """
        raise TypeError("points are not painted")


def between(heat: np.ndarray, halo: Sequence[tuple[int, int]], places: np.ndarray) -> np.ndarray:
    """Return how far the top of each peak lies from the middle of its position, `(n, ndim)` float64 in -0.5 to 0.5.

    With the logarithms a, b, c of the heat before, at and after the peak, the top of the parabola through them lies at
    (a - c) / (2 (a - 2b + c)). It is 0 along an axis where the grid ends beside the peak, or heat does not fall off.

    Args:
        heat: `(*R)` values of a region with its halo.
        halo: as for `peaks`.
        places: `(n, ndim)` coordinates of peaks in the region without halo.

    >>> grid = np.arange(9.0)
    >>> between(np.exp(-((grid - 4.25) ** 2) / 4), [(0, 0)], np.array([[4]])).round(6).tolist()
    [[0.25]]
    """
    moved = np.zeros(places.shape, np.float64)
    inside = places + np.array([before for before, _ in halo])
    middle = _logarithm(heat, inside)
    for axis, size in enumerate(heat.shape):
        known = (inside[:, axis] > 0) & (inside[:, axis] < size - 1)
        step = np.zeros(len(heat.shape), int)
        step[axis] = 1
        low, high = (_logarithm(heat, inside[known] + sign * step) for sign in (-1, 1))
        bend = low - 2 * middle[known] + high
        top = np.divide(low - high, 2 * bend, out=np.zeros(len(bend)), where=bend < 0)
        moved[known, axis] = np.clip(top, -0.5, 0.5)
    return moved


def _logarithm(heat: np.ndarray, places: np.ndarray) -> np.ndarray:
    values = heat[tuple(places.T)].astype(np.float64)
    return np.log(np.maximum(np.nan_to_num(values, nan=0.0), LEAST_HEAT))


def find_points(maps: Source, decoder: PointPeaks, *, rows: int = 256) -> Candidates:
    """Decode dense maps into points, ordered by the position that proposed them. The result does not depend on `rows`.

    Args:
        maps: dense maps `(K, *S)`; read strip by strip.
        decoder: what they mean.
        rows: rows of the first axis that are decoded at a time.
    """
    grid = tuple(int(n) for n in maps.shape[1:])
    kept = keep(maps, decoder, strips(grid, rows))
    if not len(kept):
        return Candidates(kept.positions, kept.scores, kept.classes, np.zeros((0, len(grid))))
    if decoder.single:
        best = kept.take(np.argsort(kept.ranks()))
        kept = best.take(np.unique(best.classes, return_index=True)[1])
    return kept.take(np.lexsort((kept.classes, kept.positions)))


def total(maps: Source, channels: int, *, rows: int = 256) -> np.ndarray:
    """Return the sums of the first channels of dense maps over the grid, `(channels,)` float64.

    Every value is rounded to a multiple of 1 / `UNIT` first, about 1.5e-11. Whole numbers are then added, so the sums
    are the same to the last bit whatever the strips.

    Args:
        maps: dense maps `(K, *S)`; read strip by strip.
        channels: how many of them are densities.
        rows: rows of the first axis that are read at a time.

    Raises:
        ValueError: a density is not finite, or greater than `DENSEST`.

    >>> total(np.full((1, 1000), 0.1, np.float32), 1).tolist()
    [100.00000149011612]
    """
    sums = [0] * channels
    for region in strips(tuple(int(n) for n in maps.shape[1:]), rows):
        for piece in pieces(region):
            values = np.asarray(maps[(slice(0, channels), *piece)], np.float64).reshape(channels, -1)
            if not (np.abs(values) <= DENSEST).all():
                raise ValueError(f"a density is not finite, or greater than {DENSEST}")
            for channel, row in enumerate(values):
                # So few values at a time cannot overflow 63 bits: 2^16 of at most 2^10 * 2^36 each.
                sums[channel] += sum(
                    int(np.rint(row[start : start + (1 << 16)] * UNIT).astype(np.int64).sum())
                    for start in range(0, len(row), 1 << 16)
                )
        release(maps)
    return np.array([whole / UNIT for whole in sums], np.float64)
