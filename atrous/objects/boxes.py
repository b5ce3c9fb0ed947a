"""Candidates that are boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region, flat_index, peaks, with_halo
from atrous.source import Source


class BoxShape:
    """Boxes: the values of a candidate are its low corner, then its high corner, `(n, 2 * ndim)`.

    The overlap of two boxes is their intersection divided by their union.

    >>> pair = [Candidates(np.zeros(1, int), np.ones(1), np.zeros(1, int), np.array([box])) for box in ([0, 4], [2, 6])]
    >>> BoxShape().overlap(*pair).tolist()
    [0.3333333333333333]
    """

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        low, high = np.split(candidates.values.astype(np.float64), 2, axis=1)
        return low, high

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        (low, high), (other_low, other_high) = self.bounds(winners), self.bounds(others)
        common = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod(axis=1)
        union = (high - low).prod(axis=1) + (other_high - other_low).prod(axis=1) - common
        return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


@dataclass(frozen=True)
class DenseBoxes(ObjectDecoder):
    """Boxes: channel k < classes is the score of class k, then come the distances to the low and to the high faces.

    A position proposes the box around it (Tian et al., "FCOS", ICCV 2019), one candidate for each class beyond the
    threshold.

    Attributes:
        classes: number of classes.
        threshold: score from which a peak is a candidate.
        overlap: see `ObjectDecoder`; intersection over union.
        reach: longer distances are cut to this length.
    """

    classes: int = 1
    threshold: float = 0.3
    overlap: float = 0.5
    reach: float = 500.0
    per_class: bool = True

    def shape(self, grid: Sequence[int]) -> BoxShape:
        """See `ObjectDecoder.shape`."""
        return BoxShape()

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        grid, ndim = maps.shape[1:], len(maps.shape) - 1
        wider, halo = with_halo(region, grid)
        scores = np.asarray(maps[(slice(0, self.classes), *wider)])
        distances = np.asarray(maps[(slice(self.classes, self.classes + 2 * ndim), *tuple(region))])
        found = [peaks(one, halo, self.threshold) for one in scores]
        places = np.concatenate([places for places, _ in found])
        values = np.clip(np.nan_to_num(distances[(slice(None), *places.T)].T), 0, self.reach).astype(np.float64)
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
