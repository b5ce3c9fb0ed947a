"""Interval arithmetic along one axis: which input rows an output row reads, which outputs are ready.

A map answers two questions about output row `o`: `first(o)`, the lowest input row that any output from `o` on
reads, and
`last(o)`, one more than the highest that any output up to `o` reads. Both never decrease with `o`. They are not clipped
to the input: rows outside are padding. Everything else (needs, readiness, receptive fields) follows from them.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


class Map:
    """What one operator reads of one input along one axis."""

    def first(self, o: int) -> int:
        """The lowest input row that outputs `o, o+1, ...` read."""
        raise NotImplementedError

    def last(self, o: int) -> int:
        """One more than the highest input row that outputs `..., o-1, o` read."""
        raise NotImplementedError

    def ready(self, arrived: int, limit: int) -> int:
        """How many outputs, at most `limit`, read nothing at or beyond input row `arrived`."""
        low, high = 0, limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.last(middle - 1) <= arrived:
                low = middle
            else:
                high = middle - 1
        return low

    def need(self, lo: int, hi: int, length: int) -> tuple[int, int]:
        """The input rows `[lo', hi')`, within an input of `length` rows, that outputs `[lo, hi)` read."""
        if hi <= lo:
            return 0, 0
        start, stop = max(0, min(self.first(lo), length)), max(0, min(self.last(hi - 1), length))
        return (start, stop) if stop > start else (start, start)


@dataclass(frozen=True)
class Sliding(Map):
    """A window of `kernel` taps, `dilation` apart, moved by `stride`, over an input padded by `padding` rows before.

    Output `o` reads `o*s - p, ..., o*s - p + d*(k-1)`. Pointwise operators are the case 1, 1, 1, 0.

    >>> conv = Sliding(kernel=3, stride=2, dilation=1, padding=1)
    >>> conv.need(0, 4, 100), conv.ready(8, 50)
    ((0, 8), 4)
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    @property
    def reach(self) -> int:
        """Rows between the first and the last tap."""
        return self.dilation * (self.kernel - 1)

    def first(self, o: int) -> int:
        """See `Map.first`."""
        return o * self.stride - self.padding

    def last(self, o: int) -> int:
        """See `Map.last`."""
        return o * self.stride - self.padding + self.reach + 1

    def ready(self, arrived: int, limit: int) -> int:
        """See `Map.ready`."""
        return max(0, min(limit, (arrived - 1 + self.padding - self.reach) // self.stride + 1))


IDENTITY = Sliding()


@dataclass(frozen=True)
class Transposed(Map):
    """A transposed convolution: input row `i` adds to outputs `i*s - p, ..., i*s - p + d*(k-1)`.

    >>> Transposed(kernel=3, stride=2, dilation=1, padding=1).need(0, 4, 100)
    (0, 3)
    """

    kernel: int
    stride: int
    dilation: int
    padding: int

    @property
    def reach(self) -> int:
        """Rows between the first and the last tap."""
        return self.dilation * (self.kernel - 1)

    def first(self, o: int) -> int:
        """See `Map.first`."""
        return -((self.reach - o - self.padding) // self.stride)

    def last(self, o: int) -> int:
        """See `Map.last`."""
        return (o + self.padding) // self.stride + 1

    def ready(self, arrived: int, limit: int) -> int:
        """See `Map.ready`."""
        return max(0, min(limit, arrived * self.stride - self.padding))


@dataclass(frozen=True)
class Regrouped(Map):
    """An input of rows of `inner` elements, regrouped into rows of `outer` elements (pixel shuffle, views).

    >>> Regrouped(inner=2, outer=1).need(5, 8, 100), Regrouped(inner=1, outer=2).need(5, 8, 100)
    ((2, 4), (10, 16))
    """

    inner: int
    outer: int

    def first(self, o: int) -> int:
        """See `Map.first`."""
        return o * self.outer // self.inner

    def last(self, o: int) -> int:
        """See `Map.last`."""
        return -(-(o + 1) * self.outer // self.inner)

    def ready(self, arrived: int, limit: int) -> int:
        """See `Map.ready`."""
        return max(0, min(limit, arrived * self.inner // self.outer))


@dataclass(frozen=True)
class Bordered(Map):
    """A pad of `before` and `after` rows that takes its values from the input: reflect, replicate or circular.

    `index(o)` is the input row that output `o` copies.
    """

    mode: str
    before: int
    after: int
    length: int

    def index(self, o: int) -> int:
        """The input row that output `o` copies."""
        i = o - self.before
        if self.mode == "replicate":
            return min(max(i, 0), self.length - 1)
        if self.mode == "circular":  # a negative side crops, and what is left is wrapped
            start, cut = max(-self.before, 0), max(-self.before, 0) + max(-self.after, 0)
            return start + (o - max(self.before, 0)) % (self.length - cut)
        i = abs(i)
        return i if i < self.length else 2 * (self.length - 1) - i

    def first(self, o: int) -> int:
        """See `Map.first`."""
        at_end = self.index(self.length + self.before + self.after - 1) if self.after > 0 else self.length
        return min(max(0, o - self.before), at_end)

    def last(self, o: int) -> int:
        """See `Map.last`."""
        at_start = self.index(0) + 1 if self.before > 0 else 0
        return max(min(self.length, o - self.before + 1), at_start)

    @property
    def wraps(self) -> bool:
        """Whether the first outputs read the last rows."""
        return self.mode == "circular" and (self.before > 0 or self.after > 0)


@dataclass(frozen=True)
class Bins(Map):
    """Adaptive pooling of `length` rows into `bins`: output `o` reads `floor(o*L/n) ... ceil((o+1)*L/n) - 1`."""

    length: int
    bins: int

    def first(self, o: int) -> int:
        """See `Map.first`."""
        return o * self.length // self.bins

    def last(self, o: int) -> int:
        """See `Map.last`."""
        return -(-(o + 1) * self.length // self.bins)


@dataclass(frozen=True)
class Everything(Map):
    """All rows: a barrier."""

    length: int

    def first(self, o: int) -> int:
        """See `Map.first`."""
        return 0

    def last(self, o: int) -> int:
        """See `Map.last`."""
        return self.length


TABLE = 2**22  # outputs up to which what a resize reads is looked up


@dataclass(frozen=True)
class Resize(Map):
    """Interpolation from `length` to `outputs` rows, by ATen's index formula in global coordinates.

    ATen computes the source position in float32, for float64 values in float64 (`precise`); `position` does so too, so
    that a strip far down a long axis gets the very weights that the whole input would (`scale` is 1 / scale_factor
    where the network gave one, else a ratio).
    `mode` is "nearest", "nearest-exact", "linear" or "cubic".

    >>> Resize("linear", 8, 16, False, 0.5).need(4, 8, 8)
    (1, 5)
    """

    mode: str
    length: int
    outputs: int
    align_corners: bool
    scale: float
    precise: bool = False

    def position(self, o: np.ndarray) -> np.ndarray:
        """The source position of outputs `o`, in float32 or float64, before it is clipped to the input."""
        kind = np.float64 if self.precise else np.float32
        scale, x = kind(self.scale), o.astype(kind)
        if self.mode == "nearest" or self.align_corners:
            return scale * x
        if self.mode == "nearest-exact":
            return scale * (x + kind(0.5))
        # a fused multiply-add, as the compiled kernel has: the product is not rounded before the subtraction
        source = (scale.astype(np.float64) * (x + kind(0.5)) - 0.5).astype(kind)
        return np.maximum(source, kind(0)) if self.mode == "linear" else source

    @staticmethod
    def floor(position: np.ndarray) -> np.ndarray:
        """The row at or before a source position, which ATen rounds to float32 for that, whatever the type."""
        return np.floor(position.astype(np.float32)).astype(np.int64)

    def taps(self, o: np.ndarray) -> np.ndarray:
        """The input rows that each output reads, `(outputs, taps)`, clipped to the input."""
        base = self.floor(self.position(o))
        offsets = {"linear": (0, 1), "cubic": (-1, 0, 1, 2)}.get(self.mode, (0,))
        return np.clip(base[:, None] + np.array(offsets), 0, self.length - 1)

    @cached_property
    def power(self) -> int:
        """The enlargement, when it is a power of two (then integers say it all); 0 otherwise."""
        factor = round(1 / self.scale) if self.scale and not self.align_corners else 0
        return factor if factor and self.scale * factor == 1 and factor & (factor - 1) == 0 else 0

    def _scaled(self, o: int, extra: tuple[int, int]) -> int:
        shift = {"nearest": 0, "nearest-exact": 0}.get(self.mode, self.power - 1)
        base = (2 * o - shift) // (2 * self.power)
        base = max(base, 0) if self.mode == "linear" else base
        return min(max(base + extra[0], 0), self.length - 1) + extra[1]

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        taps = self.taps(np.arange(self.outputs))
        return taps[:, 0], taps[:, -1] + 1

    def _row(self, o: int) -> tuple[int, int]:
        at = min(max(o, 0), self.outputs - 1)
        if self.outputs <= TABLE:
            return int(self._table[0][at]), int(self._table[1][at])
        taps = self.taps(np.array([at]))[0]
        return int(taps[0]), int(taps[-1]) + 1

    def first(self, o: int) -> int:
        """See `Map.first`."""
        if self.power:
            return self._scaled(o, (-1 if self.mode == "cubic" else 0, 0))
        return self._row(o)[0]

    def last(self, o: int) -> int:
        """See `Map.last`."""
        if self.power:
            return self._scaled(o, ({"linear": 1, "cubic": 2}.get(self.mode, 0), 1))
        return self._row(o)[1]

    def ready(self, arrived: int, limit: int) -> int:
        """See `Map.ready`."""
        if self.power or self.outputs > TABLE:
            return super().ready(arrived, limit)
        return min(limit, int(np.searchsorted(self._table[1], arrived, side="right")))


@dataclass(frozen=True)
class Read:
    """How an operator reads value `input` along one axis: the axis is dimension `dim` of that value."""

    input: int
    dim: int
    map: Map = field(default=IDENTITY)
