"""Convolutions and pools whose input lies on a finer grid than the one they were trained on, borders included.

The coarse grid of a value is its every `rate`-th position. A fine grid of length `f` therefore holds
`ceil(f / rate)` coarse positions. On the coarse grid output `j` of a layer reads, for each tap `t = 0 ... kernel - 1`,

    coarse position  j * stride - before + t * dilation.

On the fine grid the same coarse position has the index `rate` times as large. So a fine layer with stride
`fine_stride`, dilation `dilation * rate` and padding `before * rate` reads, for its output `J`,

    fine position  J * fine_stride - before * rate + t * dilation * rate,

and its output `J = j * rate_out`, where `rate_out = rate * stride / fine_stride`, reads what output `j` read before.

Only the end of the fine grid leaves a choice. Its outputs `0, rate_out, 2 * rate_out, ...` must be as many as the
coarse layer has outputs, which leaves a range of lengths. In that range the output becomes as long as the scaled
padding or "same" padding would make it, whichever is longer. So branches of equal size keep equal sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from atrous.nn.padding import Pads, pad_input

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@dataclass(frozen=True)
class FineWindow:
    """The window of a convolution or pool along one axis: what it was on the coarse grid, and the fine grid it is on.

    Attributes:
        kernel: taps.
        stride: of the original layer, in coarse positions.
        dilation: of the original layer, in coarse positions.
        before: coarse positions of padding before the input. None means TensorFlow's "same" rule, by which the padding
            depends on the length.
        after: coarse positions of padding after the input; not read where `before` is None.
        rate: fine positions per coarse position of the input.
        fine_stride: the stride that the layer keeps, in fine positions of the input.
        ceil: whether the original layer rounds its output length up (`ceil_mode`).
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
        """Fine positions per coarse position of the output."""
        return self.rate * self.stride // self.fine_stride

    @property
    def step(self) -> int:
        """Fine positions between two neighboring taps: the dilation of the fine layer."""
        return self.dilation * self.rate

    @property
    def reach(self) -> int:
        """Coarse positions between the first and the last tap."""
        return self.dilation * (self.kernel - 1)

    def on_coarse_grid(self, length: int) -> tuple[int, int]:
        """Return the padding before the input and the number of outputs of the original layer.

        `length` is that of the coarse input. Both follow the formulas of torch and, where `before` is None, of
        TensorFlow.
        """
        if self.before is None:
            count = -(-length // self.stride)
            total = max((count - 1) * self.stride + self.reach + 1 - length, 0)
            return total // 2, count
        room = length + self.before + self.after - self.reach - 1  # the last start of a window that fits
        count = room // self.stride + 1
        if self.ceil:
            count = -(-room // self.stride) + 1
            if (count - 1) * self.stride >= length + self.before:  # no window may start in the padding after the end
                count -= 1
        return self.before, count

    def coarse_pads(self, length: int) -> tuple[int, int]:
        """Return the original layer's padding before and after a coarse input of this length."""
        before, count = self.on_coarse_grid(length)
        if self.before is not None:
            return before, self.after
        total = max((count - 1) * self.stride + self.reach + 1 - length, 0)
        return before, total - before

    def pads(self, length: int) -> tuple[int, int]:
        """Return the padding before and after a fine input of this length, in fine positions.

        >>> FineWindow(2, 2, 1, 0, 0, rate=1, fine_stride=1).pads(8), FineWindow(3, 2, 1, 1, 1, 2, 1).pads(8)
        ((0, 1), (2, 2))
        """
        before, coarse_count = self.on_coarse_grid(-(-length // self.rate))
        start, reach = before * self.rate, self.reach * self.rate
        after = 0 if self.before is None else self.after * self.rate
        # How many outputs the scaled padding gives, and how many "same" padding would give.
        natural = (length + start + after - reach - 1) // self.fine_stride + 1
        longest = max(natural, -(-length // self.fine_stride))
        # Every rate_out-th output is a coarse one, so between these bounds there are exactly `coarse_count` of them.
        fewest, most = (coarse_count - 1) * self.rate_out + 1, coarse_count * self.rate_out
        count = max(fewest, min(most, longest))
        return start, max(0, (count - 1) * self.fine_stride + reach + 1 - length - start)

    @property
    def plain(self) -> bool:
        """Whether torch's symmetric padding of `after * rate` gives the same outputs as `pads`, at any length."""
        symmetric = self.before is not None and self.before == self.after and not self.ceil
        return symmetric and 2 * self.after >= self.reach

    def __str__(self) -> str:
        changes = [f"stride {self.stride} -> {self.fine_stride}"] * (self.stride != self.fine_stride)
        changes += [f"dilation {self.dilation} -> {self.step}"] * (self.kernel > 1 and self.rate > 1)
        return ", ".join(changes) or "padding for the finer grid"


class OnWindows:
    """Mixin for torch's convolutions on a finer grid: they pad by their `windows`, one per axis (`PadsItself`)."""

    windows: tuple[FineWindow, ...]
    pad_value = 0.0

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of a fine input `(N, C, *size)`."""
        return tuple(window.pads(length) for window, length in zip(self.windows, size, strict=True))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `(N, C, *S)` to `(N, C_out, *S')`."""
        conv = cast(nn.Conv2d, self)
        convolve = _CONVOLVE[len(self.windows)]
        x = pad_input(self, input)
        return convolve(x, conv.weight, conv.bias, cast(int, conv.stride), 0, cast(int, conv.dilation), conv.groups)


class DilatedConv1d(OnWindows, nn.Conv1d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv1d`."""


class DilatedConv2d(OnWindows, nn.Conv2d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv2d`."""


class DilatedConv3d(OnWindows, nn.Conv3d):
    """A convolution on a finer grid; parameters as in `torch.nn.Conv3d`."""


_DILATED = {1: DilatedConv1d, 2: DilatedConv2d, 3: DilatedConv3d}


def dilate_conv(
    conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, windows: Sequence[FineWindow], *, pads_itself: bool = False
) -> None:
    """Put `conv` on the finer grid of `windows`, in place: it keeps its name, parameters and hooks.

    It also keeps its class where torch's own padding is enough. Otherwise its class becomes `DilatedConv1d` to `3d`.

    Args:
        conv: the convolution.
        windows: one per axis.
        pads_itself: whether its own forward pass pads, so that its class must change in any case.
    """
    conv.stride = tuple(w.fine_stride for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
    conv.dilation = tuple(w.step for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
    if not pads_itself and all(w.plain for w in windows):
        conv.padding = tuple(w.after * w.rate for w in windows)  # pyright: ignore[reportAttributeAccessIssue]
        return
    conv.__class__ = _DILATED[len(windows)]  # not a new module: every reference to the old one stays valid
    cast(DilatedConv2d, conv).windows = tuple(windows)


class DilatedMaxPool(nn.Module):
    """Max pooling on a finer grid, `(N, C, *S)` to `(N, C, *S')`: the pool stays, its stride shrinks, it is dilated."""

    pad_value = float("-inf")

    def __init__(self, windows: Sequence[FineWindow]):
        super().__init__()
        self.windows = tuple(windows)

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of a fine input `(N, C, *size)`."""
        return tuple(window.pads(length) for window, length in zip(self.windows, size, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, *S)`."""
        kernel, stride, step = zip(*((w.kernel, w.fine_stride, w.step) for w in self.windows), strict=True)
        return _MAX_POOL[len(self.windows)](pad_input(self, x), kernel, stride, 0, step)  # pyright: ignore

    def extra_repr(self) -> str:
        """Return the windows in words."""
        return "; ".join(map(str, self.windows))


class DilatedAvgPool(nn.Module):
    """Average pooling on a finer grid, `(N, C, *S)` to `(N, C, *S')`: a dilated mean, one axis after the other.

    torch has no dilated average pool, so the taps of each axis are added as shifted slices. The sum is then divided by
    the number of taps that count.

    Args:
        windows: one per axis.
        include_pad: `count_include_pad` of `torch.nn.AvgPool2d`: whether taps in the padding count.
        divisor: `divisor_override` of `torch.nn.AvgPool2d`: what the sum is divided by instead.
    """

    pad_value = 0.0

    def __init__(self, windows: Sequence[FineWindow], include_pad: bool = True, divisor: int | None = None):
        super().__init__()
        self.windows, self.include_pad, self.divisor = tuple(windows), include_pad, divisor

    def pads_for(self, size: Sequence[int]) -> Pads:
        """Return the padding of a fine input `(N, C, *size)`."""
        return tuple(window.pads(length) for window, length in zip(self.windows, size, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, *S)`."""
        first = x.dim() - len(self.windows)
        sizes = x.shape[first:]
        x = pad_input(self, x)
        scale = 1.0
        for dim, (window, size) in enumerate(zip(self.windows, sizes, strict=True), first):
            # 1. The sum over the taps at every position where the whole window fits.
            span = x.shape[dim] - window.step * (window.kernel - 1)
            count = (span - 1) // window.fine_stride + 1
            span = (count - 1) * window.fine_stride + 1
            starts = [tap * window.step for tap in range(window.kernel)]
            x = sum((x.narrow(dim, start, span) for start in starts[1:]), x.narrow(dim, 0, span))
            # 2. Every fine_stride-th of these sums is an output.
            if window.fine_stride > 1:
                x = x[(slice(None),) * dim + (slice(None, None, window.fine_stride),)]
            # 3. Divide by the taps that count, at once for all axes where the number is the same at every output.
            if self.divisor is not None:
                continue
            counts = self._tap_counts(window, size, count)
            if len(set(counts)) == 1:
                scale = scale / counts[0]
            else:
                shape = [1] * x.dim()
                shape[dim] = count
                x = x / x.new_tensor(counts).reshape(shape)
        return x * (scale if self.divisor is None else 1 / self.divisor)

    def _tap_counts(self, window: FineWindow, size: int, count: int) -> list[int]:
        """Return for each of `count` outputs how many taps count, as the original layer counts them.

        A tap counts if it lies in the input `[0, size)`, or in the original padding around it with `include_pad`.
        """
        start = window.pads(size)[0]
        low, high = 0, size
        if self.include_pad:
            end = window.after if window.before is not None else size + window.kernel * window.dilation
            low, high = -start, size + end * window.rate
        first_taps = [j * window.fine_stride - start for j in range(count)]
        return [
            max(1, sum(low <= first + tap * window.step < high for tap in range(window.kernel))) for first in first_taps
        ]

    def extra_repr(self) -> str:
        """Return the windows in words."""
        return "; ".join(map(str, self.windows))


class CoarseGrid(nn.Module):
    """Keep every `rates[i]`-th position of dimension `dims[i]` of `(..., *S)`.

    A global pool that reads a finer grid must read these positions only, or its mean becomes another function.
    """

    def __init__(self, rates: Sequence[int], dims: Sequence[int]):
        super().__init__()
        self.rates, self.dims = tuple(rates), tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        """Thin `(..., *S)` out to `(..., *ceil(S / rates))`."""
        index = [slice(None)] * x.dim()
        for rate, dim in zip(self.rates, self.dims, strict=True):
            index[dim] = slice(None, None, rate)
        return x[tuple(index)]

    def extra_repr(self) -> str:
        """Return what is kept, in words."""
        return f"every {self.rates} of dimensions {self.dims}"
