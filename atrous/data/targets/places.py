"""Targets that are rows of numbers: what points and boxes have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atrous.data.coding import Coding
from atrous.data.formats import FileFault
from atrous.data.images import SampleImage
from atrous.data.targets.base import Scanned, Target, TargetScan

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it


@dataclass(frozen=True, eq=False)
class Places:
    """Points or boxes of one sample, with the size of the grid that they lie on.

    Attributes:
        size: the spatial shape `S`.
        places: `(n, ndim)` points, or `(n, 2 * ndim)` boxes: the low corner, then the high one.
        classes: `(n,)` int64.
    """

    size: tuple[int, ...]
    places: np.ndarray
    classes: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.places.nbytes + self.classes.nbytes

    def lie_in(self, mask: np.ndarray) -> np.ndarray:
        """Return which of the points, or of the middles of the boxes, lie where a mask `(*S)` is true, `(n,)` bool.

        >>> Places((4,), np.array([[0.0, 2.0], [2.0, 4.0]]), np.zeros(2, int)).lie_in(np.arange(4) > 2).tolist()
        [False, True]
        """
        ndim = len(self.size)
        middles = self.places.reshape(len(self.places), self.places.shape[1] // ndim, ndim).mean(axis=1)
        positions = np.clip(middles.astype(int), 0, np.array(self.size) - 1)
        return mask[tuple(positions.T)]


class PlacedTarget(Target):
    """Points or boxes of several classes: `read` gives `Places`."""

    image: SampleImage
    """The image that they lie on."""
    numbered: ClassVar[bool] = True
    has_classes: ClassVar[bool] = True
    has_background: ClassVar[bool] = False

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """See `Target.frequency`: the share of each class among the points or boxes."""
        return shares(scans, coding)

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`: the points or boxes of each class."""
        return np.array([scanned.counts.get(number, 0) for number in range(len(coding.classes))], np.int64)

    @staticmethod
    def grid(values: Places) -> tuple[int, ...]:
        """See `Target.grid`."""
        return values.size

    @staticmethod
    def resample(values: Places, shape: Sequence[int]) -> Places:
        """See `Target.resample`."""
        factor = np.array(shape) / np.array(values.size)
        per_column = np.tile(factor, values.places.shape[1] // len(factor))
        return Places(tuple(shape), values.places * per_column, values.classes)

    @staticmethod
    def batch(cuts: "Sequence[torch.Tensor]") -> "torch.Tensor":
        """Return the rows of all crops, the number of the crop before what `cut` gives, then the class."""
        import torch

        return torch.cat([torch.cat([torch.full((len(cut), 1), float(i)), cut], dim=1) for i, cut in enumerate(cuts)])

    @staticmethod
    def tensor(values: Places) -> "torch.Tensor":
        """Return places, then classes: of points `(n, ndim + 1)`, of boxes `(n, 2 * ndim + 1)`, float32."""
        import torch

        return torch.from_numpy(np.column_stack([values.places, values.classes]).astype(np.float32))


def size_of(image: SampleImage, ndim: int, path: Path) -> tuple[int, ...]:
    """Return the size of the image that points or boxes of so many axes lie on.

    Raises:
        FileFault: it has another number of axes.
    """
    size = image.header().size
    if len(size) != ndim:
        what = f"its annotations have {ndim} axes, but {image.path.name} has {len(size)}"
        raise FileFault(path, what, "give an image for each annotation")
    return size


def counted(values: Places) -> TargetScan:
    """Return how many points or boxes there are of each class; what counts for nothing is left out."""
    unique, counts = np.unique(values.classes[values.classes >= 0], return_counts=True)
    return TargetScan(size=values.size, counts=dict(zip(unique.tolist(), counts.tolist(), strict=True)))


def shares(scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
    """Return the share of each class among the points or boxes of some samples."""
    classes = () if coding is None else coding.classes
    counts = np.array([sum(one.counts.get(number, 0) for one in scans) for number in range(len(classes))], float)
    return tuple((counts / max(1.0, counts.sum())).tolist())
