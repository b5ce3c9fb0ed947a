"""Rotated boxes from dense maps (2-D)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.boxes import lattice_peaks
from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region
from atrous.objects.rotated import RotatedShape, sides_of
from atrous.source import Source


@dataclass(frozen=True)
class DenseRotatedBoxes(ObjectDecoder):
    """Rotated boxes in 2-D: channel k < classes is the score of class k, then come seven numbers in positions.

    These are the way from the position to the center of the box along both axes, and the five numbers of its form
    (`atrous.objects.rotated.form_of`). As in `DenseBoxes` every position of the lattice whose score is a peak proposes
    a box (Tian et al., "FCOS", ICCV 2019). Boxes are not cut at the border of the grid: they stay rectangles.

    Attributes:
        classes: number of classes.
        threshold: score from which a peak is a candidate.
        overlap: see `ObjectDecoder`; intersection over union.
        reach: no corner is further than this from the position along any axis. A center that is further than half of
            it is moved, and a box whose half diagonal is longer than half of it is made smaller.
        stride: per axis, every how many positions propose (`atrous.objects.boxes.lattice`); all do where it is empty.
    """

    classes: int = 1
    threshold: float = 0.3
    overlap: float = 0.5
    reach: float = 500.0
    per_class: bool = True
    stride: tuple[int, ...] = ()

    def shape(self, grid: Sequence[int]) -> RotatedShape:
        """See `ObjectDecoder.shape`."""
        return RotatedShape()

    def propose(self, maps: Source, region: Region) -> Candidates:
        """See `ObjectDecoder.propose`."""
        found = lattice_peaks(maps, region, self.classes, self.threshold, self.stride)
        numbers = np.clip(np.nan_to_num(found.values), -self.reach, self.reach).astype(np.float64)
        centers = found.places + 0.5 + np.clip(numbers[:, :2], -self.reach / 2, self.reach / 2)
        sides = sides_of(numbers[:, 2:])
        longest = np.hypot(sides[:, 0], sides[:, 1])
        shrink = np.divide(self.reach, longest, out=np.ones(len(sides)), where=longest > self.reach)
        boxes = np.concatenate([centers, sides[:, :2] * shrink[:, None], sides[:, 2:]], axis=1)
        return Candidates(found.positions, found.scores, found.classes, boxes)

    def paint(self, maps: Source, region: Region, kept: Candidates) -> np.ndarray:
        """Boxes may overlap, so they have no label image.

        Raises:
            TypeError: always.
        """
        raise TypeError("boxes are not painted")
