"""One image and the files that belong to it."""

from dataclasses import dataclass
from pathlib import Path

from atrous.labels import IGNORE

__all__ = ["IGNORE", "Sample"]


@dataclass(frozen=True)
class Sample:
    """One image, its label file and the region in which labels count.

    Attributes:
        name: unique in its data set: the image's path relative to the root, without suffix, with `/`.
        image: the image file.
        label: the label file, or None where there is none (test images, say).
        region: a mask file of the image's size; where it is zero the label is `IGNORE` (DRIVE's field of view).
        channels: how many channels the image is brought to when read; None keeps the file's.

    >>> Sample("train/a", Path("train/a.png"), Path("trainannot/a.png")).region is None
    True
    """

    name: str
    image: Path
    label: Path | None
    region: Path | None = None
    channels: int | None = None
