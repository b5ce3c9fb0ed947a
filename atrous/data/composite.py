"""Samples that are made of two images of one size: before and after, or a frame and its background."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import FileFault, Header
from atrous.data.images import SampleImage
from atrous.data.source import AllValid

CHANGE, MOTION = "change", "motion"
PAIRED = (CHANGE, MOTION)
"""Tasks whose samples are two images, the channels of the first before those of the second."""
PARTS = {CHANGE: ("before", "after"), MOTION: ("frame", "background")}
"""What the two images are called."""
APART = 4.0
"""Pixels by which the corners of two maps of one place may lie apart."""


@dataclass(frozen=True)
class CompositeImage(SampleImage):
    """Several images of one size as one, with all their channels: `(sum of C_i, *S)`.

    Attributes:
        parts: the images, in the order of their channels.
    """

    parts: tuple[SampleImage, ...]

    @property
    def path(self) -> Path:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The file of the first image, which names the sample in messages."""
        return self.parts[0].path

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of all images."""
        return tuple(file for part in self.parts for file in part.files)

    def header(self) -> Header:
        """See `SampleImage.header`: that of the first image, with the channels of all."""
        headers = [part.header() for part in self.parts]
        dtype = np.result_type(*(header.dtype for header in headers)).name
        channels = sum(header.channels for header in headers)
        return replace(headers[0], shape=(channels, *headers[0].size), dtype=dtype, names=())

    def load(self) -> np.ndarray:
        """See `SampleImage.load`.

        Raises:
            UserError: as there; or the images differ in size or in their number of channels, or are maps of different
                places.
        """
        loaded = [np.asarray(part.load()) for part in self.parts]
        files = [part.path for part in self.parts]
        require_alike([image.shape for image in loaded], [part.header() for part in self.parts], files)
        return np.concatenate(loaded)

    def valid(self) -> Any | None:
        """See `SampleImage.valid`: positions that have data in every image."""
        masks = [mask for part in self.parts if (mask := part.valid()) is not None]
        return AllValid(masks) if len(masks) > 1 else masks[0] if masks else None


def require_alike(shapes: Sequence[Sequence[int]], headers: Sequence[Header], files: Sequence[Path]) -> None:
    """Raise unless all images have the shape of the first, and show the same place.

    Args:
        shapes: `(C, *S)` of each, as the network is given them.
        headers: of each, of which the place of a map is compared.
        files: name them in messages.

    Raises:
        FileFault: an image has another size, other channels, another place, or 8 bits where another one has 16.
    """
    first, named = tuple(shapes[0]), _named(files)
    for shape, header, file in zip(shapes[1:], headers[1:], files[1:], strict=True):
        if tuple(shape[1:]) != first[1:]:
            size, other = (" x ".join(map(str, one)) for one in (shape[1:], first[1:]))
            fix = "bring both images to one grid, so that a pixel shows the same place in both"
            raise FileFault(file, f"it is {size}, {named} {other}", fix)
        if shape[0] != first[0]:
            count, other = (f"{number} channel{'' if number == 1 else 's'}" for number in (shape[0], first[0]))
            fix = "write channels = 1 or channels = 3 in dataset.toml, or save both alike"
            raise FileFault(file, f"it has {count}, {named} {other}", fix)
        if {header.dtype, headers[0].dtype} == {"uint8", "uint16"}:
            what = f"its values are {header.dtype}, those of {named} {headers[0].dtype}: their scales differ"
            raise FileFault(file, what, "save both images in one type")
        _require_place(header, headers[0], file, named)


def _named(files: Sequence[Path]) -> str:
    """What messages call the first file: with its folder, where another one has the same name."""
    alike = any(file.name == files[0].name for file in files[1:])
    return f"{files[0].parent.name}/{files[0].name}" if alike else files[0].name


def _require_place(header: Header, first: Header, file: Path, named: str) -> None:
    """Refuse a map that shows another place than the first; a shift of few pixels is no other place."""
    if header.map is None or first.map is None:
        return
    fix = "cut both maps to one extent and one resolution (gdalwarp -te ... -tr ...)"
    if header.map.crs != first.map.crs:
        raise FileFault(file, f"its projection is {header.map.crs}, that of {named} {first.map.crs}", fix)
    height, width = first.size[-2:]
    corners = np.array([(column, row, 1.0) for row in (0, height) for column in (0, width)])
    ours, theirs = (np.reshape(known.transform, (2, 3)) for known in (header.map, first.map))
    pixel = max(float(np.linalg.norm(theirs[:, axis])) for axis in (0, 1))
    apart = np.linalg.norm(corners @ ours.T - corners @ theirs.T, axis=1).max() / max(pixel, 1e-12)
    if apart > APART:
        raise FileFault(file, f"its corners lie up to {apart:.0f} pixels from those of {named}", fix)
