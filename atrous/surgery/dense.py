"""A value per image becomes a value per position: what each step of a classifier's head is on a map.

Which step is which is decided by its values at the native size, not by its name: an operator whose output is its
input's mean over the map pools, one whose output is its input flattened flattens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous._nd import AVG_POOL, BATCH_NORM, CONV, MAX_POOL

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@dataclass(frozen=True)
class Layout:
    """How a value of the classifier lies in the fully convolutional network's map.

    The classifier's value is the map's content in a window of size `window`, its taps `spread` apart: as a map
    `(N, C, *window)` where `flat` is False, flattened to `(N, C * prod(window))` where it is True.
    """

    window: tuple[int, ...]
    flat: bool
    spread: tuple[int, ...]

    @property
    def point(self) -> bool:
        """Whether one position holds the whole value."""
        return all(size == 1 for size in self.window)

    def spatial(self, value: Tensor) -> Tensor:
        """The classifier's value as a map `(N, C, *window)`."""
        return value.reshape(value.shape[0], -1, *self.window)


@dataclass(frozen=True)
class Step:
    """What a step becomes: `module` in its place (None: nothing is left to do), and how its output lies."""

    module: nn.Module | None
    layout: Layout
    what: str


def point(ndim: int, flat: bool) -> Layout:
    """One position holds the whole value."""
    return Layout((1,) * ndim, flat, (1,) * ndim)


def is_map(value: Any, ndim: int) -> bool:
    """Whether a value `(N, C, *S)` has positions."""
    return isinstance(value, Tensor) and value.dim() == ndim + 2 and max(value.shape[2:]) > 1


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not a.is_floating_point():
        return False
    eps = torch.finfo(a.dtype).eps
    return bool((a - b).abs().max() <= 256 * eps * (b.abs().max() + eps))


def step_by_value(before: Tensor, after: Any, layout: Layout | None, ndim: int) -> Step | None:
    """The step that takes `before` to `after`, when it pools the map, flattens it, or only changes the shape."""
    if not isinstance(after, Tensor) or after.shape[0] != before.shape[0] or after.dim() not in (2, ndim + 2):
        return None
    if layout is not None and layout.point:
        grown = after.numel() == before.numel() and after.dim() != before.dim()
        kept = grown and _close(after.flatten(1), before.flatten(1))
        return Step(None, point(ndim, after.dim() == 2), "left out: positions stay") if kept else None
    if before.dim() != ndim + 2:
        return None
    window = tuple(before.shape[2:])
    spread = (1,) * ndim if layout is None else layout.spread
    if after.dim() == 2 and _close(after, before.flatten(1)):
        return Step(None, Layout(window, True, spread), "left out: positions stay")
    over = tuple(range(2, ndim + 2))
    for name, pools, value in (("average", AVG_POOL, before.mean(over)), ("maximum", MAX_POOL, before.amax(over))):
        if max(spread) == 1 and _close(after.flatten(1), value):
            what = f"{name} over {'x'.join(map(str, window))} at every position"
            return Step(pools[ndim](window, 1), point(ndim, after.dim() == 2), what)
    return None


def adaptive(sizes: tuple[int, ...], before: Tensor, after: Tensor) -> Step | None:
    """An adaptive average pool to `sizes` > 1, where every bin is as large: bins at every position, taps spread."""
    window = tuple(before.shape[2:])
    if any(w % s for w, s in zip(window, sizes, strict=True)):
        return None
    bins = tuple(w // s for w, s in zip(window, sizes, strict=True))
    layout = Layout(sizes, False, bins)
    if _close(after, before):
        return Step(nn.Identity(), layout, "left out: the map has its size at the native size")
    pool = AVG_POOL[len(bins)](bins, 1)
    return Step(pool, layout, f"average over {'x'.join(map(str, bins))} at every position")


def slides(run: Callable[[Tensor], Any], before: Tensor, after: Any, ndim: int) -> bool:
    """Whether `run` makes one position of this map because it is a window as large: on a larger map it slides."""
    if not is_map(before, ndim) or not isinstance(after, Tensor) or after.shape[2:] != (1,) * ndim:
        return False
    generator = torch.Generator().manual_seed(0)
    sizes = [size + 2 for size in before.shape[2:]]
    large = torch.randn(*before.shape[:2], *sizes, generator=generator).to(before.device, before.dtype)
    try:
        found = run(large.clone())
    except Exception:  # the user's module may refuse other sizes in any way
        return False
    if not isinstance(found, Tensor) or found.shape[2:] != (3,) * ndim:
        return False
    crops = ((at, large[(..., *(slice(at, at + size) for size in before.shape[2:]))]) for at in (0, 2))
    return all(_close(found[(..., *(slice(at, at + 1),) * ndim)], run(crop.clone())) for at, crop in crops)


def works_densely(run: Callable[..., Any], values: list[Any], layouts: list[Layout | None], after: Any) -> bool:
    """Whether `run` does on maps, position by position, what it did on the classifier's values.

    Tried at one position, and on values side by side that differ: each must become what it becomes alone. `layouts` are
    those of the tensors among `values`.
    """
    placed = [lay for lay in layouts if lay is not None]
    if not isinstance(after, Tensor) or any(
        (lay.window, lay.spread) != (placed[0].window, placed[0].spread) for lay in placed
    ):
        return False
    window = placed[0].window
    if after.numel() != after.shape[0] * math.prod(window) * (after[0].numel() // math.prod(window)):
        return False
    pairs = list(zip(values, layouts, strict=True))
    counts = tuple(range(2, 2 + len(window)))
    generator = torch.Generator().manual_seed(0)
    places = [[_other(v, generator) if lay is not None else v for v, lay in pairs] for _ in range(math.prod(counts))]
    tiled = [
        side_by_side([lay.spatial(place[i]) for place in places], counts) if lay is not None else v
        for i, (v, lay) in enumerate(pairs)
    ]
    try:
        once = run(*(lay.spatial(v.clone()) if lay is not None else fresh(v) for v, lay in pairs))
        many = run(*map(fresh, tiled))
        alone = [run(*map(fresh, place)) for place in places]
    except Exception:  # the user's module may refuse a map in any way
        return False
    if not isinstance(once, Tensor) or once.dim() != len(window) + 2 or once.shape[2:] != window:
        return False
    wanted = side_by_side([placed[0].spatial(each) for each in alone], counts)
    return _close(once.reshape(after.shape), after) and many.shape == wanted.shape and _close(many, wanted)


def fresh(value: Any) -> Any:
    """A copy of a tensor, since whoever gets it may write into it; anything else as it is."""
    return value.clone() if isinstance(value, Tensor) else value


def _other(value: Tensor, generator: torch.Generator) -> Tensor:
    """Another value of the same signs."""
    noise = 0.5 + torch.rand(value.shape, generator=generator)
    return value * noise.to(value.device, value.dtype) if value.is_floating_point() else value


def side_by_side(maps: Sequence[Tensor], counts: tuple[int, ...]) -> Tensor:
    """Maps `(N, C, *window)` as one of `counts` of them per axis, the last axis fastest.

    >>> side_by_side([torch.full((1, 1, 1), float(i)) for i in range(3)], (3,)).tolist()
    [[[0.0, 1.0, 2.0]]]
    """
    n, shape = len(counts), maps[0].shape
    together = torch.stack(tuple(maps)).reshape(*counts, *shape)
    order = [n, n + 1, *(dim for i in range(n) for dim in (i, n + 2 + i))]
    return together.permute(order).reshape(*shape[:2], *(c * w for c, w in zip(counts, shape[2:], strict=True)))


Tied = dict[tuple[Tensor, tuple[int, ...]], nn.Parameter]
"""For a weight and a window the weight that it became, so that tied layers stay tied."""


def dense_linear(linear: nn.Linear, layout: Layout, tied: Tied) -> nn.Module:
    """The fully connected layer as a convolution whose kernel is the window: the same numbers in another shape."""
    ndim = len(layout.window)
    channels = linear.in_features // math.prod(layout.window)
    conv = CONV[ndim](channels, linear.out_features, layout.window, dilation=layout.spread, bias=False, device="meta")
    weight = linear.weight.detach().reshape(linear.out_features, channels, *layout.window)
    new = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
    conv.weight = tied.setdefault((linear.weight, layout.window), new)
    conv.bias = linear.bias
    return conv.train(linear.training)


def linear_on_map(
    x: Tensor, weight: Tensor, bias: Tensor | None, window: tuple[int, ...], spread: tuple[int, ...]
) -> Tensor:
    """`torch.nn.functional.linear` at every position of a map `(N, C, *S)`."""
    return CONVOLVE[len(window)](x, weight.reshape(weight.shape[0], -1, *window), bias, 1, 0, spread)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of `(N, C, *S)`, at every position."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: D102
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def dense_norm(module: nn.Module, layout: Layout) -> Step | None:
    """Norms of vectors `(N, C)` as norms of maps; in place, with their parameters and statistics."""
    if not layout.point or not layout.flat:
        return None
    if type(module) is nn.BatchNorm1d:
        module.__class__ = BATCH_NORM[len(layout.window)]
        return Step(module, layout, "batch norm over positions")
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
        module.__class__ = ChannelNorm
        return Step(module, layout, "layer norm over channels, at every position")
    return None
