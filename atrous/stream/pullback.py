"""Barriers backward: from the gradient of a barrier's result to the gradient of each row of its input.

A barrier gathers a few numbers `t` from all rows `x` (a sum, a mean, a maximum), and its result `r(t)` follows from
them. Backward it goes the other way. Autograd gives `dL/dt`, since `r` is computed with gradients. Then each piece of
the input is given its own part of

    dL/dx = dL/dt * dt/dx,

which needs that piece, `t` and `dL/dt`, but no other piece: for a sum `dt/dx = 1`, for the squared deviations
`S = sum (x - mean)^2` it is `2 (x - mean)`, for a maximum it is 1 where the maximum was found. So the walk that brings
the gradients of a barrier back takes the input strip by strip, like the walk that gathered it.

Ties go as torch has them: `amax`, `amin`, `max` and `min` of everything and norms of infinite order share the gradient
among all positions that tie, while pools and `max` over one dimension give it to the first.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.geometry.axis import Refused
from atrous.geometry.grams import gram
from atrous.geometry.graph import Graph, Op
from atrous.geometry.lower import per_channel
from atrous.geometry.rules.reduce import reduced_dims
from atrous.geometry.rules.sliding import dimensions
from atrous.stream.gather import (
    AdaptivePool,
    Extremes,
    Gatherer,
    Grams,
    GroupMoments,
    Reduction,
    Rows,
    Spread,
    Sums,
    gatherer,
)


class TiedExtremes(Reduction):
    """Gathers what `Extremes` does, and at how many positions the extreme was found.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> network = nn.AdaptiveMaxPool1d(1)
    >>> network.forward = lambda x: x.amax(2)
    >>> graph = export_graph(network, (1, 4))
    >>> ties = TiedExtremes(graph.ops[graph.output], graph)
    >>> ties.update(torch.tensor([[[1.0, 3.0]]]), {2: (0, 2)})
    >>> ties.update(torch.tensor([[[3.0, 2.0]]]), {2: (2, 4)})
    >>> ties.result({}).item(), ties.tables[1].item()
    (3.0, 2.0)
    """

    def __init__(self, op: Op, graph: Graph):
        super().__init__(op, graph)
        order = op.arguments.get("ord") if op.kind == "linalg_vector_norm" else None
        self.low, self.absolute = op.kind in ("amin", "min") or order == -math.inf, order is not None

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Take the greater (or lesser) of the table and the piece's extreme, and count where it is."""
        if not self.tables:
            self.open_tables(2, math.inf if self.low else -math.inf, piece)
            self.tables[1].zero_()
        best, count = self.tables
        piece = piece.abs() if self.absolute else piece
        extreme = (piece.amin if self.low else piece.amax)(self.dims, keepdim=True)
        ties = (piece == extreme).sum(self.dims, keepdim=True).double()
        part, extreme = self.part(rows), extreme.double()
        better = (torch.minimum if self.low else torch.maximum)(best[part], extreme)
        count[part] = count[part] * (best[part] == better) + ties * (extreme == better)
        best[part] = better

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the extreme."""
        return self.finished(self.tables[0])


class FirstExtreme(Gatherer):
    """Gathers the maximum (or minimum) over some dimensions, and the first position where it was found.

    Positions are numbered in row-major order over the reduced dimensions of the whole input.
    """

    def __init__(self, op: Op, graph: Graph):
        self.op, self.shape = op, graph.ops[op.inputs[0]].shape
        rank = len(self.shape)
        if "pool" in op.kind:
            self.dims = list(range(rank - dimensions(op), rank))
            if any(op.shape[d] != 1 for d in self.dims):
                raise Refused(op, "the gradient of a maximum pool with several wide bins has no rule: pool to one bin")
        else:
            self.dims = reduced_dims(op, rank)
        self.kept = [d for d in range(rank) if d not in self.dims]
        self.low = op.kind == "min"
        self.best: Tensor | None = None
        self.place = torch.zeros((), dtype=torch.int64)

    def update(self, piece: Tensor, rows: Rows) -> None:
        """Take the better of what was found before and the piece's extreme; of equal ones the first."""
        flat = piece.permute(*self.kept, *self.dims).flatten(len(self.kept))
        value, place = (flat.min if self.low else flat.max)(-1)
        place = self._moved(place, [piece.shape[d] for d in self.dims], rows)
        if self.best is None:
            self.best, self.place = value, place
            return
        better = (value < self.best) if self.low else (value > self.best)
        better |= (value == self.best) & (place < self.place)
        self.best, self.place = torch.where(better, value, self.best), torch.where(better, place, self.place)

    def _moved(self, place: Tensor, sizes: list[int], rows: Rows) -> Tensor:
        """Return the numbers that positions of a piece have in the whole input."""
        moved, scale = torch.zeros_like(place), 1
        for dim, size in zip(reversed(self.dims), reversed(sizes), strict=True):
            moved += (place % size + rows.get(dim, (0, 0))[0]) * scale
            place = place.div(size, rounding_mode="floor")
            scale *= self.shape[dim]
        return moved

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the extreme."""
        assert self.best is not None
        return self.best.reshape(self.op.shape)

    def scattered(self, adjoint: Tensor, piece: Tensor, rows: Rows) -> Tensor:
        """Return zeros like `piece`, with the numbers of `adjoint` at the first extremes that lie in it."""
        sizes = [piece.shape[d] for d in self.dims]
        place, local, inside, scale = self.place, torch.zeros_like(self.place), torch.ones_like(self.place).bool(), 1
        for dim, size in zip(reversed(self.dims), reversed(sizes), strict=True):
            row = place % self.shape[dim] - rows.get(dim, (0, 0))[0]
            inside &= (row >= 0) & (row < size)
            local += row * scale
            place = place.div(self.shape[dim], rounding_mode="floor")
            scale *= size
        flat = piece.new_zeros([*(piece.shape[d] for d in self.kept), math.prod(sizes)])
        given = (adjoint.reshape(local.shape) * inside).to(flat.dtype)
        flat.scatter_(-1, (local * inside)[..., None], given[..., None])
        order = [*self.kept, *self.dims]
        return flat.unflatten(-1, sizes).permute([order.index(d) for d in range(len(order))])


def gradient_gatherer(op: Op, graph: Graph) -> Gatherer:
    """Return an empty gatherer for a barrier that gathers what its gradient needs, too."""
    pooled_maximum = "pool" in op.kind and "avg" not in op.kind
    if pooled_maximum or (op.kind in ("max", "min") and op.item == 0):
        return FirstExtreme(op, graph)
    usual = gatherer(op, graph)
    return TiedExtremes(op, graph) if isinstance(usual, Extremes) else usual


class Pullback(ABC):
    """A barrier after its last piece: its result with gradients, and the gradient of each piece.

    Attributes:
        leaves: the gathered numbers from which the result follows, as leaves of autograd.
    """

    def __init__(self, gathered: Any):
        self.gathered = gathered
        self.leaves: list[Tensor] = self.attach()

    @abstractmethod
    def attach(self) -> list[Tensor]:
        """Replace what the gatherer's result is computed from by leaves of autograd, and return these."""

    def result(self, whole: dict[int, Tensor]) -> Tensor:
        """Return the value of the barrier. `whole` holds the values without rows."""
        return self.gathered.result(whole)

    @abstractmethod
    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return the gradient of the loss by `piece`; `adjoints` are its gradients by `leaves`."""


def _leaf(numbers: Tensor) -> Tensor:
    return numbers.detach().clone().requires_grad_()


class SumsPullback(Pullback):
    """Sums, means and norms of finite order."""

    def attach(self) -> list[Tensor]:
        """Return the sums."""
        self.gathered.tables = [_leaf(self.gathered.tables[0])]
        return list(self.gathered.tables)

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return `dL/dt`, times `p |x|^(p-1) sign(x)` for a norm of order p; 0 where the norm is 0."""
        power, (adjoint,) = self.gathered.power, adjoints
        if power is None:
            return adjoint.to(piece.dtype).expand_as(piece)
        if power == 0:
            return torch.zeros_like(piece)
        adjoint = torch.where(self.leaves[0] == 0, 0.0, adjoint).to(piece.dtype)
        slope = power * piece.abs().pow(power - 1) * piece.sign()
        return torch.where(piece == 0, 0.0, slope) * adjoint


class ExtremesPullback(Pullback):
    """Extremes that share their gradient among ties."""

    def attach(self) -> list[Tensor]:
        """Return the extremes."""
        self.gathered.tables[0] = _leaf(self.gathered.tables[0])
        return [self.gathered.tables[0]]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return `dL/dt` over the number of ties, where the extreme is."""
        best, count = self.gathered.tables
        sizes = piece.abs() if self.gathered.absolute else piece
        share = (sizes.double() == best.detach()) * (adjoints[0] / count)
        return (share * piece.sign() if self.gathered.absolute else share).to(piece.dtype)


class FirstPullback(Pullback):
    """Extremes that give their gradient to the first position."""

    def attach(self) -> list[Tensor]:
        """Return the extremes."""
        self.gathered.best = _leaf(self.gathered.best)
        return [self.gathered.best]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return `dL/dt` at the first extremes that lie in the piece."""
        return self.gathered.scattered(adjoints[0], piece, rows)


class SpreadPullback(Pullback):
    """Variances and standard deviations."""

    def attach(self) -> list[Tensor]:
        """Return the sums of squared deviations."""
        self.gathered.tables[2] = _leaf(self.gathered.tables[2])
        return [self.gathered.tables[2]]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return `dL/dS * 2 (x - mean)`; 0 where all numbers are equal, as torch has it."""
        _, mean, squares = self.gathered.tables
        adjoint = torch.where(squares.detach() == 0, 0.0, adjoints[0])
        return (2 * adjoint).to(piece.dtype) * (piece - mean.to(piece.dtype))


class MomentsPullback(Pullback):
    """The mean and the squared deviations of each group of channels, for group, instance and batch norm."""

    def attach(self) -> list[Tensor]:
        """Return the means and the sums of squared deviations, `(groups,)` each."""
        self.gathered.mean, self.gathered.squares = _leaf(self.gathered.mean), _leaf(self.gathered.squares)
        return [self.gathered.mean, self.gathered.squares]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return `dL/dmean / n + dL/dS * 2 (x - mean)`."""
        mean = self.gathered.mean.detach()
        each = piece.shape[1] // mean.numel()
        shift, slope, center = (
            per_channel(t.repeat_interleave(each).to(piece.dtype), piece)
            for t in (adjoints[0] / self.gathered.n, 2 * adjoints[1], mean)
        )
        return torch.addcmul(shift, piece - center, slope)


class PoolPullback(Pullback):
    """Averages over bins."""

    def attach(self) -> list[Tensor]:
        """Return the sum of each bin."""
        self.gathered.table = _leaf(self.gathered.table)
        return [self.gathered.table]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return for each position the sum of `dL/dt` over the bins that hold it."""
        with torch.enable_grad():
            x = piece.detach().requires_grad_()
            binned = self.gathered.binned(x, rows)
        return torch.autograd.grad(binned, x, adjoints[0].to(binned.dtype))[0]


class GramPullback(Pullback):
    """Products of channels with channels, summed over positions."""

    def attach(self) -> list[Tensor]:
        """Return the products."""
        self.gathered.total = _leaf(self.gathered.total)
        return [self.gathered.total]

    def gradient(self, piece: Tensor, rows: Rows, adjoints: list[Tensor]) -> Tensor:
        """Return the gradient of the product of the piece."""
        with torch.enable_grad():
            x = piece.detach().requires_grad_()
            product = gram(x.double(), self.gathered.op.args[1])
        return torch.autograd.grad(product, x, adjoints[0])[0]


PULLBACKS: dict[type[Gatherer], Callable[[Any], Pullback]] = {
    Sums: SumsPullback,
    TiedExtremes: ExtremesPullback,
    FirstExtreme: FirstPullback,
    Spread: SpreadPullback,
    GroupMoments: MomentsPullback,
    AdaptivePool: PoolPullback,
    Grams: GramPullback,
}
"""How each kind of gatherer goes backward."""


def pullback(gathered: Gatherer) -> Pullback:
    """Return what brings gradients back through a barrier that has been given all its pieces."""
    return PULLBACKS[type(gathered)](gathered)
