"""Batches of data that are larger than memory: samples are shuffled within a window that passes over them.

In each epoch `e` the samples are put into a new random order: sample number `p` of it enters the window at the time `p`
and leaves it at `p + w`, where `w` is the window. Each of its crops is dealt at a time of its own,

    t = e n + p + w u,    u drawn evenly from [0, 1),

`n` being the number of samples. Sorted by `t`, crops of at most `w` samples are mixed at any time, each sample is
needed during one span of an epoch alone, and new ones come up at an even pace. The window passes from one epoch into
the next without a break: crops that an epoch has left over come among the first ones of the next.

Of samples in shards (`data/shards.py`) the new order is one of the shards; the samples of a shard follow one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from atrous.data.feed.batches import Batch, Batches
from atrous.data.feed.kept import SampleStore


class WindowOrder:
    """Which sample each crop of a training is of: a function of the seed and the number of the crop.

    Args:
        worth: crops of each sample in an epoch.
        window: samples that are mixed; at most all.
        seed: of everything drawn.
        shards: the samples of each shard, in the order in which it holds them; None where they lie in none.

    >>> order = WindowOrder(np.array([2, 1, 1, 1]), window=2, seed=0)
    >>> order.per_epoch, len(order.samples(3, 4))
    (5, 4)
    """

    def __init__(
        self, worth: np.ndarray, window: int, seed: int, shards: Sequence[Sequence[int]] | None = None
    ) -> None:
        self._worth, self._window, self._seed = worth, min(window, len(worth)), seed
        self._shards = None if shards is None else [np.array(samples) for samples in shards]
        self.per_epoch = int(worth.sum())
        self._late = lru_cache(4096)(self._count_late)
        self._span = lru_cache(3)(self._deal_span)

    def samples(self, first: int, count: int) -> np.ndarray:
        """Return the samples of crops `first`, `first + 1`, ... of the training."""
        epoch = first // self.per_epoch
        while self._start(epoch) > first:
            epoch -= 1
        while self._start(epoch + 1) <= first:
            epoch += 1
        parts, missing, skip = [], count, first - self._start(epoch)
        while missing > 0:
            part = self._span(epoch)[skip : skip + missing]
            parts.append(part)
            missing, skip, epoch = missing - len(part), 0, epoch + 1
        return np.concatenate(parts)

    def _start(self, epoch: int) -> int:
        """Number of the first crop in the span `n e <= t < n (e + 1)`."""
        return epoch * self.per_epoch + self._late(-1) - self._late(epoch - 1)

    def _deal(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The crops of an epoch: their samples, and times counted from its beginning."""
        rng = np.random.default_rng([self._seed, 2, epoch + 1])
        if self._shards is None:
            order = rng.permutation(len(self._worth))
        else:
            order = np.concatenate([self._shards[shard] for shard in rng.permutation(len(self._shards))])
        samples = np.repeat(order, self._worth[order])
        entered = np.repeat(np.arange(len(order)), self._worth[order])
        return samples, entered + self._window * rng.random(len(samples))

    def _count_late(self, epoch: int) -> int:
        """How many crops of an epoch come in the span after it."""
        return int(np.count_nonzero(self._deal(epoch)[1] >= len(self._worth)))

    def _deal_span(self, epoch: int) -> np.ndarray:
        """Samples of the crops in a span, by time."""
        count, (left, left_times), (new, times) = len(self._worth), self._deal(epoch - 1), self._deal(epoch)
        late, soon = left_times >= count, times < count
        at = np.concatenate([left_times[late] - count, times[soon]])
        return np.concatenate([left[late], new[soon]])[np.argsort(at, kind="stable")]


@dataclass(frozen=True, eq=False)
class WindowBatches:
    """The batches of a training whose samples are shuffled within a window: `batches[step]`, for any step.

    Attributes:
        batches: how crops are drawn and cut. Its samples come from `store`.
        store: decodes samples ahead.
        order: of the samples.
        window: samples that are mixed.
    """

    batches: Batches
    store: SampleStore
    order: WindowOrder
    window: int

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch."""
        return max(1, -(-self.order.per_epoch // self.batches.size))

    def __getitem__(self, step: int) -> Batch:
        return self.part(step, range(self.batches.size))

    def part(self, step: int, numbers: range) -> Batch:
        """Return some crops of the batch of a step, as `Batches.part`; of the other crops nothing is decoded."""
        size = self.batches.size
        chosen = self.order.samples(step * size, size).tolist()
        self.store.ahead(self._needed(step, numbers))
        images, targets = [], []
        for number in numbers:
            rng = np.random.default_rng([self.batches.seed, 1, step, number])
            pair = self.batches.crop(rng, chosen[number], near=chosen)
            assert pair is not None
            images.append(pair[0])
            targets.append(pair[1])
        return self.batches.joined([chosen[number] for number in numbers], images, targets)

    def _needed(self, step: int, numbers: range) -> Sequence[int]:
        """The samples of this share of the steps to come, in the order in which they are needed.

        So many steps as the window needs to pass over one sample, and half a window more that is decoded ahead.
        """
        size, mean = self.batches.size, self.order.per_epoch / len(self.batches.decoded.names)
        steps = 2 + int(1.5 * self.window * mean / size)
        ahead = self.order.samples(step * size, steps * size).reshape(steps, size)
        mine = ahead[:, numbers.start : numbers.stop].ravel()
        first = np.sort(np.unique(mine, return_index=True)[1])
        return mine[first].tolist()
