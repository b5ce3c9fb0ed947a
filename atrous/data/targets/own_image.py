"""An image that is its own target: what a restoration is to give back."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from atrous.data.formats import Header
from atrous.data.images import SampleImage
from atrous.data.targets.base import TargetScan
from atrous.data.targets.values import Values, turned_onto
from atrous.data.void import measured


@dataclass(frozen=True)
class ImageValues:
    """The values of an image, as the network is given them (a `ValueReader`).

    Attributes:
        image: the image.
        like: the file of another image, onto whose grid it is turned (`turned_onto`); None leaves it as it is.
    """

    image: SampleImage
    like: Path | None = None

    @property
    def path(self) -> Path:
        """See `ValueReader.path`."""
        return self.image.path

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return self.image.header()

    def values(self) -> np.ndarray:
        """See `ValueReader.values`: NaN where the file says that it has no data."""
        values = measured(np.asarray(self.image.load()), self.image.valid())
        return turned_onto(values, self.header(), self.like)


class OwnImage(Values):
    """The image of the sample itself. What the network is given is made from it (`atrous.data.restoration`)."""

    own: ClassVar[bool] = True

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: the image is looked at as an image, and not decoded once more."""
        header = self.reader.header()
        return TargetScan(header, header.size, outside=0 if valid is None else int(np.count_nonzero(~valid)))
