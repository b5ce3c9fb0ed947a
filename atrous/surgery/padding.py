"""By which rule a module pads that pads by itself: tried on the module alone, on every length modulo its stride.

At one length fixed padding and TensorFlow's "same" can be one and the same, so the exported graph cannot tell.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from atrous.surgery.certificate import TOLERANCE, evaluating, relative_error
from atrous.surgery.edits import Edit, refusal
from atrous.surgery.window import Window

Windows = tuple[Window, ...]


def pads_by_itself(module: nn.Module) -> bool:
    """Whether the forward pass of a convolution or pool is not torch's own."""
    return not type(module).forward.__module__.startswith("torch.nn.modules.")


def settled(module: nn.Module, edit: Edit, channels: int, made: Callable[[Windows], nn.Module]) -> Windows:
    """Those of `edit.windows` and `edit.others` whose module, made by `made`, is `module` on the coarse grid.

    Raises:
        UserError: neither is: the padding depends on the length by a rule that is not known.
    """
    try:
        pairs = _pairs(module, edit.windows, channels)
    except Exception:  # it cannot run alone (it takes more arguments); the whole network is compared anyway
        return edit.windows
    for windows in (edit.windows, edit.others):
        if windows and all(_same(made(windows), windows, x, wanted) for x, wanted in pairs):
            return windows
    raise refusal(edit.op, f"{type(module).__name__} pads by amounts that depend on the length in a way of its own")


def _pairs(module: nn.Module, windows: Windows, channels: int) -> list[tuple[Tensor, Tensor]]:
    """Inputs on the fine grid, and what the module makes of their coarse positions."""
    like = next(module.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    every = (..., *(slice(None, None, w.rate) for w in windows))
    found = []
    for more in range(max(2, *(w.stride for w in windows))):
        coarse = [w.dilation * (w.kernel - 1) + 1 + 2 * w.stride + more for w in windows]
        sizes = [(n - 1) * w.rate + 1 + more % w.rate for n, w in zip(coarse, windows, strict=True)]
        x = torch.randn(1, channels, *sizes, generator=generator).to(like.device, like.dtype)
        with evaluating(module):
            found.append((x, module(x[every].clone())))
    return found


def _same(module: nn.Module, windows: Windows, x: Tensor, wanted: Tensor) -> bool:
    with evaluating(module):
        found = module(x)[(..., *(slice(None, None, w.rate_out) for w in windows))]
    return relative_error(found, wanted) <= TOLERANCE
