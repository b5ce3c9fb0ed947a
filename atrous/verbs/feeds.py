"""From a checked data set and a recipe to what the training loop is fed with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrous.data.check.check import Check
from atrous.data.feed.batches import Batches, Stepped
from atrous.data.feed.decode import Decoded, decode
from atrous.data.feed.genomes import GenomeBatches, decode_genomes, decode_windows
from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.recipe.build import build_apart, build_color, build_geometry, build_preparation, build_restoration
from atrous.recipe.schema import Recipe
from atrous.training.validation import full_to_quick

WINDOW = {1: 1 << 20, 2: 1024, 3: 128}
"""During training, samples larger than this along an axis are validated on windows of this size, by their axes."""
CLIP = (4, 1024, 1024)
"""The window of videos: few frames, whole."""


@dataclass(frozen=True)
class Feed:
    """What the training loop is fed with.

    Attributes:
        batches: the batch of every step.
        held_out: the samples of validation, decoded.
        side: samples larger than this are validated on windows of this size.
        full_to_quick: positions of a full evaluation divided by those of a quick validation.
    """

    batches: Stepped
    held_out: Decoded
    side: Sequence[int]
    full_to_quick: float


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
    dataset, limit, preparation = check.dataset, memory_limit() // 4, build_preparation(recipe)
    splits = recipe.data.train, recipe.data.val
    restoration = build_restoration(recipe) if dataset.target.own else None
    train, held_out = (
        decode(
            dataset, dataset.splits[split], limit=limit, scratch=_folder(scratch, role), need_places=role == "train",
            preparation=preparation, restoration=restoration,
        )
        for split, role in zip(splits, ("train", "val"), strict=True)
    )  # fmt: skip
    for split, decoded in zip(splits, (train, held_out), strict=True):
        if all(dataset.target.counts_for_nothing(values) for values in decoded.values):
            raise UserError(f"{dataset.root}: the {split} split has no labelled positions: label some")
    geometry, factor = build_geometry(recipe), 1 if dataset.target.own else recipe.task.scale or 1
    geometry = replace(geometry, crop=tuple(length // factor for length in geometry.crop))
    batches = Batches(
        train, geometry, build_color(recipe), recipe.train.batch_size, recipe.train.seed, _spread(check, recipe),
        restoration, factor, build_apart(recipe),
    )  # fmt: skip
    return Feed(batches, held_out, side, full_to_quick(held_out, side))


def feed_genomes(check: Check, recipe: Recipe, scratch: Path) -> Feed:
    """Feed genomes: crops of either strand; validation looks at windows."""
    splits, train = check.dataset.splits, recipe.train
    decoded = decode_genomes(check.dataset, splits[recipe.data.train])
    held_out, ratio = decode_windows(check.dataset, splits[recipe.data.val])
    strands, partners = recipe.augment.strands, tuple(recipe.model.partners)
    batches = GenomeBatches(decoded, train.crop[0], strands, train.batch_size, train.seed, partners)
    return Feed(batches, held_out, (WINDOW[1],), ratio)


def _folder(scratch: Path, role: str) -> Path:
    """A folder of its own for each split: samples of two splits must not share a file."""
    folder = scratch / role
    folder.mkdir()
    return folder


def _spread(check: Check, recipe: Recipe) -> float:
    """Standard deviation of what the network is given, before it normalizes."""
    kept = set(recipe.input.intensity) == {"keep"}
    return float(np.mean(check.fingerprint.std if kept else recipe.model.std))
