"""Batch norm over the batch of all processes that train together (synchronized batch norm).

Each process has a part of the batch. With the counts n_r, means m_r and sums of squared deviations M_r of the parts, a
channel of the whole batch has (Chan, Golub & LeVeque 1983)

    N = sum n_r,   mean = sum n_r m_r / N,   M = sum M_r + sum n_r (m_r - mean)^2,   var = M / N.

torch's own `SyncBatchNorm` computes the same, but on GPUs alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from atrous.ranks import current_group


@contextmanager
def joint_norms(wanted: bool = True) -> Iterator[None]:
    """Within the block, batch norms in training mode normalize by the batch of all processes.

    They do it inside of `atrous.ranks.joined` alone. Every layer that calls torch's `batch_norm` takes part, also those
    that other libraries made of it; layers and the names of their weights stay what they are.

    >>> from torch import nn
    >>> with joint_norms():
    ...     nn.BatchNorm1d(1)(torch.tensor([[1.0], [3.0]])).round().flatten().tolist()
    [-1.0, 1.0]
    """
    if not wanted:
        yield
        return
    with _JointNorms():
        yield


class _JointNorms(TorchFunctionMode):
    """Takes the calls of `batch_norm` that see a part of a batch."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and current_group() is not None:
            return _batch_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _batch_norm(
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """`torch.nn.functional.batch_norm`, with the statistics of all processes."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    output, mean, variance, count = _JointNorm.apply(input, weight, bias, eps, current_group())
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp_min(1))
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return output


class _JointNorm(torch.autograd.Function):
    """Normalization by the mean and the variance of all processes; in float32 at least."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float, group: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
        values = x if x.dtype == torch.float64 else x.float()
        own_mean = values.mean(axes)
        own_squares = (values - own_mean.view(shape)).square().sum(axes)
        own_count = own_mean.new_full((1,), values.numel() // values.shape[1])
        parts = _every(torch.cat([own_mean, own_squares, own_count]), group)  # (R, 2 C + 1)
        (means, squares), counts = parts[:, :-1].unflatten(1, (2, -1)).unbind(1), parts[:, -1:]
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (squares.sum(0) + (counts * (means - mean).square()).sum(0)) / count
        scale = (variance + eps).rsqrt()
        normal = (values - mean.view(shape)) * scale.view(shape)
        output = normal if weight is None else normal * weight.view(shape)
        output = output if bias is None else output + bias.view(shape)
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.group, ctx.axes, ctx.shape = group, axes, shape
        ctx.mark_non_differentiable(mean, variance, count)
        return output.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """With g the gradient, h the normalized input, w the weight and means over the whole batch of N positions:

        dL/dx = w / sqrt(var + eps) (g - mean(g) - h mean(g h)),   dL/dw = sum(g h),   dL/db = sum(g).

        The gradients of weight and bias are those of the own part; the training averages them as all others.
        """
        x, weight, mean, scale, count = ctx.saved_tensors
        axes, shape = ctx.axes, ctx.shape
        gradient = gradients[0].to(mean.dtype)
        normal = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        of_bias, of_weight = gradient.sum(axes), (gradient * normal).sum(axes)
        both = torch.stack([of_bias, of_weight])
        distributed.all_reduce(both, group=ctx.group)
        flat, tilted = (both / count).unbind()
        factor = scale if weight is None else scale * weight
        of_x = factor.view(shape) * (gradient - flat.view(shape) - normal * tilted.view(shape))
        needs = ctx.needs_input_grad
        return (
            of_x.to(x.dtype) if needs[0] else None,
            of_weight if needs[1] else None,
            of_bias if needs[2] else None,
            None,
            None,
        )


def _every(values: torch.Tensor, group: Any) -> torch.Tensor:
    """The vectors `(M,)` of all processes, `(R, M)`, on each of them in the same order."""
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(parts, values, group=group)
    return torch.stack(parts)
