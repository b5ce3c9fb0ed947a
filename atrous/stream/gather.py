"""Barriers: gather the statistics of a value piece by piece, in float64, whatever the order of the pieces.

Means and variances are joined by the update of Chan, Golub and LeVeque (1979): exact for any split into pieces.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.geometry.graph import Graph, Op
from atrous.geometry.lower import scale_and_shift
from atrous.geometry.rules.reduce import reduced_dims
from atrous.geometry.rules.sliding import dimensions

Rows = dict[int, tuple[int, int]]
"""Which rows `[lo, hi)` of each cut dimension a piece holds."""


class Gatherer:
    """Takes pieces that together cover a value once, and gives the barrier's result."""

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Take in one piece."""
        raise NotImplementedError

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """The value of the barrier, once every piece has been taken in."""
        raise NotImplementedError


class Table(Gatherer):
    """A table over the kept dimensions into which each piece's partial results are merged."""

    def __init__(self, op: Op, graph: Graph):
        self.op, self.shape = op, graph.ops[op.inputs[0]].shape
        self.dims = reduced_dims(op, len(self.shape))
        self.tables: list[Tensor] = []

    def at(self, rows: Rows) -> tuple[slice, ...]:
        """Where a piece's partial result belongs (reduced dimensions are kept with size one)."""
        return tuple(
            slice(None) if d in self.dims or d not in rows else slice(*rows[d]) for d in range(len(self.shape))
        )

    def fresh(self, count: int, fill: float, like: Tensor) -> list[Tensor]:
        """The tables, made when the first piece says on which device."""
        if not self.tables:
            sizes = [1 if d in self.dims else n for d, n in enumerate(self.shape)]
            self.tables = [torch.full(sizes, fill, dtype=torch.float64, device=like.device) for _ in range(count)]
        return self.tables

    def finished(self, table: Tensor) -> Tensor:
        """In the shape of the operator's result, and in its type when that is not floating."""
        return table.reshape(self.op.shape).to(table.dtype if self.op.dtype.is_floating_point else self.op.dtype)


class Sums(Table):
    """mean, sum and vector norms."""

    def update(self, piece: Tensor, rows: Rows) -> None:
        """See `Gatherer.update`."""
        (total,) = self.fresh(1, 0.0, piece)
        power = self.power
        if power is not None:
            piece = piece.abs() if power == 1 else piece.double().abs().pow(power)
        total[self.at(rows)] += piece.sum(self.dims, keepdim=True, dtype=torch.float64)

    @property
    def power(self) -> float | None:
        """The order of a vector norm."""
        return float(self.op.arguments["ord"]) if self.op.kind == "linalg_vector_norm" else None

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """See `Gatherer.result`."""
        total = self.tables[0]
        if self.op.kind == "mean":
            total = total / math.prod(self.shape[d] for d in self.dims)
        if self.power is not None:
            total = total.pow(1 / self.power)
        return self.finished(total)


class Extremes(Table):
    """amax, amin, max, min and the infinity norm."""

    def update(self, piece: Tensor, rows: Rows) -> None:
        """See `Gatherer.update`."""
        low = self.op.kind in ("amin", "min") or self.op.arguments.get("ord") == -math.inf
        (best,) = self.fresh(1, math.inf if low else -math.inf, piece)
        piece = piece.abs() if self.op.kind == "linalg_vector_norm" else piece
        found = (piece.amin if low else piece.amax)(self.dims, keepdim=True).double()
        at = self.at(rows)
        best[at] = (torch.minimum if low else torch.maximum)(best[at], found)

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """See `Gatherer.result`."""
        return self.finished(self.tables[0])


class Spread(Table):
    """var and std, by Chan's update."""

    def __init__(self, op: Op, graph: Graph):
        super().__init__(op, graph)
        self.counts: Tensor | None = None

    def update(self, piece: Tensor, rows: Rows) -> None:
        """See `Gatherer.update`."""
        count, mean, m2 = self.fresh(3, 0.0, piece)
        at, values = self.at(rows), piece.double()
        n = math.prod(piece.shape[d] for d in self.dims)
        new_mean = values.mean(self.dims, keepdim=True)
        new_m2 = (values - new_mean).square().sum(self.dims, keepdim=True)
        delta, before = new_mean - mean[at], count[at].clone()
        count[at] += n
        m2[at] += new_m2 + delta.square() * before * n / count[at]
        mean[at] += delta * n / count[at]

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """See `Gatherer.result`."""
        count, _, m2 = self.tables
        correction = self.op.arguments.get("correction")
        var = m2 / (count - (1 if correction is None else correction))
        return self.finished(var.sqrt() if self.op.kind == "std" else var)


class Moments(Gatherer):
    """The scale and shift of group norm, by Chan's update per group."""

    def __init__(self, op: Op, graph: Graph):
        self.op = op
        self.n, self.mean, self.m2 = 0, torch.zeros(()), torch.zeros(())

    def update(self, piece: Tensor, rows: Rows) -> None:
        """See `Gatherer.update`."""
        groups = self.op.args[1]
        grouped = piece.reshape(groups, -1).double()
        n, mean = grouped.shape[1], grouped.mean(1)
        m2 = (grouped - mean[:, None]).square().sum(1)
        delta, total = mean - self.mean, self.n + n
        self.m2 = self.m2 + m2 + delta.square() * (self.n * n / total)
        self.mean = self.mean + delta * (n / total)
        self.n = total

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """See `Gatherer.result`."""
        _, _, weight, bias, eps = self.op.args
        tensors = [None if t is None else whole[t.index] for t in (weight, bias)]
        return scale_and_shift(self.mean, self.m2 / self.n, self.op.shape[1], tensors[0], tensors[1], eps)


class AdaptivePool(Gatherer):
    """Adaptive and global pools: sums or maxima of bins."""

    def __init__(self, op: Op, graph: Graph):
        self.op, self.shape = op, graph.ops[op.inputs[0]].shape
        self.average = "avg" in op.kind
        self.table: Tensor | None = None

    def bins(self, dim: int) -> list[tuple[int, int]]:
        """The bins of a dimension."""
        length, count = self.shape[dim], self.op.shape[dim]
        return [(o * length // count, -(-(o + 1) * length // count)) for o in range(count)]

    def update(self, piece: Tensor, rows: Rows) -> None:
        """See `Gatherer.update`."""
        if self.table is None:
            self.table = torch.full(
                self.op.shape, 0.0 if self.average else -math.inf, dtype=torch.float64, device=piece.device
            )
        x = piece
        for dim in range(len(self.shape) - dimensions(self.op), len(self.shape)):
            x = self._binned(x, dim, rows.get(dim, (0, self.shape[dim])))
        self.table = self.table + x if self.average else torch.maximum(self.table, x)

    def _binned(self, x: Tensor, dim: int, rows: tuple[int, int]) -> Tensor:
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
        """See `Gatherer.result`."""
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


def gatherer(op: Op, graph: Graph) -> Gatherer:
    """The gatherer of one barrier."""
    kinds: dict[str, Callable[[Op, Graph], Any]] = {
        "moments": Moments,
        "mean": Sums,
        "sum": Sums,
        "var": Spread,
        "std": Spread,
        **dict.fromkeys(("amax", "amin", "max", "min"), Extremes),
    }
    if op.kind == "linalg_vector_norm":
        return Extremes(op, graph) if math.isinf(op.arguments["ord"]) else Sums(op, graph)
    return AdaptivePool(op, graph) if "pool" in op.kind else kinds[op.kind](op, graph)
