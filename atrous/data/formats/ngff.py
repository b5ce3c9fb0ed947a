"""OME-Zarr (NGFF 0.4 and 0.5): the finest level of a multiscale image, with its axes and its scale.

Of a converted file with several images (`bioformats2raw.layout`) the first is read. The format is described at
https://ngff.openmicroscopy.org
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import Axes, micrometers, read_axes
from atrous.data.formats.base import Errors, FileFault, FileGeometry, Format, require_room
from atrous.data.formats.header import Header
from atrous.data.formats.zarr_codecs import open_zarr, require_plain
from atrous.data.source import Source, Turned

_SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}
_DEFAULT = "tczyx"  # of versions before 0.3, which name no axes


@dataclass(frozen=True)
class Multiscale:
    """The finest level of a multiscale image.

    Attributes:
        array: the zarr array, with its axes as they are stored.
        version: of the NGFF specification.
        axes: the entry `axes` of the metadata, one element for each stored axis.
        scale: distance between neighboring positions along each stored axis, in the unit of the axis; positive.
        translation: of the first position along each axis, as it is read; None if the file has none and mirrors none.
        names: of the channels.
        mirrored: stored axes whose scale is negative in the file: they are reversed when they are read.
    """

    array: Any
    version: str
    axes: tuple[dict[str, str], ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    names: tuple[str, ...]
    mirrored: tuple[int, ...] = ()

    @property
    def letters(self) -> str:
        """One letter for each stored axis, such as `TCZYX`."""
        return "".join(_letter(axis) for axis in self.axes)

    def read(self) -> Axes:
        """Return how the stored array is read as `(C, *S)`."""
        return read_axes(self.letters, self.array.shape)

    def source(self) -> Source:
        """Return the stored array with positions in ascending order along every axis."""
        return Turned(self.array, range(len(self.axes)), self.mirrored) if self.mirrored else self.array


class OmeZarrFormat(Format):
    """Folders with a multiscale image. Labels and probabilities are written on its grid (`ngff_write`)."""

    name = "OME-Zarr"
    suffixes = (".zarr",)
    folder = True

    @property
    def errors(self) -> Errors:
        """See `Format.errors`."""
        return (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)

    def claims(self, path: Path) -> bool:
        """Return whether a zarr folder is a group, as OME-Zarr is, and not one array."""
        return is_group(path)

    def header(self, path: Path) -> Header:
        """Return the header of the finest level, from its metadata."""
        return multiscale_header(path, open_multiscale(path))

    def image(self, path: Path) -> np.ndarray:
        """Return the values of the finest level, `(C, *S)` in uint8, uint16 or float32."""
        return as_image(_whole(path, self.source(path)))

    def source(self, path: Path) -> Source:
        """Return the finest level as a source `(C, *S)`; only the chunks that are sliced are decoded."""
        return multiscale_source(path, open_multiscale(path))

    def values(self, path: Path) -> np.ndarray:
        """Return the numbers of the finest level, `(*S)`; `(3, *S)` if it has several channels."""
        values = _whole(path, self.source(path))
        return np.ascontiguousarray(values[0] if len(values) == 1 else values[:3])

    def geometry(self, path: Path) -> FileGeometry:
        """See `Format.geometry`."""
        return FileGeometry("ome-zarr", path)

    def label_suffix(self, suffix: str, ndim: int) -> str:
        """See `Format.label_suffix`."""
        return ".zarr"


def multiscale_header(path: Path, image: Multiscale) -> Header:
    """Return the header of a multiscale image; messages name `path`."""
    axes = _checked(path, image)
    shape = image.array.shape
    channels = 1 if axes.channel is None else int(shape[axes.channel])
    stored = np.dtype(image.array.dtype)
    dtype = image_dtype(stored)
    spacing, unit = _spacing(image, axes)
    return Header(
        shape=(channels, *(int(shape[axis]) for axis in axes.space)),
        dtype=dtype,
        kind="gray" if channels == 1 else "array",
        stored=None if stored.name == dtype else stored.name,
        spacing=spacing,
        unit=unit,
        axes=axes.letters,
        names=image.names if len(image.names) == channels else (),
    )


def multiscale_source(path: Path, image: Multiscale) -> Source:
    """Return a multiscale image as a source `(C, *S)`; messages name `path`."""
    return _checked(path, image).view(image.source())


def _whole(path: Path, source: Source) -> np.ndarray:
    require_room(path, source.shape, source.dtype)
    return np.asarray(source[...])


def is_group(path: Path) -> bool:
    """Return whether a zarr folder is a group of arrays, as OME-Zarr is, and not one array."""
    if (path / ".zgroup").is_file():
        return True
    try:
        return json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("node_type") == "group"
    except (OSError, ValueError, AttributeError):
        return False


def open_multiscale(path: Path) -> Multiscale:
    """Open the finest level of the image in a folder, with its metadata.

    Raises:
        FileFault: the group is not a multiscale image.
    """
    return multiscale_of(path, open_zarr(path))


def multiscale_of(path: Path, group: Any) -> Multiscale:
    """Return the finest level of the image in a zarr group, with its metadata; messages name `path`.

    Raises:
        FileFault: the group is not a multiscale image.
    """
    metadata = _ome(group)
    if "multiscales" not in metadata and "bioformats2raw.layout" in metadata and "0" in group:
        group = group["0"]
        metadata = _ome(group)
    if "plate" in metadata or "well" in metadata:
        raise FileFault(path, "a plate of many images", "give the images in it, PLATE.zarr/A/1/0 and so on")
    if "multiscales" not in metadata:
        inside = ", ".join(sorted(name for name, _ in group.arrays())) or "no array"
        raise FileFault(path, f"a zarr group without OME-Zarr's multiscales (it has {inside})", "give an array in it")
    first = metadata["multiscales"][0]
    version = str(metadata.get("version", first.get("version", "0.4")))
    array = group[first["datasets"][0]["path"]]
    if not hasattr(array, "dtype"):
        raise ValueError(f"its finest level {first['datasets'][0]['path']!r} is a group, not an array")
    require_plain(path, array)
    axes = tuple(axis if isinstance(axis, dict) else {"name": str(axis)} for axis in first.get("axes", _DEFAULT))
    if len(axes) != array.ndim:
        raise ValueError(f"its array has {array.ndim} axes, its metadata {len(axes)}")
    scale, translation = _transformed(first, array.ndim)
    mirrored = tuple(axis for axis, step in enumerate(scale) if step < 0)
    if mirrored:
        first_place = np.array(translation or np.zeros(array.ndim))
        last_place = first_place + np.array(scale) * (np.array(array.shape) - 1)
        translation = tuple(np.minimum(first_place, last_place).tolist())
        scale = tuple(abs(step) for step in scale)
    channels = metadata.get("omero", {}).get("channels", ())
    names = tuple(str(channel.get("label", "")) for channel in channels)
    return Multiscale(array, version, axes, scale, translation, names if any(names) else (), mirrored)


def _ome(group: Any) -> dict[str, Any]:
    """Return the metadata of a group; since version 0.5 it stands under `ome`."""
    metadata = dict(group.attrs)
    return dict(metadata["ome"]) if isinstance(metadata.get("ome"), dict) else metadata


def _checked(path: Path, image: Multiscale) -> Axes:
    if image.array.dtype.kind not in "buif":
        raise ValueError(f"its type is {image.array.dtype}, not a number")
    try:
        return image.read()
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        raise FileFault(path, what, fix) from error


def _letter(axis: dict[str, str]) -> str:
    """Return the letter of an axis: by its type, where that says it, else the first letter of its name."""
    name, kind = axis["name"].upper(), axis.get("type")
    return {"channel": "C", "time": "T"}.get(kind or "", name[:1])


def _transformed(metadata: dict[str, Any], ndim: int) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Return scale and translation of the finest level: its own transformations, then those of the whole image."""
    scale, shift, moved = np.ones(ndim), np.zeros(ndim), False
    steps = [
        *metadata["datasets"][0].get("coordinateTransformations", ()),
        *metadata.get("coordinateTransformations", ()),
    ]
    for step in steps:
        if step["type"] == "scale" and "scale" in step:
            scale *= step["scale"]
            shift *= step["scale"]
        elif step["type"] == "translation" and "translation" in step:
            shift, moved = shift + step["translation"], True
    return tuple(scale.tolist()), tuple(shift.tolist()) if moved else None


def _spacing(image: Multiscale, axes: Axes) -> tuple[tuple[float, ...] | None, str | None]:
    """Return the spacing along `S` in micrometers and seconds, with its unit; None if a unit is missing or unknown."""
    sizes: list[float] = []
    for axis in axes.space:
        unit = image.axes[axis].get("unit")
        if image.letters[axis] == "T":
            size = image.scale[axis] * _SECONDS[unit] if unit in _SECONDS else None
        else:
            size = micrometers(image.scale[axis], unit)
        if not size:
            return None, None
        sizes.append(size)
    return tuple(sizes), "s, µm" if axes.letters[0] == "T" else "µm"


def stored_axes(image: Multiscale, classes: bool) -> Sequence[int | None]:
    """Return the stored axes that labels keep, in order: all but the channel; None stands for a new axis of classes."""
    axes: list[int | None] = [axis for axis, letter in enumerate(image.letters) if letter not in "CS"]
    if classes:
        axes.insert(1 if image.letters.startswith("T") else 0, None)
    return axes
