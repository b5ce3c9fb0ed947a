"""One sample: an image and what is known of it."""

from dataclasses import dataclass

from atrous.data.images import SampleImage
from atrous.data.targets.base import Target


@dataclass(frozen=True)
class Sample:
    """One sample of a data set; its image and its target open themselves.

    Attributes:
        name: unique in its data set: the path of the image relative to the root, without suffix, with `/`.
        image: opens the image.
        target: opens what is known of the image; None where nothing is (test images, say).
        group: what the sample comes from (a patient, say); splits keep a group together. "" where it stands alone.

    >>> from pathlib import Path
    >>> from atrous.data.images import FileImage
    >>> Sample("train/a", FileImage(Path("train/a.png"))).target is None
    True
    """

    name: str
    image: SampleImage
    target: Target | None = None
    group: str = ""
