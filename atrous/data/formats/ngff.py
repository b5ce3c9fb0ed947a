"""OME-Zarr (NGFF 0.4 and 0.5): the finest level of a multiscale image, with its axes and its scale.

A converted file (`bioformats2raw.layout`) is its first image. https://ngff.openmicroscopy.org
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from atrous.data.formats.array import as_image, image_dtype
from atrous.data.formats.axes import Axes, micrometers, read_axes
from atrous.data.formats.failure import FileFault
from atrous.data.formats.header import Header

SUFFIXES = (".zarr",)
ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, MemoryError)
"""What zarr raises on folders that are damaged."""

_SECONDS = {"second": 1.0, "millisecond": 1e-3, "minute": 60.0, "hour": 3600.0}
_DEFAULT = "tczyx"  # of versions before 0.3, which name no axes


@dataclass(frozen=True)
class Multiscale:
    """The finest level of an image.

    Attributes:
        array: as it is stored.
        version: of NGFF.
        axes: the entries of `axes`, one for each stored axis.
        scale: one number for each stored axis, in the unit of the axis.
        translation: the same, of the first position; None where it is not said.
        names: of the channels.
    """

    array: zarr.Array
    version: str
    axes: tuple[dict[str, str], ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...] | None
    names: tuple[str, ...]

    @property
    def letters(self) -> str:
        """A letter for each stored axis."""
        return "".join(_letter(axis) for axis in self.axes)

    def read(self) -> Axes:
        """How it is read."""
        return read_axes(self.letters, self.array.shape)


def read_header(path: Path) -> Header:
    """Header of the finest level, from its metadata."""
    image = open_multiscale(path)
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


def read_image(path: Path) -> np.ndarray:
    """Values of the finest level, `(C, *S)`: uint8, uint16 or float32."""
    return as_image(np.asarray(open_source(path)[...]))


def open_source(path: Path) -> Any:
    """The finest level as `(C, *S)`, of which only the chunks that are sliced are decoded."""
    image = open_multiscale(path)
    return _checked(path, image).view(image.array)


def read_values(path: Path) -> np.ndarray:
    """The numbers of the finest level, `(*S)`; `(3, *S)` of several channels."""
    values = np.asarray(open_source(path)[...])
    return np.ascontiguousarray(values[0] if len(values) == 1 else values[:3])


def open_multiscale(path: Path) -> Multiscale:
    """The finest level of the image in a folder, with its metadata.

    Raises:
        FileFault: the group is no multiscale image.
    """
    group: Any = zarr.open(path, mode="r")
    said = _ome(group)
    if "multiscales" not in said and "bioformats2raw.layout" in said and "0" in group:
        group = group["0"]
        said = _ome(group)
    if "plate" in said or "well" in said:
        raise FileFault(path, "a plate of many images", "give the images in it, PLATE.zarr/A/1/0 and so on")
    if "multiscales" not in said:
        inside = ", ".join(sorted(name for name, _ in group.arrays())) or "no array"
        raise FileFault(path, f"a zarr group without OME-Zarr's multiscales (it has {inside})", "give an array in it")
    first = said["multiscales"][0]
    version = str(said.get("version", first.get("version", "0.4")))
    array = group[first["datasets"][0]["path"]]
    axes = tuple(axis if isinstance(axis, dict) else {"name": str(axis)} for axis in first.get("axes", _DEFAULT))
    if len(axes) != array.ndim:
        raise ValueError(f"its array has {array.ndim} axes, its metadata {len(axes)}")
    scale, translation = _transformed(first, array.ndim)
    channels = said.get("omero", {}).get("channels", ())
    names = tuple(str(channel.get("label", "")) for channel in channels)
    return Multiscale(array, version, axes, scale, translation, names if any(names) else ())


def _ome(group: Any) -> dict[str, Any]:
    """The metadata of a group: under `ome` since version 0.5."""
    said = dict(group.attrs)
    return dict(said["ome"]) if isinstance(said.get("ome"), dict) else said


def _checked(path: Path, image: Multiscale) -> Axes:
    if image.array.dtype.kind not in "buif":
        raise ValueError(f"its type is {image.array.dtype}, not a number")
    try:
        return image.read()
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        raise FileFault(path, what, mend) from error


def _letter(axis: dict[str, str]) -> str:
    """The letter of an axis: by its type, which the names of axes need not follow; else its name's first."""
    name, kind = axis["name"].upper(), axis.get("type")
    return {"channel": "C", "time": "T"}.get(kind or "", name[:1])


def _transformed(said: dict[str, Any], ndim: int) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Scale and translation of the finest level: those of the level, then those of the whole image."""
    scale, shift, moved = np.ones(ndim), np.zeros(ndim), False
    steps = [*said["datasets"][0].get("coordinateTransformations", ()), *said.get("coordinateTransformations", ())]
    for step in steps:
        if step["type"] == "scale" and "scale" in step:
            scale *= step["scale"]
            shift *= step["scale"]
        elif step["type"] == "translation" and "translation" in step:
            shift, moved = shift + step["translation"], True
    return tuple(scale.tolist()), tuple(shift.tolist()) if moved else None


def _spacing(image: Multiscale, axes: Axes) -> tuple[tuple[float, ...] | None, str | None]:
    """Spacing along `S` in micrometers and seconds, with its unit; None where a unit is not said or unknown."""
    found: list[float] = []
    for axis in axes.space:
        unit = image.axes[axis].get("unit")
        if image.letters[axis] == "T":
            size = image.scale[axis] * _SECONDS[unit] if unit in _SECONDS else None
        else:
            size = micrometers(image.scale[axis], unit)
        if not size:
            return None, None
        found.append(size)
    return tuple(found), "s, µm" if axes.letters[0] == "T" else "µm"


def stored_axes(image: Multiscale, classes: bool) -> Sequence[int | None]:
    """Stored axes that labels keep, in order: all but the channel; None where a new axis of classes stands."""
    kept: list[int | None] = [axis for axis, letter in enumerate(image.letters) if letter not in "CS"]
    if classes:
        kept.insert(1 if image.letters.startswith("T") else 0, None)
    return kept
