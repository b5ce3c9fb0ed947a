"""What each base of a sequence contributes to a class: input x gradient, or integrated gradients."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.probe import Output, evaluating, forward, like
from atrous.errors import UserError

METHODS = ("gradients", "integrated")
BACKGROUND = 0.25
"""Frequency of each base in the sequence that says nothing."""


def require_bases(sequence: np.ndarray) -> None:
    """Raise where values `(C, L)` are no bases: four channels A, C, G, T of 0 to 1.

    >>> require_bases(np.eye(4))
    """
    if sequence.ndim != 2 or sequence.shape[0] != 4:
        raise UserError(f"shape {sequence.shape}: motifs are of sequences (4, length), channels A, C, G, T")
    if sequence.size and not (sequence.min() >= 0 and sequence.max() <= 1):
        raise UserError("values beyond 0 and 1: motifs are of one-hot sequences, channels A, C, G, T")


def contributions(
    network: nn.Module,
    sequence: np.ndarray,
    target: int,
    *,
    method: str = "integrated",
    steps: int = 8,
    output: Output = None,
) -> np.ndarray:
    """Contribution of each position of one sequence `(4, L)` to output channel `target`, `(L,)`.

    What is explained is the channel's output over the mean of the others, summed over the positions where `target` is
    the greatest; 0 everywhere when it is so nowhere.

    Args:
        network: `(N, 4, L) -> (N, K, L')`.
        sequence: one-hot, channels A, C, G, T.
        target: output channel.
        method: "gradients": input x gradient (Shrikumar et al. 2017), the gradient taken at the sequence, each
            position's mean over the four bases subtracted from it (Majdandzic et al. 2023): what matters is a base in
            place of the others. "integrated": the same over the line from a quarter of each base (Sundararajan et al.
            2017).
        steps: points of the line.
        output: which tensor, when the network returns several.

    Raises:
        UserError: an unknown method, no sequence of bases, or a channel that is not there.

    >>> network = nn.Conv1d(4, 2, 1, bias=False)
    >>> network.weight.data = torch.tensor([[[0.0], [0.0], [0.0], [0.0]], [[8.0], [0.0], [0.0], [0.0]]])
    >>> contributions(network, np.eye(4), 1).round(3).tolist()  # an A where the mean base would give 2
    [6.0, 0.0, 0.0, 0.0]
    """
    if method not in METHODS:
        raise UserError(f"method {method!r}: choose of {', '.join(METHODS)}")
    require_bases(sequence)
    x = torch.as_tensor(np.ascontiguousarray(sequence)).to(like(network))[None]
    with evaluating(network):
        with torch.no_grad():
            found = forward(network, x, output)
        if not 0 <= target < found.shape[1] or found.shape[1] < 2:
            raise UserError(f"class {target}: the network has output channels 0 to {found.shape[1] - 1}")
        where = (found.argmax(1) == target).to(x.dtype)
        if not bool(where.any()):
            return np.zeros(sequence.shape[1])

        def score(values: Tensor) -> Tensor:
            out = forward(network, values, output)
            others = (out.sum(1) - out[:, target]) / (out.shape[1] - 1)
            return ((out[:, target] - others) * where).sum()

        slopes = _slopes(score, x, steps if method == "integrated" else 0)
    slopes = slopes - slopes.mean(1, keepdim=True)
    return (slopes * x).sum(1)[0].double().cpu().numpy()


def _slopes(score: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """The gradient at `x`, or its mean on the line from an even background to `x`, by Gauss-Legendre quadrature."""
    if steps == 0:
        return _gradient(score, x)
    points, weights = np.polynomial.legendre.leggauss(steps)
    places: Sequence[float] = ((points + 1) / 2).tolist()
    total = torch.zeros_like(x)
    for place, weight in zip(places, (weights / 2).tolist(), strict=True):
        total += weight * _gradient(score, BACKGROUND + place * (x - BACKGROUND))
    return total


def _gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(score(x), x)[0]
