"""Boxes: objects by their extent, `(n, 2 * ndim)` float64 (the low corner, then the high one), with a class each.

Negative classes mark areas that count for nothing: what is found there is no error, be it of any class (`AREA` in
`atrous.labels`) or of one (`area_of`: a crowd). In training nothing counts in either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from atrous.color import Palette
from atrous.data.coding import Coding
from atrous.data.formats import FileFault
from atrous.data.images import FileImage, SampleImage
from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned, TargetScan
from atrous.data.targets.places import PlacedTarget, Places, counted, size_of
from atrous.data.targets.upside_down import MirrorSums, mirror_sums
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

VISIBLE = 0.3
"""A crop shows an object if it shows this part of its box; what it shows of a smaller part counts for nothing."""


@dataclass(frozen=True, eq=False)
class Boxes(PlacedTarget):
    """Objects by their extent.

    Attributes:
        path: the file that they come from, or what messages call them.
        image: the image that they lie on.
        corners: `(n, 2 * ndim)` float64.
        classes: `(n,)` int64; negative ones mark areas that count for nothing (crowds, difficult objects).
        fractions: whether corners are fractions of the size of the image.
    """

    path: Path
    image: SampleImage
    corners: np.ndarray
    classes: np.ndarray
    fractions: bool = False

    kind: ClassVar[str] = "boxes"

    def read(self) -> Places:
        """Return the boxes whose center lies in the image, cut at its border, with the size of the image.

        Boxes without an extent are left out.

        Raises:
            UserError: the image cannot be read, or has another number of axes than the boxes.
        """
        size = size_of(self.image, self.corners.shape[1] // 2, self.path)
        corners = self.corners * np.tile(size, 2) if self.fractions else self.corners.astype(np.float64)
        low, high = np.split(corners, 2, axis=1)
        center, whole = (low + high) / 2, np.array(size, float)
        kept = ((center >= 0) & (center < whole) & (high > low)).all(axis=1)
        return Places(size, np.clip(corners[kept], 0, np.tile(whole, 2)), self.classes[kept])

    def with_coding(self, coding: Coding) -> Self:
        """See `Target.with_coding`: classes are label numbers already.

        Raises:
            FileFault: a box has a class beyond those that are named.
        """
        greatest = int(self.classes.max(initial=-1))
        if greatest >= len(coding.classes):
            what = f"a box has the class {greatest}, but {len(coding.classes)} classes are named"
            raise FileFault(self.path, what, "name every class, in the order of their numbers, from 0")
        return self

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `counts` has the boxes of each class, `sides` the lengths of their sides."""
        places = self.read()
        low, high = np.split(places.places, 2, axis=1)
        sides = {int(k): (high - low)[places.classes == k] for k in np.unique(places.classes) if k >= 0}
        return replace(counted(places), sides=sides)

    def mirror_sums(self, image: np.ndarray) -> dict[int, MirrorSums]:
        """See `Target.mirror_sums`."""
        places = self.read()
        return mirror_sums(image, places.places, places.classes) if image.shape[1:] == places.size else {}

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield boxes that are left out and classes without a box, of data in memory.

        Of annotation files `atrous.data.check.objects` tells more.
        """
        in_memory = [
            (one, one.target)
            for one in scans
            if one.contents is not None
            and isinstance(one.target, Boxes)
            and not isinstance(one.target.image, FileImage)
        ]
        for _, target in in_memory:
            count = len(target.corners)
            left_out = count - len(target.read().places)
            if left_out:
                what = f"{left_out} of {count} boxes have no extent, or their center lies outside: left out"
                yield Problem(relative(target.path, facts.root), what, "correct or remove them", "warning", "empty box")
        trained = [one for one, _ in in_memory if one.split == "train"] or [one for one, _ in in_memory]
        for number, name in enumerate(() if facts.coding is None or not trained else facts.coding.classes):
            if not any(one.counts.get(number) for one in trained):
                what = f"no training image has a box of the class {name}"
                yield Problem(str(facts.root), what, "take it out of `classes`, or add boxes", "warning", "no box")

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how many boxes there are and how long their sides are."""
        sides = [rows for one in scans if one.contents is not None for rows in one.contents.sides.values()]
        if sides:
            lengths = np.concatenate(sides)
            low, middle, high = np.percentile(lengths, [5, 50, 95])
            none = sum(not one.counts for one in scans)
            without = f"; {none} images without a box" if none else ""
            yield f"{len(lengths):,} boxes, sides of {middle:.0f} (median; 5 to 95 %: {low:.0f} to {high:.0f}){without}"

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        count = 0 if facts.coding is None else len(facts.coding.classes)
        return f"boxes of {count} class{'es' if count != 1 else ''} (shares are those of the boxes)"

    @staticmethod
    def crop(values: Places, window: tuple[slice, ...]) -> Places:
        """See `Target.crop`: boxes cut at the window and counted from its corner; see `cut`."""
        low, high = np.array([part.start for part in window]), np.array([part.stop for part in window])
        return _clipped(values.places - np.tile(low, 2), values.classes, tuple((high - low).tolist()))

    @staticmethod
    def without(values: Places, missing: np.ndarray) -> Places:
        """See `Target.without`: boxes whose middle has no data count for nothing, and none is found there."""
        return Places(values.size, values.places, np.where(values.lie_in(missing), -1, values.classes))

    @staticmethod
    def places(values: Places, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: the centers of the boxes of each class."""
        ndim = len(values.size)
        centers = np.floor((values.places[:, :ndim] + values.places[:, ndim:]) / 2).astype(int)
        return {int(k): centers[values.classes == k] for k in np.unique(values.classes) if k >= 0}

    @staticmethod
    def cut(values: Places, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the boxes that a view shows, `(n, 2 * ndim + 1)` float32: corners in the crop, then the class.

        Boxes are cut at the border of the crop. One of which the crop shows less than `VISIBLE` gets the class -1.

        A turned box becomes the box around the turned ellipse (ellipsoid) that it holds: the box around its turned
        corners is too large for most objects (Kalra et al., "Towards rotation invariance in object detection", ICCV
        2021). A box that is mirrored or zoomed stays exact.
        """
        low, high = np.split(values.places, 2, axis=1)
        center, half = view.to_crop((low + high) / 2, crop), (high - low) / 2
        half = np.sqrt(half**2 @ np.linalg.inv(view.matrix).T ** 2)
        shown = _clipped(np.concatenate([center - half, center + half], axis=1), values.classes, crop)
        return Boxes.tensor(shown)

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
    """The boxes that a grid of this size shows, cut at its border; class -1 where it shows too little of them."""
    clipped = np.clip(corners, 0, np.tile(np.array(size, float), 2))
    whole, shown = (np.maximum(part[:, len(size) :] - part[:, : len(size)], 0) for part in (corners, clipped))
    share = np.divide(shown, whole, out=np.zeros_like(shown), where=whole > 0).prod(axis=1)
    known = np.where(share >= VISIBLE, classes, -1)
    return Places(tuple(size), clipped[share > 0], known[share > 0])
