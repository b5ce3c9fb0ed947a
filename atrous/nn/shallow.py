"""3-D convolutions of shallow maps, whose weight gradient in bfloat16 oneDNN gets wrong.

In torch 2.14.1 on x86 the weight gradient in bfloat16 is not finite or far from right on some maps of few slices, and
memory is corrupted: the process ends with a segmentation fault, or goes on for ever. Whether a map fails depends on the
processor and on what is in memory. Seen to fail were

- maps on which no window of the kernel lies inside: each reaches beyond the front or beyond the back of the map. A
  3x3x3 kernel with padding 1 on two slices fails whatever the number of channels;
- kernels of 3x3x3 and 3x1x1, with padding and without, on 3 to 6 slices of 48 x 100 positions and more.

None failed on 8 slices or more with a window inside, and none with kernels of one slice. So kernels of several slices
are computed in float32 on less than 8 slices, and where no window lies inside. Most such maps are small: it costs
little.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from atrous.nn.patched import other_forward

SLICES = 8
"""From so many slices on, oneDNN's kernels are right where a window lies inside."""


def _none_inside(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Return whether no window over an axis lies inside.

    Args:
        size: of the axis that the windows read.
        count: of the windows.
        kernel: its length.
        stride: between two windows.
        padding: before the axis.
        dilation: of the kernel.

    >>> _none_inside(2, 2, 3, 1, 1, 1), _none_inside(3, 3, 3, 1, 1, 1), _none_inside(9, 9, 3, 1, 8, 8)
    (True, False, True)
    """
    reach = dilation * (kernel - 1) + 1
    return not any(o * stride >= padding and o * stride - padding + reach <= size for o in range(count))


def _at_risk(conv: nn.Module, size: int) -> bool:
    """Return whether a map of so many slices is at risk; the windows of a transposed convolution are in its output."""
    assert isinstance(conv, nn.Conv3d | nn.ConvTranspose3d)
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    if kernel == 1 or size < SLICES:
        return kernel > 1
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
