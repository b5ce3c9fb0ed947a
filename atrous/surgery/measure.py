"""How far a result is from its original, with no channel hidden behind a larger one.

In float32 a small channel beside a large one may be rounding and nothing else, so where one looks wrong by itself both
networks run once more, in float64.
"""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from atrous.errors import UserError
from atrous.surgery.certificate import TOLERANCE, relative_error
from atrous.surgery.copies import copied

Pairs = Sequence[tuple[Tensor, Tensor]]
"""Outputs of the result, and what they should be."""
LEAST = 0.01
"""A channel smaller than this part of the largest one is measured in units of this part."""


def channel_error(found: Tensor, wanted: Tensor) -> float:
    """The largest |difference| in `(N, C, ...)` in units of the largest |wanted| of its channel.

    >>> import torch
    >>> channel_error(torch.tensor([[100.0, 1.5]]), torch.tensor([[100.0, 2.0]]))
    0.25
    """
    if found.shape != wanted.shape or wanted.dim() < 2 or not wanted.numel():
        return relative_error(found, wanted)
    difference, size = (t.detach().double().abs().transpose(0, 1).flatten(1).amax(1) for t in (found - wanted, wanted))
    error = float((difference / size.clamp_min(max(LEAST * float(size.max()), 1e-30))).max())
    return float("inf") if math.isnan(error) else error


def proven_error(network: nn.Module, result: nn.Module, outputs: Callable[[nn.Module, nn.Module], Pairs]) -> float:
    """The largest relative error of `outputs(network, result)`; that of a channel where float64 confirms it."""
    pairs = outputs(network, result)
    error = max((relative_error(*pair) for pair in pairs), default=0.0)
    if error > TOLERANCE or max((channel_error(*pair) for pair in pairs), default=0.0) <= TOLERANCE:
        return error
    try:
        exact = outputs(copied(network).double(), copied(result).double())
    except (RuntimeError, UserError):  # it computes in float32 whatever its own numbers are
        return error
    return max(error, *(channel_error(*pair) for pair in exact))
