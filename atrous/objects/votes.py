"""Objects of any shape: positions vote for the center of their object."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.source import Source


@dataclass(frozen=True)
class Votes(ObjectDecoder):
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
        """See `ObjectDecoder`."""
        return self.apart

    def shape(self, grid: Sequence[int]) -> "Spots":
        """See `ObjectDecoder.shape`."""
        return Spots(tuple(int(n) for n in grid), self.apart)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        heat = np.asarray(maps[(slice(1, 1 + self.classes), *wider)])
        found = [peaks(one, halo, self.threshold) for one in heat]
        places = np.concatenate([places for places, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        classes = np.repeat(np.arange(self.classes), [len(scores) for _, scores in found])
        return Candidates(flat_index(places, region, grid), scores, classes, np.zeros((len(places), 0), np.float32))

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """See `ObjectDecoder.paint`."""
        from scipy.spatial import KDTree

        box = tuple(region)
        painted = np.zeros([part.stop - part.start for part in box], np.uint32)
        inside = np.nonzero(np.asarray(maps[(slice(0, 1), *box)])[0] > self.foreground)
        if not len(kept) or not len(inside[0]):
            return painted
        offsets = np.asarray(maps[(slice(1 + self.classes, None), *box)])[(slice(None), *inside)].T.astype(np.float64)
        starts = np.array([part.start for part in box])
        votes = np.stack(inside, axis=1) + starts + offsets
        tree = KDTree(self.shape(maps.shape[1:]).centers(kept))
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
