"""Convolutions and pools on a finer grid: their windows step over every `rate`-th position, borders included.

The coarse grid of a value is its every `rate`-th position. Length `f` of the fine grid means length `ceil(f / rate)` of
the coarse one, and the window's coarse output count follows by the framework's own formula. The fine output is as long
as it can be without adding a coarse output: a window of two positions keeps an even length, as a 3x3 one with padding
does, so that branches that met before still meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class Window:
    """One axis of a window: as it was on the coarse grid, and the grids it reads from and writes to.

    `before` and `after` are coarse positions of padding; None in `before` is TensorFlow's "same", whose padding depends
    on the length. `rate` is fine positions per coarse one of the input; `fine_stride` the stride that is left.
    """

    kernel: int
    stride: int
    dilation: int
    before: int | None
    after: int
    rate: int
    fine_stride: int
    ceil: bool = False

    @property
    def rate_out(self) -> int:
        """Fine positions per coarse one of the output."""
        return self.rate * self.stride // self.fine_stride

    @property
    def step(self) -> int:
        """Fine positions between two taps."""
        return self.dilation * self.rate

    def coarse(self, length: int) -> tuple[int, int]:
        """Coarse padding before, and coarse outputs, for a coarse input length."""
        reach = self.dilation * (self.kernel - 1)
        if self.before is None:
            count = -(-length // self.stride)
            total = max((count - 1) * self.stride + reach + 1 - length, 0)
            return total // 2, count
        room = length + self.before + self.after - reach - 1
        count = room // self.stride + 1
        if self.ceil:
            count = -(-room // self.stride) + 1
            if (count - 1) * self.stride >= length + self.before:  # no window begins in the padding after the end
                count -= 1
        return self.before, count

    def pads(self, length: int) -> tuple[int, int]:
        """Fine padding before and after, for a fine input length.

        >>> Window(2, 2, 1, 0, 0, rate=1, fine_stride=1).pads(8), Window(3, 2, 1, 1, 1, 2, 1).pads(8)
        ((0, 1), (2, 2))
        """
        before, count = self.coarse(-(-length // self.rate))
        start, reach = before * self.rate, self.step * (self.kernel - 1)
        after = 0 if self.before is None else self.after * self.rate
        natural = (length + start + after - reach - 1) // self.fine_stride + 1
        longest = max(natural, -(-length // self.fine_stride))
        count = max((count - 1) * self.rate_out + 1, min(count * self.rate_out, longest))
        return start, max(0, (count - 1) * self.fine_stride + reach + 1 - length - start)

    @property
    def plain(self) -> bool:
        """Whether the framework's own symmetric padding, scaled, gives just this."""
        known = self.before is not None and self.before == self.after and not self.ceil
        return known and 2 * self.after >= self.dilation * (self.kernel - 1)

    def __str__(self) -> str:
        said = [f"stride {self.stride} -> {self.fine_stride}"] * (self.stride != self.fine_stride)
        said += [f"dilation {self.dilation} -> {self.step}"] * (self.kernel > 1 and self.rate > 1)
        return ", ".join(said) or "padding for the finer grid"


def padded(x: Tensor, windows: Sequence[Window], value: float = 0.0) -> Tensor:
    """`x (N, C, *S)` with each axis padded as its window needs."""
    flat: list[int] = []
    for window, size in zip(reversed(windows), reversed(x.shape), strict=False):
        flat += window.pads(size)
    return F.pad(x, flat, value=value) if any(flat) else x


class OnWindows:
    """What convolutions on a finer grid share: `windows`, one per axis."""

    windows: tuple[Window, ...]

    def padded(self, x: Tensor) -> Tensor:
        """The input as the convolution reads it: it needs no more padding then."""
        return padded(x, self.windows)

    def forward(self, input: Tensor) -> Tensor:
        """`(N, C, *S)` to `(N, C_out, *S')`."""
        conv = cast(nn.Conv2d, self)
        convolve = _CONVOLVE[len(self.windows)]
        x = self.padded(input)
        return convolve(x, conv.weight, conv.bias, cast(int, conv.stride), 0, cast(int, conv.dilation), conv.groups)


class DilatedConv1d(OnWindows, nn.Conv1d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv1d`."""


class DilatedConv2d(OnWindows, nn.Conv2d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv2d`."""


class DilatedConv3d(OnWindows, nn.Conv3d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv3d`."""


_DILATED = {1: DilatedConv1d, 2: DilatedConv2d, 3: DilatedConv3d}


def dilate_conv(
    conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, windows: Sequence[Window], *, pads_itself: bool = False
) -> None:
    """Put `conv` on the finer grid of `windows`, in place: it keeps its name and parameters.

    Where the framework's own padding gives just this, its class stays too; else, and where its forward pass pads by
    itself, it becomes `DilatedConv1d` to `3d`.
    """
    conv.stride = tuple(w.fine_stride for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
    conv.dilation = tuple(w.step for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
    if not pads_itself and all(w.plain for w in windows):
        conv.padding = tuple(w.after * w.rate for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
        return
    new = _DILATED[len(windows)]
    conv.__class__ = new  # the parameters, hooks and every reference to the module stay what they are
    cast(DilatedConv2d, conv).windows = tuple(windows)


class DilatedMaxPool(nn.Module):
    """Max pooling on a finer grid, `(N, C, *S)`: kept, at a smaller stride, its taps farther apart."""

    def __init__(self, windows: Sequence[Window]):
        super().__init__()
        self.windows = tuple(windows)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        kernel, stride, step = zip(*((w.kernel, w.fine_stride, w.step) for w in self.windows), strict=True)
        x = padded(x, self.windows, float("-inf"))
        return _MAX_POOL[len(self.windows)](x, kernel, stride, 0, step)  # pyright: ignore

    def extra_repr(self) -> str:  # noqa: D102
        return "; ".join(map(str, self.windows))


class DilatedAvgPool(nn.Module):
    """Average pooling on a finer grid, `(N, C, *S)`: a dilated mean, axis by axis.

    `include_pad` and `divisor` are `count_include_pad` and `divisor_override` of `torch.nn.AvgPool2d`.
    """

    def __init__(self, windows: Sequence[Window], include_pad: bool = True, divisor: int | None = None):
        super().__init__()
        self.windows, self.include_pad, self.divisor = tuple(windows), include_pad, divisor

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        first = x.dim() - len(self.windows)
        sizes = x.shape[first:]
        x = padded(x, self.windows)
        scale = 1.0
        for dim, (window, size) in enumerate(zip(self.windows, sizes, strict=True), first):
            total = x.shape[dim] - window.step * (window.kernel - 1)
            count = (total - 1) // window.fine_stride + 1
            span = (count - 1) * window.fine_stride + 1
            taps = [k * window.step for k in range(window.kernel)]
            x = sum((x.narrow(dim, at, span) for at in taps[1:]), x.narrow(dim, taps[0], span))
            if window.fine_stride > 1:
                x = x[(slice(None),) * dim + (slice(None, None, window.fine_stride),)]
            if self.divisor is not None:
                continue
            counts = self._counts(window, size, count)
            if len(set(counts)) == 1:
                scale = scale / counts[0]
            else:
                shape = [1] * x.dim()
                shape[dim] = count
                x = x / x.new_tensor(counts).reshape(shape)
        return x * (scale if self.divisor is None else 1 / self.divisor)

    def _counts(self, window: Window, size: int, count: int) -> list[int]:
        """How many taps of each output count, as on the coarse grid."""
        start = window.pads(size)[0]
        low, high = 0, size
        if self.include_pad:
            end = window.after if window.before is not None else size + window.kernel * window.dilation
            low, high = -start, size + end * window.rate
        firsts = [j * window.fine_stride - start for j in range(count)]
        return [max(1, sum(low <= at + k * window.step < high for k in range(window.kernel))) for at in firsts]

    def extra_repr(self) -> str:  # noqa: D102
        return "; ".join(map(str, self.windows))


class CoarseGrid(nn.Module):
    """Every `rates[i]`-th position of axis i of `(..., *S)`: what a global pool must see to stay the same function."""

    def __init__(self, rates: Sequence[int], dims: Sequence[int]):
        super().__init__()
        self.rates, self.dims = tuple(rates), tuple(dims)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        index = [slice(None)] * x.dim()
        for rate, dim in zip(self.rates, self.dims, strict=True):
            index[dim] = slice(None, None, rate)
        return x[tuple(index)]

    def extra_repr(self) -> str:  # noqa: D102
        return f"every {self.rates} of dimensions {self.dims}"
