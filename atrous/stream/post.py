"""Pointwise post-processing inside the stream, so that logits of a large input never exist whole."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.errors import UserError

Post = str | float | Callable[[Tensor], Tensor] | None


def argmax(logits: Tensor) -> Tensor:
    """The label of each position: `(1, K, *S)` to `(1, *S)`, uint8 while K <= 256."""
    return logits.argmax(1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int32)


def softmax(logits: Tensor) -> Tensor:
    """Probabilities over the channels, in float32."""
    return logits.float().softmax(1)


def sigmoid(logits: Tensor) -> Tensor:
    """A probability per channel, in float32."""
    return logits.float().sigmoid()


def threshold(level: float) -> Callable[[Tensor], Tensor]:
    """1 where the output is above `level`, as uint8."""
    return lambda output: (output > level).to(torch.uint8)


NAMED = {"argmax": argmax, "softmax": softmax, "sigmoid": sigmoid}


def post_function(post: Post) -> Callable[[Tensor], Tensor] | None:
    """The function that `post` names: argmax, softmax, sigmoid, a threshold (a number), or any pointwise function.

    >>> post_function("argmax")(torch.tensor([[[0.2, 0.9], [0.8, 0.1]]]))
    tensor([[1, 0]], dtype=torch.uint8)
    """
    if post is None or callable(post):
        return post
    if (
        isinstance(post, bool)
        or not isinstance(post, int | float | str)
        or (isinstance(post, str) and post not in NAMED)
    ):
        raise UserError(f"post={post!r} is not known: give one of {', '.join(NAMED)}, a threshold or a function")
    return NAMED[post] if isinstance(post, str) else threshold(float(post))


def post_name(post: Post) -> str:
    """What tells one `post` from another in a run that goes on: functions by name.

    >>> post_name("argmax"), post_name(0.5), post_name(torch.nn.functional.relu), post_name(None)
    ("'argmax'", '0.5', 'relu', 'None')
    """
    return getattr(post, "__qualname__", type(post).__name__) if callable(post) else repr(post)


def result_like(shape: tuple[int, ...], dtype: torch.dtype, post: Post, ndim: int) -> tuple[tuple[int, ...], Any]:
    """Shape (without the batch axis) and dtype of the result for an output `(1, K, *S)`, or `(1, *S)`, of this shape.

    >>> result_like((1, 21, 100, 80), torch.float32, "argmax", 2)
    ((100, 80), torch.uint8)
    """
    function = post_function(post)
    if function is None:
        return shape[1:], dtype
    if len(shape) == 1 + ndim and post in ("argmax", "softmax"):
        raise UserError(f"post={post!r} needs channels, but this network gives one number per position: leave post out")
    before, one = (*shape[:-ndim], *(1,) * ndim), 1 + ndim
    probe = function(torch.zeros(before, dtype=dtype))
    if probe.dim() not in (one, one + 1) or tuple(probe.shape[-ndim:]) != (1,) * ndim:
        raise UserError(
            f"post gave a tensor of shape {tuple(probe.shape)} for one of shape {before}: it must be pointwise"
        )
    return (*probe.shape[1:-ndim], *shape[-ndim:]), probe.dtype
