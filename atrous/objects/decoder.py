"""What turns dense maps into objects: it proposes candidates from every position, and paints those that are kept."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.boxes import BoxShape
from atrous.objects.candidates import Candidates, Shape
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.objects.stars import StarShape
from atrous.source import Source


class Decoder(ABC):
    """Reads dense maps `(K, *S)` region by region. What a region gives does not depend on how the grid is divided.

    Attributes:
        overlap: of two candidates that overlap more than this, the one with the lower score is removed.
        reach: no candidate reaches further than so many rows from the row that proposed it.
        per_class: whether candidates of different classes leave each other alone.
    """

    overlap: float
    reach: float
    per_class: bool = False

    @abstractmethod
    def shape(self, grid: Sequence[int]) -> Shape:
        """Return what candidates on a grid of this size look like."""

    @abstractmethod
    def propose(self, maps: Source, region: Region) -> Candidates:
        """Return the candidates that the positions of a region propose."""

    @abstractmethod
    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Return for every position of a region the object that it belongs to.

        Args:
            maps: the dense maps.
            region: the region.
            kept: the candidates that were kept on the whole grid, in their order.

        Returns:
            Numbers `(*R)` uint32: k + 1 for the candidate `kept` number k, 0 for none.
        """


@dataclass(frozen=True)
class Stars(Decoder):
    """Star-convex polygons in 2-D: channel 0 is the probability of an object, the others are distances along rays.

    Where kept polygons overlap, the position belongs to the one with the higher score.

    Attributes:
        threshold: probability from which a peak is a candidate.
        overlap: see `Decoder`; intersection divided by the smaller area.
        reach: longer distances are cut to this length.
        rays: number of rays.
    """

    threshold: float = 0.5
    overlap: float = 0.4
    reach: float = 500.0
    rays: int = 32

    def shape(self, grid: Sequence[int]) -> StarShape:
        """See `Decoder.shape`."""
        return StarShape(int(grid[-1]), self.rays)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `Decoder.propose`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        places, scores = peaks(np.asarray(maps[(slice(0, 1), *wider)])[0], halo, self.threshold)
        lengths = np.zeros((len(places), maps.shape[0] - 1), np.float32)
        if len(places):
            low, high = places.min(axis=0), places.max(axis=0) + 1
            box = [slice(part.start + a, part.start + b) for part, a, b in zip(region, low, high, strict=True)]
            rays = np.asarray(maps[(slice(1, None), *box)])
            lengths = np.clip(rays[(slice(None), *(places - low).T)].T, 0, self.reach).astype(np.float32)
        positions = flat_index(places, region, grid)
        return Candidates(positions, scores, np.zeros(len(places), np.int64), lengths)

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """See `Decoder.paint`."""
        rows, columns = (range(part.start, part.stop) for part in region)
        painted = np.zeros((len(rows), len(columns)), np.uint32)
        shape = self.shape(maps.shape[1:])
        low, high = shape.bounds(kept)
        start, stop = np.array([rows.start, columns.start]), np.array([rows.stop, columns.stop])
        # The lowest score comes first, so that higher ones are painted over it.
        here = np.flatnonzero(((low < stop) & (high > start)).all(axis=1))[::-1]
        for index, y, left, right in shape.spans(kept.take(here), rows):
            ends = np.clip([left, right], columns.start, columns.stop) - columns.start
            for row, a, b in zip((y - rows.start).tolist(), *ends.tolist(), strict=True):
                painted[row, a:b] = here[index] + 1
        return painted


@dataclass(frozen=True)
class Votes(Decoder):
    """Objects of any shape: every foreground position votes for the center of its object.

    The channels are the probability of foreground, the heat of centers for each class, then for each axis the distance
    from the position to the center of its object, in positions (Cheng et al., "Panoptic-DeepLab", CVPR 2020). A
    position belongs to the kept center that is nearest to its vote.

    Attributes:
        classes: number of classes, that is of heat channels.
        threshold: heat from which a peak is a candidate.
        foreground: probability from which a position is foreground.
        apart: of two centers that are closer than this, the one with less heat is removed.
        astray: votes that miss every center by more than this belong to no object.
    """

    classes: int = 1
    threshold: float = 0.3
    foreground: float = 0.5
    apart: float = 5.0
    astray: float = 50.0

    overlap = 0.0

    @property
    def reach(self) -> float:  # type: ignore[override]
        """See `Decoder`."""
        return self.apart

    def shape(self, grid: Sequence[int]) -> "Spots":
        """See `Decoder.shape`."""
        return Spots(tuple(int(n) for n in grid), self.apart)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `Decoder.propose`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        heat = np.asarray(maps[(slice(1, 1 + self.classes), *wider)])
        found = [peaks(one, halo, self.threshold) for one in heat]
        places = np.concatenate([places for places, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        classes = np.repeat(np.arange(self.classes), [len(scores) for _, scores in found])
        return Candidates(flat_index(places, region, grid), scores, classes, np.zeros((len(places), 0), np.float32))

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """See `Decoder.paint`."""
        from scipy.spatial import cKDTree

        box = tuple(region)
        painted = np.zeros([part.stop - part.start for part in box], np.uint32)
        inside = np.nonzero(np.asarray(maps[(slice(0, 1), *box)])[0] > self.foreground)
        if not len(kept) or not len(inside[0]):
            return painted
        offsets = np.asarray(maps[(slice(1 + self.classes, None), *box)])[(slice(None), *inside)].T.astype(np.float64)
        starts = np.array([part.start for part in box])
        votes = np.stack(inside, axis=1) + starts + offsets
        tree = cKDTree(self.shape(maps.shape[1:]).centers(kept))
        distances, nearest = tree.query(votes, distance_upper_bound=self.astray)
        painted[inside] = np.where(np.isfinite(distances), nearest + 1, 0)
        return painted


class Spots:
    """Candidates that are places: two overlap by 1 - distance / `apart`, and not at all when they are further apart.

    Args:
        grid: size of the grid.
        apart: distance in positions.
    """

    def __init__(self, grid: tuple[int, ...], apart: float) -> None:
        self.grid, self.apart = grid, apart

    def centers(self, candidates: Candidates) -> np.ndarray:
        """Return the coordinates of the candidates, `(n, ndim)` float64."""
        return np.stack(np.unravel_index(candidates.positions, self.grid), axis=1).astype(np.float64)

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        centers = self.centers(candidates)
        return centers - self.apart / 2, centers + self.apart / 2

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        distance = np.sqrt(((self.centers(winners) - self.centers(others)) ** 2).sum(axis=1))
        return np.maximum(1 - distance / self.apart, 0)


@dataclass(frozen=True)
class DenseBoxes(Decoder):
    """Boxes: channel k < classes is the score of class k, then come the distances to the low and to the high faces.

    A position proposes the box around it (Tian et al., "FCOS", ICCV 2019), one candidate for each class beyond the
    threshold.

    Attributes:
        classes: number of classes.
        threshold: score from which a peak is a candidate.
        overlap: see `Decoder`; intersection over union.
        reach: longer distances are cut to this length.
    """

    classes: int = 1
    threshold: float = 0.3
    overlap: float = 0.5
    reach: float = 500.0
    per_class: bool = True

    def shape(self, grid: Sequence[int]) -> BoxShape:
        """See `Decoder.shape`."""
        return BoxShape()

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `Decoder.propose`."""
        grid, ndim = maps.shape[1:], len(maps.shape) - 1
        wider, halo = with_halo(region, grid)
        scores = np.asarray(maps[(slice(0, self.classes), *wider)])
        distances = np.asarray(maps[(slice(self.classes, self.classes + 2 * ndim), *tuple(region))])
        found = [peaks(one, halo, self.threshold) for one in scores]
        places = np.concatenate([places for places, _ in found])
        values = np.clip(distances[(slice(None), *places.T)].T, 0, self.reach).astype(np.float64)
        middles = places + np.array([part.start for part in region]) + 0.5
        corners = np.concatenate([middles - values[:, :ndim], middles + values[:, ndim:]], axis=1)
        classes = np.repeat(np.arange(self.classes), [len(scores) for _, scores in found])
        every = np.concatenate([scores for _, scores in found])
        return Candidates(flat_index(places, region, grid), every, classes, corners.astype(np.float64))

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Boxes may overlap, so they have no label image.

        Raises:
            TypeError: always.
        """
        raise TypeError("boxes are not painted")
