"""Which input rows each output row of an operator reads, along one axis.

A *row* is one position along the axis that is looked at: a sample of a signal, a line of an image, a slice of a volume.

Every operator is described by two functions of the output row `o`:

- `first(o)`: the lowest input row that any of the outputs `o, o+1, ...` reads;
- `last(o)`: one more than the highest input row that any of the outputs `..., o-1, o` reads.

Both never decrease with `o`. They are not clipped to the input: rows below 0 or beyond the end are padding. Everything
else follows from them: `need` (the input rows of an interval of outputs), `ready` (the outputs that can be computed
from the rows that have arrived) and the receptive field of a whole network.

`Map` is the interface. Its subclasses are the kinds of operators: those here, `Bordered` in `borders.py` and `Resize`
in `interpolation.py`. Callers ask a map for a property or a method, and never for its class.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction


class Map(ABC):
    """What one operator reads of one input along one axis.

    Subclasses must define `first` and `last`. The other members have an answer that holds for most operators; a
    subclass replaces those that are different for it, or that it can compute faster.
    """

    @abstractmethod
    def first(self, o: int) -> int:
        """Return the lowest input row that outputs `o, o+1, ...` read."""

    @abstractmethod
    def last(self, o: int) -> int:
        """Return one more than the highest input row that outputs `..., o-1, o` read."""

    def ready(self, arrived: int, limit: int) -> int:
        """Return how many outputs, at most `limit`, read only input rows before `arrived`.

        This is the inverse of `last`, found by bisection.
        """
        low, high = 0, limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.last(middle - 1) <= arrived:
                low = middle
            else:
                high = middle - 1
        return low

    def need(self, lo: int, hi: int, length: int) -> tuple[int, int]:
        """Return the input rows `[lo', hi')` that outputs `[lo, hi)` read, clipped to an input of `length` rows."""
        if hi <= lo:
            return 0, 0
        start, stop = max(0, min(self.first(lo), length)), max(0, min(self.last(hi - 1), length))
        return (start, stop) if stop > start else (start, start)

    def source_row(self, o: int) -> int:
        """Return the input row that output `o` copies, for operators that copy rows (pads, crops, slices)."""
        return self.first(o)

    @property
    def rows_per_output(self) -> Fraction:
        """How many input rows the operator moves on by from one output row to the next: its stride."""
        return Fraction(1)

    @property
    def is_pointwise(self) -> bool:
        """Whether output `o` reads input row `o` and no other."""
        return False

    @property
    def is_broadcast(self) -> bool:
        """Whether every output reads the one row of an input that has only one."""
        return False

    @property
    def is_unpadded_window(self) -> bool:
        """Whether a window slides over the input and begins on its first row, so that no output reads padding there."""
        return False

    @property
    def needs_all_rows(self) -> bool:
        """Whether no output can be computed before all of several input rows have arrived."""
        return False

    @property
    def is_uniform(self) -> bool:
        """Whether all outputs are computed alike, the borders aside.

        Then the operator repeats itself: outputs `rows_per_output.denominator` rows further on read input rows
        `rows_per_output.numerator` rows further on, with the same weights.
        """
        return True

    @property
    def depends_on_length(self) -> bool:
        """Whether the rows that an output reads change with the length of the input, away from the end too."""
        return False

    @property
    def interpolates(self) -> bool:
        """Whether the operator resizes its input by interpolation."""
        return False

    @property
    def wraps(self) -> bool:
        """Whether the first outputs read the last input rows (circular padding)."""
        return False

    @property
    def signature(self) -> Hashable:
        """What describes this operator whatever the length of its input, to compare it at two lengths."""
        return self

    def reads_beyond(self, stop: int, length: int) -> bool:
        """Return whether outputs before `stop` reach the end of an input of `length` rows and take padding there."""
        return self.last(stop - 1) > length

    def outputs_of(self, rows: int) -> int | None:
        """Return how many outputs `rows` input rows give when they are computed alone.

        This is for operators that keep rows in their place or replace each by a fixed number. None means that the
        number does not follow from `rows`.
        """
        return None

    def window_outputs(self, rows: int, ceil: bool = False) -> int | None:
        """Return how many outputs a sliding window gives over `rows` input rows, padded at both ends.

        `ceil` rounds up, as pools with `ceil_mode` do. None means that the operator is no sliding window.
        """
        return None

    def dropped_at_end(self, length: int, outputs: int) -> int:
        """Return how many outputs the operator leaves out at the end that its input rows would suffice for.

        The operator gives `outputs` rows for an input of `length` rows. A crop, for example, leaves out the last rows.
        """
        return self.ready(length, length + outputs) - outputs

    def ratio_follows_length(self, factor_given: bool, largest: int) -> bool:
        """Return whether the operator resizes by a ratio that follows from the length of the input.

        `factor_given` says that the network gave a factor, not a size. A ratio of integers up to `largest` is taken for
        a fixed one.
        """
        return False


@dataclass(frozen=True)
class Sliding(Map):
    """A window of `kernel` taps, `dilation` apart, that moves on by `stride` over an input padded by `padding` rows.

    Output `o` reads input rows `o*s - p, o*s - p + d, ..., o*s - p + d*(k-1)` with kernel `k`, stride `s`, dilation `d`
    and padding `p`. Convolutions and pools are of this kind. A pointwise operator is the case `k = s = d = 1, p = 0`; a
    slice from row `b` on has `p = -b`.

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
        """Rows between the first and the last tap: `d*(k-1)`."""
        return self.dilation * (self.kernel - 1)

    def first(self, o: int) -> int:
        """Return `o*s - p`."""
        return o * self.stride - self.padding

    def last(self, o: int) -> int:
        """Return `o*s - p + d*(k-1) + 1`."""
        return o * self.stride - self.padding + self.reach + 1

    def ready(self, arrived: int, limit: int) -> int:
        """Return the outputs that are ready: `last(o) <= arrived` solved for `o`."""
        return max(0, min(limit, (arrived - 1 + self.padding - self.reach) // self.stride + 1))

    @property
    def rows_per_output(self) -> Fraction:
        """The stride."""
        return Fraction(self.stride)

    @property
    def is_pointwise(self) -> bool:
        """Whether the window is one row that is not moved."""
        return self.kernel == self.stride == 1 and self.padding == 0

    @property
    def is_unpadded_window(self) -> bool:
        """Whether there is no padding and no shift."""
        return self.padding == 0

    def outputs_of(self, rows: int) -> int | None:
        """Return `rows` for a pointwise operator."""
        return rows if self.is_pointwise else None

    def window_outputs(self, rows: int, ceil: bool = False) -> int | None:
        """Return `floor((rows + 2p - d*(k-1) - 1) / s) + 1`, the formula of PyTorch's convolutions and pools.

        With `ceil` the quotient is rounded up, but a last window that would begin in the padding after the end is left
        out (`pooling_output_shape` in ATen).
        """
        room = rows + 2 * self.padding - self.reach - 1
        if not ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= rows + self.padding else count

    def dropped_at_end(self, length: int, outputs: int) -> int:
        """Return the dropped outputs; a slice with a step may drop one more at another length."""
        dropped = super().dropped_at_end(length, outputs)
        return dropped + (self.stride > 1 and dropped > 0)


IDENTITY = Sliding()
"""The map of pointwise operators."""


@dataclass(frozen=True)
class Transposed(Map):
    """A transposed convolution: input row `i` adds to outputs `i*s - p, ..., i*s - p + d*(k-1)`.

    So output `o` reads input rows `ceil((o + p - d*(k-1)) / s), ..., floor((o + p) / s)`.

    >>> Transposed(kernel=3, stride=2, dilation=1, padding=1).need(0, 4, 100)
    (0, 3)
    """

    kernel: int
    stride: int
    dilation: int
    padding: int

    @property
    def reach(self) -> int:
        """Rows between the first and the last tap: `d*(k-1)`."""
        return self.dilation * (self.kernel - 1)

    def first(self, o: int) -> int:
        """Return `ceil((o + p - d*(k-1)) / s)`."""
        return -((self.reach - o - self.padding) // self.stride)

    def last(self, o: int) -> int:
        """Return `floor((o + p) / s) + 1`."""
        return (o + self.padding) // self.stride + 1

    def ready(self, arrived: int, limit: int) -> int:
        """Return `arrived*s - p`: input row `arrived` adds to outputs from there on."""
        return max(0, min(limit, arrived * self.stride - self.padding))

    @property
    def rows_per_output(self) -> Fraction:
        """One over the stride."""
        return Fraction(1, self.stride)

    def window_outputs(self, rows: int, ceil: bool = False) -> int | None:
        """Return `(rows - 1)*s - 2p + d*(k-1) + 1`, without the output padding."""
        return (rows - 1) * self.stride - 2 * self.padding + self.reach + 1


@dataclass(frozen=True)
class Regrouped(Map):
    """The same elements in rows of another size: an input row holds `inner` of them, an output row `outer`.

    Pixel shuffles, views and repeated rows are of this kind.

    >>> Regrouped(inner=2, outer=1).need(5, 8, 100), Regrouped(inner=1, outer=2).need(5, 8, 100)
    ((2, 4), (10, 16))
    """

    inner: int
    outer: int

    def first(self, o: int) -> int:
        """Return the row of the first element of output row `o`: `floor(o*outer / inner)`."""
        return o * self.outer // self.inner

    def last(self, o: int) -> int:
        """Return one more than the row of the last element of output row `o`: `ceil((o+1)*outer / inner)`."""
        return -(-(o + 1) * self.outer // self.inner)

    def ready(self, arrived: int, limit: int) -> int:
        """Return how many whole output rows the elements of `arrived` input rows fill."""
        return max(0, min(limit, arrived * self.inner // self.outer))

    @property
    def rows_per_output(self) -> Fraction:
        """Elements per output row over elements per input row."""
        return Fraction(self.outer, self.inner)

    def outputs_of(self, rows: int) -> int | None:
        """Return how many output rows the elements fill; None when some are left over."""
        return rows * self.inner // self.outer if rows * self.inner % self.outer == 0 else None


@dataclass(frozen=True)
class Bins(Map):
    """Adaptive pooling of `length` rows into `bins`.

    Output `o` reads input rows `floor(o*length / bins), ..., ceil((o+1)*length / bins) - 1`, as in ATen.
    """

    length: int
    bins: int

    def first(self, o: int) -> int:
        """Return `floor(o*length / bins)`."""
        return o * self.length // self.bins

    def last(self, o: int) -> int:
        """Return `ceil((o+1)*length / bins)`."""
        return -(-(o + 1) * self.length // self.bins)

    @property
    def rows_per_output(self) -> Fraction:
        """The mean width of a bin."""
        return Fraction(self.length, self.bins)

    @property
    def is_uniform(self) -> bool:
        """False: the width of a bin depends on where it lies."""
        return False

    @property
    def depends_on_length(self) -> bool:
        """True: so does its width."""
        return True

    @property
    def signature(self) -> Hashable:
        """The mean width of a bin."""
        return self.length / self.bins


@dataclass(frozen=True)
class Everything(Map):
    """Every output reads all `length` rows of its input: barriers, circular pads, and the one row of a broadcast."""

    length: int

    def first(self, o: int) -> int:
        """Return 0."""
        return 0

    def last(self, o: int) -> int:
        """Return the length."""
        return self.length

    @property
    def is_broadcast(self) -> bool:
        """Whether all rows are one row."""
        return self.length == 1

    @property
    def needs_all_rows(self) -> bool:
        """Whether there are several rows to wait for."""
        return self.length > 1

    @property
    def is_uniform(self) -> bool:
        """Whether there is only one row, which stands for all."""
        return self.length == 1

    @property
    def depends_on_length(self) -> bool:
        """Whether there are several rows."""
        return self.length > 1

    @property
    def signature(self) -> Hashable:
        """The name of the kind."""
        return type(self).__name__


@dataclass(frozen=True)
class Read:
    """How an operator reads the value with index `input` along one axis, which is dimension `dim` of that value."""

    input: int
    dim: int
    map: Map = field(default=IDENTITY)
