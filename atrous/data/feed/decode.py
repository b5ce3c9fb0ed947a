"""Samples decoded once, and kept as they are in the file: uint8 stays uint8."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atrous.data.dataset import Dataset
from atrous.data.formats import Header
from atrous.data.preprocess import Preparation, missing, prepare, working_shape
from atrous.data.restoration import Restoration
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
from atrous.data.void import measured
from atrous.errors import UserError

THREADS = 2


@dataclass(frozen=True)
class Decoded:
    """Images and target values in memory, or mapped from a scratch folder where they would not fit.

    Attributes:
        names: of the samples.
        images: `(C, *S)` each.
        values: what `Target.read` gives for each.
        places: for each sample, some positions `(n, ndim)` of each class, near which crops are centered. Classes that
            do not occur in the sample have no entry; there are none at all where no positions were wanted.
        target: the class of the targets, which knows how values are cut.
        files: the file of each image, for messages; where there are none, the names stand for them.
        sizes: spatial shapes of the images, where samples are decoded only when they are asked for.
    """

    names: tuple[str, ...]
    images: Sequence[Any]
    values: Sequence[Any]
    places: Sequence[dict[int, np.ndarray]]
    target: type[Target]
    files: tuple[Path, ...] = ()
    sizes: tuple[tuple[int, ...], ...] = ()

    def called(self, index: int) -> str:
        """Return what messages call a sample: its file, or its name."""
        return str(self.files[index]) if self.files else self.names[index]

    @property
    def ndim(self) -> int:
        """Spatial axes."""
        return len(self.size(0))

    def size(self, index: int) -> tuple[int, ...]:
        """Return the spatial shape of one sample."""
        return self.sizes[index] if self.sizes else tuple(self.images[index].shape[1:])

    def some(self, chosen: Sequence[int]) -> "Decoded":
        """Return the samples of these numbers, in this order."""
        columns = {name: getattr(self, name) for name in ("names", "images", "values", "places", "files", "sizes")}
        return replace(self, **{
            name: column.picked(chosen) if isinstance(column, Column) else tuple(column[index] for index in chosen)
            for name, column in columns.items() if len(column)
        })  # fmt: skip

    def in_target(self, index: int, window: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return a window of an image on the grid of its target, which may be finer by a whole factor."""
        grid = self.target.grid(self.values[index])
        factors = [max(1, fine // coarse) for fine, coarse in zip(grid, self.size(index), strict=True)]
        return tuple(slice(w.start * f, w.stop * f) for w, f in zip(window, factors, strict=True))


class Column(Sequence[Any]):
    """One part of samples that are decoded when they are asked for: all images, all values or all places.

    Args:
        parts: gives the parts of a sample by its number.
        part: which of them.
        numbers: of the samples, in order.
    """

    def __init__(self, parts: Callable[[int], Sequence[Any]], part: int, numbers: Sequence[int]) -> None:
        self._parts, self._part, self._numbers = parts, part, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """Return the part of one sample."""
        return self._parts(self._numbers[index])[self._part]

    @staticmethod
    def of(parts: Callable[[int], Sequence[Any]], count: int) -> "tuple[Column, Column, Column]":
        """Return the images, values and places of so many samples."""
        return Column(parts, 0, range(count)), Column(parts, 1, range(count)), Column(parts, 2, range(count))

    def picked(self, chosen: Sequence[int]) -> "Column":
        """Return the part of some of the samples."""
        return Column(self._parts, self._part, [self._numbers[index] for index in chosen])


class _Keeper:
    """Keeps arrays in memory up to a limit; what is beyond is written to a folder and mapped."""

    def __init__(self, limit: int, scratch: Path) -> None:
        self._limit, self._scratch, self._used = limit, scratch, 0

    def keep(self, array: Any, name: str) -> Any:
        """Return the array, or the same values mapped from the file `name`; rows of boxes and the like as they are."""
        self._used += array.nbytes
        if self._used <= self._limit or not isinstance(array, np.ndarray):
            return array
        path = self._scratch / f"{name}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r", allow_pickle=False)


class Parts(NamedTuple):
    """A decoded sample: its image `(C, *S)`, what `Target.read` gives, and places by class (`Decoded.places`)."""

    image: Any
    values: Any
    places: dict[int, np.ndarray]


@dataclass(frozen=True)
class SampleReader:
    """Reads samples as a training is given them.

    Attributes:
        dataset: says the spacing of samples.
        need_places: whether places per class are wanted (training) or not (validation).
        preparation: what is done to images (and to the grid of their targets) first.
        restoration: how images that are their own targets become inputs and targets: for training (`need_places`) they
            are kept to be cut, for validation they are made into pairs.
    """

    dataset: Dataset
    need_places: bool = True
    preparation: Preparation | None = None
    restoration: Restoration | None = None

    def __call__(self, index: int, sample: Sample) -> Parts:
        """Return a sample, decoded; `index` is its number among the samples.

        Raises:
            UserError: it has no mask, or a file cannot be read.
        """
        if sample.target is None:
            raise UserError(f"{sample.image.path}: has no mask: add one")
        if self.restoration is not None:
            image = measured(np.asarray(sample.image.load()), sample.image.valid())
            if self.need_places:
                kept = self.restoration.kept(sample.name, image)
                return Parts(kept, kept, {})
            return Parts(*self.restoration.watched(sample.name, image), {})
        dataset, target, preparation = self.dataset, self.dataset.target, self.preparation
        image, values = sample.image.load(), sample.target.read()
        if (gaps := missing(image)) is not None:
            values = target.without(values, gaps)
        if preparation is not None:
            image = prepare(image, preparation, dataset.spacing_of(sample) if preparation.spacing else None)
            if target.grid(values) != image.shape[1:]:
                values = target.resample(values, image.shape[1:])
        return Parts(image, values, target.places(values, index) if self.need_places else {})

    def size(self, header: Header) -> tuple[int, ...]:
        """Return the spatial shape that the image of a sample will have, from that of its file."""
        if self.restoration is not None:
            factor = 1 if self.need_places else self.restoration.degradation.scale
            return tuple(max(1, length // factor) for length in header.size)
        if self.preparation is None:
            return tuple(header.size)
        return working_shape(header.size, self.dataset.spacing or header.spacing, self.preparation)


def decode(
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    limit: int,
    scratch: Path,
    need_places: bool = True,
    preparation: Preparation | None = None,
    restoration: Restoration | None = None,
) -> Decoded:
    """Decode every sample once, on two threads.

    Args:
        dataset: says the spacing of samples.
        samples: what to decode; each must have a target.
        limit: bytes that may stay in memory; what is beyond is written to `scratch` and mapped.
        scratch: a folder that outlives the result.
        need_places: whether places per class are wanted (training) or not (validation).
        preparation: what is done to images (and to the grid of their targets) first.
        restoration: how images that are their own targets become inputs and targets: for training (`need_places`) they
            are kept to be cut, for validation they are made into pairs.

    Raises:
        UserError: a file cannot be read.
    """
    keeper = _Keeper(limit, scratch)
    read = SampleReader(dataset, need_places, preparation, restoration)

    def one(item: tuple[int, Sample]) -> Parts:
        index, sample = item
        image, values, places = read(index, sample)
        kept = keeper.keep(image, f"{index}-image")
        return Parts(kept, kept if values is image else keeper.keep(values, f"{index}-target"), places)

    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(one, enumerate(samples)))
    images, values, places = zip(*rows, strict=True)
    return Decoded(
        tuple(sample.name for sample in samples), images, values, places, dataset.target,
        tuple(sample.image.path for sample in samples),
    )  # fmt: skip


def tiles(shape: Sequence[int], crop: Sequence[int]) -> int:
    """Return how many crops a sample is worth in an epoch: its extent over that of a crop, at least one.

    >>> tiles((360, 480), (320, 448)), tiles((5400, 10800), (512, 512))
    (1, 222)
    """
    return max(1, int(math.prod(shape) / math.prod(crop)))
