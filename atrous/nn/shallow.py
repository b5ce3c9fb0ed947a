"""3-D convolutions of shallow maps, whose weight gradient in bfloat16 oneDNN gets wrong.

Along the first of the three axes a window of a convolution may reach beyond the front of the map, beyond its back, or
lie inside. In torch 2.14.1 on x86, if there are several windows and none lies inside, the weight gradient in bfloat16
is not finite or far from right, and memory is corrupted now and then: that of a 3x3x3 kernel with padding 1 on two
slices, whatever the number of channels. Such maps are small, so they are convolved in float32, which costs little.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from atrous.nn.patched import other_forward


def _none_inside(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Return whether none of several windows over an axis lies inside.

    Args:
        size: of the axis that the windows read.
        count: of the windows.
        kernel: its length.
        stride: between two windows.
        padding: before the axis.
        dilation: of the kernel.

    >>> _none_inside(2, 2, 3, 1, 1, 1), _none_inside(3, 3, 3, 1, 1, 1), _none_inside(1, 1, 3, 1, 1, 1)
    (True, False, False)
    """
    reach = dilation * (kernel - 1) + 1
    inside = (o * stride >= padding and o * stride - padding + reach <= size for o in range(count))
    return count > 1 and not any(inside)


def _at_risk(conv: nn.Module, size: int) -> bool:
    """Return whether a map of so many slices is at risk; the windows of a transposed convolution are in its output."""
    assert isinstance(conv, nn.Conv3d | nn.ConvTranspose3d)
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    reach = dilation * (kernel - 1) + 1
    if isinstance(conv.padding, str):
        padding = {"same": (reach - 1) // 2, "valid": 0}[conv.padding]
        count = size if conv.padding == "same" else size - reach + 1
    else:
        padding = int(conv.padding[0])
        count = (size + 2 * padding - reach) // stride + 1
    if isinstance(conv, nn.ConvTranspose3d):
        size, count = (size - 1) * stride - 2 * padding + reach + conv.output_padding[0], size
    return _none_inside(size, count, kernel, stride, padding, dilation)


def _forward(conv: nn.Module, x: torch.Tensor, *more: list[int] | None) -> torch.Tensor:
    """Convolve `(N, C, *S)`: in float32 where bfloat16 is at risk, and give what autocast would give."""
    plain: Any = type(conv).forward
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not _at_risk(conv, x.shape[2]):
        return plain(conv, x, *more)
    with torch.autocast("cpu", enabled=False):
        found = plain(conv, x.float(), *more)
    return found.to(torch.get_autocast_dtype("cpu"))


@contextmanager
def safe_shallow(network: nn.Module) -> Iterator[int]:
    """Run 3-D convolutions in float32 where their map is too shallow for bfloat16; yield how many are looked after.

    Afterwards the network is as it was before.

    >>> with safe_shallow(nn.Sequential(nn.Conv3d(8, 16, 3, padding=1), nn.Conv2d(16, 16, 3))) as changed:
    ...     changed
    1
    """
    chosen = [module for module in network.modules() if type(module) in (nn.Conv3d, nn.ConvTranspose3d)]
    with other_forward(chosen, _forward) as count:
        yield count
