"""Candidates that are star-convex polygons: every point of the outline is seen from the center (2-D).

The outline is given by the distances from the center along rays at equal angles (Schmidt, Weigert, Broaddus, Myers,
"Cell Detection with Star-convex Polygons", MICCAI 2018); between two rays it is a straight line.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from atrous.objects.candidates import Candidates, corner_bounds
from atrous.objects.directions import directions
from atrous.objects.peaks import Region

SHELLS = 4
"""Sample points between the center and the outline in every sector, each standing for the same area."""
AT_ONCE = 4_000
"""Candidates whose corners, and pairs whose overlap, are computed in one step."""


class StarPolygons:
    """Star-convex polygons: the values of a candidate are the distances along its rays, `(n, rays)`.

    The center is the middle of the position that proposed the candidate. Rays point as `directions(rays)` says; angles
    and lengths are in the unit of `steps`. The overlap of two polygons is their
    intersection divided by the smaller area. The intersection is measured at `SHELLS` points in every sector of the
    smaller polygon, weighted by the sector's area.

    Args:
        width: length of the last axis of the grid.
        rays: number of rays.
        steps: length of a step from a position to the next along each axis.

    Attributes:
        stretch: what measured distances are multiplied by: 1, since the polygon inside a circle has nearly its area.

    >>> star = Candidates(np.array([205]), np.ones(1), np.zeros(1, int), np.full((1, 8), 5.0))
    >>> StarPolygons(width=20, rays=8).overlap(star, star).tolist()
    [1.0]
    """

    stretch = 1.0

    def __init__(self, width: int, rays: int, steps: Sequence[float] = (1.0, 1.0)) -> None:
        self.width, self.rays, self.steps = width, rays, np.array(steps)
        self.directions = directions(rays, 2)
        middles = (2 * np.arange(rays) + 1) * (np.pi / rays)
        self._middles = np.stack([np.sin(middles), np.cos(middles)], axis=1)
        self._turn = np.sin(2 * np.pi / rays)
        self._shells = np.sqrt((np.arange(SHELLS) + 0.5) / SHELLS)

    def centers(self, candidates: Candidates) -> np.ndarray:
        """Return the centers, `(n, 2)` float64; a position i spans i to i + 1."""
        return np.stack(np.divmod(candidates.positions, self.width), axis=1) + 0.5

    def corners(self, candidates: Candidates) -> np.ndarray:
        """Return the corners of the polygons, `(n, rays, 2)` float64, in positions."""
        lengths = candidates.values.astype(np.float64)
        return self.centers(candidates)[:, None] + lengths[:, :, None] * (self.directions / self.steps)

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        return corner_bounds(candidates, self.corners, 2, AT_ONCE)

    def areas(self, candidates: Candidates) -> np.ndarray:
        """Return the areas, `(n,)`, in the unit of the steps: sums of the triangles between the rays."""
        return self._sectors(candidates.values.astype(np.float64)).sum(axis=1)

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        pieces = [np.zeros(0)]
        for start in range(0, len(winners), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            pieces.append(self._overlap(winners.take(part), others.take(part)))
        return np.concatenate(pieces)

    def _sectors(self, lengths: np.ndarray) -> np.ndarray:
        """Areas of the triangles between neighboring rays, `(n, rays)`."""
        return 0.5 * self._turn * lengths * np.roll(lengths, -1, axis=1)

    def _overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        lengths = winners.values.astype(np.float64), others.values.astype(np.float64)
        sectors = self._sectors(lengths[0]), self._sectors(lengths[1])
        areas = sectors[0].sum(axis=1), sectors[1].sum(axis=1)
        # Equal areas are told apart by position, so that exchanging the two changes nothing.
        swap = (areas[1] > areas[0]) | ((areas[1] == areas[0]) & (others.positions > winners.positions))
        small = np.where(swap[:, None], lengths[0], lengths[1])
        large = np.where(swap[:, None], lengths[1], lengths[0])
        weights = np.where(swap[:, None], sectors[0], sectors[1])
        shift = (self.centers(others) - self.centers(winners)) * self.steps
        shift = np.where(swap[:, None], -shift, shift)
        # The line between two rays crosses the ray in their middle at this distance from the center.
        following = np.roll(small, -1, axis=1)
        cosine = np.cos(np.pi / self.rays)
        edge = np.divide(
            2 * small * following * cosine, small + following, out=np.zeros_like(small), where=small + following > 0
        )
        points = edge[:, :, None, None] * self._shells[:, None] * self._middles[:, None, :] + shift[:, None, None, :]
        inside = self._contains(large, points).mean(axis=2)
        total = weights.sum(axis=1)
        return np.divide((inside * weights).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)

    def _contains(self, lengths: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Whether points `(n, rays, shells, 2)`, counted from the centers, lie in stars with `lengths` `(n, rays)`.

        A point in the sector between the rays a and b lies in the triangle of the center and the ends of both rays if
        it is on the same side of the line between the ends as the center.
        """
        y, x = points[..., 0], points[..., 1]
        sector = np.floor(np.arctan2(y, x) * (self.rays / (2 * np.pi))).astype(np.int64) % self.rays
        following = (sector + 1) % self.rays
        rows = np.arange(len(lengths))[:, None, None]
        a = lengths[rows, sector]
        b = lengths[rows, following]
        ay, ax = a * self.directions[sector, 0], a * self.directions[sector, 1]
        by, bx = b * self.directions[following, 0], b * self.directions[following, 1]
        return (by - ay) * (x - ax) - (bx - ax) * (y - ay) <= 0

    def spans(self, candidates: Candidates, rows: range) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield what each polygon covers in some rows: its index, and arrays of rows, first and last + 1 columns.

        A pixel is covered if its middle lies inside (even-odd rule). Polygons that cover nothing there are left out.
        """
        for index, corners in enumerate(self.corners(candidates)):
            covered = polygon_spans(corners, rows, self.width)
            if len(covered[0]):
                yield index, *covered

    def draw(self, candidates: Candidates, numbers: np.ndarray, region: Region, labels: np.ndarray) -> None:
        """Write numbers where polygons lie, later ones over earlier ones; pixels belong whose middles lie inside.

        Args:
            candidates: the polygons.
            numbers: `(n,)`, what to write for each.
            region: part of the grid.
            labels: `(*R)`, the region; it is changed.
        """
        rows, columns = (range(part.start, part.stop) for part in region)
        for index, y, left, right in self.spans(candidates, rows):
            ends = np.clip([left, right], columns.start, columns.stop) - columns.start
            for row, a, b in zip((y - rows.start).tolist(), *ends.tolist(), strict=True):
                labels[row, a:b] = numbers[index]


def polygon_spans(corners: np.ndarray, rows: range, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels whose middles lie in a polygon, as runs: arrays of rows, first columns, and columns after them.

    Args:
        corners: `(k, 2)` row and column of each corner; the middle of pixel i is i + 0.5.
        rows: rows of the grid that are looked at.
        width: columns of the grid.

    >>> [part.tolist() for part in polygon_spans(np.array([[1.0, 1], [1, 4], [3, 4], [3, 1]]), range(8), 9)]
    [[1, 2], [1, 1], [4, 4]]
    """
    first = max(rows.start, int(np.ceil(corners[:, 0].min() - 0.5)))
    last = min(rows.stop, int(np.ceil(corners[:, 0].max() - 0.5)))
    middles = np.arange(first, max(first, last)) + 0.5
    y, x = corners[:, 0], corners[:, 1]
    next_y, next_x = np.roll(y, -1), np.roll(x, -1)
    crossed = (y <= middles[:, None]) != (next_y <= middles[:, None])
    rise = np.where(next_y == y, 1.0, next_y - y)
    columns = np.where(crossed, x + (middles[:, None] - y) * ((next_x - x) / rise), np.inf)
    columns.sort(axis=1)
    pairs = int(crossed.sum(axis=1).max(initial=0)) // 2
    ends = np.clip(np.ceil(columns[:, : 2 * pairs] - 0.5), 0, width).reshape(len(middles), pairs, 2).astype(np.int64)
    row, pair = np.nonzero(ends[..., 0] < ends[..., 1])
    return row + first, ends[row, pair, 0], ends[row, pair, 1]
