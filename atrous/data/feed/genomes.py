"""Training batches of genomes: crops of either strand, every genome seen often enough."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atrous.data.dataset import Dataset
from atrous.data.feed.batches import Batch
from atrous.data.feed.decode import Decoded
from atrous.data.formats import FileFault
from atrous.data.sample import Sample
from atrous.data.targets.tracks import TrackValues
from atrous.labels import BASE_BIT, FRAME_BITS, IGNORE, START_BIT
from atrous.machine import memory_limit

BALANCE = 0.6
"""A sequence is drawn in proportion to its length to this power: between by genome (0) and by base (1)."""
HELD = 8
"""Of the memory that this process may use, one part in so many may be taken by the signals of a split."""
WINDOW = 1 << 16
WINDOWS = 12
"""During training a sequence is validated on so many windows at most, spread evenly."""


def decode_genomes(dataset: Dataset, samples: Sequence[Sample]) -> Decoded:
    """Open sequences as sources that are one-hot when sliced, with their labels: about five bytes per base are held.

    Signals that are learned are held as far as they fit into a part of the memory. The others are read from their
    files wherever a crop lies.

    Raises:
        UserError: a file cannot be read.
    """
    names, images, values, free = [], [], [], memory_limit() // HELD
    for sample in samples:
        if sample.target is None:
            raise FileFault(sample.image.path, "has no annotation", "put a GFF3 or BED file of the same name beside it")
        names.append(sample.name)
        images.append(sample.image.load())
        if isinstance(sample.target, TrackValues):
            source = sample.target.reader.open()
            free -= math.prod(source.shape) * source.dtype.itemsize
            values.append(sample.target.read() if free >= 0 else source)
        else:
            values.append(sample.target.read())
    return Decoded(tuple(names), tuple(images), tuple(values), tuple({} for _ in names), dataset.target)


def decode_windows(dataset: Dataset, samples: Sequence[Sample]) -> tuple[Decoded, float]:
    """Cut evenly spread windows from each sequence, for validation.

    Returns:
        The windows, and how many times their bases the whole sequences have.
    """
    whole = decode_genomes(dataset, samples)
    names, images, values = [], [], []
    for name, image, labels in zip(whole.names, whole.images, whole.values, strict=True):
        for number, start in enumerate(window_starts(image.shape[1])):
            place = slice(start, start + WINDOW)
            names.append(f"{name}/{number}")
            images.append(np.asarray(image[:, place]))
            values.append(np.array(labels[..., place]))
    full_to_quick = sum(image.shape[1] for image in whole.images) / max(1, sum(image.shape[1] for image in images))
    return Decoded(tuple(names), tuple(images), tuple(values), tuple({} for _ in names), dataset.target), full_to_quick


def window_starts(length: int) -> list[int]:
    """Where the windows of a sequence begin.

    >>> window_starts(1000), len(window_starts(5_000_000))
    ([0], 12)
    """
    count = min(WINDOWS, -(-length // WINDOW))
    return [int(start) for start in np.linspace(0, max(0, length - WINDOW), count)]


def reverse_complement(
    image: np.ndarray, label: np.ndarray, partners: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """A sequence `(4 + tracks, L)` and its labels `(L,)` or signals `(K, L)` as the other strand reads them.

    Bases are complemented (A C G T reversed), everything is reversed, and the strands of the labels are exchanged.

    Args:
        image: the sequence.
        label: its labels, or the signals that are learned.
        partners: for each signal, the number of the one that it is on the other strand.
    """
    image = np.concatenate([image[3::-1], image[4:]])[:, ::-1]
    if label.ndim > 1:
        return image, label[list(partners)][:, ::-1]
    one = (1 << FRAME_BITS) - 1
    frames, ends, base = label >> 8, label >> START_BIT & 0xF, label >> BASE_BIT
    kept = (label & 0x55) << 1 | (label & 0xAA) >> 1  # channels alternate between the strands, and so do ends of genes
    kept = kept | ((frames & one) << FRAME_BITS | frames >> FRAME_BITS & one) << 8
    kept = kept | ((ends & 0x5) << 1 | (ends & 0xA) >> 1) << START_BIT
    if label.dtype.itemsize > 2:  # A 1, C 2, G 3, T 4
        kept = kept | np.where(base > 0, 5 - base, base) << BASE_BIT
    return image, kept[::-1]


@dataclass(frozen=True)
class GenomeBatches:
    """The batches of a run, `batches[step]`, that depend on the seed and the step alone.

    Attributes:
        decoded: sequences and labels.
        crop: bases of a crop.
        strands: whether half of the crops are read on the other strand.
        size: crops in a batch.
        seed: of everything drawn.
        partners: for each signal that is learned, the number of the one that it is on the other strand.
    """

    decoded: Decoded
    crop: int
    strands: bool
    size: int
    seed: int
    partners: tuple[int, ...] = ()

    @property
    def per_epoch(self) -> int:
        """Batches that have as many bases as the data."""
        return max(1, round(sum(image.shape[1] for image in self.decoded.images) / (self.crop * self.size)))

    def __getitem__(self, step: int) -> Batch:
        return self.part(step, range(self.size))

    def part(self, step: int, numbers: range) -> Batch:
        """Return some crops of the batch of a step, those of these numbers from 0 on, as the whole batch has them."""
        rng = np.random.default_rng([self.seed, 1, step])
        lengths = np.array([image.shape[1] for image in self.decoded.images], float)
        weights = lengths**BALANCE
        images, targets, names = [], [], []
        for number, index in enumerate(rng.choice(len(lengths), self.size, p=weights / weights.sum())):
            source, label = self.decoded.images[index], self.decoded.values[index]
            start = int(rng.integers(0, max(1, source.shape[1] - self.crop + 1)))
            reverse = self.strands and rng.random() < 0.5
            if number not in numbers:
                continue
            names.append(self.decoded.called(index))
            image, label = self._crop(start, source, label)
            if reverse:
                image, label = reverse_complement(image, label, self.partners)
            images.append(torch.from_numpy(np.ascontiguousarray(image)))
            targets.append(self.decoded.target.tensor(label))
        return Batch(torch.stack(images), torch.stack(targets), tuple(names))

    def _crop(self, start: int, source: Any, label: Any) -> tuple[np.ndarray, np.ndarray]:
        """A crop; a shorter sequence is continued by bases that nobody knows and that count for nothing."""
        place = slice(start, start + self.crop)
        image, label = np.asarray(source[:, place]), np.asarray(label[..., place])
        missing = self.crop - image.shape[1]
        if missing > 0:
            unknown = np.zeros((len(image), missing), np.float32)
            unknown[:4] = 0.25
            image = np.concatenate([image, unknown], axis=1)
            void = np.nan if label.ndim > 1 else IGNORE
            label = np.concatenate([label, np.full((*label.shape[:-1], missing), void, label.dtype)], axis=-1)
        return image, label
