"""By which rule does a layer pad that pads in its own forward pass?

The exported graph shows how many positions were added at one input length. At one length fixed padding and
TensorFlow's "same" rule can add the same positions, so the graph cannot tell them apart. A layer that implements
`PadsItself` is asked. Any other layer is run alone, at one length for every remainder modulo its stride.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from atrous._nd import AVG_POOL, CONV, MAX_POOL
from atrous.nn.padding import PadsItself, padding_rule
from atrous.surgery.certificate import TOLERANCE, evaluating, relative_error
from atrous.surgery.edits import Edit, refusal
from atrous.surgery.window import FineWindow

Windows = tuple[FineWindow, ...]
_DECLARED = {kind.forward for table in (CONV, MAX_POOL, AVG_POOL) for kind in table.values()}


def runs_torchs_forward(layer: nn.Module) -> bool:
    """Whether `layer` runs the forward pass of torch's own convolution or pool, so that its `padding` is all it adds.

    >>> runs_torchs_forward(nn.MaxPool2d(2))
    True
    """
    return type(layer).forward in _DECLARED


def settle_windows(layer: nn.Module, edit: Edit, channels: int, build: Callable[[Windows], nn.Module]) -> Windows:
    """Return the windows that pad as `layer` does at every length: `edit.windows` or `edit.others`.

    Args:
        layer: the convolution or pool, on its original grid.
        edit: what the graph says of it; its two sets of windows pad alike at the exported length.
        channels: of the layer's input.
        build: makes the layer on the finer grid from windows; called only to try a layer that does not say how it pads.

    Raises:
        UserError: neither set does: the padding depends on the length by a rule that is not known here.
    """
    rule = padding_rule(layer)
    candidates = [windows for windows in (edit.windows, edit.others) if windows]
    if rule is not None:
        matching = [windows for windows in candidates if _pads_alike(rule, windows)]
    else:
        try:
            pairs = _trial_pairs(layer, edit.windows, channels)
        except Exception:  # it cannot run alone (it may take more arguments); the whole network is compared in the end
            return edit.windows
        matching = (w for w in candidates if all(_equals(build(w), w, x, wanted) for x, wanted in pairs))
    windows = next(iter(matching), None)
    if windows is None:
        raise refusal(edit.op, f"{type(layer).__name__} pads by amounts that depend on the length in a way of its own")
    return windows


def _coarse_sizes(windows: Windows) -> list[tuple[int, ...]]:
    """Return sizes of coarse inputs, a few windows long, whose lengths leave every remainder modulo the strides."""
    return [
        tuple(w.reach + 1 + 2 * w.stride + more for w in windows)
        for more in range(max(2, *(w.stride for w in windows)))
    ]


def _pads_alike(rule: PadsItself, windows: Windows) -> bool:
    """Whether `rule` adds what `windows` say, at every length that is tried."""
    return all(
        tuple(rule.pads_for(size)) == tuple(w.coarse_pads(n) for n, w in zip(size, windows, strict=True))
        for size in _coarse_sizes(windows)
    )


def _trial_pairs(layer: nn.Module, windows: Windows, channels: int) -> list[tuple[Tensor, Tensor]]:
    """Return inputs `(1, channels, *S)` on the fine grid, each with the layer's output on their coarse positions."""
    like = next(layer.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    coarse = (..., *(slice(None, None, w.rate) for w in windows))
    pairs = []
    for more, size in enumerate(_coarse_sizes(windows)):
        # A fine length f holds ceil(f / rate) coarse positions: (n - 1) * rate + 1 and up to rate - 1 more give n.
        fine_size = [(n - 1) * w.rate + 1 + more % w.rate for n, w in zip(size, windows, strict=True)]
        x = torch.randn(1, channels, *fine_size, generator=generator).to(like.device, like.dtype)
        with evaluating(layer):
            pairs.append((x, layer(x[coarse].clone())))
    return pairs


def _equals(fine_layer: nn.Module, windows: Windows, x: Tensor, wanted: Tensor) -> bool:
    """Whether the coarse positions of the fine layer's output on `x` are `wanted`."""
    with evaluating(fine_layer):
        output = fine_layer(x)[(..., *(slice(None, None, w.rate_out) for w in windows))]
    return relative_error(output, wanted) <= TOLERANCE
