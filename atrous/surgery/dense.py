"""What each operation of a classifier's head becomes on a map.

A classifier computes one vector per image; the fully convolutional network computes one per position. A `MapLayout`
says where the classifier's value is found in the map. Each function here takes one operation of the head and says what
stands in its place.

An operation is recognized by the values that it computes at the classifier's own input size, not by its name. If its
output is its input's mean over the map, it is a global average pool; if its output is its input in another shape, it
flattens; and so on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous._nd import AVG_POOL, BATCH_NORM, CONV, MAX_POOL

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
ROUNDINGS = 256
"""Two values are equal if they differ by at most this many roundings of the largest one."""


@dataclass(frozen=True)
class MapLayout:
    """Where a value of the classifier is found in the map of the fully convolutional network.

    At every position of the map the classifier's value is what a window there reads. With `flat` the classifier holds
    it as a vector `(N, C * prod(window))`, without as a map `(N, C, *window)`.

    Attributes:
        window: positions of the window per axis.
        flat: whether the classifier's value is flattened.
        spread: map positions between two neighboring positions of the window, per axis.
    """

    window: tuple[int, ...]
    flat: bool
    spread: tuple[int, ...]

    @property
    def is_point(self) -> bool:
        """Whether the window is one position: the map's channels there are the whole value."""
        return all(size == 1 for size in self.window)

    def as_map(self, value: Tensor) -> Tensor:
        """Return the classifier's value as a map: `(N, C * prod(window))` or `(N, C, *window)` to `(N, C, *window)`."""
        return value.reshape(value.shape[0], -1, *self.window)


@dataclass(frozen=True)
class HeadReplacement:
    """What stands in the place of one operation of the head.

    Attributes:
        module: takes its place; None if nothing is left to do.
        layout: where the operation's output is found in the map.
        what: what was done, for the certificate.
    """

    module: nn.Module | None
    layout: MapLayout
    what: str


def point_layout(ndim: int, flat: bool) -> MapLayout:
    """Return the layout of a value that one position of the map holds whole."""
    return MapLayout((1,) * ndim, flat, (1,) * ndim)


def is_map(value: Any, ndim: int) -> bool:
    """Whether a value is a map `(N, C, *S)` of more than one position."""
    return isinstance(value, Tensor) and value.dim() == ndim + 2 and max(value.shape[2:]) > 1


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether two floating-point tensors of one shape are equal but for rounding."""
    if a.shape != b.shape or not a.is_floating_point():
        return False
    eps = torch.finfo(a.dtype).eps
    return bool((a - b).abs().max() <= ROUNDINGS * eps * (b.abs().max() + eps))


def recognize(before: Tensor, after: Any, layout: MapLayout | None, ndim: int) -> HeadReplacement | None:
    """Return what replaces an operation that pools the map, flattens it, or only changes the shape.

    A pool may go over all axes of the map or over some of them, as in `x.mean(3).mean(2)`.

    Args:
        before: the operation's input at the classifier's size: a map `(N, C, *S)`, or a value that has a layout.
        after: its output.
        layout: of `before`; None for the classifier's last map, which is still the same map.
        ndim: spatial axes.

    Returns:
        None if the operation is none of these.
    """
    if not isinstance(after, Tensor) or after.dim() < 2 or after.shape[:1] != before.shape[:1]:
        return None
    if layout is None and before.dim() != ndim + 2:
        return None
    layout = layout or MapLayout(tuple(before.shape[2:]), False, (1,) * ndim)
    flat = after.dim() == 2
    if after.shape != before.shape and _close(after.flatten(1), before.flatten(1)):
        return HeadReplacement(None, MapLayout(layout.window, flat, layout.spread), "left out: positions stay")
    if layout.is_point or max(layout.spread) > 1 or before[0].numel() % math.prod(layout.window):
        return None
    values = layout.as_map(before)
    long = [axis for axis, size in enumerate(layout.window) if size > 1]
    for over in (each for count in range(len(long), 0, -1) for each in combinations(long, count)):
        dims = tuple(2 + axis for axis in over)
        for name, pools, value in (
            ("average", AVG_POOL, values.mean(dims, keepdim=True)),
            ("maximum", MAX_POOL, values.amax(dims, keepdim=True)),
        ):
            if after.numel() == value.numel() and _close(after.reshape(value.shape), value):
                kernel = tuple(size if axis in over else 1 for axis, size in enumerate(layout.window))
                left = tuple(1 if axis in over else size for axis, size in enumerate(layout.window))
                what = f"{name} over {'x'.join(map(str, kernel))} at every position"
                return HeadReplacement(pools[ndim](kernel, 1), MapLayout(left, flat, layout.spread), what)
    return None


def adaptive_pool(sizes: tuple[int, ...], before: Tensor, after: Tensor) -> HeadReplacement | None:
    """Return what replaces an adaptive pool of `before (N, C, *S)` to `after (N, C, *sizes)`, `sizes` > 1.

    If `sizes` divide `S`, every bin is a window of `S / sizes` positions. The pool becomes an average or a maximum over
    such a window at every position, and the classifier's bins are found `S / sizes` positions apart. Otherwise bins
    differ in size, and there is no such pool: None.
    """
    size = tuple(before.shape[2:])
    if any(length % bins for length, bins in zip(size, sizes, strict=True)):
        return None
    window = tuple(length // bins for length, bins in zip(size, sizes, strict=True))
    layout = MapLayout(sizes, False, tuple(1 if bins == 1 else n for bins, n in zip(sizes, window, strict=True)))
    if _close(after, before):
        return HeadReplacement(nn.Identity(), layout, "left out: the map has its size at the native size")
    for name, pools in (("average", AVG_POOL), ("maximum", MAX_POOL)):
        pool = pools[len(window)](window, 1)
        if _close(pools[len(window)](window)(before), after):
            return HeadReplacement(pool, layout, f"{name} over {'x'.join(map(str, window))} at every position")
    return None


def slides(run: Callable[[Tensor], Any], before: Tensor, after: Any, ndim: int) -> bool:
    """Whether `run` reads a map `before (N, C, *S)` by one window as large as the map, and so slides over a larger map.

    Tried on a map two positions longer along each axis: it must give 3 positions per axis, of which the first and the
    last are what `run` gives on the crops of size `S` in those corners.
    """
    if not is_map(before, ndim) or not isinstance(after, Tensor) or after.shape[2:] != (1,) * ndim:
        return False
    generator = torch.Generator().manual_seed(0)
    sizes = [size + 2 for size in before.shape[2:]]
    large = torch.randn(*before.shape[:2], *sizes, generator=generator).to(before.device, before.dtype)
    try:
        output = run(large.clone())
    except Exception:  # the user's module may refuse other sizes in any way
        return False
    if not isinstance(output, Tensor) or output.shape[2:] != (3,) * ndim:
        return False
    for offset in (0, 2):
        crop = large[(..., *(slice(offset, offset + size) for size in before.shape[2:]))]
        if not _close(output[(..., *(slice(offset, offset + 1),) * ndim)], run(crop.clone())):
            return False
    return True


def works_densely(run: Callable[..., Any], values: list[Any], layouts: list[MapLayout | None], after: Any) -> bool:
    """Whether `run` does at every position of maps what it did on the classifier's values.

    Two tests. On the values as maps of one window, `run` must give `after` in the shape of such a map. On a larger map
    of several windows side by side, 2 along the first axis, 3 along the second and so on, each with other values, it
    must give for every window what it gives for those values alone. Different numbers per axis catch swapped axes.

    Args:
        run: a module or function of the head.
        values: what it is called with at the classifier's size; not only tensors.
        layouts: of each value; None for one that is not in the map, such as a number.
        after: what `run` returned for them.
    """
    placed = [layout for layout in layouts if layout is not None]
    if not isinstance(after, Tensor) or after.dim() < 2:
        return False
    if any((layout.window, layout.spread) != (placed[0].window, placed[0].spread) for layout in placed):
        return False
    window = placed[0].window
    if after[0].numel() % math.prod(window):  # it cannot be `(N, C, *window)` in any shape
        return False
    pairs = list(zip(values, layouts, strict=True))
    counts = tuple(range(2, 2 + len(window)))
    generator = torch.Generator().manual_seed(0)
    # `variants` holds one list of arguments per window of the larger map.
    variants = [
        [_perturbed(value, generator) if layout is not None else value for value, layout in pairs]
        for _ in range(math.prod(counts))
    ]
    tiled = [
        side_by_side([layout.as_map(variant[i]) for variant in variants], counts) if layout is not None else value
        for i, (value, layout) in enumerate(pairs)
    ]
    try:
        on_one_window = run(*(layout.as_map(v.clone()) if layout is not None else cloned(v) for v, layout in pairs))
        on_all_windows = run(*map(cloned, tiled))
        alone = [run(*map(cloned, variant)) for variant in variants]
    except Exception:  # the user's module may refuse a map in any way
        return False
    if (
        not isinstance(on_one_window, Tensor)
        or on_one_window.dim() != len(window) + 2
        or on_one_window.shape[2:] != window
        or on_one_window.numel() != after.numel()
    ):
        return False
    wanted = side_by_side([placed[0].as_map(output) for output in alone], counts)
    return _close(on_one_window.reshape(after.shape), after) and _close(on_all_windows, wanted)


def cloned(value: Any) -> Any:
    """Return a copy of a tensor, since the function that gets it may write into it; return anything else as it is."""
    return value.clone() if isinstance(value, Tensor) else value


def _perturbed(value: Tensor, generator: torch.Generator) -> Tensor:
    """Return random values with the signs of `value`: each is multiplied by a factor of 0.5 to 1.5."""
    factor = 0.5 + torch.rand(value.shape, generator=generator)
    return value * factor.to(value.device, value.dtype) if value.is_floating_point() else value


def side_by_side(maps: Sequence[Tensor], counts: tuple[int, ...]) -> Tensor:
    """Join `prod(counts)` maps `(N, C, *window)` to one `(N, C, *(counts * window))`; the last axis counts fastest.

    >>> side_by_side([torch.full((1, 1, 1), float(i)) for i in range(3)], (3,)).tolist()
    [[[0.0, 1.0, 2.0]]]
    """
    n, shape = len(counts), maps[0].shape
    together = torch.stack(tuple(maps)).reshape(*counts, *shape)
    # (*counts, N, C, *window) -> (N, C, count 0, window 0, count 1, window 1, ...)
    order = [n, n + 1, *(dim for i in range(n) for dim in (i, n + 2 + i))]
    return together.permute(order).reshape(*shape[:2], *(c * w for c, w in zip(counts, shape[2:], strict=True)))


TiedWeights = dict[tuple[Tensor, tuple[int, ...]], nn.Parameter]
"""For a fully connected layer's weight and a window the convolution's weight, so that tied layers stay tied."""


def dense_linear(linear: nn.Linear, layout: MapLayout, tied: TiedWeights) -> nn.Module:
    """Return a fully connected layer over a window as a convolution with a kernel as large as the window.

    The weight `(K, C * prod(window))` becomes `(K, C, *window)`, with the same numbers, since flattening orders them
    by channel, then by position.
    """
    ndim = len(layout.window)
    channels = linear.in_features // math.prod(layout.window)
    conv = CONV[ndim](channels, linear.out_features, layout.window, dilation=layout.spread, bias=False, device="meta")
    weight = linear.weight.detach().reshape(linear.out_features, channels, *layout.window)
    parameter = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
    conv.weight = tied.setdefault((linear.weight, layout.window), parameter)
    conv.bias = linear.bias
    return conv.train(linear.training)


def linear_on_map(
    x: Tensor, weight: Tensor, bias: Tensor | None, window: tuple[int, ...], spread: tuple[int, ...]
) -> Tensor:
    """Apply `torch.nn.functional.linear` to the window at every position of a map `(N, C, *S)`.

    `weight` is `(K, C * prod(window))`; the result is `(N, K, *(S - spread * (window - 1)))`.
    """
    return CONVOLVE[len(window)](x, weight.reshape(weight.shape[0], -1, *window), bias, 1, 0, spread)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of `(N, C, *S)`, at every position."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize `(N, C, *S)` to the same shape."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def dense_norm(module: nn.Module, layout: MapLayout) -> HeadReplacement | None:
    """Return a norm of vectors `(N, C)` as a norm of maps `(N, C, *S)`, in place, with its parameters and statistics.

    None if the module is no such norm, or the value is no vector at one position.
    """
    if not layout.is_point or not layout.flat:
        return None
    if type(module) is nn.BatchNorm1d:
        module.__class__ = BATCH_NORM[len(layout.window)]
        return HeadReplacement(module, layout, "batch norm over positions")
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
        module.__class__ = ChannelNorm
        return HeadReplacement(module, layout, "layer norm over channels, at every position")
    return None
