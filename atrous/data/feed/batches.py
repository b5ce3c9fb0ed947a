"""Training batches that depend on the seed and the step alone, so that a resumed run sees what it would have seen."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, draw_recoloring, recolored
from atrous.data.feed.decode import Decoded, tiles
from atrous.data.feed.pairs import Apart, cut_shifted, draw_pair_recoloring, draw_shift, recolored_pair
from atrous.data.feed.paste import pasted
from atrous.data.feed.still import cut_still, draw_still, unlabelled
from atrous.data.feed.strong import draw_strong, strongly_changed
from atrous.data.feed.views import Geometry, draw_view
from atrous.data.restoration import Restoration
from atrous.data.view import View


@dataclass(frozen=True)
class Batch:
    """One step's worth of training data.

    Attributes:
        images: `(N, C, *crop)` float32, raw values.
        targets: what the loss is given: of labels `(N, *crop)` int64, classes and IGNORE.
        names: what messages call the images that the crops come from; none where nobody knows.
        numbered: whether targets are rows that begin with the number of their crop (boxes), not one entry for each.
    """

    images: torch.Tensor
    targets: torch.Tensor
    names: tuple[str, ...] = ()
    numbered: bool = False

    def targets_of(self, number: int) -> torch.Tensor:
        """Return the targets of a batch that holds one crop twice."""
        if not self.numbered:
            return self.targets[[number, number]]
        rows = self.targets[self.targets[:, 0] == number]
        return torch.cat([torch.cat([torch.full_like(rows[:, :1], copy), rows[:, 1:]], dim=1) for copy in (0, 1)])

    def part(self, numbers: range) -> "Batch":
        """Return some of the crops, numbered from 0."""
        start, stop = numbers.start, numbers.stop
        targets = self.targets
        if self.numbered:
            targets = targets[(targets[:, 0] >= start) & (targets[:, 0] < stop)]
            targets = torch.cat([targets[:, :1] - start, targets[:, 1:]], dim=1)
        else:
            targets = targets[start:stop]
        return replace(self, images=self.images[start:stop], targets=targets, names=self.names[start:stop])


def joined_batch(parts: Sequence[Batch]) -> Batch:
    """Return the batch of which these are the parts, in order.

    >>> rows = torch.tensor([[0, 7], [1, 8]])
    >>> joined_batch([Batch(torch.zeros(2, 1, 4), rows, numbered=True)] * 2).targets.tolist()
    [[0, 7], [1, 8], [2, 7], [3, 8]]
    """
    first, start, targets = parts[0], 0, []
    for part in parts:
        shift = start if part.numbered else 0
        targets.append(torch.cat([part.targets[:, :1] + shift, part.targets[:, 1:]], 1) if shift else part.targets)
        start += len(part.images)
    names = tuple(name for part in parts for name in part.names)
    return replace(first, images=torch.cat([part.images for part in parts]), targets=torch.cat(targets), names=names)


@dataclass(frozen=True)
class Batches:
    """The batches of a run: `batches[step]`, for any step.

    Every sample comes up once an epoch, a large one as often as it holds crops; the order is drawn anew each epoch.

    Attributes:
        decoded: the samples.
        geometry: how crops are drawn.
        color: how intensities vary, or None.
        size: crops in a batch.
        seed: of everything drawn.
        spread: standard deviation of the data, the unit of `color`.
        restoration: how crops of images that are their own targets become pairs of input and target, else None.
        factor: the grid of the targets is finer than that of the images by this factor; crops are those of images.
        whole: crops are as large as the sample that they are of; a batch then holds one.
        apart: of samples of two images, how these vary apart from each other, else None.
        paste: share of the crops over which the objects of another sample are pasted; targets are labels then.
        paste_classes: which classes are pasted; all but 0 where none is named.
        strong: greatest amount of strong changes, 0 to 1; 0 leaves them out.
        still: share of the crops of videos in which nothing moves but the camera, and what is pasted from another one.
    """

    decoded: Decoded
    geometry: Geometry
    color: Color | None
    size: int
    seed: int
    spread: float
    restoration: Restoration | None = None
    factor: int = 1
    whole: bool = False
    apart: Apart | None = None
    paste: float = 0.0
    paste_classes: tuple[int, ...] = ()
    strong: float = 0.0
    still: float = 0.0

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return max(1, -(-len(self._deck()) // self.size))

    def worth(self) -> np.ndarray:
        """Return how many crops of each sample are drawn in an epoch."""
        count = len(self.decoded.names)
        return np.array([tiles(self.decoded.size(index), self._geometry(index).crop) for index in range(count)])

    def _deck(self) -> np.ndarray:
        worth = self.worth()
        return np.repeat(np.arange(len(worth)), worth)

    def _geometry(self, index: int) -> Geometry:
        """How crops of a sample are drawn: whole ones have whole positions of a coarser grid that is made of them."""
        if not self.whole:
            return self.geometry
        step = 1 if self.restoration is None else self.restoration.degradation.scale
        size = self.decoded.size(index)
        return replace(self.geometry, crop=tuple(length // step * step or length for length in size))

    def _chosen(self, step: int) -> list[int]:
        """Samples of a batch: the deck is dealt without a break, one shuffle after the other."""
        deck = self._deck()
        first = step * self.size
        chosen, order, epoch = [], deck, -1
        for position in range(first, first + self.size):
            if position // len(deck) != epoch:
                epoch = position // len(deck)
                order = np.random.default_rng([self.seed, 0, epoch]).permutation(deck)
            chosen.append(int(order[position % len(deck)]))
        return chosen

    def __getitem__(self, step: int) -> Batch:
        return self.part(step, range(self.size))

    def part(self, step: int, numbers: range) -> Batch:
        """Return some crops of the batch of a step, those of these numbers from 0 on, as the whole batch has them.

        Draws are made for the crops before them too, but those are not cut.
        """
        rng = np.random.default_rng([self.seed, 1, step])
        chosen, images, targets = self._chosen(step), [], []
        for number in range(numbers.stop):
            pair = self.crop(rng, chosen[number], wanted=number in numbers)
            if pair is not None:
                images.append(pair[0])
                targets.append(pair[1])
        return self.joined([chosen[number] for number in numbers], images, targets)

    def joined(self, chosen: Sequence[int], images: Sequence[torch.Tensor], targets: Sequence[Any]) -> Batch:
        """Return the batch of crops of these samples."""
        target = self.decoded.target
        names = tuple(self.decoded.called(index) for index in chosen)
        return Batch(torch.stack(list(images)), target.batch(targets), names, target.numbered)

    def crop(
        self, rng: np.random.Generator, index: int, *, wanted: bool = True, near: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, Any] | None:
        """Draw a crop of a sample, perhaps with the objects of another one; its image and target if they are wanted.

        The other one is drawn from `near`, or from all samples.
        """
        still = self.still > 0 and rng.random() < self.still
        pair = self._cut(rng, index, self._geometry(index), wanted=wanted, still=still)
        if not still and (self.paste <= 0 or rng.random() >= self.paste):
            return pair
        other = self._giver(rng, index, near)
        if other is None:
            return pair
        geometry = replace(self._geometry(other), foreground=1.0, classes=self.paste_classes)
        more = self._cut(rng, other, geometry, wanted=wanted)
        return None if pair is None or more is None else pasted(*pair, *more, self.paste_classes)

    def _giver(self, rng: np.random.Generator, index: int, near: Sequence[int] | None) -> int | None:
        """Draw another sample that has one of the classes that are pasted; None where there is none."""
        if near is not None:
            others = self._with_classes(sorted(set(near) - {index}))
            return others[int(rng.integers(len(others)))] if others else None
        givers = self._givers
        place = bisect_left(givers, index)
        own = int(givers[place : place + 1] == [index])
        if len(givers) == own:
            return None
        # from those that follow this sample, and then those before it
        return givers[(place + int(rng.integers(own, len(givers)))) % len(givers)]

    @cached_property
    def _givers(self) -> list[int]:
        return self._with_classes(range(len(self.decoded.names)))

    def _with_classes(self, samples: Sequence[int]) -> list[int]:
        """Those of the samples that have one of the classes that are pasted; all of them where none is named."""
        wanted = set(self.paste_classes)
        return [index for index in samples if not wanted or wanted & self.decoded.places[index].keys()]

    def _cut(
        self, rng: np.random.Generator, index: int, geometry: Geometry, *, wanted: bool, still: bool = False
    ) -> tuple[torch.Tensor, Any] | None:
        """Draw where a crop lies and how it varies; its image and target if they are wanted."""
        decoded = self.decoded
        crop, values, target = geometry.crop, decoded.images[index], None
        view = draw_view(rng, index, decoded.size(index), decoded.places[index], geometry)
        shift = None if self.apart is None else draw_shift(rng, len(crop), self.apart)
        path = draw_still(rng, view, crop) if still else ()
        if path and wanted:
            image, target = self._cut_still(index, path, crop)
        elif wanted or self.restoration is not None:  # what is drawn for a restoration depends on the values
            image = cut_shifted(values, view, crop, shift)
        else:
            image = torch.empty(values.shape[0], *crop, device="meta")
        if self.restoration is not None:
            image, target = (torch.from_numpy(part) for part in self.restoration.pair(image.numpy(), rng))
        shape, drawn = tuple(image.shape), ()
        if self.color is not None and self.apart is not None:
            drawn = draw_pair_recoloring(rng, shape, self.color, self.apart)
        elif self.color is not None:
            drawn = (draw_recoloring(rng, shape, self.color),)
        strong = draw_strong(rng, shape, self.strong, geometry.keep) if self.strong > 0 else ()
        if not wanted:
            return None
        if target is None:
            finer = View(view.index, view.center * self.factor, view.matrix)
            target = decoded.target.cut(decoded.values[index], finer, tuple(n * self.factor for n in crop))
        if drawn:
            image = (recolored(image, drawn[0], self.spread) if self.apart is None
                     else recolored_pair(image, drawn, self.spread))  # fmt: skip
        return strongly_changed(image, strong, self.spread), target

    def _cut_still(self, index: int, path: tuple[View, ...], crop: tuple[int, ...]) -> tuple[torch.Tensor, Any]:
        """A clip of one frame of a sample, seen along a path, in which nothing is labelled."""
        values, labels, target = self.decoded.images[index], self.decoded.values[index], self.decoded.target
        image = cut_still(lambda one, size: cut_values(values, one, size, "bilinear", border=True), path, crop)
        return image, unlabelled(cut_still(lambda one, size: target.cut(labels, one, size), path, crop))


class Stepped(Protocol):
    """Batches of any step."""

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        ...

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, the same every time."""
        ...


@runtime_checkable
class Parted(Protocol):
    """Batches of any step that can be made in part."""

    def part(self, step: int, numbers: range) -> Batch:
        """Return the crops of these numbers of the batch of a step, as the whole batch has them."""
        ...


def share(size: int, rank: int, ranks: int) -> range:
    """Return which crops of a batch one of several processes takes: shares differ by one crop at most.

    >>> [list(share(5, rank, 2)) for rank in (0, 1)]
    [[0, 1, 2], [3, 4]]
    """
    each, more = divmod(size, ranks)
    start = rank * each + min(rank, more)
    return range(start, start + each + (rank < more))


@dataclass(frozen=True)
class Dealt:
    """The share of one process in the batches of a training on several devices.

    All of them together have the crops that one device alone would have.

    Attributes:
        batches: of the whole training.
        size: crops in a batch.
        rank: number of the process, from 0.
        ranks: how many there are.
    """

    batches: Stepped
    size: int
    rank: int
    ranks: int

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.batches.per_epoch

    def __getitem__(self, step: int) -> Batch:
        numbers = share(self.size, self.rank, self.ranks)
        if isinstance(self.batches, Parted):
            return self.batches.part(step, numbers)
        return self.batches[step].part(numbers)


def ahead(batches: Stepped, start: int, *, threads: int = 1, pin: bool = False) -> Iterator[Batch]:
    """Batches from step `start` on, without end, made while earlier steps run; with no threads, when asked for.

    Args:
        batches: which; they are asked for in order.
        start: the first step.
        threads: how many batches are made at the same time. Only batches that depend on the step alone may be made by
            several.
        pin: whether batches are put into page-locked memory, from which a GPU copies while it computes.
    """

    def make(step: int) -> Batch:
        batch = batches[step]
        return replace(batch, images=batch.images.pin_memory(), targets=batch.targets.pin_memory()) if pin else batch

    if not threads:
        yield from map(make, count(start))
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = deque(pool.submit(make, step) for step in range(start, start + threads))
        step = start + threads
        while True:
            batch = waiting.popleft().result()
            waiting.append(pool.submit(make, step))
            step += 1
            yield batch
