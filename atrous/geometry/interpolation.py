"""Interpolation along one axis: the input rows that ATen reads for each output row, to the last bit.

A resize computes for output `o` a source position `x(o)` in the input and mixes the rows around it. With `r` input rows
per output row the position is

- nearest: `r*o`; nearest-exact: `r*(o + 0.5)`; the row is `floor(x)`;
- linear: `r*(o + 0.5) - 0.5`, at least 0; the rows are `floor(x)` and `floor(x) + 1`;
- cubic: the same, not clipped; the rows are `floor(x) - 1, ..., floor(x) + 2`;
- linear and cubic with `align_corners`: `r*o`.

Rows outside the input are replaced by the nearest row inside. ATen computes `x` in float32, so that far down a long
axis `floor(x)` may be another row than exact arithmetic gives. `Resize` repeats that arithmetic.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from atrous.geometry.maps import Map

TABLE = 2**22
"""Outputs up to which the rows that each of them reads are computed once and kept in a table."""


@dataclass(frozen=True)
class Resize(Map):
    """Interpolation from `length` to `outputs` rows, by ATen's formula for the source position.

    `mode` is "nearest", "nearest-exact", "linear" or "cubic". `scale` is `r`, the input rows per output row: one over
    the scale factor where the network gave one, else a ratio of lengths. ATen computes the position in float32, and in
    float64 for float64 values (`precise`). `position` does the same, so that a strip far down a long axis gets the
    weights that the whole input would get.

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
        """Return the source positions of outputs `o` `(n,)`, in float32 or float64, before they are clipped."""
        kind = np.float64 if self.precise else np.float32
        scale, x = kind(self.scale), o.astype(kind)
        if self.mode == "nearest" or self.align_corners:
            return scale * x
        if self.mode == "nearest-exact":
            return scale * (x + kind(0.5))
        # the compiled kernel uses a fused multiply-add: the product is not rounded before the subtraction
        source = (scale.astype(np.float64) * (x + kind(0.5)) - 0.5).astype(kind)
        return np.maximum(source, kind(0)) if self.mode == "linear" else source

    @staticmethod
    def floor(position: np.ndarray) -> np.ndarray:
        """Return the row at or before each position. ATen rounds the position to float32 first, whatever its type."""
        return np.floor(position.astype(np.float32)).astype(np.int64)

    def taps(self, o: np.ndarray) -> np.ndarray:
        """Return the input rows `(n, taps)` that outputs `o` `(n,)` read, clipped to the input."""
        base = self.floor(self.position(o))
        offsets = {"linear": (0, 1), "cubic": (-1, 0, 1, 2)}.get(self.mode, (0,))
        return np.clip(base[:, None] + np.array(offsets), 0, self.length - 1)

    @cached_property
    def power(self) -> int:
        """The factor of an enlargement by a power of two, for which integer arithmetic is exact; 0 otherwise."""
        factor = round(1 / self.scale) if self.scale and not self.align_corners else 0
        return factor if factor and self.scale * factor == 1 and factor & (factor - 1) == 0 else 0

    def _base(self, o: int) -> int:
        """Return `floor(x(o))` in integers, for a factor `f` that is a power of two.

        Nearest: `floor(o / f)`, and nearest-exact is the same row. Linear and cubic:
        `floor((o + 0.5) / f - 0.5) = floor((2*o - (f - 1)) / (2*f))`.
        """
        shift = 0 if self.mode in ("nearest", "nearest-exact") else self.power - 1
        base = (2 * o - shift) // (2 * self.power)
        return max(base, 0) if self.mode == "linear" else base

    def _clipped(self, row: int) -> int:
        return min(max(row, 0), self.length - 1)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """`first` and `last` of every output, `(outputs,)` each."""
        taps = self.taps(np.arange(self.outputs))
        return taps[:, 0], taps[:, -1] + 1

    def _bounds(self, o: int) -> tuple[int, int]:
        """Return `first` and `last` of output `o`, from the table where there is one."""
        o = min(max(o, 0), self.outputs - 1)
        if self.outputs <= TABLE:
            return int(self._table[0][o]), int(self._table[1][o])
        taps = self.taps(np.array([o]))[0]
        return int(taps[0]), int(taps[-1]) + 1

    def first(self, o: int) -> int:
        """Return the first row that output `o` reads."""
        if self.power:
            return self._clipped(self._base(o) - (1 if self.mode == "cubic" else 0))
        return self._bounds(o)[0]

    def last(self, o: int) -> int:
        """Return one more than the last row that output `o` reads."""
        if self.power:
            return self._clipped(self._base(o) + {"linear": 1, "cubic": 2}.get(self.mode, 0)) + 1
        return self._bounds(o)[1]

    def ready(self, arrived: int, limit: int) -> int:
        """Return how many outputs, at most `limit`, read only rows before `arrived`."""
        if self.power or self.outputs > TABLE:
            return super().ready(arrived, limit)
        return min(limit, int(np.searchsorted(self._table[1], arrived, side="right")))

    @property
    def rows_per_output(self) -> Fraction:
        """The scale as the nearest fraction with a denominator up to 64."""
        return Fraction(self.scale or 1.0).limit_denominator(64)

    @property
    def is_uniform(self) -> bool:
        """Whether the factor is a power of two, so that the weights repeat exactly."""
        return self.power > 0

    @property
    def depends_on_length(self) -> bool:
        """Whether the corners are aligned, or neither the factor nor its inverse is an integer."""
        return self.align_corners or ((1 / self.scale) % 1 != 0 and self.scale % 1 != 0)

    @property
    def interpolates(self) -> bool:
        """True."""
        return True

    @property
    def signature(self) -> Hashable:
        """The formula and its scale, without the lengths."""
        return self.mode, self.align_corners, self.scale

    def reads_beyond(self, stop: int, length: int) -> bool:
        """Return whether outputs before `stop` read the last row, which also stands for those after the end."""
        return self.last(stop - 1) >= length

    def outputs_of(self, rows: int) -> int | None:
        """Return `rows` times the factor; None when the factor is no power of two."""
        return rows * self.power if self.power else None

    def dropped_at_end(self, length: int, outputs: int) -> int:
        """Return 1 for a ratio that is no power of two: the length may be no multiple, which gives one row less."""
        return 0 if self.power else 1

    def ratio_follows_length(self, factor_given: bool, largest: int) -> bool:
        """Return whether several rows become another number of rows by a ratio that only the lengths explain."""
        if self.length <= 1 or self.outputs == self.length:
            return False
        ratio = Fraction(self.length, self.outputs)
        return self.align_corners or (not factor_given and max(ratio.as_integer_ratio()) > largest)
