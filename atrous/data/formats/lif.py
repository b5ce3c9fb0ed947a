"""Leica's LIF files by liffile: one image of channels, depth and time, read as it is sliced."""

import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import Axes, micrometers, read_axes
from atrous.data.formats.base import (
    Errors,
    FileFault,
    FileGeometry,
    Format,
    Library,
    require_bytes,
    require_room,
)
from atrous.data.formats.header import Header
from atrous.data.formats.ome import Scale
from atrous.data.source import ChannelFirst

liffile: Any = Library("liffile", 'LIF files need liffile: pip install "atrous[microscopes]"')

_DIMENSIONS = "./Data/Image/ImageDescription/Dimensions/DimensionDescription"
_CHANNELS = "./Data/Image/ImageDescription/Channels/ChannelDescription"
_LETTERS = {"1": "X", "2": "Y", "3": "Z", "4": "T"}
"""What the numbers of dimensions mean."""
_PARSED = 40
"""Bytes of memory for each letter of the XML at the start of a file, while it is read."""


class LifFormat(Format):
    """LIF files of one image. Labels are written as OME-TIFF with its axes and scale."""

    name = "LIF"
    suffixes = (".lif",)

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (liffile.LifFileError, OSError, ValueError, LookupError, AssertionError, TypeError, MemoryError)

    def header(self, path: Path) -> Header:
        """See `Format.header`."""
        with _opened(path) as file:
            image = _only_image(path, file)
            axes = _axes_of(path, image)
            return _read_header(image, axes)

    def image(self, path: Path) -> np.ndarray:
        """See `Format.image`."""
        with _opened(path) as file:
            image = _only_image(path, file)
            require_room(path, image.shape, image.dtype)
            return as_image(np.asarray(_axes_of(path, image).view(image.asarray())[...]))

    def source(self, path: Path) -> ChannelFirst | np.ndarray:
        """Return the image `(C, *S)`, mapped from the file; colors are read whole, since their order may be turned."""
        with _opened(path) as file:
            image = _only_image(path, file)
            if "S" in image.dims:
                return self.image(path)
            return _axes_of(path, image).view(image.asarray(out="memmap"))  # what is mapped stays so

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("lif", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".tif"


def _opened(path: Path) -> Any:
    """Open a file, once it is known that it names no other files.

    Raises:
        FileFault: it is no LIF file, or names other files, which liffile would open wherever they are.
    """
    with path.open("rb") as file:
        head = file.read(13)
        if len(head) < 13 or head[:4] != b"\x70\0\0\0" or head[8] != 0x2A:
            raise ValueError("its beginning is not that of a LIF file")
        letters = struct.unpack("<I", head[9:])[0]
        require_bytes(path, min(_PARSED * letters, 20 * path.stat().st_size), "its metadata", "export the image")
        text = file.read(2 * letters).decode("utf-16-le")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FileFault(path, "its XML defines entities", "export it again")
    if ElementTree.fromstring(text).find("./Element/Children/Reference") is not None:
        raise FileFault(path, "it names other files", "save the images in one LIF file")
    return liffile.LifFile(path, squeeze=False)


def _only_image(path: Path, file: Any) -> Any:
    """Return the image of an open file.

    Raises:
        FileFault: it has several, or none that is made of pixels.
    """
    images = [image for image in file.images if not image.is_flim]
    if len(images) == 1:
        return images[0]
    if not images:
        raise FileFault(path, "it holds no image of pixels", "export the intensities as OME-TIFF")
    names = ", ".join(image.name for image in images[:4]) + (", ..." if len(images) > 4 else "")
    fix = f"convert it (bioformats2raw {path.name} {path.stem}.zarr): each image is then {path.stem}.zarr/0, /1, ..."
    raise FileFault(path, f"it has {len(images)} images ({names})", fix)


def _axes_of(path: Path, image: Any) -> Axes:
    long = {letter: size for letter, size in image.sizes.items() if size > 1}
    other = [letter for letter in long if letter not in "TZYXCS"]
    if other:
        what = f"it has axes that are not read ({', '.join(f'{letter} of {long[letter]}' for letter in other)})"
        raise FileFault(path, what, "export one position along each as OME-TIFF")
    try:
        return read_axes("".join(letter[0] for letter in image.dims), image.shape)
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        raise FileFault(path, what, fix) from error


def _read_header(image: Any, axes: Axes) -> Header:
    size = {}
    for part in image.xml_element.findall(_DIMENSIONS):
        letter, count = _LETTERS.get(part.get("DimID", ""), ""), int(part.get("NumberOfElements", 1))
        apart = abs(float(part.get("Length", 0))) / max(1, count - 1)
        distance = apart if letter == "T" else micrometers(apart, part.get("Unit"))
        if letter and distance:
            size[letter] = distance
    spacing = Scale(size).spacing(axes.letters)
    channels = 1 if axes.channel is None else image.shape[axes.channel]
    names = tuple(part.get("LUTName", "") for part in image.xml_element.findall(_CHANNELS))
    named = len(names) == channels and len(set(names)) == channels and "S" not in image.dims
    stored, dtype = np.dtype(image.dtype).name, image_dtype(image.dtype)
    kind = "rgb" if channels == 3 and "S" in image.dims else "gray" if channels == 1 else "array"
    return Header(
        (channels, *(image.shape[axis] for axis in axes.space)), dtype, kind, None if stored == dtype else stored,
        spacing=spacing, unit=None if spacing is None else "s, µm" if axes.letters[0] == "T" else "µm",
        axes=axes.letters, names=names if named else (),
    )  # fmt: skip
