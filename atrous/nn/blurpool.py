"""Anti-aliased pooling: a low-pass filter before the grid is thinned out."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import per_axis

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def binomial(taps: int) -> torch.Tensor:
    """Return row `taps - 1` of Pascal's triangle, divided by its sum: a filter `(taps,)` close to a Gaussian.

    >>> binomial(3).tolist()
    [0.25, 0.5, 0.25]
    """
    row = torch.ones(1, dtype=torch.float64)
    for _ in range(taps - 1):
        row = torch.cat([row, row.new_zeros(1)]) + torch.cat([row.new_zeros(1), row])
    return (row / row.sum()).float()


class BlurPool(nn.Module):
    """Blur each channel, then keep every `stride`-th position; axes of stride 1 are not changed.

    Maps `(N, C, *S)` to `(N, C, *ceil(S / stride))` (Zhang 2019, "Making convolutional networks
    shift-invariant again").

    Args:
        ndim: spatial axes.
        channels: of the input.
        stride: one number or one per axis.
        taps: length of the binomial filter, odd, one number or one per axis; 3 is the paper's "Tri-3", 1 is no blur.

    Raises:
        ValueError: a number of taps is even.

    >>> BlurPool(1, 1, 2)(torch.tensor([[[0.0, 4.0, 0.0, 4.0, 0.0, 4.0]]])).tolist()
    [[[1.0, 2.0, 2.0]]]
    """

    def __init__(
        self, ndim: int, channels: int, stride: int | Sequence[int] = 2, taps: int | Sequence[int] = 3
    ) -> None:
        super().__init__()
        self.stride = per_axis(stride, ndim)
        kernel = torch.ones(())
        for step, count in zip(self.stride, per_axis(taps, ndim), strict=True):
            if count % 2 == 0:
                raise ValueError(f"{count} taps are even: the grid would shift by half a position")
            kernel = kernel.unsqueeze(-1) * (binomial(count) if step > 1 else torch.ones(1))
        self.pads = [value for size in reversed(kernel.shape) for value in (size // 2, size // 2)]
        self.register_buffer("kernel", kernel.expand(channels, 1, *kernel.shape).clone(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Blur and thin out `(N, C, *S)`, which is padded with its outermost values."""
        x = F.pad(x, self.pads, mode="replicate")
        kernel: torch.Tensor = self.kernel.to(x.dtype)  # type: ignore[assignment, operator]
        return _CONVOLVE[x.ndim - 2](x, kernel, stride=self.stride, groups=x.shape[1])


class StillBlur(nn.Module):
    """The blur of a `BlurPool` of 3 taps without its stride, dilated: `x[i - d] / 4 + x[i] / 2 + x[i + d] / 4`.

    Positions `d = dilation` apart form one of d interleaved coarse grids. Each grid is padded with its own outermost
    values, so that it is blurred as `BlurPool` blurs it. Axes with dilation 0 are not changed. Maps `(N, C, *S)` to the
    same shape.

    >>> StillBlur((2,))(torch.tensor([[[0.0, 1.0, 4.0, 1.0, 0.0, 1.0]]])).tolist()
    [[[1.0, 1.0, 2.0, 1.0, 1.0, 1.0]]]
    """

    def __init__(self, dilation: Sequence[int]) -> None:
        super().__init__()
        self.dilation = tuple(dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Blur `(N, C, *S)` along one axis after the other."""
        for dim, dilation in enumerate(self.dilation, 2):
            if dilation:
                size = x.shape[dim]
                step = min(dilation, size)
                # x[i - d], where the first d positions are their own neighbors, and likewise x[i + d].
                before = torch.cat([x.narrow(dim, 0, step), x.narrow(dim, 0, size - step)], dim)
                after = torch.cat([x.narrow(dim, step, size - step), x.narrow(dim, size - step, step)], dim)
                x = x / 2 + (before + after) / 4
        return x


class MaxBlurPool(nn.Module):
    """A max pool over windows of 2 at stride 1, then a `BlurPool` of stride 2: the paper's anti-aliased max pool.

    >>> MaxBlurPool(2, 3)(torch.zeros(1, 3, 8, 6)).shape
    torch.Size([1, 3, 4, 3])
    """

    def __init__(self, ndim: int, channels: int, taps: int = 3) -> None:
        super().__init__()
        self.blur = BlurPool(ndim, channels, 2, taps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool `(N, C, *S)` to `(N, C, *ceil(S / 2))`."""
        ndim = x.ndim - 2
        return self.blur(_MAX_POOL[ndim](F.pad(x, [0, 1] * ndim, mode="replicate"), 2, 1))
