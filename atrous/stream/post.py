"""Pointwise post-processing of finished rows, so that the scores of a large input never exist as a whole."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.errors import UserError

Post = str | float | Callable[[Tensor], Tensor] | None
"""What to apply to the output: a name in `NAMED`, a threshold, a pointwise function, or nothing."""


def argmax(logits: Tensor) -> Tensor:
    """Return the label of each position: `(1, K, *S)` to `(1, *S)`, as uint8 up to 256 classes and int32 beyond."""
    return logits.argmax(1).to(torch.uint8 if logits.shape[1] <= 256 else torch.int32)


def softmax(logits: Tensor) -> Tensor:
    """Return probabilities over the channels, in float32."""
    return logits.float().softmax(1)


def sigmoid(logits: Tensor) -> Tensor:
    """Return one probability per channel, in float32."""
    return logits.float().sigmoid()


def threshold(level: float) -> Callable[[Tensor], Tensor]:
    """Return a function that gives 1 where its input is above `level` and 0 elsewhere, as uint8."""
    return lambda output: (output > level).to(torch.uint8)


NAMED = {"argmax": argmax, "softmax": softmax, "sigmoid": sigmoid}


def post_function(post: Post) -> Callable[[Tensor], Tensor] | None:
    """Return the function that the option `post` stands for; None when there is none.

    Raises `UserError` when `post` is neither a known name, nor a number, nor a function.

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
    """Return text that differs between different `post` options; a function is told by its name.

    A resumed run compares this text with that of the interrupted run.

    >>> post_name("argmax"), post_name(0.5), post_name(torch.nn.functional.relu), post_name(None)
    ("'argmax'", '0.5', 'relu', 'None')
    """
    return getattr(post, "__qualname__", type(post).__name__) if callable(post) else repr(post)


def result_like(shape: tuple[int, ...], dtype: torch.dtype, post: Post, ndim: int) -> tuple[tuple[int, ...], Any]:
    """Return the shape (without the batch axis) and the element type of the result after `post`.

    `shape` is the network's output, `(1, K, *S)` or `(1, *S)`, and `ndim` the number of spatial axes in it. The
    function is tried on one position.

    Raises `UserError` when `post` needs channels that the output does not have, or is not pointwise.

    >>> result_like((1, 21, 100, 80), torch.float32, "argmax", 2)
    ((100, 80), torch.uint8)
    """
    function = post_function(post)
    if function is None:
        return shape[1:], dtype
    if len(shape) == 1 + ndim and post in ("argmax", "softmax"):
        raise UserError(f"post={post!r} needs channels, but this network gives one number per position: leave post out")
    one_position = (*shape[:-ndim], *(1,) * ndim)
    result = function(torch.zeros(one_position, dtype=dtype))
    if not ndim < result.dim() <= max(len(shape), ndim + 2) or tuple(result.shape[-ndim:]) != (1,) * ndim:
        raise UserError(
            f"post gave a tensor of shape {tuple(result.shape)} for one of shape {one_position}: it must be pointwise"
        )
    return (*result.shape[1:-ndim], *shape[-ndim:]), result.dtype
