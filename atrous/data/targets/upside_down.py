"""Whether objects look the same upside down, as cells do and cars do not: from their boxes and the image in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

GRID = 8
"""What a box shows is compared on so many means along each axis; smaller boxes are left out."""
ENOUGH = 20
"""Boxes of a class from which something is said of it."""
SHARE = 0.2
"""Objects are the same upside down where at most this part of the difference to their mirror images is systematic.
Blood cells (BCCD) have up to 0.14, where a microscope lights one side better; the classes of street scenes (CamVid)
that look most different upside down 0.27 to 0.53."""
ASPECT = 0.15
"""And where the mean logarithm of height / width is at most this far from 0: cells lie in any direction."""


@dataclass(frozen=True, eq=False)
class MirrorSums:
    """Sums over boxes of one class; `d` is what a box shows minus the same upside down, `(C, GRID, GRID)`.

    Attributes:
        count: boxes.
        difference: the sum of `d`, `(C, GRID, GRID)`.
        energy: the sum of the squares of all values of `d`.
        aspect: the sum of the logarithms of height / width.
    """

    count: int
    difference: np.ndarray
    energy: float
    aspect: float

    def __add__(self, other: "MirrorSums") -> "MirrorSums":
        return MirrorSums(
            self.count + other.count, self.difference + other.difference, self.energy + other.energy,
            self.aspect + other.aspect,
        )  # fmt: skip

    @property
    def share(self) -> float:
        """The part of the mean squared difference that the mean difference explains, 0 to 1.

        Of `n` boxes that differ from their mirror images by chance alone it is `1 / n` on average, which is subtracted.
        """
        if self.count < 2 or self.energy == 0:
            return 0.0
        raw = float(((self.difference / self.count) ** 2).sum()) / (self.energy / self.count)
        return max(0.0, (self.count * raw - 1) / (self.count - 1))

    @property
    def is_alike(self) -> bool:
        """Whether the class looks the same upside down."""
        return self.share <= SHARE and abs(self.aspect / self.count) <= ASPECT


def mirror_sums(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray) -> dict[int, MirrorSums]:
    """Return the sums of the boxes of each class in one image; empty where it has other than two axes.

    Args:
        image: `(C, H, W)`.
        boxes: `(n, 4)` top, left, bottom, right in pixels.
        classes: `(n,)`; negative ones are left out.

    >>> picture = np.zeros((1, 20, 20), np.uint8)
    >>> picture[0, :10] = 9
    >>> sums = mirror_sums(picture, np.array([[0.0, 0, 20, 20], [2, 2, 18, 18]]), np.array([0, 0]))
    >>> sums[0].count, sums[0].share
    (2, 1.0)
    """
    found: dict[int, MirrorSums] = {}
    if image.ndim != 3:
        return found
    for (top, left, bottom, right), k in zip(np.rint(boxes).astype(int), classes.tolist(), strict=True):
        shown = image[:, max(top, 0) : bottom, max(left, 0) : right]
        if k < 0 or min(shown.shape[1:]) < GRID:
            continue
        means = _block_means(shown)
        difference = np.nan_to_num(means - means[:, ::-1], posinf=0.0, neginf=0.0)
        sums = MirrorSums(1, difference, float((difference**2).sum()), float(np.log(shown.shape[1] / shown.shape[2])))
        found[k] = found[k] + sums if k in found else sums
    return found


def alike_upside_down(images: Sequence[Mapping[int, MirrorSums]]) -> bool:
    """Return whether all classes with at least `ENOUGH` boxes look the same upside down; without such a class: no."""
    channels = {len(sums.difference) for image in images for sums in image.values()}
    if len(channels) != 1:
        return False
    numbers = {k for image in images for k in image}
    total = [reduce(MirrorSums.__add__, [image[k] for image in images if k in image]) for k in numbers]
    known = [sums for sums in total if sums.count >= ENOUGH]
    return bool(known) and all(sums.is_alike for sums in known)


def _block_means(values: np.ndarray) -> np.ndarray:
    """Means of `GRID` x `GRID` blocks of `(C, h, w)`, whose sizes differ by one where they do not divide."""
    for axis in (1, 2):
        edges = np.arange(GRID + 1) * values.shape[axis] // GRID
        sums = np.add.reduceat(values.astype(np.float64, copy=False), edges[:-1], axis=axis)
        values = sums / np.diff(edges).reshape([-1 if i == axis else 1 for i in range(3)])
    return values
