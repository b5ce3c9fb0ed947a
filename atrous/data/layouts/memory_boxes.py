"""Images and boxes in memory: arrays, and the items of a torch data set."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.description import Description
from atrous.data.guess import names
from atrous.data.images import SampleImage
from atrous.data.layouts.base import Layout
from atrous.data.layouts.memory import ItemImage, array_image, item_opener, memory_layout, to_array
from atrous.data.sample import Sample
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.rotated import RotatedBoxes
from atrous.errors import UserError

FORM = (
    "give boxes (n, 2 * axes): where each starts along every axis, then where it stops; rotated ones as their corners "
    "(n, 4, 2); or a pair of these and of class numbers (n,) from 0"
)
MOST_CHANNELS = 4
"""A last axis that is not longer than this holds channels, where the first one is longer."""


def boxes_layout(
    train: Iterable[tuple[Any, Any]], val: Iterable[tuple[Any, Any]] | None, description: Description
) -> Layout:
    """Make a layout of pairs of an image and its boxes in memory.

    Args:
        train: images and targets. An image is `(C, *S)`, `(*S)` with one channel, or `(*S, C)`; a target is an array
            `(n, 2 * ndim)` of boxes (where each starts along every axis, then where it stops, in positions), or
            `(n, 4, 2)` of the corners of rotated ones, or a pair of such an array and of class numbers `(n,)`, which
            count from 0.
        val: the same for validation; None draws a fifth of the pairs by the hash of their numbers.
        description: names the classes, if anybody does.

    Raises:
        UserError: there are no pairs, or boxes have another form.
    """
    samples = {"train": [_boxed(f"train {number}", *pair) for number, pair in enumerate(train)]}
    if val is not None:
        samples["val"] = [_boxed(f"val {number}", *pair) for number, pair in enumerate(val)]
    return _named(_alike(memory_layout("arrays in memory", samples), description), description)


def boxed_items_layout(train: Sequence[Any], val: Sequence[Any] | None, description: Description) -> Layout:
    """Make a layout of the items of a torch `Dataset`: pairs of an image and its boxes; see `boxes_layout`.

    Boxes are kept, images are asked for again as they are needed.

    Raises:
        UserError: there are no items, an item is no pair, or boxes have another form.
    """
    samples = {"train": _items("train", train)}
    if val is not None:
        samples["val"] = _items("val", val)
    return _named(_alike(memory_layout("items of a torch data set", samples), description), description)


def _items(split: str, items: Sequence[Any]) -> list[Sample]:
    opened = item_opener(split, items, _boxed)
    return [_lazy(opened, number) for number in range(len(items))]


def _lazy(opened: Callable[[int], Sample], number: int) -> Sample:
    sample = opened(number)
    image = ItemImage(Path(sample.name), number, opened)
    assert isinstance(sample.target, Boxes)
    return replace(sample, image=image, target=replace(sample.target, image=image))


def _named(layout: Layout, description: Description) -> Layout:
    """The layout with the names of its classes: those of the dataset.toml, or their numbers."""
    greatest = 0
    for sample in (sample for samples in layout.splits.values() for sample in samples):
        assert isinstance(sample.target, Boxes)
        greatest = max(greatest, int(sample.target.classes.max(initial=0)))
    return replace(layout, task="detection", classes=description.classes or names(greatest + 1))


def _alike(layout: Layout, description: Description) -> Layout:
    """The layout with rotated boxes in all samples or in none: as the description says, else if one has some."""
    samples = [sample for members in layout.splits.values() for sample in members]
    rotated = description.rotated
    if rotated is None:
        rotated = any(isinstance(sample.target, RotatedBoxes) for sample in samples)
    splits = {split: tuple(_as_rotated(one, rotated) for one in members) for split, members in layout.splits.items()}
    return replace(layout, splits=splits)


def _as_rotated(sample: Sample, rotated: bool) -> Sample:
    target = sample.target
    assert isinstance(target, Boxes)
    if rotated == isinstance(target, RotatedBoxes):
        return sample
    if not rotated:
        return replace(sample, target=Boxes(target.path, target.image, target.corners, target.classes))
    if target.corners.shape[1] != 4:
        raise UserError(f"{sample.name}: rotated boxes are for images of two axes: leave rotated out")
    outlines = tuple(target.corners[:, [0, 1, 0, 3, 2, 3, 2, 1]].reshape(-1, 4, 2))
    return replace(sample, target=RotatedBoxes.of(target.path, target.image, outlines, target.classes, False))


def _boxed(name: str, image: Any, target: Any) -> Sample:
    corners, classes = _read(name, target)
    ndim = 2 if corners.ndim == 3 else corners.shape[1] // 2
    picture: SampleImage = array_image(name, image, _grid(name, image, ndim))
    path = Path(f"{name}, boxes")
    if corners.ndim == 3:
        return Sample(name, picture, RotatedBoxes.of(path, picture, tuple(corners), classes, False))
    return Sample(name, picture, Boxes(path, picture, corners, classes))


def _read(name: str, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Corners `(n, 2 * ndim)` or `(n, 4, 2)` float64 and classes `(n,)` int64 of a target."""
    pair = isinstance(target, tuple | list) and len(target) == 2 and to_array(target[0]).ndim in (2, 3)
    pair = pair and to_array(target[1]).shape != (4, 2)  # a list of two rotated boxes
    corners = to_array(target[0] if pair else target)
    classes = to_array(target[1]) if pair else np.zeros(len(corners), np.int64)
    known = corners.shape[1:] == (4, 2) or (corners.ndim == 2 and corners.shape[1] in (2, 4, 6))
    if not known or corners.dtype.kind not in "iuf":
        raise UserError(f"{name}: boxes of shape {corners.shape} and type {corners.dtype}: {FORM}")
    if classes.shape != (len(corners),) or (len(classes) and (classes.dtype.kind not in "iu" or classes.min() < -1)):
        raise UserError(f"{name}: classes of shape {classes.shape} and type {classes.dtype}: {FORM}")
    if not np.isfinite(corners).all():
        raise UserError(f"{name}: a box has a corner that is nan or infinite: correct it")
    return corners.astype(np.float64), classes.astype(np.int64)


def _grid(name: str, image: Any, ndim: int) -> tuple[int, ...]:
    """The spatial shape of an image, which may have its channels first or last."""
    dims = tuple(str(dim).lower() for dim in getattr(image, "dims", ()))
    shape = tuple(to_array(image).shape)
    if len(shape) == ndim:
        return shape
    if len(shape) != ndim + 1:
        raise UserError(f"{name}: an image of shape {shape} for boxes of {ndim} axes: give (C, *S), (*S) or (*S, C)")
    last = shape[-1] <= MOST_CHANNELS < shape[0]
    place = next((place for place, dim in enumerate(dims) if dim.startswith(("channel", "band"))), -1 if last else 0)
    return tuple(np.delete(np.array(shape), place).tolist())
