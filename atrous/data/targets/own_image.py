"""An image that is its own target: what a restoration is to give back."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from atrous.data.formats import Header
from atrous.data.images import SampleImage
from atrous.data.targets.base import TargetScan
from atrous.data.targets.values import Values


@dataclass(frozen=True)
class ImageValues:
    """The values of an image, as the network is given them (a `ValueReader`)."""

    image: SampleImage

    @property
    def path(self) -> Path:
        """See `ValueReader.path`."""
        return self.image.path

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return self.image.header()

    def values(self) -> np.ndarray:
        """See `ValueReader.values`."""
        return np.asarray(self.image.load())


class OwnImage(Values):
    """The image of the sample itself. What the network is given is made from it (`atrous.data.restoration`)."""

    own: ClassVar[bool] = True

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: the image is looked at as an image, and not decoded once more."""
        header = self.reader.header()
        return TargetScan(header, header.size, outside=0 if valid is None else int(np.count_nonzero(~valid)))
