"""Write labels or probabilities as OME-Zarr, with the axes and the scale of the image that was labeled."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.base import Library
from atrous.data.formats.ngff import Multiscale, open_multiscale, stored_axes
from atrous.data.source import Source
from atrous.errors import UserError

zarr: Any = Library("zarr")
CHUNK = 512
COARSEST = 512
"""Levels are added until no side is longer."""


def write(
    path: Path,
    values: Source,
    *,
    like: Path,
    names: Sequence[str] = (),
    palette: Sequence[Sequence[int]] | None = None,
    factor: int = 1,
) -> None:
    """Write labels `(*S)` as a label image, or `(K, *S)` as an image of K channels, on the grid of `like`.

    The version of NGFF is that of `like`, but at least 0.4. Each coarser level has every second position along Y and X
    of the level before. One row of chunks is held in memory at a time.

    Args:
        path: the folder to create.
        values: whole numbers or float32.
        like: the OME-Zarr that was labeled.
        names: of the classes.
        palette: color of each label.
        factor: the grid of `values` is finer than that of `like` by this factor along each spatial axis.

    Raises:
        UserError: `like` and `values` differ in size.
    """
    image = open_multiscale(like)
    axes = image.read()
    size = tuple(int(image.array.shape[axis]) for axis in axes.space)
    shape = tuple(int(n) for n in values.shape)
    if shape[-len(size) :] != tuple(factor * n for n in size):
        raise UserError(f"{like}: size {size}, but its labels have {shape[-len(size) :]}")
    bands = len(shape) > len(size)
    label_axes = stored_axes(image, bands)
    modern = not image.version.startswith("0.4") and image.array.metadata.zarr_format == 3
    group = zarr.create_group(path, zarr_format=3 if modern else 2, overwrite=True)
    names_of_axes = ["c" if axis is None else image.axes[axis]["name"] for axis in label_axes]
    full = tuple(
        shape[0] if axis is None else shape[bands + axes.space.index(axis)] if axis in axes.space else 1
        for axis in label_axes
    )
    level, paths = _Level(group, "0", full, np.dtype(values.dtype), names_of_axes, modern), ["0"]
    for box in _boxes(shape):
        level.write(_stored_key(box, label_axes, axes.space, bands), np.asarray(values[box]))
    while max(level.array.shape[-2:]) > COARSEST:
        level = level.coarser(str(len(paths)))
        paths.append(level.name)
    finer = image if factor == 1 else _finer(image, axes.space, factor)
    attributes = _attributes(finer, label_axes, paths, names if not bands else (), palette, modern)
    if bands and names:
        attributes["omero"] = {"channels": [_channel(name) for name in names]}
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if modern else attributes)


def _finer(image: Multiscale, space: Sequence[int], factor: int) -> Multiscale:
    """The scale of an image on a finer grid; the middle of its first position has moved toward the border."""
    scale = tuple(s / factor if axis in space else s for axis, s in enumerate(image.scale))
    moved = [(fine - s) / 2 for fine, s in zip(scale, image.scale, strict=True)]
    before = image.translation or (0.0,) * len(scale)
    return replace(image, scale=scale, translation=tuple(b + m for b, m in zip(before, moved, strict=True)))


class _Level:
    """One level of the pyramid while it is written."""

    def __init__(
        self, group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype, axes: Sequence[str], modern: bool
    ) -> None:
        self.group, self.name, self.axes, self.modern = group, name, axes, modern
        chunks = tuple(min(CHUNK, n) if axis >= len(shape) - 2 else 1 for axis, n in enumerate(shape))
        more: dict[str, Any] = {"dimension_names": list(axes)} if modern else {"chunk_key_encoding": _SLASHES}
        self.array = group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, **more)

    def write(self, key: tuple[slice, ...], values: np.ndarray) -> None:
        """Write values at a key of the stored array, whose axes of length one they lack."""
        shape = tuple(len(range(n)[part]) for n, part in zip(self.array.shape, key, strict=True))
        self.array[key] = values.reshape(shape)

    def coarser(self, name: str) -> "_Level":
        """Create and fill the next level: every second position along the last two axes."""
        shape = (*self.array.shape[:-2], *(-(-n // 2) for n in self.array.shape[-2:]))
        level = _Level(self.group, name, shape, self.array.dtype, self.axes, self.modern)
        for box in _boxes(shape):
            rows = slice(2 * box[-2].start, 2 * box[-2].stop)
            level.array[box] = np.asarray(self.array[(*box[:-2], rows, slice(None))])[..., ::2, ::2]
        return level


_SLASHES = {"name": "v2", "separator": "/"}


def _boxes(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Yield the rows of chunks of an array, one plane after the other."""
    for plane in np.ndindex(shape[:-2]):
        for row in range(0, shape[-2], CHUNK):
            yield (*(slice(n, n + 1) for n in plane), slice(row, min(row + CHUNK, shape[-2])), slice(0, shape[-1]))


def _stored_key(
    box: tuple[slice, ...], label_axes: Sequence[int | None], space: tuple[int, ...], bands: bool
) -> tuple[slice, ...]:
    """Return a box of the labels as a key of the stored array; axes that the labels lack are read at their start."""
    entries = []
    for axis in label_axes:
        if axis is None:
            entries.append(box[0])
        else:
            entries.append(box[bands + space.index(axis)] if axis in space else slice(0, 1))
    return tuple(entries)


def _attributes(
    image: Multiscale,
    label_axes: Sequence[int | None],
    paths: Sequence[str],
    names: Sequence[str],
    palette: Sequence[Sequence[int]] | None,
    modern: bool,
) -> dict[str, Any]:
    """Return the metadata that makes a group of arrays a multiscale image, and labels a label image."""
    axes = [{"name": "c", "type": "channel"} if axis is None else dict(image.axes[axis]) for axis in label_axes]
    for axis in axes:
        axis.setdefault("type", {"t": "time", "c": "channel"}.get(axis["name"], "space"))
    scale = [1.0 if axis is None else image.scale[axis] for axis in label_axes]
    shift = None if image.translation is None else [0.0 if a is None else image.translation[a] for a in label_axes]
    datasets = []
    for number, path in enumerate(paths):
        last = len(scale) - 2
        coarse = [s * 2**number if axis >= last else s for axis, s in enumerate(scale)]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": coarse}]
        if shift is not None:
            steps.append({"type": "translation", "translation": shift})
        datasets.append({"path": path, "coordinateTransformations": steps})
    multiscale: dict[str, Any] = {"axes": axes, "datasets": datasets, "type": "nearest"}
    attributes: dict[str, Any] = {"multiscales": [multiscale if modern else {"version": "0.4", **multiscale}]}
    if names:
        label: dict[str, Any] = {} if modern else {"version": "0.4"}
        label["properties"] = [{"label-value": value, "class": name} for value, name in enumerate(names)]
        if palette:
            label["colors"] = [
                {"label-value": value, "rgba": [*(int(level) for level in color), 255]}
                for value, color in enumerate(palette)
            ]
        attributes["image-label"] = label
    return attributes


def _channel(name: str) -> dict[str, Any]:
    window = {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
    return {"label": name, "color": "FFFFFF", "active": True, "window": window}
