"""A sharpness-aware step: the gradient is taken where the loss is greatest nearby, so that flat minima are found.

Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization" (SAM), equations 2 and 3:
with the gradient g at the weights w, the step follows the gradient at

    w + rho g / |g|

where |g| is over all weights together. Such a step takes two forward and two backward passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def uphill(network: nn.Module, rho: float) -> Iterator[None]:
    """Move the weights uphill by `rho` along their gradients, which are cleared; afterwards the weights are as before.

    Buffers are as before too: the statistics of batch norms count each batch once. Gradients that were computed within
    the block stay.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(1.0)
    >>> layer.weight.grad = torch.tensor([[-4.0]])
    >>> with uphill(layer, 0.5):
    ...     print(layer.weight.item(), layer.weight.grad)
    0.5 None
    >>> layer.weight.item()
    1.0
    """
    moved = [weight for weight in network.parameters() if weight.grad is not None]
    gradients = [weight.grad for weight in moved if weight.grad is not None]
    weights = [weight.detach().clone() for weight in moved]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    with torch.no_grad():
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm().clamp_min(1e-12)
        for weight, gradient in zip(moved, gradients, strict=True):
            weight.add_(gradient * (rho / norm))
            weight.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(moved, weights, strict=True):
                weight.copy_(before)
            for buffer, before in buffers:
                buffer.copy_(before)
