"""Samples decoded once, kept as they are in the file: uint8 stays uint8."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.dataset import Dataset, load_image, load_label, spacing_of
from atrous.data.preprocess import Preparation, prepare, resample_label
from atrous.data.sample import Sample
from atrous.labels import IGNORE

POSITIONS_KEPT = 256
"""Positions remembered per class and sample, to center crops on."""


@dataclass(frozen=True)
class Decoded:
    """Images `(C, *S)` and labels `(*S)` in memory, or mapped from the scratch folder when they would not fit.

    `positions[i][k]` is an `(n, ndim)` int array of places in sample `i` that have class `k`, at most `POSITIONS_KEPT`,
    drawn evenly at random; classes that do not occur have no entry.
    """

    names: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    positions: tuple[dict[int, np.ndarray], ...]

    @property
    def ndim(self) -> int:
        """Spatial axes."""
        return self.labels[0].ndim


def _positions(label: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """Evenly drawn places of each class, from at most about two million looked at."""
    rng = np.random.default_rng(seed)
    step = max(1, int((label.size / 2_000_000) ** (1 / label.ndim)))
    offsets = rng.integers(0, step, label.ndim)
    thin = label[tuple(slice(int(o), None, step) for o in offsets)]
    found = {}
    for value in np.unique(thin):
        if value == IGNORE:
            continue
        places = np.argwhere(thin == value)
        if len(places) > POSITIONS_KEPT:
            places = places[rng.choice(len(places), POSITIONS_KEPT, replace=False)]
        found[int(value)] = places * step + offsets
    return found


def decode(
    dataset: Dataset,
    samples: Sequence[Sample],
    *,
    limit: int,
    scratch: Path,
    need_positions: bool = True,
    preparation: Preparation | None = None,
) -> Decoded:
    """Decode every sample once, on two threads.

    Args:
        dataset: says how label values map to classes.
        samples: what to decode; each must have a label.
        limit: bytes that may stay in memory; what is beyond is written to `scratch` and mapped.
        scratch: a folder that outlives the result.
        need_positions: whether places per class are wanted (training) or not (validation).
        preparation: what is done to images (and to the grid of their labels) first.

    Raises:
        UserError: a file cannot be read.
    """
    used = 0

    def keep(array: np.ndarray, index: int, kind: str) -> np.ndarray:
        nonlocal used
        used += array.nbytes
        if used <= limit:
            return array
        path = scratch / f"{samples[index].name.replace('/', '_')}-{kind}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    def one(item: tuple[int, Sample]) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
        index, sample = item
        image, label = load_image(sample), load_label(dataset, sample)
        if preparation is not None and preparation.changes:
            image = prepare(image, preparation, spacing_of(dataset, sample))
            label = resample_label(label, image.shape[1:])
        places = _positions(label, index) if need_positions else {}
        return keep(image, index, "image"), keep(label, index, "label"), places

    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(one, enumerate(samples)))
    images, labels, places = zip(*rows, strict=True)
    return Decoded(tuple(s.name for s in samples), images, labels, places)


def tiles(shape: Sequence[int], crop: Sequence[int]) -> int:
    """How many crops a sample is worth in an epoch: its extent over the crop's, at least one.

    >>> tiles((360, 480), (320, 448)), tiles((5400, 10800), (512, 512))
    (1, 222)
    """
    return max(1, int(math.prod(shape) / math.prod(crop)))
