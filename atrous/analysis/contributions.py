"""How much each base of a sequence contributes to a class: input x gradient, or integrated gradients."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.probe import Output, evaluating, forward, like
from atrous.errors import UserError

METHODS = ("gradients", "integrated")
BACKGROUND = 0.25
"""Value of each of the four channels in the uninformative sequence that integrated gradients start from."""


def require_bases(sequence: np.ndarray) -> None:
    """Raise UserError unless `sequence` is `(4, L)`, channels A, C, G, T, with values from 0 to 1.

    >>> require_bases(np.eye(4))
    """
    if sequence.ndim != 2 or sequence.shape[0] != 4:
        raise UserError(f"shape {sequence.shape}: motifs need sequences of shape (4, length), channels A, C, G, T")
    if sequence.size and not (sequence.min() >= 0 and sequence.max() <= 1):
        raise UserError("values outside of 0 to 1: motifs need one-hot sequences, channels A, C, G, T")


def contributions(
    network: nn.Module,
    sequence: np.ndarray,
    target: int,
    *,
    method: str = "integrated",
    steps: int = 8,
    output: Output = None,
) -> np.ndarray:
    """Return how much each base of one sequence contributes to output channel `target`.

    The score that is explained is the output of the channel minus the mean of the other channels, summed over the
    positions where `target` is the predicted class. With g `(4, L)` the gradient of the score and x `(4, L)` the
    sequence, the contribution of position l is

        sum_c x[c, l] (g[c, l] - mean_c g[c, l])

    The mean is subtracted because only the difference between a base and the other three matters (Majdandzic et al.
    2023).

    Args:
        network: `(N, 4, L) -> (N, K, L')`.
        sequence: `(4, L)`, one-hot, channels A, C, G, T.
        target: output channel.
        method: "gradients": g is the gradient at the sequence (input x gradient, Shrikumar et al. 2017). "integrated":
            g is the mean gradient over the line from 1/4 in every channel to the sequence (Sundararajan et al. 2017).
        steps: number of quadrature points on that line.
        output: which tensor to use if the network returns several.

    Returns:
        `(L,)`; 0 everywhere if `target` is predicted nowhere.

    Raises:
        UserError: the method or the channel does not exist, or the sequence is not one of bases.

    >>> network = nn.Conv1d(4, 2, 1, bias=False)
    >>> network.weight.data = torch.tensor([[[0.0], [0.0], [0.0], [0.0]], [[8.0], [0.0], [0.0], [0.0]]])
    >>> contributions(network, np.eye(4), 1).round(3).tolist()  # an A gives 8, the mean over bases 2
    [6.0, 0.0, 0.0, 0.0]
    """
    if method not in METHODS:
        raise UserError(f"method {method!r}: choose from {', '.join(METHODS)}")
    require_bases(sequence)
    x = torch.as_tensor(np.ascontiguousarray(sequence)).to(like(network))[None]
    with evaluating(network):
        with torch.no_grad():
            scores = forward(network, x, output)
        if not 0 <= target < scores.shape[1] or scores.shape[1] < 2:
            raise UserError(f"class {target}: the network has output channels 0 to {scores.shape[1] - 1}")
        where = (scores.argmax(1) == target).to(x.dtype)
        if not bool(where.any()):
            return np.zeros(sequence.shape[1])

        def score(values: Tensor) -> Tensor:
            out = forward(network, values, output)
            others = (out.sum(1) - out[:, target]) / (out.shape[1] - 1)
            return ((out[:, target] - others) * where).sum()

        gradient = _mean_gradient(score, x, steps if method == "integrated" else 0)
    gradient = gradient - gradient.mean(1, keepdim=True)
    return (gradient * x).sum(1)[0].double().cpu().numpy()


def _mean_gradient(score: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """Return the gradient at x `(1, 4, L)`, or its mean over the line from `BACKGROUND` to x.

    The mean is computed by Gauss-Legendre quadrature with `steps` points; 0 steps give the gradient at x.
    """
    if steps == 0:
        return _gradient(score, x)
    points, weights = np.polynomial.legendre.leggauss(steps)
    fractions: Sequence[float] = ((points + 1) / 2).tolist()
    total = torch.zeros_like(x)
    for fraction, weight in zip(fractions, (weights / 2).tolist(), strict=True):
        total += weight * _gradient(score, BACKGROUND + fraction * (x - BACKGROUND))
    return total


def _gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(score(x), x)[0]
