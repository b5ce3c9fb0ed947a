"""Boxes: objects by their extent, `(n, 2 * ndim)` float64 (the low corner, then the high one), with a class each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atrous.color import Palette
from atrous.data.coding import Coding
from atrous.data.images import SampleImage
from atrous.data.targets.base import Scanned, Target, TargetScan
from atrous.data.targets.points import Places, counted, numbered, shares, size_of
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it


@dataclass(frozen=True, eq=False)
class Boxes(Target):
    """Objects by their extent.

    Attributes:
        path: the file that they come from, or what messages call them.
        image: the image that they lie on.
        corners: `(n, 2 * ndim)` float64.
        classes: `(n,)` int64; -1 marks what counts for nothing (crowds, difficult objects).
        fractions: whether corners are fractions of the size of the image.
    """

    path: Path
    image: SampleImage
    corners: np.ndarray
    classes: np.ndarray
    fractions: bool = False

    kind: ClassVar[str] = "boxes"
    has_classes: ClassVar[bool] = True

    def read(self) -> Places:
        """Return the boxes whose center lies in the image, cut at its border, with the size of the image.

        Raises:
            UserError: the image cannot be read, or has another number of axes than the boxes.
        """
        size = size_of(self.image, self.corners.shape[1] // 2, self.path)
        corners = self.corners * np.tile(size, 2) if self.fractions else self.corners
        return _clipped(corners, self.classes, size)

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `counts` has the boxes of each class."""
        return counted(self.read())

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """See `Target.frequency`: the share of each class among the boxes."""
        return shares(scans, coding)

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`: the boxes of each class."""
        return np.array([scanned.counts.get(number, 0) for number in range(len(coding.classes))], np.int64)

    @staticmethod
    def grid(values: Places) -> tuple[int, ...]:
        """See `Target.grid`."""
        return values.size

    @staticmethod
    def crop(values: Places, window: tuple[slice, ...]) -> Places:
        """See `Target.crop`: boxes whose center lies inside, cut at the window and counted from its corner."""
        low, high = np.array([part.start for part in window]), np.array([part.stop for part in window])
        return _clipped(values.places - np.tile(low, 2), values.classes, tuple((high - low).tolist()))

    @staticmethod
    def resample(values: Places, shape: tuple[int, ...]) -> Places:
        """See `Target.resample`."""
        factor = np.tile(np.array(shape) / np.array(values.size), 2)
        return Places(tuple(shape), values.places * factor, values.classes)

    @staticmethod
    def places(values: Places, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: the centers of the boxes of each class."""
        ndim = len(values.size)
        centers = np.floor((values.places[:, :ndim] + values.places[:, ndim:]) / 2).astype(int)
        return {int(k): centers[values.classes == k] for k in np.unique(values.classes) if k >= 0}

    @staticmethod
    def cut(values: Places, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the boxes that a view shows, `(n, 2 * ndim + 1)` float32: corners in the crop, then the class.

        A turned box becomes the box around its turned corners. A box belongs to the crop that shows its center, and is
        cut at the border of the crop.
        """
        ndim = len(crop)
        low, high = values.places[:, :ndim], values.places[:, ndim:]
        corners = [np.where(np.array(choice), high, low) for choice in product((False, True), repeat=ndim)]
        seen = np.stack([view.to_crop(corner, crop) for corner in corners])
        shown = _clipped(np.concatenate([seen.min(axis=0), seen.max(axis=0)], axis=1), values.classes, crop)
        return Boxes.tensor(shown)

    @staticmethod
    def batch(cuts: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """Return the boxes of all crops, `(m, 2 * ndim + 2)`: the number of the crop, then what `cut` gives."""
        return numbered(cuts)

    @staticmethod
    def tensor(values: Places) -> "torch.Tensor":
        """Return boxes `(n, 2 * ndim + 1)` float32: corners, then classes."""
        import torch

        return torch.from_numpy(np.column_stack([values.places, values.classes]).astype(np.float32))

    @staticmethod
    def draw(image: np.ndarray, values: Places, palette: Palette) -> np.ndarray:
        """Return the outline of every box in the color of its class, on black."""
        height, width = image.shape[1:]
        picture = np.zeros((height, width, 3), np.uint8)
        for box, k in zip(values.places[values.classes >= 0], values.classes[values.classes >= 0], strict=True):
            top, left = np.maximum(np.floor(box[:2]).astype(int), 0)
            bottom, right = np.minimum(np.ceil(box[2:]).astype(int), (height, width)) - 1
            picture[[top, bottom], left : right + 1] = palette[int(k)]
            picture[top : bottom + 1, [left, right]] = palette[int(k)]
        return picture


def _clipped(corners: np.ndarray, classes: np.ndarray, size: tuple[int, ...]) -> Places:
    """The boxes whose center lies in a grid of this size, cut at its border."""
    ndim = len(size)
    center = (corners[:, :ndim] + corners[:, ndim:]) / 2
    inside = ((center >= 0) & (center < np.array(size))).all(axis=1)
    clipped = np.clip(corners[inside], 0, np.tile(np.array(size, float), 2))
    return Places(tuple(size), clipped, classes[inside])
