"""Rotated boxes: objects by rectangles in any direction, in images. They are moved by their corners, which stays exact.

The values of a sample are `Places` with the corners `(n, 8)` of each box: row and column in turn, one side after the
other. Boxes are not cut at the border of an image or a crop: they stay rectangles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from atrous.color import Palette
from atrous.data.images import SampleImage
from atrous.data.targets.base import Facts, TargetScan
from atrous.data.targets.boxes import VISIBLE, Boxes
from atrous.data.targets.places import Places, counted, size_of
from atrous.data.targets.upside_down import MirrorSums
from atrous.data.view import View
from atrous.objects.rotated import boxes_of, common_area, rectangle_around

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

NOTHING = 1e-9
"""A part of a box up to this is a rounding error of its share."""
THINNEST = 1e-6
"""A box with a side up to this, in positions, has no extent."""


@dataclass(frozen=True, eq=False)
class RotatedBoxes(Boxes):
    """Objects by rectangles in any direction, of images.

    Attributes:
        outlines: points `(k, 2)` of each object; its box is the smallest rectangle around them. `corners` are those of
            the upright box around them.
    """

    outlines: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(
        cls, path: Path, image: SampleImage, outlines: Sequence[np.ndarray], classes: np.ndarray, fractions: bool
    ) -> "RotatedBoxes":
        """Return the target of these outlines; see the attributes."""
        hulls = [np.concatenate([points.min(axis=0), points.max(axis=0)]) for points in outlines]
        return cls(path, image, np.array(hulls, float).reshape(-1, 4), classes, fractions, tuple(outlines))

    def read(self) -> Places:
        """Return the boxes that have an extent and whose center lies in the image, with the size of the image.

        Raises:
            UserError: the image cannot be read, or is none of two axes.
        """
        size = size_of(self.image, 2, self.path)
        factor = np.array(size if self.fractions else (1, 1), float)
        corners = np.array([rectangle_around(points * factor) for points in self.outlines]).reshape(-1, 8)
        boxes = boxes_of(corners)
        kept = ((boxes[:, :2] >= 0) & (boxes[:, :2] < size)).all(axis=1) & (boxes[:, 3] > THINNEST)
        return Places(size, corners[kept], self.classes[kept])

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `sides` has the longer and the shorter side of each box."""
        places = self.read()
        sides = boxes_of(places.places)[:, 2:4]
        of_class = {int(k): sides[places.classes == k] for k in np.unique(places.classes) if k >= 0}
        return replace(counted(places), sides=of_class)

    def mirror_sums(self, image: np.ndarray) -> dict[int, MirrorSums]:
        """Return nothing: rotated boxes lie in any direction, whatever their objects look like upside down."""
        return {}

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        return f"rotated {super().summary(facts, colored)}"

    @staticmethod
    def crop(values: Places, window: tuple[slice, ...]) -> Places:
        """See `Target.crop`: boxes counted from the corner of the window; see `cut`."""
        low = np.array([part.start for part in window], float)
        size = tuple(part.stop - part.start for part in window)
        return _shown(values.places - np.tile(low, 4), values.classes, size)

    @staticmethod
    def places(values: Places, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: the centers of the boxes of each class."""
        centers = np.floor(values.places.reshape(-1, 4, 2).mean(axis=1)).astype(int)
        return {int(k): centers[values.classes == k] for k in np.unique(values.classes) if k >= 0}

    @staticmethod
    def cut(values: Places, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the boxes that a view shows, `(n, 9)` float32: corners in the crop, then the class.

        Corners move with the image, so a box that is turned, mirrored or zoomed stays exact. One of which the crop
        shows less than `VISIBLE` gets the class -1.
        """
        corners = view.to_crop(values.places.reshape(-1, 2), crop).reshape(-1, 8)
        return RotatedBoxes.tensor(_shown(corners, values.classes, crop))

    @staticmethod
    def draw(image: np.ndarray, values: Places, palette: Palette) -> np.ndarray:
        """Return the outline of every box in the color of its class, on black."""
        picture = Image.new("RGB", (image.shape[2], image.shape[1]))
        pen, known = ImageDraw.Draw(picture), values.classes >= 0
        for ring, k in zip(values.places[known].reshape(-1, 4, 2), values.classes[known].tolist(), strict=True):
            pen.polygon([(x, y) for y, x in ring.tolist()], outline=tuple(palette[k]))
        return np.array(picture)


def _shown(corners: np.ndarray, classes: np.ndarray, size: tuple[int, ...]) -> Places:
    """The boxes of which a grid of this size shows a part; class -1 where it shows too little of them."""
    boxes, (height, width) = boxes_of(corners), size
    grid = np.tile([height / 2, width / 2, float(width), float(height), 0.0], (len(boxes), 1))
    area = boxes[:, 2] * boxes[:, 3]
    share = np.divide(common_area(boxes, grid), area, out=np.zeros_like(area), where=area > 0)
    known = np.where(share >= VISIBLE, classes, -1)
    return Places(tuple(size), corners[share > NOTHING], known[share > NOTHING])
