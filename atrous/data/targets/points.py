"""Points: places of objects, `(n, ndim)` float64, with a class each; a position `i` spans `i` to `i + 1`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atrous.color import Palette
from atrous.data.images import SampleImage
from atrous.data.problems import Problem
from atrous.data.targets.base import Facts, Scanned, TargetScan
from atrous.data.targets.places import PlacedTarget, Places, counted, size_of
from atrous.data.targets.point_problems import point_notes, point_problems
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

BESIDE = 0.125
"""Points outside of a crop, and mirror images outside of the sample, are kept within this part of its size: their
Gaussians reach into it."""
DOT = 2
"""Positions by which the square that is drawn for a point reaches to either side."""


class PointTarget(PlacedTarget):
    """Places of objects, wherever they come from."""

    kind: ClassVar[str] = "points"

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: `counts` has the points of each class."""
        return scanned(self.read())

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield what is wrong with the points of a data set."""
        yield from point_problems(scans, facts)

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield how many points there are, how far apart, and how they were read."""
        yield from point_notes(scans, facts)

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        return "points"

    @staticmethod
    def crop(values: Places, window: tuple[slice, ...]) -> Places:
        """See `Target.crop`: the points inside, counted from the window's corner."""
        low, high = np.array([part.start for part in window]), np.array([part.stop for part in window])
        inside = ((values.places >= low) & (values.places < high)).all(axis=1)
        return Places(tuple((high - low).tolist()), values.places[inside] - low, values.classes[inside])

    @staticmethod
    def without(values: Places, missing: np.ndarray) -> Places:
        """See `Target.without`: points that have no data are left out, and none is found there."""
        known = ~values.lie_in(missing)
        return Places(values.size, values.places[known], values.classes[known])

    @staticmethod
    def places(values: Places, seed: int) -> dict[int, np.ndarray]:
        """See `Target.places`: the positions of the points of each class."""
        whole = np.floor(values.places).astype(int)
        return {int(k): whole[values.classes == k] for k in np.unique(values.classes)}

    @staticmethod
    def cut(values: Places, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return the points that a view shows, `(n, 2 * ndim + 1)` float32: places in the crop twice, then the class.

        Points a little outside of the crop are there as well, since an object that is half seen counts in part. The
        border of the image is a mirror (`mirrored`), so that the part of a Gaussian that lies outside of the image
        comes back, and the sum of a density over the whole image is the number of points. The second place of a point
        in a mirror is that of the point itself: the image lies where the second is the nearer one.
        """
        import torch

        places, points, classes = mirrored(values)
        seen, own = view.to_crop(places, crop), view.to_crop(points, crop)
        beside = BESIDE * np.array(crop)
        kept = ((seen >= -beside) & (seen < np.array(crop) + beside)).all(axis=1)
        return torch.from_numpy(np.column_stack([seen[kept], own[kept], classes[kept]]).astype(np.float32))

    @staticmethod
    def draw(image: np.ndarray, values: Places, palette: Palette) -> np.ndarray:
        """Return a small square for every point, in the color of its class, on black."""
        picture = np.zeros((*image.shape[1:], 3), np.uint8)
        for (row, column), k in zip(np.floor(values.places).astype(int), values.classes, strict=True):
            top, left = max(0, row - DOT), max(0, column - DOT)
            picture[top : row + DOT + 1, left : column + DOT + 1] = palette[int(k)]
        return picture


@dataclass(frozen=True, eq=False)
class Points(PointTarget):
    """Places of objects that are known already.

    Attributes:
        path: the file that they come from, or what messages call them.
        image: the image that they lie on.
        coordinates: `(n, ndim)` float64.
        classes: `(n,)` int64; -1 marks what counts for nothing.
        fractions: whether coordinates are fractions of the size of the image.
    """

    path: Path
    image: SampleImage
    coordinates: np.ndarray
    classes: np.ndarray
    fractions: bool = False

    def read(self) -> Places:
        """Return the points that lie in the image, with its size.

        Raises:
            UserError: the image cannot be read, or has another number of axes than the points.
        """
        size = size_of(self.image, self.coordinates.shape[1], self.path)
        places = self.coordinates * np.array(size) if self.fractions else self.coordinates
        kept = (self.classes >= 0) & ((places >= 0) & (places < np.array(size))).all(axis=1)
        return Places(size, places[kept], self.classes[kept])


def mirrored(values: Places) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places with the images of points in mirrors at the border, the points that they show, and the classes.

    >>> mirrored(Places((16,), np.array([[1.0], [6.0]]), np.array([0, 1])))[0].tolist()
    [[1.0], [6.0], [-1.0]]
    """
    places, points, classes = values.places, values.places, values.classes
    for axis, size in enumerate(values.size):
        low, high = places[:, axis] < BESIDE * size, places[:, axis] >= size - BESIDE * size
        below, above = places[low].copy(), places[high].copy()
        below[:, axis] *= -1
        above[:, axis] = 2 * size - above[:, axis]
        places = np.concatenate([places, below, above])
        points = np.concatenate([points, points[low], points[high]])
        classes = np.concatenate([classes, classes[low], classes[high]])
    return places, points, classes


def scanned(values: Places, remarks: Sequence[str] = ()) -> TargetScan:
    """Return what the data doctor keeps of the points of one image."""
    points = np.column_stack([values.places, values.classes])
    return replace(counted(values), points=points, remarks=tuple(remarks))
