"""Sums and batches over all processes that train together.

A training on several devices runs one process (a rank) for each; every rank computes the outputs of its part of the
batch. Losses divide by counts, such as that of the positions that are not void, and those must be the counts of the
whole batch. Within the block `joined` the functions here add up over the ranks; elsewhere they return what they get.

Every rank computes the same loss from the same totals. The gradients of a training are the mean over the ranks of
those of their losses (DDP), so a total passes on the gradient times the number of ranks:

    mean over r of  R dL/dtotal dtotal/dx_r  summed over the outputs x_r of every rank r  =  dL/dx
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import distributed
from torch.nn import functional as F

_GROUP: ContextVar[Any] = ContextVar("group", default=None)


@contextmanager
def joined(group: Any) -> Iterator[None]:
    """Within the block, totals are those of all ranks of a process group; None for a process that trains alone.

    Every rank must run the same block: a rank that leaves it early leaves the others waiting.
    """
    token = _GROUP.set(group)
    try:
        yield
    finally:
        _GROUP.reset(token)


def current_group() -> Any:
    """Return the process group of the block `joined`, or None outside of it."""
    return _GROUP.get()


def total(sums: torch.Tensor) -> torch.Tensor:
    """Return the sum over the ranks, with gradients; outside of `joined` the same tensor.

    Args:
        sums: of any shape, which is the same on every rank, and of a floating dtype. Put all sums of a loss into one
            tensor: each call is a message.

    >>> total(torch.tensor([3.0, 2.0]))
    tensor([3., 2.])
    """
    group = current_group()
    return sums if group is None else _Total.apply(sums, group)  # type: ignore[no-any-return]


def totals(first: torch.Tensor, *others: torch.Tensor | float) -> tuple[torch.Tensor, ...]:
    """Return the totals of several scalars by one message.

    Args:
        first: a sum of floating dtype, which all totals have.
        others: further sums, which may be integers or plain numbers.

    >>> totals(torch.tensor(3.0), torch.tensor(2), 4)
    (tensor(3.), tensor(2.), tensor(4.))
    """
    rest = [one.to(first.dtype) if isinstance(one, torch.Tensor) else first.new_full((), one) for one in others]
    return total(torch.stack([first, *rest])).unbind()


class _Total(torch.autograd.Function):
    """The sum over the ranks."""

    @staticmethod
    def forward(ctx: Any, sums: torch.Tensor, group: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.ranks = distributed.get_world_size(group)
        everywhere = sums.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(everywhere, group=group)
        return everywhere

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.ranks, None


def first_number(count: int, device: torch.device) -> int:
    """Return how many entries the ranks before this one have, each of which has a count of its own.

    >>> first_number(4, torch.device("cpu"))
    0
    """
    group = current_group()
    return 0 if group is None else sum(_counts(count, device, group)[: distributed.get_rank(group)])


def _counts(count: int, device: torch.device, group: Any) -> list[int]:
    """The counts of all ranks."""
    own = torch.tensor([count], device=device)
    counts = [torch.zeros_like(own) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(counts, own, group=group)
    return [int(each) for each in counts]


def gathered(values: torch.Tensor) -> torch.Tensor:
    """Return the entries of all ranks along the first axis, `(N, ...)` of `(n, ...)`, with gradients to the own ones.

    For losses that are no function of a few sums; it sends whole outputs. Outside of `joined` the same tensor.

    >>> gathered(torch.tensor([[1, 2]]))
    tensor([[1, 2]])
    """
    group = current_group()
    return values if group is None else _FromEveryRank.apply(values, group)  # type: ignore[no-any-return]


class _FromEveryRank(torch.autograd.Function):
    """The entries of all ranks, one rank after the other."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, group: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.ranks, rank = distributed.get_world_size(group), distributed.get_rank(group)
        counts = _counts(len(values), values.device, group)
        ctx.start, ctx.count = sum(counts[:rank]), len(values)
        # all_gather takes parts of one size: shorter ones are filled up, and cut afterwards
        filled = F.pad(values.detach(), [0, 0] * (values.ndim - 1) + [0, max(counts) - len(values)]).contiguous()
        parts = [torch.empty_like(filled) for _ in counts]
        distributed.all_gather(parts, filled, group=group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0][ctx.start : ctx.start + ctx.count] * ctx.ranks, None
