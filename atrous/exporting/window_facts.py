"""What a file must say of a network so that it can be run on windows: stride, halo, period, memory.

`stream` runs an exported file on windows that overlap by the halo. A file has no module whose operators could be
followed, so the certificate is made at the export and stands in the metadata.
"""

import math
from typing import Any

from torch import nn

from atrous.errors import UserError
from atrous.geometry.axis import Refused, period
from atrous.geometry.memory import macs
from atrous.geometry.plan import whole_peak
from atrous.geometry.rules.rearrange import PADS
from atrous.stream.alike import first_difference
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.windows import check_windows

PADDING = (*PADS, "slice")
"""Kinds of operators with which a network pads its input to a multiple of its stride, and crops its output."""
LENGTH = {1: 8192, 2: 512, 3: 96}
"""Positions along each axis, about, at which a network is followed; nothing is computed, so that they cost nothing."""


def window_facts(network: nn.Module, channels: int, ndim: int, multiple: tuple[int, ...]) -> dict[str, Any]:
    """Return what is needed to run a network on windows, or why that cannot be exact, as plain numbers and text.

    Args:
        network: `(N, C, *S)` to `(N, K, *S)`.
        channels: C.
        ndim: spatial axes.
        multiple: the network takes sizes that are multiples of this along each axis.

    Returns:
        Of each axis `period` (windows begin at its multiples), `stride` (input positions per output position) and
        `halo` (input positions before and after); `bytes_per_position` and `macs_per_position`, of the input. Or
        `refused`, the reason in words.

    >>> facts = window_facts(nn.Conv1d(1, 2, 5, padding=2), 1, 1, (1,))
    >>> facts["axes"]
    [{'period': 1, 'stride': 1.0, 'halo': [2, 2]}]
    """
    try:
        even = _at_whole_periods(network, channels, ndim, multiple)
        whole = even.graph.shape[1:]
        # A size that is no multiple of the period is padded in the network: its windows need more at the far end.
        odd = _checked(network, (channels, *(n + m for n, m in zip(whole, multiple, strict=True))))
        for axis, one in even.axes.items():
            changed = first_difference(one, odd.axes[axis], PADDING)
            if changed is not None:
                raise Refused(changed, "computes something else at another size")
    except UserError as error:  # `Refused` is one
        return {"refused": str(error)}
    graph = even.graph
    positions = math.prod(graph.shape[1:])
    axes = []
    for axis, one in even.axes.items():
        halos = [ready.fields[axis].halo for ready in (even, odd)]
        halo = [max(halo[side] for halo in halos) for side in (0, 1)]
        axes.append({"period": period(one), "stride": even.fields[axis].stride, "halo": halo})
    return {
        "axes": axes,
        "bytes_per_position": whole_peak(graph, 4) / positions,
        "macs_per_position": sum(macs(op, graph.ops) for op in graph.ops) / positions,
    }


def _at_whole_periods(network: nn.Module, channels: int, ndim: int, multiple: tuple[int, ...]) -> Prepared:
    """The network at a size that is a multiple of its period along every axis."""
    size = [-(-LENGTH[ndim] // m) * m for m in multiple]
    ready = _checked(network, (channels, *size))
    step = math.lcm(*multiple, *(period(axis) for axis in ready.axes.values()))
    whole = [-(-n // step) * step for n in size]
    return ready if whole == size else _checked(network, (channels, *whole))


def _checked(network: nn.Module, shape: tuple[int, ...]) -> Prepared:
    ready = prepare(network, shape)
    check_windows(ready)
    return ready
