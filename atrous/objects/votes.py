"""Objects of any shape: positions vote for the center of their object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.source import Source

if TYPE_CHECKING:
    from scipy.spatial import KDTree


@dataclass(frozen=True)
class Votes(ObjectDecoder):
    """Objects of any shape: every foreground position votes for the center of its object.

    The channels are the probability of foreground, the heat of centers for each class, then for each axis the distance
    from the position to the center of its object, in positions (Cheng et al., "Panoptic-DeepLab", CVPR 2020). A peak of
    the heat proposes the center that it votes for itself. A position belongs to the kept center that is nearest to its
    vote. Centers are as far apart as `steps` say, which are all 1 where positions are cubes.

    Attributes:
        classes: number of classes, that is of heat channels.
        threshold: a peak with more heat is a candidate.
        foreground: a position with a higher probability is foreground.
        apart: of two centers that are closer than this, the one with less heat is removed.
        astray: votes that do not come closer than this to any center belong to no object.
        reach: centers that a peak votes for are moved to within so many rows (first axis), and as far along the others.
        smallest: objects of fewer positions are dropped.
        steps: length of a step along each axis, in the unit of `apart` and `astray`; none for 1 along all.
    """

    classes: int = 1
    threshold: float = 0.3
    foreground: float = 0.5
    apart: float = 5.0
    astray: float = 50.0
    reach: float = 500.0
    smallest: int = 1
    steps: tuple[float, ...] = ()

    overlap = 0.0

    def shape(self, grid: Sequence[int]) -> "Spots":
        """See `ObjectDecoder.shape`."""
        return Spots(self.apart, self.steps)

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        grid = maps.shape[1:]
        wider, halo = with_halo(region, grid)
        heat = np.asarray(maps[(slice(1, 1 + self.classes), *wider)])
        found = [peaks(one, halo, self.threshold) for one in heat]
        places = np.concatenate([places for places, _ in found])
        scores = np.concatenate([scores for _, scores in found])
        classes = np.repeat(np.arange(self.classes), [len(scores) for _, scores in found])
        steps = np.array(self.steps or (1.0,) * len(grid))
        most = np.maximum((self.reach * steps[0] - self.apart / 2) / steps - 1, 0)
        offsets = np.clip(self._offsets(maps, region, tuple(places.T)), -most, most)
        centers = places + np.array([part.start for part in region]) + offsets
        return Candidates(flat_index(places, region, grid), scores, classes, centers)

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """See `ObjectDecoder.paint`."""
        box = tuple(region)
        painted = np.zeros([part.stop - part.start for part in box], np.uint32)
        inside = np.nonzero(np.asarray(maps[(slice(0, 1), *box)])[0] > self.foreground)
        if not len(kept) or not len(inside[0]):
            return painted
        votes = np.stack(inside, axis=1) + np.array([part.start for part in box]) + self._offsets(maps, box, inside)
        steps = np.array(self.steps or (1.0,) * len(box))
        distances, nearest = _tree(kept, steps).query(votes * steps, distance_upper_bound=self.astray)
        painted[inside] = np.where(np.isfinite(distances), nearest + 1, 0)
        return painted

    def _offsets(self, maps: Source, region: Region, places: tuple[np.ndarray, ...]) -> np.ndarray:
        """Distances to the center `(n, ndim)` float64 at places of a region; 0 where they are not finite."""
        offsets = np.asarray(maps[(slice(1 + self.classes, None), *region)])[(slice(None), *places)].T
        return np.nan_to_num(offsets.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _tree(kept: Candidates, steps: np.ndarray) -> "KDTree":
    """The centers, in the unit of the steps, in a tree that finds the nearest of them."""
    from scipy.spatial import KDTree  # imported here: `atrous --help` must not wait for it

    if "tree" not in kept.computed:
        kept.computed["tree"] = KDTree(kept.values * steps)
    return kept.computed["tree"]


class Spots:
    """Candidates that are places: two overlap by 1 - distance / `apart`, and not at all when they are further apart.

    The values of a candidate are its coordinates, `(n, ndim)`.

    Args:
        apart: distance in the unit of `steps`.
        steps: length of a step from a position to the next along each axis; none for 1 along all.

    >>> ends = [Candidates(np.zeros(1, int), np.ones(1), np.zeros(1, int), np.array([at])) for at in ([0, 0], [1, 0])]
    >>> Spots(4.0).overlap(*ends).tolist(), Spots(4.0, (2.0, 0.5)).overlap(*ends).tolist()
    ([0.75], [0.5])
    """

    def __init__(self, apart: float, steps: Sequence[float] = ()) -> None:
        self.apart, self.steps = apart, np.array(steps or 1.0)

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        half = self.apart / 2 / self.steps
        return candidates.values - half, candidates.values + half

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        distance = np.sqrt((((winners.values - others.values) * self.steps) ** 2).sum(axis=1))
        return np.maximum(1 - distance / self.apart, 0)
