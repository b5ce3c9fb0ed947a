"""Barriers: gather the statistics of a value piece by piece, in float64, whatever the order of the pieces.

A barrier is an operator that needs all rows of its input before it can give anything: a global pool, a group norm. One
pass over the input hands every row of it to a gatherer, once. Afterwards the gatherer gives the barrier's result, a
value without rows, which the next pass works with.

Sums and extremes of pieces join in the obvious way. Means and variances are joined by the update of Chan, Golub and
LeVeque (1979): two sets of n_a and n_b numbers, with means m_a and m_b and sums of squared deviations S_a and S_b, have
together

    n = n_a + n_b,    d = m_b - m_a,    m = m_a + d n_b / n,    S = S_a + S_b + d^2 n_a n_b / n.

That is exact for any split into pieces and, unlike sums of squares, loses no digits where the mean is large.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from atrous.geometry.grams import GRAM, gram
from atrous.geometry.graph import Graph, Op
from atrous.geometry.lower import scale_and_shift
from atrous.geometry.rules.reduce import reduced_dims
from atrous.geometry.rules.sliding import dimensions

Rows = dict[int, tuple[int, int]]
"""The rows `[lo, hi)` of the whole input that a piece holds, by dimension; it is complete along other dimensions."""


class Gatherer(ABC):
    """Takes pieces that together cover the input of a barrier once, and gives the barrier's result."""

    @abstractmethod
    def update(self, piece: Tensor, rows: Rows) -> None:
        """Take in one piece of the input, which holds the given rows of it."""

    @abstractmethod
    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the value of the barrier, after the last piece. `whole` holds the values without rows."""


class Joinable(Gatherer):
    """A gatherer whose pieces several processes may take in: what one has gathered is sent as tensors to another."""

    @abstractmethod
    def state(self) -> list[Tensor]:
        """Return what was gathered so far; no tensors before the first piece."""

    @abstractmethod
    def merge(self, state: Sequence[Tensor]) -> None:
        """Take in the state of a gatherer of the same barrier that was given other pieces."""


class Reduction(Gatherer):
    """A reduction over some dimensions, as float64 tables over the dimensions that it keeps.

    A piece is reduced by itself, and the result joined into the part of the tables that the piece lies in. Reduced
    dimensions stay in the tables with size one, so that pieces and tables broadcast.
    """

    def __init__(self, op: Op, graph: Graph):
        self.op, self.shape = op, graph.ops[op.inputs[0]].shape
        self.dims = reduced_dims(op, len(self.shape))
        self.tables: list[Tensor] = []

    def part(self, rows: Rows) -> tuple[slice, ...]:
        """Return the part of a table that a piece with these rows belongs to."""
        return tuple(
            slice(None) if d in self.dims or d not in rows else slice(*rows[d]) for d in range(len(self.shape))
        )

    def open_tables(self, count: int, fill: float, like: Tensor) -> list[Tensor]:
        """Return the `count` tables; the first call makes them, on the device of `like` and full of `fill`."""
        if not self.tables:
            sizes = [1 if d in self.dims else n for d, n in enumerate(self.shape)]
            self.tables = [torch.full(sizes, fill, dtype=torch.float64, device=like.device) for _ in range(count)]
        return self.tables

    def state(self) -> list[Tensor]:
        """Return the tables, which are none before the first piece."""
        return self.tables

    def finished(self, table: Tensor) -> Tensor:
        """Return a table in the shape of the operator's result, and in its type if that is not floating-point."""
        return table.reshape(self.op.shape).to(table.dtype if self.op.dtype.is_floating_point else self.op.dtype)


class Sums(Reduction, Joinable):
    """Gathers `mean`, `sum` and vector norms of finite order p, which are `(sum |x|^p)^(1/p)`.

    The norm of order 0 is the number of values that are not zero.
    """

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Add the sum of the piece."""
        (total,) = self.open_tables(1, 0.0, piece)
        power = self.power
        if power == 0:
            piece = piece != 0
        elif power is not None:
            piece = piece.abs() if power == 1 else piece.double().abs().pow(power)
        total[self.part(rows)] += piece.sum(self.dims, keepdim=True, dtype=torch.float64)

    def merge(self, state: Sequence[Tensor]) -> None:
        """Add the sums."""
        for total in state:
            self.open_tables(1, 0.0, total)[0].add_(total)

    @property
    def power(self) -> float | None:
        """The order of a vector norm; None for other operators."""
        return float(self.op.arguments["ord"]) if self.op.kind == "linalg_vector_norm" else None

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the sum, or what the operator makes of it."""
        total = self.tables[0]
        if self.op.kind == "mean":
            total = total / math.prod(self.shape[d] for d in self.dims)
        if self.power:
            total = total.pow(1 / self.power)
        return self.finished(total)


class Extremes(Reduction, Joinable):
    """Gathers `amax`, `amin`, `max`, `min` and the vector norms of order infinity and minus infinity."""

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Take the greater (or lesser) of the table and the piece's extreme."""
        (best,) = self.open_tables(1, math.inf if self.low else -math.inf, piece)
        piece = piece.abs() if self.op.kind == "linalg_vector_norm" else piece
        extreme = (piece.amin if self.low else piece.amax)(self.dims, keepdim=True).double()
        part = self.part(rows)
        best[part] = (torch.minimum if self.low else torch.maximum)(best[part], extreme)

    @property
    def low(self) -> bool:
        """Whether the least value is wanted, and not the greatest."""
        return self.op.kind in ("amin", "min") or self.op.arguments.get("ord") == -math.inf

    def merge(self, state: Sequence[Tensor]) -> None:
        """Take the greater (or lesser) of the extremes."""
        for extreme in state:
            (best,) = self.open_tables(1, math.inf if self.low else -math.inf, extreme)
            best.copy_((torch.minimum if self.low else torch.maximum)(best, extreme))

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the extreme."""
        return self.finished(self.tables[0])


class Spread(Reduction, Joinable):
    """Gathers `var` and `std` by the update of Chan et al., with one table each for n, m and S (see the module)."""

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Join the count, the mean and the squared deviations of the piece."""
        count, mean, squares = self.open_tables(3, 0.0, piece)
        part, values = self.part(rows), piece.double()
        n = math.prod(piece.shape[d] for d in self.dims)
        new_mean = values.mean(self.dims, keepdim=True)
        new_squares = (values - new_mean).square().sum(self.dims, keepdim=True)
        delta, before = new_mean - mean[part], count[part].clone()
        count[part] += n
        squares[part] += new_squares + delta.square() * before * n / count[part]
        mean[part] += delta * n / count[part]

    def merge(self, state: Sequence[Tensor]) -> None:
        """Join the tables; where neither has gathered a number, count, mean and squared deviations stay 0."""
        if not state:
            return
        new_count, new_mean, new_squares = state
        count, mean, squares = self.open_tables(3, 0.0, new_count)
        delta, before = new_mean - mean, count.clone()
        count += new_count
        weight = new_count / count.clamp_min(1)
        squares += new_squares + delta.square() * before * weight
        mean += delta * weight

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return S / (n - correction), or its root."""
        count, _, squares = self.tables
        correction = self.op.arguments.get("correction")
        var = squares / (count - (1 if correction is None else correction))
        return self.finished(var.sqrt() if self.op.kind == "std" else var)


class GroupMoments(Joinable):
    """Gathers the mean and the variance of each group of channels, for group norm, by the update of Chan et al.

    The result is what the lowered graph multiplies by and adds: a scale and a shift for each channel.
    """

    def __init__(self, op: Op, graph: Graph):
        self.op = op
        self.n, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Join the count, the means `(groups,)` and the squared deviations `(groups,)` of the piece."""
        groups = self.op.args[1]
        grouped = piece.reshape(groups, -1).double()
        mean = grouped.mean(1)
        self.join(grouped.shape[1], mean, (grouped - mean[:, None]).square().sum(1))

    def join(self, n: int, mean: Tensor, squares: Tensor) -> None:
        """Join a count, means `(groups,)` and squared deviations `(groups,)` of other numbers."""
        delta, total = mean - self.mean, self.n + n
        self.squares = self.squares + squares + delta.square() * (self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total

    def state(self) -> list[Tensor]:
        """See `Joinable.state`: the count, the means and the squared deviations."""
        return [torch.tensor(self.n), self.mean, self.squares] if self.n else []

    def merge(self, state: Sequence[Tensor]) -> None:
        """Join the moments."""
        if state:
            self.join(int(state[0]), state[1], state[2])

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the scale and the shift of each channel."""
        _, _, weight, bias, eps = self.op.args
        tensors = [None if t is None else whole[t.index] for t in (weight, bias)]
        return scale_and_shift(self.mean, self.squares / self.n, self.op.shape[1], tensors[0], tensors[1], eps)


class AdaptivePool(Joinable):
    """Gathers adaptive and global pools: the sum or the maximum of each bin.

    Along a dimension of L rows pooled into n bins, bin o covers rows `floor(o L / n)` to `ceil((o + 1) L / n) - 1`.
    Bins may overlap by a row. A piece adds to every bin that it has rows of.
    """

    def __init__(self, op: Op, graph: Graph):
        self.op, self.shape = op, graph.ops[op.inputs[0]].shape
        self.average = "avg" in op.kind
        self.table: Tensor | None = None

    def bins(self, dim: int) -> list[tuple[int, int]]:
        """Return the rows `[lo, hi)` of each bin of a dimension."""
        length, count = self.shape[dim], self.op.shape[dim]
        return [(o * length // count, -(-(o + 1) * length // count)) for o in range(count)]

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Join the piece's part of every bin, one dimension after the other."""
        self.merge([self.binned(piece, rows)])

    def state(self) -> list[Tensor]:
        """See `Joinable.state`: the sums or maxima of the bins."""
        return [] if self.table is None else [self.table]

    def merge(self, state: Sequence[Tensor]) -> None:
        """Join sums or maxima of the bins."""
        for bins in state:
            if self.table is None:
                fill = 0.0 if self.average else -math.inf
                self.table = torch.full(self.op.shape, fill, dtype=torch.float64, device=bins.device)
            self.table = self.table + bins if self.average else torch.maximum(self.table, bins)

    def binned(self, piece: Tensor, rows: Rows) -> Tensor:
        """Return the sum or the maximum of the piece's part of every bin, in the shape of the result."""
        for dim in range(len(self.shape) - dimensions(self.op), len(self.shape)):
            piece = self._binned(piece, dim, rows.get(dim, (0, self.shape[dim])))
        return piece

    def _binned(self, x: Tensor, dim: int, rows: tuple[int, int]) -> Tensor:
        """Reduce dimension `dim`, which holds the given rows, to one entry per bin; bins without rows stay neutral."""
        parts = []
        for lo, hi in self.bins(dim):
            start, stop = max(lo, rows[0]), min(hi, rows[1])
            if stop <= start:
                fill = 0.0 if self.average else -math.inf
                parts.append(torch.full_like(x.narrow(dim, 0, 1), fill, dtype=torch.float64))
                continue
            part = x.narrow(dim, start - rows[0], stop - start)
            parts.append(
                part.sum(dim, keepdim=True, dtype=torch.float64) if self.average else part.amax(dim, True).double()
            )
        return torch.cat(parts, dim)

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the maxima, or the sums divided by the size of each bin (or by the operator's own divisor)."""
        assert self.table is not None
        if not self.average:
            return self.table
        total, divisor = self.table, self.op.arguments.get("divisor_override")
        if divisor:
            return total / divisor
        for dim in range(len(self.shape) - dimensions(self.op), len(self.shape)):
            sizes = torch.tensor([hi - lo for lo, hi in self.bins(dim)], dtype=torch.float64, device=total.device)
            total = total / sizes.reshape([-1 if d == dim else 1 for d in range(len(self.shape))])
        return total


class Grams(Joinable):
    """Gathers the product over positions of the first channels with the others: a sum of those of the pieces."""

    def __init__(self, op: Op, graph: Graph):
        self.op = op
        self.total = torch.zeros((), dtype=torch.float64)

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Add the product of the piece `(..., channels, positions)`."""
        self.merge([gram(piece.double(), self.op.args[1])])

    def state(self) -> list[Tensor]:
        """See `Joinable.state`: the sum."""
        return [self.total]

    def merge(self, state: Sequence[Tensor]) -> None:
        """Add the sums."""
        for total in state:
            self.total = self.total.to(total.device) + total

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the sum."""
        return self.total


def gatherer(op: Op, graph: Graph) -> Joinable:
    """Return an empty gatherer for a barrier."""
    kinds: dict[str, Callable[[Op, Graph], Any]] = {
        "moments": GroupMoments,
        GRAM: Grams,
        "mean": Sums,
        "sum": Sums,
        "var": Spread,
        "std": Spread,
        **dict.fromkeys(("amax", "amin", "max", "min"), Extremes),
    }
    if op.kind == "linalg_vector_norm":
        return Extremes(op, graph) if math.isinf(op.arguments["ord"]) else Sums(op, graph)
    return AdaptivePool(op, graph) if "pool" in op.kind else kinds[op.kind](op, graph)
