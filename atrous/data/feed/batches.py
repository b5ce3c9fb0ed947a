"""Training batches that depend on the seed and the step alone, so that a resumed run sees what it would have seen."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, recolor
from atrous.data.feed.decode import Decoded, tiles
from atrous.data.feed.pairs import Apart, cut_pair, recolor_pair
from atrous.data.feed.paste import pasted
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

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return max(1, -(-len(self._deck()) // self.size))

    def _deck(self) -> np.ndarray:
        count = len(self.decoded.names)
        worth = [tiles(self.decoded.size(index), self._geometry(index).crop) for index in range(count)]
        return np.repeat(np.arange(len(worth)), worth)

    def _geometry(self, index: int) -> Geometry:
        """How crops of a sample are drawn."""
        return replace(self.geometry, crop=self.decoded.size(index)) if self.whole else self.geometry

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
        rng = np.random.default_rng([self.seed, 1, step])
        decoded = self.decoded
        images, targets, chosen = [], [], self._chosen(step)
        for index in chosen:
            geometry = self._geometry(index)
            crop = geometry.crop
            view = draw_view(rng, index, decoded.size(index), decoded.places[index], geometry)
            image = self._cut(rng, decoded.images[index], view, crop)
            if self.restoration is not None:
                pair = (torch.from_numpy(part) for part in self.restoration.pair(image.numpy(), rng))
                image, target = pair
            else:
                finer = View(view.index, view.center * self.factor, view.matrix)
                target = decoded.target.cut(decoded.values[index], finer, tuple(n * self.factor for n in crop))
            image = self._recolored(rng, image)
            if self.paste > 0 and rng.random() < self.paste:
                image, target = self._pasted(rng, index, image, target)
            images.append(image)
            targets.append(target)
        names = tuple(decoded.called(index) for index in chosen)
        return Batch(torch.stack(images), decoded.target.batch(targets), names, decoded.target.numbered)

    def _cut(self, rng: np.random.Generator, values: Any, view: View, crop: tuple[int, ...]) -> torch.Tensor:
        if self.apart is not None:
            return cut_pair(rng, values, view, crop, self.apart)
        return cut_values(values, view, crop, "bilinear", border=True)

    def _pasted(
        self, rng: np.random.Generator, index: int, image: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A crop of a sample with the objects of a crop of another one."""
        decoded, count = self.decoded, len(self.decoded.names)
        if count < 2:
            return image, target
        other = (index + int(rng.integers(1, count))) % count
        geometry = replace(self._geometry(other), foreground=1.0)
        view = draw_view(rng, other, decoded.size(other), decoded.places[other], geometry)
        more = self._recolored(rng, self._cut(rng, decoded.images[other], view, geometry.crop))
        return pasted(image, target, more, decoded.target.cut(decoded.values[other], view, geometry.crop))

    def _recolored(self, rng: np.random.Generator, image: torch.Tensor) -> torch.Tensor:
        if self.color is None:
            return image
        if self.apart is not None:
            return recolor_pair(rng, image, self.color, self.spread, self.apart)
        return recolor(rng, image, self.color, self.spread)


class Stepped(Protocol):
    """Batches of any step."""

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        ...

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, the same every time."""
        ...


def ahead(batches: Stepped, start: int) -> Iterator[Batch]:
    """Batches from step `start` on, without end, each made while the step before it runs."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting, step = pool.submit(batches.__getitem__, start), start
        while True:
            batch, step = waiting.result(), step + 1
            waiting = pool.submit(batches.__getitem__, step)
            yield batch
