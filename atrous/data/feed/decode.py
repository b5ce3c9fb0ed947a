"""Samples decoded once, and kept as they are in the file: uint8 stays uint8."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.dataset import Dataset
from atrous.data.preprocess import Preparation, missing, prepare
from atrous.data.restoration import Restoration
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
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
    """

    names: tuple[str, ...]
    images: tuple[Any, ...]
    values: tuple[Any, ...]
    places: tuple[dict[int, np.ndarray], ...]
    target: type[Target]
    files: tuple[Path, ...] = ()

    def called(self, index: int) -> str:
        """Return what messages call a sample: its file, or its name."""
        return str(self.files[index]) if self.files else self.names[index]

    @property
    def ndim(self) -> int:
        """Spatial axes."""
        return len(self.images[0].shape) - 1

    def size(self, index: int) -> tuple[int, ...]:
        """Return the spatial shape of one sample."""
        return tuple(self.images[index].shape[1:])

    def in_target(self, index: int, window: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return a window of an image on the grid of its target, which may be finer by a whole factor."""
        grid = self.target.grid(self.values[index])
        factors = [max(1, fine // coarse) for fine, coarse in zip(grid, self.size(index), strict=True)]
        return tuple(slice(w.start * f, w.stop * f) for w, f in zip(window, factors, strict=True))


class _Keeper:
    """Keeps arrays in memory up to a limit; what is beyond is written to a folder and mapped."""

    def __init__(self, limit: int, scratch: Path) -> None:
        self._limit, self._scratch, self._used = limit, scratch, 0

    def keep(self, array: Any, name: str) -> Any:
        """Return the array, or the same values mapped from the file `name`."""
        self._used += array.nbytes
        if self._used <= self._limit:
            return array
        path = self._scratch / f"{name}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r", allow_pickle=False)


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
    keeper, target = _Keeper(limit, scratch), dataset.target

    def one(item: tuple[int, Sample]) -> tuple[Any, Any, dict[int, np.ndarray]]:
        index, sample = item
        if sample.target is None:
            raise UserError(f"{sample.image.path}: has no mask: add one")
        if restoration is not None:
            image = np.asarray(sample.image.load())
            if need_places:
                kept = keeper.keep(restoration.kept(sample.name, image), f"{index}-image")
                return kept, kept, {}
            pair = restoration.watched(sample.name, image)
            return keeper.keep(pair[0], f"{index}-image"), keeper.keep(pair[1], f"{index}-target"), {}
        image, values = sample.image.load(), sample.target.read()
        if (gaps := missing(image)) is not None:
            values = target.without(values, gaps)
        if preparation is not None:
            image = prepare(image, preparation, dataset.spacing_of(sample) if preparation.spacing else None)
            if target.grid(values) != image.shape[1:]:
                values = target.resample(values, image.shape[1:])
        places = target.places(values, index) if need_places else {}
        return keeper.keep(image, f"{index}-image"), keeper.keep(values, f"{index}-target"), places

    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(one, enumerate(samples)))
    images, values, places = zip(*rows, strict=True)
    return Decoded(
        tuple(sample.name for sample in samples), images, values, places, target, tuple(s.image.path for s in samples)
    )


def tiles(shape: Sequence[int], crop: Sequence[int]) -> int:
    """Return how many crops a sample is worth in an epoch: its extent over that of a crop, at least one.

    >>> tiles((360, 480), (320, 448)), tiles((5400, 10800), (512, 512))
    (1, 222)
    """
    return max(1, int(math.prod(shape) / math.prod(crop)))
