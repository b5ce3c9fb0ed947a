"""How many rows a strip of a gradient takes, and before which strips the held rows are kept.

The walk back holds the activations of one strip, and the walk forward leaves the rows held before each strip. With `A`
bytes of activations in all, `H` bytes of held rows and `n` strips, that takes about

    2 A / n + H (n + 1)         in memory,
    2 A / n + 2 H               where the held rows are on disk,
    2 A / n + H (n / k + k)     in memory, if they are kept before every k-th strip only.

The last way computes the strips between two that are kept once more, to find the rows held before each of them; `k` is
the root of `n` (Chen et al. 2016). Autograd keeps most activations twice: as the result of one operator, and joined to
held rows as the input of the next.
"""

import math
from dataclasses import dataclass

from atrous.errors import UserError
from atrous.geometry.axis import period
from atrous.geometry.memory import Meter
from atrous.geometry.passes import Pass, passes_of, program
from atrous.geometry.plan import byte_count
from atrous.geometry.program import Program, ProgramWalk, StripStep, full_box, steps
from atrous.stream.differentiable import Differentiable
from atrous.stream.options import Options

COMFORT = 3 * 2**27
"""Bytes that a plan aims at when no memory limit is given. A training holds much beside them: samples, copies of the
weights, and the libraries that export the network."""
SAVED = 2.0
"""How often autograd keeps a number, about."""
HOLES = 1.25
"""Memory that a process takes over this, because an allocator leaves holes: as measured on a ResNet-18 U-Net."""
STEPS = 64
"""Steps of the walk without data that measures the held rows."""


@dataclass(frozen=True)
class GradientPlan:
    """How a gradient is computed.

    Attributes:
        strip: rows of the input in a strip.
        every: the rows that are held before every so many strips are kept; those of the others are computed again.
        bytes: the memory that it takes, about.
    """

    strip: int
    every: int
    bytes: float


@dataclass(frozen=True)
class GradientSchedule:
    """All steps of a gradient.

    Attributes:
        plan: the strips.
        passes: the walks over the input, forward; the walks back are the same, the last first.
        programs: what each pass computes.
        walks: the steps of each pass.
    """

    plan: GradientPlan
    passes: list[Pass]
    programs: list[Program]
    walks: list[list[StripStep]]


def schedule(ready: Differentiable, options: Options) -> GradientSchedule:
    """Return the steps that the options ask for; those of earlier calls with the same options are kept.

    Raises `UserError` when no plan stays within the memory that was asked for.
    """
    key = options.strip, options.memory, options.spool is None
    if key not in ready.schedules:
        axis, stream = ready.axis, ready.axis.index
        passes, output = passes_of(axis, spool=options.spool is not None), ready.graph.output
        regions = [full_box({stream: axis}, output) if each.final else {} for each in passes]
        programs = [program({stream: axis}, stream, *pair) for pair in zip(passes, regions, strict=True)]
        plan = plan_gradient(ready, programs, options)
        # a source that is coarser than the input has as many fewer rows in a strip
        strips = [max(1, round(plan.strip * built.longest_source / axis.length(0))) for built in programs]
        walks = [list(steps(*pair)) for pair in zip(programs, strips, strict=True)]
        ready.schedules[key] = GradientSchedule(plan, passes, programs, walks)
    return ready.schedules[key]


def plan_gradient(ready: Differentiable, programs: list[Program], options: Options) -> GradientPlan:
    """Return the plan with the least work that stays within the memory.

    Without a limit, 384 MiB are aimed at, or the least that can be reached.

    Raises `UserError` when no plan stays within the memory that was asked for.
    """
    length, unit, itemsize = ready.axis.length(0), period(ready.axis), ready.dtype.itemsize
    meters = [Meter(built, itemsize) for built in programs]
    activations, widest = max((_activations(meter), k) for k, meter in enumerate(meters))
    held = _held(meters[widest], programs[widest], max(unit, length // STEPS // unit * unit))

    def plan(strip: int, grouped: bool) -> GradientPlan:
        count = -(-length // strip)
        every = max(1, round(math.sqrt(count))) if grouped else 1
        copies = 2 if options.spool is not None else -(-count // every) + every
        return GradientPlan(strip, every, HOLES * (SAVED * activations / count + held * copies))

    strips = [min(options.strip, length)] if options.strip else [length]
    while not options.strip and strips[-1] > unit:
        strips.append(max(unit, strips[-1] * 3 // 4 // unit * unit))
    plans = [
        plan(strip, grouped) for grouped in (False, True)[: 1 if options.spool is not None else 2] for strip in strips
    ]
    asked = byte_count(options.memory)
    for each in plans:
        if each.bytes <= (COMFORT if asked is None else asked):
            return each
    least = min(plans, key=lambda each: each.bytes)
    if asked is not None:
        raise UserError(
            f"{ready.graph.network} at {ready.graph.shape}: its gradient needs about {least.bytes / 2**20:.0f} MiB at "
            f"least, more than memory={asked / 2**20:.0f} MiB: allow more memory, or let the held rows lie on disk "
            "(spool=a folder)"
        )
    return least


def _activations(meter: Meter) -> float:
    """Return the bytes of all rows of all values of a program."""
    spans = ((value, meter.program.rows(value)) for value in meter.row)
    return sum(meter.row[value] * (hi - lo) for value, (lo, hi) in spans)


def _held(meter: Meter, built: Program, strip: int) -> float:
    """Return the most bytes that are held between two steps."""
    most = 0.0
    for step in ProgramWalk(built).finite(strip):
        meter.take(step)
        most = max(most, meter.now)
    return most
