"""Rotated boxes from dense maps (2-D)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.boxes import LatticeBoxes, LatticePeaks
from atrous.objects.candidates import Candidates
from atrous.objects.rotated import RotatedShape, corners_of, sides_of


@dataclass(frozen=True)
class DenseRotatedBoxes(LatticeBoxes):
    """Rotated boxes whose further channels are seven numbers in positions.

    These are the way from the position to the center of the box along both axes, and the five numbers of its form
    (`atrous.objects.rotated.form_of`). Boxes are not cut at the border of the grid: they stay rectangles. A center that
    is further than half of `reach` is moved, and a box whose half diagonal is longer than half of it is made smaller.
    """

    def shape(self, grid: Sequence[int]) -> RotatedShape:
        """See `ObjectDecoder.shape`."""
        return RotatedShape()

    def boxes(self, found: LatticePeaks, grid: Sequence[int]) -> np.ndarray:
        """Return center, length, width and angle of the boxes, `(n, 5)`."""
        numbers = np.clip(np.nan_to_num(found.values), -self.reach, self.reach).astype(np.float64)
        centers = found.places + 0.5 + np.clip(numbers[:, :2], -self.reach / 2, self.reach / 2)
        sides = sides_of(numbers[:, 2:])
        longest = np.hypot(sides[:, 0], sides[:, 1])
        shrink = np.divide(self.reach, longest, out=np.ones(len(sides)), where=longest > self.reach)
        return np.concatenate([centers, sides[:, :2] * shrink[:, None], sides[:, 2:]], axis=1)

    def corners(self, found: Candidates) -> np.ndarray:
        """Return the corners `(n, 8)` of boxes, one side after the other; see `LatticeBoxes.corners`."""
        return corners_of(found.values).reshape(-1, 8)
