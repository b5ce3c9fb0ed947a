"""Candidates that are boxes."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.assemble import keep, strips
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


def lattice(size: int, stride: int) -> range:
    """Return the positions of an axis that propose boxes: every `stride`-th one, the first in the middle of a stride.

    An axis shorter than that has its middle position.

    >>> list(lattice(10, 4)), list(lattice(3, 8)), list(lattice(3, 1))
    ([2, 6], [1], [0, 1, 2])
    """
    return range(min(stride // 2, (size - 1) // 2), size, stride)


@dataclass(frozen=True)
class LatticePeaks:
    """Peaks of the scores among the positions of a lattice.

    Attributes:
        places: `(n, ndim)` int64, coordinates in the whole grid.
        positions: `(n,)` int64, the same as row-major indices.
        scores: `(n,)` float32.
        classes: `(n,)` int64.
        values: `(n, m)`, the other channels there.
    """

    places: np.ndarray
    positions: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    values: np.ndarray


def lattice_peaks(
    maps: Source, region: Region, classes: int, threshold: float, stride: Sequence[int] = ()
) -> LatticePeaks:
    """Return the peaks that the positions of a region propose, class by class.

    Args:
        maps: `(classes + m, *S)`, a score for each class, then what is read at the peaks.
        region: only positions in it propose.
        classes: number of classes.
        threshold: scores up to this one are no peaks.
        stride: per axis, every how many positions propose (`lattice`); all do where it is empty.
    """
    grid, ndim = maps.shape[1:], len(maps.shape) - 1
    points = [lattice(size, step) for size, step in zip(grid, stride or (1,) * ndim, strict=True)]
    # Slices of the lattice: the points that lie in the region, then with a neighbor on either side.
    inside = [_points_in(axis, part) for axis, part in zip(points, region, strict=True)]
    if any(part.start == part.stop for part in inside):
        none = np.zeros(0, np.int64)
        values = np.zeros((0, maps.shape[0] - classes))
        return LatticePeaks(np.zeros((0, ndim), np.int64), none, np.zeros(0, np.float32), none, values)
    wider, halo = with_halo(inside, [len(axis) for axis in points])
    scores = _at_points(maps, slice(0, classes), points, wider)
    others = _at_points(maps, slice(classes, None), points, inside)
    found = [peaks(one, halo, threshold) for one in scores]
    places = np.concatenate([places for places, _ in found])
    starts = np.array([axis[part.start] for axis, part in zip(points, inside, strict=True)])
    coordinates = starts + places * np.array([axis.step for axis in points])
    return LatticePeaks(
        coordinates,
        flat_index(coordinates, [slice(0, n) for n in grid], grid),
        np.concatenate([scores for _, scores in found]),
        np.repeat(np.arange(classes), [len(scores) for _, scores in found]),
        others[(slice(None), *places.T)].T,
    )


@dataclass(frozen=True)
class LatticeBoxes(ObjectDecoder):
    """Boxes that positions of a lattice propose; channel k < classes of the dense maps is the score of class k.

    Every position of the lattice whose score is a peak proposes a box (Tian et al., "FCOS", ICCV 2019), one candidate
    for each class beyond the threshold. What the further channels mean, a subclass says.

    Attributes:
        classes: number of classes.
        threshold: score from which a peak is a candidate.
        overlap: see `ObjectDecoder`; intersection over union.
        reach: no box reaches further than this from its position along any axis.
        stride: per axis, every how many positions propose (`lattice`); all do where it is empty.
    """

    classes: int = 1
    threshold: float = 0.3
    overlap: float = 0.5
    reach: float = 500.0
    per_class: bool = True
    stride: tuple[int, ...] = ()

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        found = lattice_peaks(maps, region, self.classes, self.threshold, self.stride)
        return Candidates(found.positions, found.scores, found.classes, self.boxes(found, maps.shape[1:]))

    @abstractmethod
    def boxes(self, found: LatticePeaks, grid: Sequence[int]) -> np.ndarray:
        """Return the boxes `(n, m)` that peaks propose on a grid of this size, as `shape` takes them."""

    @abstractmethod
    def corners(self, found: Candidates) -> np.ndarray:
        """Return where boxes lie: `(n, 2 * ndim)`, the low corner, then the high one; of rotated ones `(n, 8)`."""

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Boxes may overlap, so they have no label image.

        Raises:
            TypeError: always.
        """
        raise TypeError("boxes are not painted")


@dataclass(frozen=True)
class DenseBoxes(LatticeBoxes):
    """Boxes whose further channels are the distances from the position to the low and to the high faces.

    Boxes are cut at the border of the grid. Distances longer than `reach` are cut to this length.
    """

    def shape(self, grid: Sequence[int]) -> BoxShape:
        """See `ObjectDecoder.shape`."""
        return BoxShape()

    def boxes(self, found: LatticePeaks, grid: Sequence[int]) -> np.ndarray:
        """Return the low corners, then the high ones, `(n, 2 * ndim)`."""
        ndim = len(grid)
        reach = np.clip(np.nan_to_num(found.values), 0, self.reach).astype(np.float64)
        middles = found.places + 0.5
        corners = np.concatenate([middles - reach[:, :ndim], middles + reach[:, ndim:]], axis=1)
        return np.clip(corners, 0, np.tile(np.asarray(grid, np.float64), 2))

    def corners(self, found: Candidates) -> np.ndarray:
        """See `LatticeBoxes.corners`."""
        return found.values


def find_boxes(maps: Source, decoder: LatticeBoxes, *, rows: int = 256) -> Candidates:
    """Decode dense maps into boxes, ordered by the position that proposed them. The result does not depend on `rows`.

    Args:
        maps: dense maps `(K, *S)`; read strip by strip.
        decoder: what they mean.
        rows: rows of the first axis that are decoded at a time.
    """
    kept = keep(maps, decoder, strips(maps.shape[1:], rows))
    if not len(kept):
        return decoder.propose(maps, [slice(0, 0)] * (len(maps.shape) - 1))
    return kept.take(np.lexsort((kept.classes, kept.positions)))


def _points_in(points: range, part: slice) -> slice:
    """Which points of a lattice lie in a part of the axis, as a slice of the lattice."""
    first, last = (-(-(end - points.start) // points.step) for end in (part.start, part.stop))
    return slice(min(max(first, 0), len(points)), min(max(last, 0), len(points)))


def _at_points(maps: Source, channels: slice, points: Sequence[range], inside: Sequence[slice]) -> np.ndarray:
    """The values `(C, *L)` of some channels at slices of the lattice, of which none is empty."""
    chosen = [axis[part] for axis, part in zip(points, inside, strict=True)]
    whole = tuple(slice(axis[0], axis[-1] + 1) for axis in chosen)
    return np.asarray(maps[(channels, *whole)])[(slice(None), *(slice(None, None, axis.step) for axis in chosen))]
