"""Candidates that are star-convex: polygons in images, polyhedra in volumes, read from dense maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.decoder import NO_DATA, ObjectDecoder
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.objects.star_polygons import StarPolygons
from atrous.objects.star_polyhedra import StarPolyhedra
from atrous.source import Source

AT_ONCE = 1 << 24
"""Values of the maps that are read in one step around the positions that propose."""


def star_shape(grid: Sequence[int], rays: int, steps: Sequence[float]) -> StarPolygons | StarPolyhedra:
    """Return what star-convex candidates on a grid of two or three axes look like."""
    return StarPolygons(int(grid[-1]), rays, steps) if len(grid) == 2 else StarPolyhedra(grid, rays, steps)


@dataclass(frozen=True)
class Stars(ObjectDecoder):
    """Star-convex polygons (2-D) or polyhedra (3-D), as many axes as `steps` has.

    Channel 0 is the probability of an object. Where there are several classes, the next channels are their
    probabilities, and a candidate has the class with the highest one. The last channels are distances along rays.
    Where kept shapes overlap, the position belongs to the one with the higher score, whatever their classes.

    Attributes:
        threshold: probability from which a peak is a candidate.
        overlap: see `ObjectDecoder`; intersection divided by the smaller area (volume).
        reach: longer distances are cut to this length, which is in rows (first axis).
        rays: number of rays.
        classes: number of classes.
        smallest: objects of fewer positions are dropped.
        steps: length of a step from a position to the next along each axis, in the unit of the distances.
    """

    threshold: float = 0.5
    overlap: float = 0.4
    reach: float = 500.0
    rays: int = 32
    classes: int = 1
    smallest: int = 1
    steps: tuple[float, ...] = (1.0, 1.0)

    def shape(self, grid: Sequence[int]) -> StarPolygons | StarPolyhedra:
        """See `ObjectDecoder.shape`."""
        return star_shape(grid, self.rays, self.steps)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        places, scores = peaks(np.asarray(maps[(slice(0, 1), *wider)])[0], halo, self.threshold)
        lengths, classes = np.zeros((len(places), self.rays), np.float32), np.zeros(len(places), np.int64)
        if len(places):
            values = np.nan_to_num(_channels_at(maps, places + np.array([part.start for part in region])))
            lengths = values[-self.rays :].T * self.shape(grid).stretch
            lengths = np.clip(lengths, 0, self.reach * self.steps[0]).astype(np.float32)
            if self.classes > 1:
                classes = values[: self.classes].argmax(axis=0).astype(np.int64)
        return Candidates(flat_index(places, region, grid), scores, classes, lengths)

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """See `ObjectDecoder.paint`."""
        painted = np.zeros([part.stop - part.start for part in region], np.uint32)
        if not len(kept):
            return painted
        shape = self.shape(maps.shape[1:])
        if "bounds" not in kept.computed:
            kept.computed["bounds"] = shape.bounds(kept)
        low, high = kept.computed["bounds"]
        start, stop = np.array([(part.start, part.stop) for part in region]).T
        # The lowest score comes first, so that higher ones are painted over it.
        here = np.flatnonzero(((low < stop) & (high > start)).all(axis=1))[::-1]
        shape.draw(kept.take(here), here + 1, region, painted)
        painted[np.asarray(maps[(slice(0, 1), *region)])[0] == NO_DATA] = 0
        return painted


def _channels_at(maps: Source, places: np.ndarray) -> np.ndarray:
    """What the channels after the first say at places `(n, ndim)` in row-major order: `(C, n)`, few rows at a time."""
    low, high = places.min(axis=0), places.max(axis=0) + 1
    sides = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    rows = max(1, AT_ONCE // (maps.shape[0] * math.prod(side.stop - side.start for side in sides[1:])))
    parts = []
    for row in range(sides[0].start, sides[0].stop, rows):
        here = places[np.searchsorted(places[:, 0], row) : np.searchsorted(places[:, 0], row + rows)]
        if len(here):
            box = slice(row, min(row + rows, sides[0].stop)), *sides[1:]
            values = np.asarray(maps[(slice(1, None), *box)])
            parts.append(values[(slice(None), *(here - [row, *low[1:]]).T)])
    return np.concatenate(parts, axis=1)
