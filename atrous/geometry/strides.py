"""Input rows per row of every value, and after how many input rows the whole network repeats itself."""

import math
from fractions import Fraction

from atrous.geometry.axis import Axis
from atrous.geometry.maps import Bins, Map, Regrouped, Resize, Sliding, Transposed

LONGEST = 4096  # beyond this a period is of no use


def step_of(step: Map) -> Fraction:
    """Input rows per output row of one operator."""
    if isinstance(step, Sliding):
        return Fraction(step.stride)
    if isinstance(step, Transposed):
        return Fraction(1, step.stride)
    if isinstance(step, Regrouped):
        return Fraction(step.outer, step.inner)
    if isinstance(step, Resize):
        return Fraction(step.scale or 1.0).limit_denominator(64)
    return Fraction(step.length, step.bins) if isinstance(step, Bins) else Fraction(1)


def strides(axis: Axis) -> dict[int, Fraction]:
    """Network input rows per row of each value that follows from the input row by row."""
    found = {0: Fraction(1)}
    for op in axis.graph.ops:
        reads = [r for r in axis.along[op.index].reads if r.input in found]
        if axis.streamed(op.index) and reads:
            found[op.index] = found[reads[0].input] * step_of(reads[0].map)
    return found


def period(axis: Axis) -> int:
    """Input rows after which every value has moved on by whole rows: the total stride, mostly.

    >>> from torch import nn
    >>> from atrous.geometry.graph import export_graph
    >>> from atrous.geometry.rules import follow
    >>> network = nn.Sequential(nn.Conv1d(1, 1, 7, stride=2), nn.MaxPool1d(3), nn.ConvTranspose1d(1, 1, 2, stride=2))
    >>> period(follow(export_graph(network, (1, 100)), 0))
    6
    """
    found = math.lcm(*(s.numerator for s in strides(axis).values()))
    if found <= min(LONGEST, axis.length(0)):
        return found
    rows = axis.length(0)
    coarsest = min((axis.length(op.index) for op in axis.graph.ops if axis.streamed(op.index)), default=rows)
    return max(1, min(rows, round(rows / max(coarsest, 1))))
