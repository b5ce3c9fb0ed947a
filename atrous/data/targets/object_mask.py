"""Objects of an annotation file on the pixels of their image."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from atrous.data.formats import Header
from atrous.data.formats.base import require_room
from atrous.data.images import SampleImage
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject
from atrous.data.object_files.raster import area, pixels_of


@dataclass(frozen=True, eq=False)
class ObjectMask:
    """The numbers or the classes of the objects of an image, drawn when they are read (a `LabelReader`).

    Where objects overlap, the smaller one is on top; of two of one size, the later one.

    Attributes:
        annotated: the objects.
        image: their image.
        value_of: the value of each class by its name, crowds included; None numbers the objects that are no crowds
            from 1, in the order of the file.
    """

    annotated: AnnotatedImage
    image: SampleImage
    value_of: Mapping[str, int] | None = None

    @property
    def path(self) -> Path:
        """See `LabelReader.path`."""
        return self.annotated.source

    @cached_property
    def used(self) -> tuple[AnnotatedObject, ...]:
        """The objects that are drawn, in the order of the file."""
        classes = self.value_of
        return tuple(
            one
            for one in self.annotated.objects
            if one.has_outline and (not one.ignored if classes is None else one.name in classes)
        )

    def header(self) -> Header:
        """See `LabelReader.header`: on the pixels of the image."""
        size = self.image.header().size
        return Header((1, *size), "uint8" if self.value_of is not None else "uint32", "gray")

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`.

        Raises:
            FileFault: a mask has another size than the image, or they do not fit in memory.
        """
        return self.painted()[0], False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: what is not drawn is background."""

    def painted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values `(H, W)`, and how many pixels each object has, hidden ones included, `(n,)`."""
        size = self.image.header().size
        require_room(self.path, size, np.uint32, "drawing its objects")
        values = np.zeros(size, np.uint32 if self.value_of is None else np.uint8)
        objects = [one.scaled(size) for one in self.used] if self.annotated.fractions else self.used
        counts = np.zeros(len(objects), np.int64)
        sizes = [area(one) for one in objects]
        for place in sorted(range(len(objects)), key=lambda place: -sizes[place]):
            window, mask = pixels_of(objects[place], size, self.path)
            counts[place] = np.count_nonzero(mask)
            values[window][mask] = place + 1 if self.value_of is None else self.value_of[objects[place].name]
        return values, counts
