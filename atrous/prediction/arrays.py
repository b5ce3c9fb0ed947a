"""Values that `Predictor.predict` accepts: arrays of numpy, torch, Pillow, xarray, zarr and the like."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from atrous.data.preprocess import Expected, Preparation, renamed, to_channels
from atrous.data.source import ChannelFirst, Stacked
from atrous.errors import UserError
from atrous.prediction.inputs import Opened, prepared

ACCEPTED = (
    "the path of a file, or the values of one input as a numpy array, a torch tensor, a Pillow image, an xarray "
    "DataArray or a zarr array"
)
CHANNEL_DIMS = ("channel", "channels", "band", "bands", "c", "ch")
"""Names of an xarray dimension that are taken for the channels, in any case."""


def input_array(values: Any, ndim: int, expected: Expected) -> Any:
    """Return the values of one input as a source `(C, *S)`: of an image, or of two images of one size.

    Args:
        values: as `array_source` takes them; where samples are two images also a pair of such values.
        ndim: number of spatial axes that the network reads.
        expected: what the training inputs were like.

    Raises:
        UserError: as `array_source`; or the two images differ in size.
    """
    if not (isinstance(values, tuple | list) and expected.images == len(values) > 1):
        return array_source(values, ndim, expected.of_file.count or 0)
    parts = [array_source(part, ndim, expected.of_image.count or 0) for part in values]
    sizes = [tuple(part.shape[1:]) for part in parts]
    if len(set(sizes)) > 1:
        listed = " and ".join(" x ".join(map(str, size)) for size in sizes)
        raise UserError(f"the arrays: they are {listed}: bring both images to one grid")
    return Stacked([to_channels(part, expected.of_image, Path("the array")) for part in parts])


def array_source(values: Any, ndim: int, channels: int) -> Any:
    """Return values as a source `(C, *S)` that is read as it is sliced.

    Args:
        values: `(C, *S)`, or `(*S)` for one channel: anything with `shape` and `dtype` that gives arrays when it is
            sliced. A Pillow image has the channels that the same image has in a file. The dimensions of an xarray
            DataArray may have any order: one that is called channel or band (`CHANNEL_DIMS`) holds the channels.
        ndim: number of spatial axes that the network reads.
        channels: number of channels that the network reads.

    Raises:
        UserError: the type is none of these, the values are not real numbers, the array has other axes (a batch), or
            the channels are the last axis.

    >>> array_source(np.zeros((5, 7), np.uint8), ndim=2, channels=1).shape
    (1, 5, 7)
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()
    elif isinstance(values, Image.Image):
        values = _pixels(values)
    elif is_data_array(values):
        values = _transposed(values, ndim)
    elif not all(hasattr(values, name) for name in ("shape", "dtype", "__getitem__")):
        raise UserError(f"cannot predict a value of type {type(values).__name__}: give {ACCEPTED}")
    if np.dtype(values.dtype).kind not in "buif":
        raise UserError(f"the array: its type is {values.dtype}: give real numbers")
    if len(values.shape) == ndim:
        return ChannelFirst(values, None)
    axes = len(values.shape)
    if axes != ndim + 1:
        fix = "give one input after the other, array[0] for the first" if axes == ndim + 2 else "give such an array"
        raise UserError(
            f"the array: shape {tuple(values.shape)} has {axes} {'axis' if axes == 1 else 'axes'}, but the network "
            f"reads one input of {ndim + 1}, the channels and {ndim} spatial: {fix}"
        )
    _check_axes(tuple(values.shape), ndim, channels)
    return values


def open_array(source: Any, *, names: Sequence[str], expected: Expected, preparation: Preparation) -> Opened:
    """Open a source `(C, *S)` from `array_source` as the network reads it.

    Args:
        source: the values.
        names: of its channels; empty where unknown.
        expected: what the training inputs were like. The spacing of an array is unknown, so its grid stays.
        preparation: how the recipe scales intensities, and what replaces NaN and infinite values.

    Raises:
        UserError: the channels do not fit the network.
    """
    source = to_channels(source, expected.of_file, Path("the array"), names)
    differences = [*renamed(names, expected.channels.names), *expected.differences(source, None, preparation)]
    opened = prepared(expected.composed(source), preparation)
    return replace(opened, differences=tuple(differences), images=expected.images)


def channel_names(values: Any) -> tuple[str, ...]:
    """Return the names of the channels of an xarray DataArray: the text coordinate of its channel dimension, if any."""
    if not is_data_array(values):
        return ()
    name = next((name for name in values.dims if _is_channel(name)), None)
    if name is None or name not in values.coords:
        return ()
    labels = values.coords[name].values
    return tuple(labels.tolist()) if labels.dtype.kind in "UO" and all(isinstance(x, str) for x in labels) else ()


def is_data_array(values: Any) -> bool:
    """Whether a value is an xarray DataArray. xarray itself is not imported, since it is no dependency."""
    kind = type(values)
    return kind.__module__.partition(".")[0] == "xarray" and kind.__name__ == "DataArray"


def in_data_array(like: Any, values: np.ndarray, classes: Sequence[str] | None = None) -> Any:
    """Return labels `(*S)`, or probabilities `(K, *S)`, as a DataArray with the input's dimensions and coordinates.

    Args:
        like: the DataArray that was predicted.
        values: the labels or probabilities.
        classes: names of the classes, for probabilities: they become the coordinate of a first dimension `class`.
    """
    dims = [name for name in like.dims if not _is_channel(name)]
    coordinates = {
        name: (coordinate.dims, coordinate.values)
        for name, coordinate in like.coords.items()
        if set(coordinate.dims) <= set(dims)
    }
    if classes is None:
        return type(like)(values, dims=dims, coords=coordinates, name="labels")
    coordinates["class"] = (("class",), np.array(classes))
    return type(like)(values, dims=["class", *dims], coords=coordinates, name="probabilities")


def _is_channel(name: Any) -> bool:
    return str(name).lower() in CHANNEL_DIMS


def _transposed(values: Any, ndim: int) -> Any:
    """A DataArray with its channel dimension first, if it has one."""
    channel = [name for name in values.dims if _is_channel(name)]
    space = [name for name in values.dims if not _is_channel(name)]
    if len(channel) > 1 or len(space) != ndim:
        raise UserError(
            f"the DataArray: its dimensions are {', '.join(map(str, values.dims))}, but the network reads {ndim} "
            f"spatial dimensions and at most one of channels ({', '.join(CHANNEL_DIMS)}): select or rename dimensions"
        )
    return values.transpose(*channel, *space)


def _pixels(image: Image.Image) -> np.ndarray:
    """Values `(C, H, W)` of a Pillow image: palettes looked up, opacity dropped. Its EXIF rotation is left as it is."""
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)[None]
    if image.mode == "F":
        return np.asarray(image, dtype=np.float32)[None]
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))[None]
    return np.ascontiguousarray(np.moveaxis(np.asarray(image.convert("RGB")), -1, 0))


def _check_axes(shape: tuple[int, ...], ndim: int, channels: int) -> None:
    """Raise `UserError` if only the last axis has as many entries as the network reads channels."""
    if len(shape) != ndim + 1 or shape[-1] != channels:
        return
    gray_or_color = {channels} | ({1} if channels == 3 else set()) | ({3} if channels == 1 else set())
    if shape[0] not in gray_or_color:
        raise UserError(
            f"the array: shape {shape} has its channels last, but the network reads them first: "
            "give np.moveaxis(array, -1, 0)"
        )
