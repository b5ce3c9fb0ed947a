"""No target: samples that are learned from by themselves (self-supervision)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from atrous.color import Palette
from atrous.data.images import SampleImage
from atrous.data.targets.base import Target, TargetScan
from atrous.data.view import View

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it


@dataclass(frozen=True)
class NoTarget(Target):
    """Nothing is known of the image but the image itself.

    Its values are an array `(0, *S)`: it has the size of the image and no numbers.

    Attributes:
        image: the image.
    """

    image: SampleImage

    kind: ClassVar[str] = "none"

    @property
    def path(self) -> Path:
        """See `Target.path`: the image's own file."""
        return self.image.path

    def read(self) -> np.ndarray:
        """Return an array `(0, *S)` float32."""
        return np.empty((0, *self.image.header().size), np.float32)

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`."""
        return TargetScan(size=self.image.header().size)

    @staticmethod
    def grid(values: np.ndarray) -> tuple[int, ...]:
        """See `Target.grid`."""
        return tuple(values.shape[1:])

    @staticmethod
    def crop(values: np.ndarray, window: tuple[slice, ...]) -> np.ndarray:
        """See `Target.crop`."""
        return values[(slice(None), *window)]

    @staticmethod
    def resample(values: np.ndarray, shape: Any) -> np.ndarray:
        """See `Target.resample`."""
        return np.empty((0, *shape), np.float32)

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return a tensor `(0, *crop)`."""
        import torch

        return torch.empty(0, *crop)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return a tensor `(0, *S)`."""
        import torch

        return torch.from_numpy(np.array(values, np.float32))

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return a black picture: there is nothing to draw."""
        return np.zeros((*image.shape[1:], 3), np.uint8)
