"""From a checked data set and a recipe to what the training loop is fed with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from atrous.data.check.check import Check
from atrous.data.feed.batches import Batches, Stepped
from atrous.data.feed.decode import Column, Decoded, Parts, SampleReader, decode
from atrous.data.feed.genomes import GenomeBatches, decode_genomes, decode_windows
from atrous.data.feed.kept import THREADS, DiskBudget, SampleStore
from atrous.data.feed.window import WindowBatches, WindowOrder
from atrous.data.formats import Header
from atrous.data.restoration import Restoration
from atrous.data.sample import Sample
from atrous.data.shards import in_order, keep_shards
from atrous.errors import UserError
from atrous.geometry.plan import byte_count
from atrous.machine import memory_limit
from atrous.recipe.build import (
    build_apart,
    build_color,
    build_geometry,
    build_preparation,
    build_restoration,
    class_numbers,
)
from atrous.recipe.schema import Recipe
from atrous.training.validation import full_to_quick

WINDOW = {1: 1 << 20, 2: 1024, 3: 128}
"""During training, samples larger than this along an axis are validated on windows of this size, by their axes."""
CLIP = (4, 1024, 1024)
"""The window of videos: few frames, whole."""

HELD_OUT = 4
"""Of the memory for samples that are decoded when they are needed, one part in so many is for validation."""
IN_TURN = 4
"""So many samples of validation are decoded ahead."""

QUICK = {"edges": 1_500_000}
"""By kind of target, positions of a quick validation at most, where metrics take longer than the network."""


@dataclass(frozen=True)
class Feed:
    """What the training loop is fed with.

    Attributes:
        batches: the batch of every step.
        held_out: the samples of validation, decoded; some of them where more would take too long.
        side: samples larger than this are validated on windows of this size.
        full_to_quick: positions of a full evaluation divided by those of a quick validation.
        stores: where samples come from that are decoded when they are needed.
    """

    batches: Stepped
    held_out: Decoded
    side: Sequence[int]
    full_to_quick: float
    stores: tuple[SampleStore, ...] = ()

    def close(self) -> None:
        """Decode nothing more."""
        for store in self.stores:
            store.close()


def feed_grids(check: Check, recipe: Recipe, scratch: Path) -> Feed:
    """Feed images, volumes or recordings.

    Raises:
        UserError: a file cannot be read, or a split has no position that counts.
    """
    return _feed(check, recipe, scratch, (WINDOW[recipe.model.ndim],) * recipe.model.ndim)


def feed_videos(check: Check, recipe: Recipe, scratch: Path) -> Feed:
    """Feed videos; see `feed_grids`."""
    return _feed(check, recipe, scratch, CLIP)


def _feed(check: Check, recipe: Recipe, scratch: Path, side: Sequence[int]) -> Feed:
    dataset, preparation = check.dataset, build_preparation(recipe)
    limit = memory_limit() // (4 * recipe.train.devices)  # each process decodes for itself
    restoration = build_restoration(recipe) if dataset.target.own else None
    readers = [SampleReader(dataset, need_places, preparation, restoration) for need_places in (True, False)]
    stores: tuple[SampleStore, ...] = ()
    if recipe.data.window is None:
        train, held_out = (
            decode(
                dataset, samples, limit=limit, scratch=_folder(scratch, reader), need_places=reader.need_places,
                preparation=preparation, restoration=restoration,
            )
            for reader, samples in zip(readers, _samples(check, recipe), strict=True)
        )  # fmt: skip
    else:
        stores = _stores(check, recipe, readers, scratch, limit)
        train, held_out = (
            _decoded(check, reader, samples, store)
            for reader, samples, store in zip(readers, _samples(check, recipe), stores, strict=True)
        )
    for split, decoded in zip((recipe.data.train, recipe.data.val), (train, held_out), strict=True):
        if all(dataset.target.counts_for_nothing(values) for values in decoded.values):
            raise UserError(f"{dataset.root}: the {split} split has no labelled positions: label some")
    if dataset.target.of_whole:  # a window has no label of its own
        side = tuple(
            max(held_out.size(index)[axis] for index in range(len(held_out.names))) for axis in range(len(side))
        )
    few = _few(held_out, QUICK.get(dataset.target.kind))
    ratio = _positions(held_out) / _positions(few)
    batches = _batches(train, check, recipe, restoration)
    window, samples = recipe.data.window, _samples(check, recipe)[0]
    stepped = batches if window is None or not stores else _windowed(batches, stores[0], window, samples)
    return Feed(stepped, few, side, ratio * full_to_quick(few, side), stores)


def _samples(check: Check, recipe: Recipe) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Those of training and of validation."""
    return check.dataset.splits[recipe.data.train], check.dataset.splits[recipe.data.val]


def _stores(
    check: Check, recipe: Recipe, readers: Sequence[SampleReader], scratch: Path, limit: int
) -> tuple[SampleStore, ...]:
    """What decodes the samples of training and of validation when they are needed."""
    disk = DiskBudget(int(byte_count(recipe.data.cache) or 0) // recipe.train.devices)
    itemsize, stores = np.dtype(check.fingerprint.dtype).itemsize, []
    for reader, samples in zip(readers, _samples(check, recipe), strict=True):
        headers = [_header(check, sample) for sample in samples]
        taken = [math.prod(header.size) * (itemsize * header.channels + 1) for header in headers]
        memory = limit - limit // HELD_OUT if reader.need_places else limit // HELD_OUT
        stores.append(
            SampleStore(
                partial(_read, reader, samples), taken, memory=memory, disk=disk, scratch=_folder(scratch, reader),
                in_turn=0 if reader.need_places else IN_TURN,
            )
        )  # fmt: skip
    return tuple(stores)


def _read(reader: SampleReader, samples: Sequence[Sample], index: int) -> Parts:
    return reader(index, samples[index])


def _header(check: Check, sample: Sample) -> Header:
    """What the check found; other kinds of data may keep no headers."""
    return check.headers.get(sample.name) or sample.image.header()


def _decoded(check: Check, reader: SampleReader, samples: Sequence[Sample], store: SampleStore) -> Decoded:
    """Samples that are decoded when they are asked for."""
    names, files = tuple(sample.name for sample in samples), tuple(sample.image.path for sample in samples)
    sizes = tuple(reader.size(_header(check, sample)) for sample in samples)
    return Decoded(names, *Column.of(store, len(samples)), check.dataset.target, files, sizes)


def _windowed(batches: Batches, store: SampleStore, window: int, samples: Sequence[Sample]) -> WindowBatches:
    paths = [sample.image.path for sample in samples]
    shards = in_order(paths)
    if shards is not None:
        read = 1.5 * window * len(shards) / len(paths)  # shards of the samples of `WindowBatches`, begun ones more
        keep_shards(paths, int(read) + 2 + THREADS)
    return WindowBatches(batches, store, WindowOrder(batches.worth(), window, batches.seed, shards), window)


def _batches(train: Decoded, check: Check, recipe: Recipe, restoration: Restoration | None) -> Batches:
    factor = 1 if check.dataset.target.own else recipe.task.scale or 1
    geometry = build_geometry(recipe)
    geometry = replace(geometry, crop=tuple(length // factor for length in geometry.crop))
    return Batches(
        train, geometry, build_color(recipe), recipe.train.batch_size, recipe.train.seed, _spread(check, recipe),
        restoration, factor, recipe.train.whole, build_apart(recipe), recipe.augment.paste,
        class_numbers(recipe, recipe.augment.paste_classes), recipe.augment.strength, recipe.augment.still,
    )  # fmt: skip


def _positions(decoded: Decoded) -> int:
    return sum(math.prod(decoded.size(index)) for index in range(len(decoded.names)))


def _few(decoded: Decoded, most: int | None) -> Decoded:
    """Some samples, evenly spread, that have about so many positions; all of them where `most` is None."""
    count = len(decoded.names)
    few = count if most is None else min(count, max(1, round(count * most / _positions(decoded))))
    if few == count:
        return decoded
    return decoded.some([int(index) for index in np.linspace(0, count - 1, few).round()])


def feed_genomes(check: Check, recipe: Recipe, scratch: Path) -> Feed:
    """Feed genomes: crops of either strand; validation looks at windows."""
    splits = check.dataset.splits
    decoded = decode_genomes(check.dataset, splits[recipe.data.train])
    held_out, ratio = decode_windows(check.dataset, splits[recipe.data.val])
    return Feed(_genome_batches(decoded, recipe), held_out, (WINDOW[1],), ratio)


def _genome_batches(decoded: Decoded, recipe: Recipe) -> GenomeBatches:
    train, partners = recipe.train, tuple(recipe.model.partners)
    return GenomeBatches(decoded, train.crop[0], recipe.augment.strands, train.batch_size, train.seed, partners)


def feed_alike(feed: Feed, check: Check, recipe: Recipe) -> Feed | None:
    """Return a feed of the same decoded samples for a recipe with other crops, batches, augmentation or seed.

    The recipe must read the same splits in the same way: its sections `data` and `input` and its task are those of the
    recipe that the feed was made for.

    Returns:
        The feed, or None where batches are of a kind that is not known here.
    """
    old = feed.batches
    if isinstance(old, Batches):
        return replace(feed, batches=_batches(old.decoded, check, recipe, old.restoration))
    if isinstance(old, WindowBatches):
        batches = _batches(old.batches.decoded, check, recipe, old.batches.restoration)
        return replace(feed, batches=_windowed(batches, old.store, old.window, _samples(check, recipe)[0]))
    if isinstance(old, GenomeBatches):
        return replace(feed, batches=_genome_batches(old.decoded, recipe))
    return None


def _folder(scratch: Path, reader: SampleReader) -> Path:
    """A folder of its own for each split: samples of two splits must not share a file."""
    folder = scratch / ("train" if reader.need_places else "val")
    folder.mkdir()
    return folder


def _spread(check: Check, recipe: Recipe) -> float:
    """Standard deviation of what the network is given, before it normalizes."""
    kept = set(recipe.input.intensity) == {"keep"}
    return float(np.mean(check.fingerprint.std if kept else recipe.model.std))
