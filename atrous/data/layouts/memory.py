"""Images and labels in memory: arrays, and the items of a torch data set."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.description import Description
from atrous.data.formats import Header
from atrous.data.images import ArrayImage, SampleImage
from atrous.data.layouts.base import Layout
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.sample import Sample
from atrous.data.targets.fine_image import whole_factor
from atrous.data.targets.labels import Labels
from atrous.data.targets.values import ValueArray, Values
from atrous.errors import UserError

ROOT = Path("(in memory)")
"""What stands where other data sets have a folder."""
CHANNEL_DIMS = ("channel", "channels", "band", "bands", "c")
"""Names of the dimension of an xarray that holds channels."""
MOST_CHANNELS = 4
"""An image `(n, *S)` with a target of the same shape has n channels and n outputs up to this n, if `S` is larger."""
ITEMS_KEPT = 16
"""Items of a torch data set that are kept, so that an image and its target come from one call."""


def arrays_layout(
    train: Iterable[tuple[Any, Any]], val: Iterable[tuple[Any, Any]] | None = None, *, numbers: bool = False
) -> Layout:
    """Make a layout of pairs in memory.

    Args:
        train: images and targets. An image is `(C, *S)`, `(*S)` with one channel, or `(*S, C)`; a target is `(*S)`,
            whole numbers. Each may be a numpy array, a torch tensor, a PIL image or an xarray, whose coordinates give
            the spacing.
        val: the same for validation; None draws a fifth of the pairs by the hash of their numbers.
        numbers: whether targets are numbers, `(*S)` or `(K, *S)` for K outputs, NaN where they are unknown.

    Raises:
        UserError: there are no pairs, or an image does not fit its target.
    """
    make = _numbers if numbers else _pair
    samples = {"train": [make(f"train {number}", *pair) for number, pair in enumerate(train)]}
    if val is not None:
        samples["val"] = [make(f"val {number}", *pair) for number, pair in enumerate(val)]
    return memory_layout("arrays in memory", samples)


def items_layout(train: Sequence[Any], val: Sequence[Any] | None = None) -> Layout:
    """Make a layout of the items of a torch `Dataset`: pairs of image and target; see `arrays_layout`.

    Items are asked for as they are needed, and at least once for the check and once for the training.

    Raises:
        UserError: there are no items, or an item is no pair.
    """
    samples = {"train": _items("train", train)}
    if val is not None:
        samples["val"] = _items("val", val)
    return memory_layout("items of a torch data set", samples)


def memory_layout(name: str, samples: dict[str, list[Sample]]) -> Layout:
    """Make a layout of the samples of `train` and, where they were given apart, of `val`.

    Raises:
        UserError: there are no samples.
    """
    if not samples["train"]:
        raise UserError("no images: give at least two pairs of an image and its labels")
    splits, origin = into_splits(samples, Description(), ({}, ""), "val" in samples)
    names = samples["train"][0].image.header().names
    return Layout(name, ordered(splits), origin, channel_names=names if any(names) else None)


def _pair(name: str, image: Any, target: Any) -> Sample:
    labels = to_array(target)
    if labels.dtype.kind not in "bui":
        raise UserError(f"{name}: labels of type {labels.dtype}: give whole numbers, one class for each position")
    picture = array_image(name, image, labels.shape)
    return Sample(name, picture, Labels(LabelArray(f"{name}, labels", labels), picture))


def _numbers(name: str, image: Any, target: Any) -> Sample:
    values = to_array(target)
    if values.dtype.kind not in "buif":
        raise UserError(f"{name}: values of type {values.dtype}: give real numbers")
    shape = tuple(to_array(image).shape)
    alone = (whole_factor(shape, values.shape) or 1) > 1 and not _few_first(shape)
    if alone or (whole_factor(shape[1:], values.shape[1:]) or 1) > 1:  # super-resolution: the image is coarser
        values = values[None] if alone else values
        picture = array_image(name, image, shape if alone else shape[1:])
        return Sample(name, picture, Values(ValueArray(Path(f"{name}, values"), values)))
    whole = values.shape in (shape[1:], shape[:-1]) or (values.shape == shape and not _few_first(shape))
    values = values[None] if whole or values.ndim == 1 else values
    picture = array_image(name, image, values.shape[1:])
    return Sample(name, picture, Values(ValueArray(Path(f"{name}, values"), values)))


def _few_first(shape: tuple[int, ...]) -> bool:
    """Whether the first of several axes is rather one of channels than of space: it is short, and others are not."""
    return len(shape) > 1 and shape[0] <= MOST_CHANNELS < min(shape[1:])


def array_image(name: str, image: Any, shape: tuple[int, ...]) -> ArrayImage:
    """Return the image `(C, *S)` for labels of this shape `(*S)`; its channels may come first or last.

    Raises:
        UserError: the image has another shape.
    """
    dims = tuple(str(dim) for dim in getattr(image, "dims", ()))
    spacing = _spacing(image, [dim for dim in dims if dim.lower() not in CHANNEL_DIMS])
    names = _channel_names(image, dims)
    values = to_array(image)
    place = next((place for place, dim in enumerate(dims) if dim.lower() in CHANNEL_DIMS), None)
    if place is not None:
        values = np.moveaxis(values, place, 0)
    elif values.shape == shape:
        values = values[None]
    elif values.shape[1:] != shape and values.shape[:-1] == shape:
        values = np.moveaxis(values, -1, 0)
    if values.shape[1:] != shape:
        what = f"an image of shape {tuple(to_array(image).shape)} for labels of shape {shape}"
        raise UserError(f"{name}: {what}: give images (C, *S) or (*S, C), and labels (*S)")
    return ArrayImage(Path(name), values, spacing, names)


def to_array(values: Any) -> np.ndarray:
    """Return a numpy array, torch tensor, PIL image or xarray as a numpy array.

    >>> to_array([[1, 2]]).shape
    (1, 2)
    """
    if type(values).__module__.startswith("torch"):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def _channel_names(image: Any, dims: Sequence[str]) -> tuple[str, ...]:
    """What the coordinate of an xarray's channel dimension calls the channels; nothing for other arrays."""
    for dim in dims:
        if dim.lower() in CHANNEL_DIMS and dim in image.coords:
            return tuple(str(name) for name in np.asarray(image.coords[dim]))
    return ()


def _spacing(image: Any, dims: Sequence[str]) -> tuple[float, ...] | None:
    """Distance of an xarray's coordinates along each spatial dimension; None where one has none, or uneven ones."""
    steps = []
    for dim in dims:
        if dim not in image.coords:
            return None
        places = np.asarray(image.coords[dim])
        if places.dtype.kind not in "iuf" or len(places) < 2:
            return None
        distances = np.diff(places.astype(np.float64))
        step = float(distances.mean())
        if step == 0 or not np.allclose(distances, step, rtol=1e-3, atol=0):
            return None
        steps.append(abs(step))
    return tuple(steps) or None


def item_opener(split: str, items: Sequence[Any], make: Callable[[str, Any, Any], Sample]) -> Callable[[int], Sample]:
    """Return a function that opens an item by its number, and remembers the last ones.

    Args:
        split: for the names of the samples.
        items: pairs of an image and its target.
        make: makes a sample of its name, an image and a target.

    Raises:
        UserError: when it is called: the item is no pair.
    """

    @lru_cache(maxsize=ITEMS_KEPT)
    def opened(number: int) -> Sample:
        item = items[number]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"item {number} of the data set is {type(item).__name__}: it must be (image, target)")
        return make(f"{split} {number}", *item)

    return opened


def _items(split: str, items: Sequence[Any]) -> list[Sample]:
    opened = item_opener(split, items, _pair)
    return [_lazy(f"{split} {number}", number, opened) for number in range(len(items))]


def _lazy(name: str, number: int, opened: Callable[[int], Sample]) -> Sample:
    image = ItemImage(Path(name), number, opened)
    return Sample(name, image, Labels(ItemLabels(name, number, opened), image))


@dataclass(frozen=True, eq=False)
class LabelArray:
    """Labels in memory.

    Attributes:
        name: what messages call them.
        array: `(*S)`, whole numbers.
    """

    name: str
    array: np.ndarray

    @property
    def path(self) -> Path:
        """See `LabelReader.path`: there is no such file, but messages need a name."""
        return Path(self.name)

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return Header((1, *self.array.shape), self.array.dtype.name, "array")

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`."""
        return self.array.astype(np.uint8) if self.array.dtype == bool else self.array, False

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: an array says something of every position."""


@dataclass(frozen=True, eq=False)
class ItemImage(SampleImage):
    """The image of one item of a torch data set.

    Attributes:
        path: what messages call it; there is no such file.
        number: of the item.
        opened: gives the item as a sample in memory.
    """

    path: Path
    number: int
    opened: Callable[[int], Sample]

    def header(self) -> Header:
        """See `SampleImage.header`."""
        return self.opened(self.number).image.header()

    def load(self) -> np.ndarray:
        """See `SampleImage.load`."""
        return self.opened(self.number).image.load()


@dataclass(frozen=True, eq=False)
class ItemLabels:
    """The labels of one item of a torch data set (a `LabelReader`)."""

    name: str
    number: int
    opened: Callable[[int], Sample]

    @property
    def path(self) -> Path:
        """See `LabelReader.path`."""
        return Path(f"{self.name}, labels")

    def _reader(self) -> LabelArray:
        target = self.opened(self.number).target
        assert isinstance(target, Labels)
        assert isinstance(target.reader, LabelArray)
        return target.reader

    def header(self) -> Header:
        """See `LabelReader.header`."""
        return self._reader().header()

    def values(self, color_expected: bool) -> tuple[np.ndarray, bool]:
        """See `LabelReader.values`."""
        return self._reader().values(color_expected)

    def unlabeled(self) -> None:
        """See `LabelReader.unlabeled`: an item says something of every position."""
