"""Which operators must change when values move to finer grids, and into what.

`dilate` gives every value of the network a rate: fine positions per coarse position. This module goes through the
exported graph and compares what each operator reads with the rates of its inputs and its output:

- An operator on single positions (ReLU, batch norm, addition, 1x1 convolution) is the same function on any grid.
- A convolution or pool gets a `FineWindow` per axis.
- A global pool must read the coarse grid only.
- Constant padding is multiplied by the rate.
- A module that was made one operator (`collapse.py`) runs on each phase of the grid by itself.
- Anything else (resizing, reflecting padding, normalization over positions) has no exact form on a finer grid by
  itself. It is refused by name, and `dilate` looks for a module around it that has one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph, Op
from atrous.geometry.maps import IDENTITY
from atrous.geometry.rules import sliding
from atrous.geometry.rules.rearrange import PADS, pad_mode, pad_pairs
from atrous.geometry.rules.rows import BLOCK
from atrous.surgery.window import FineWindow

Rates = dict[int, int | None]
"""For every value, along one axis, the fine positions per coarse position; values without a grid are absent."""
CONVS = ("conv1d", "conv2d", "conv3d")
POOLS = tuple(f"{kind}_pool{n}d{more}" for n in (1, 2, 3) for kind in ("max", "avg") for more in ("", "_with_indices"))

INSTEAD = "take a larger output_stride, or dilate the part of the network before it"
"""What the user can do about an operator that has no exact form on a finer grid."""


class NotFiner(UserError):
    """An operator cannot be put on a finer grid; names the module, the operator and the reason.

    `index` is the operator's in the graph, and `module` runs it.
    """

    def __init__(self, op: Op, reason: str):
        self.index, self.module = op.index, op.module
        super().__init__(
            f"{op.module or 'the network'} ({op.kind}): cannot be put on a finer grid exactly: {reason}; {INSTEAD}"
        )


@dataclass(frozen=True)
class Edit:
    """What one operator becomes. Which fields are set depends on the operator.

    Attributes:
        op: the operator.
        windows: of a convolution or pool, one per axis.
        others: windows that add the same padding at the exported length by another rule (fixed amounts or "same").
        pad: the padding operator before a convolution or pool that its windows include, so that it must go.
        rates: of a global pool, the rate along each of `dims`.
        dims: the dimensions that a global pool reads whole.
        amounts: of constant padding, in fine positions, as `torch.nn.functional.pad` takes them: last axis first.
        phases: of a module that is one operator, how many phases it runs on, per axis.
    """

    op: Op
    windows: tuple[FineWindow, ...] = ()
    others: tuple[FineWindow, ...] = ()
    pad: Op | None = None
    rates: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()
    phases: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.phases:
            return f"runs on each of {'x'.join(map(str, self.phases))} phases of the grid by itself"
        if self.windows:
            return ", ".join(dict.fromkeys(map(str, self.windows)))
        every = "x".join(map(str, dict.fromkeys(self.rates)))
        return f"reads every {every}-th position only" if self.rates else f"pads by {self.amounts}"


def find_edits(graph: Graph, axes: Sequence[Axis], rates: Sequence[Rates]) -> list[Edit]:
    """Return an edit for each operator that must change, in graph order.

    Args:
        graph: the network; its last operators, the output and what that reads, are left out: they only join the
            network's outputs to one.
        axes: how every operator reads along each spatial axis.
        rates: of every value, along each spatial axis.

    Raises:
        UserError: an operator has no exact form on its finer grid.
    """
    edits: list[Edit] = []
    joining = {graph.output, *graph.ops[graph.output].inputs}
    for op in graph.ops:
        reads = {g: axis.along[op.index].reads for g, axis in enumerate(axes)}
        if op.index in joining or not any(reads.values()):
            continue
        rates_in = {g: {rate for r in each if (rate := rates[g].get(r.input)) is not None} for g, each in reads.items()}
        rates_out = [rates[g].get(op.index) or 1 for g in range(len(axes))]
        if not any(rate > 1 for each in rates_in.values() for rate in each) and max(rates_out) == 1:
            continue
        if any(len(each) > 1 for each in rates_in.values()):
            raise refusal(op, f"its inputs would lie on grids that differ ({rates_in})")
        edit = _edit(graph, op, axes, [next(iter(rates_in[g]), 1) for g in range(len(axes))], rates_out)
        if edit is not None:
            edits.append(edit)
    merged = {edit.pad.index for edit in edits if edit.pad is not None}
    return [edit for edit in edits if edit.op.index not in merged]


def refusal(op: Op, reason: str) -> NotFiner:
    """Return the error that says why a network is not dilated, naming module and operator."""
    return NotFiner(op, reason)


def _edit(graph: Graph, op: Op, axes: Sequence[Axis], rates_in: list[int], rates_out: list[int]) -> Edit | None:
    """Return the edit of one operator, or None if it is the same function on any grid; rates are per axis."""
    if op.kind == BLOCK:
        return Edit(op, phases=tuple(rates_in))
    whole = [g for g, axis in enumerate(axes) if axis.along[op.index].barrier]
    if whole:
        return _whole_extent_edit(op, axes, whole, rates_in)
    if not any(_moves(op, axis) for axis in axes):
        return None
    if op.kind in CONVS or op.kind in POOLS:
        return _window_edit(graph, op, rates_in, rates_out)
    if op.kind in PADS:
        amounts = _pad_amounts(op)
        if pad_mode(op) != "constant":
            raise refusal(op, f"{pad_mode(op)} padding takes other values there")
        if min(amounts) < 0:
            raise refusal(op, "it crops positions")
        # Amounts come in pairs, last axis first; rates come first axis first.
        scaled = [amount * rates_in[len(rates_in) - 1 - i // 2] for i, amount in enumerate(amounts)]
        return Edit(op, amounts=tuple(scaled))
    raise refusal(op, "it resizes, moves or mixes positions")


def _moves(op: Op, axis: Axis) -> bool:
    """Whether an output reads any other position than its own, or positions are added or cropped."""
    for read in axis.along[op.index].reads:
        if read.map.is_broadcast:
            continue
        if not axis.streamed(read.input):
            raise refusal(op, f"it meets a constant of {axis.graph.ops[read.input].shape[read.dim]} positions")
        if read.map != IDENTITY or axis.length(op.index) != axis.graph.ops[read.input].shape[read.dim]:
            return True
    return False


def _pad_amounts(op: Op) -> list[int]:
    """Return the amounts of a padding operator, as `torch.nn.functional.pad` takes them: last axis first."""
    pairs = pad_pairs(op)
    return [side for dim in sorted(pairs, reverse=True) for side in pairs[dim]]


def _whole_extent_edit(op: Op, axes: Sequence[Axis], whole: list[int], rates_in: list[int]) -> Edit | None:
    """Return the edit of an operator that reads all positions along the axes `whole`, such as a global mean."""
    rates = tuple(rates_in[g] for g in whole)
    if max(rates) == 1:
        return None
    if op.kind == "moments":
        raise refusal(op, "it normalizes over positions, and the finer grid has more of them")
    dims = tuple(axes[g].along[op.index].reads[0].dim for g in whole)
    return Edit(op, rates=rates, dims=dims)


def _window_edit(graph: Graph, op: Op, rates_in: list[int], rates_out: list[int]) -> Edit | None:
    """Return the edit of a convolution or pool; None if it is a 1x1 convolution without stride and padding.

    The graph shows the padding at one length only. If "same" padding would be as much, both rules are returned:
    `windows` holds the likelier one, `others` the other.
    """
    a = op.arguments
    weight_shape = graph.ops[a["weight"].index].shape if op.kind in CONVS else None
    slidings = sliding.window(op, weight_shape)
    if op.item == 1 or ("indices" in op.kind and any(o.item == 1 and o.args == op.args for o in graph.ops)):
        raise refusal(op, "its indices would count positions of the finer grid")
    pad = _own_pad(graph, op)
    ceil = bool(a.get("ceil_mode", False))
    source = graph.ops[op.inputs[0] if pad is None else pad.inputs[0]]
    fixed, same = [], []
    for g, (s, rate, rate_out) in enumerate(zip(slidings, rates_in, rates_out, strict=True)):
        before, after = s.padding, s.reach - s.padding if a["padding"] == "same" else s.padding
        if pad is not None:
            before, after = _own_padding(graph, op, pad, g, s)
        window = FineWindow(s.kernel, s.stride, s.dilation, before, after, rate, s.stride * rate // rate_out, ceil)
        fixed.append(window)
        length = source.shape[len(source.shape) - graph.ndim + g]
        same.append(_as_same(window, length) if s.padding == 0 and not ceil else window)
    if all(w.kernel == 1 and w.stride == w.fine_stride == 1 and not w.before and w.after == 0 for w in fixed):
        return None
    windows, others = tuple(fixed), tuple(same)
    if pad is not None and pad.module == op.module:  # padding by a module's own forward pass mostly follows the length
        windows, others = others, windows
    return Edit(op, windows=windows, others=others if others != windows else (), pad=pad)


def _as_same(window: FineWindow, length: int) -> FineWindow:
    """Return the window with TensorFlow's "same" padding, if that adds as much at this length; else the window."""
    same = replace(window, before=None, after=0)
    return same if (window.before, window.after) == same.coarse_pads(length) else window


def _own_pad(graph: Graph, op: Op) -> Op | None:
    """Return the padding operator right before `op` that the same module runs, or a child of a convolution."""
    source = graph.ops[op.inputs[0]]
    child = op.kind in CONVS and op.module != "" and source.module.startswith(f"{op.module}.")
    if source.kind in PADS and (child or source.module == op.module):
        if pad_mode(source) != "constant":
            raise refusal(op, f"{pad_mode(source)} padding takes other values there")
        return source
    return None


def _own_padding(graph: Graph, op: Op, pad: Op, g: int, s: sliding.Sliding) -> tuple[int, int]:
    """Return what the padding operator `pad` adds before and after along axis `g`, at the exported length."""
    if s.padding:
        raise refusal(op, "it is padded twice")
    return pad_pairs(pad).get(len(pad.shape) - graph.ndim + g, (0, 0))


def value_of_pad(op: Op) -> float:
    """Return the constant that a padding operator writes."""
    value = op.arguments.get("value")
    return 0.0 if value is None or isinstance(value, torch.Tensor) else float(value)


def pads_as_usual(pad: Op, kind: str) -> bool:
    """Whether a padding operator writes what an operator `kind` after it would pad with: 0, or -inf for a max pool."""
    value = value_of_pad(pad)
    return (value == -math.inf or value <= torch.finfo(torch.float32).min) if "max" in kind else value == 0
