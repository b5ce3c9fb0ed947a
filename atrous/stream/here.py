"""Run a prepared network in this process, by the strategy that does less work: strips or windows."""

from dataclasses import replace
from typing import Any

from atrous.data.source import Sink, Source
from atrous.geometry.axis import Refused
from atrous.geometry.plan import Limits, StreamPlan, byte_count, choose_axis, make_plan
from atrous.geometry.program import Box
from atrous.stream.engines import compiler
from atrous.stream.job import StreamJob
from atrous.stream.options import Options
from atrous.stream.prepare import Prepared, output_region
from atrous.stream.windows import run_windows, window_plan


def run_here(ready: Prepared, source: Source, sink: Sink | None, options: Options) -> Any:
    """Run a prepared network by the strategy that the plan chooses, and return the sink."""
    region, run_plan = planned(ready, options)
    compiling = compiler(options.engine, options.dtype or ready.dtype, ready.device)
    if run_plan.strategy == "windows":
        try:
            return run_windows(ready, run_plan, region, source, sink, options, compiling)
        except Refused:  # the network computes something else on a window
            if options.strategy == "windows":
                raise
        options = replace(options, strategy="strips")
        region, run_plan = planned(ready, options)
    return StreamJob(ready, run_plan, region, options, compiling).run(source, sink)


def planned(ready: Prepared, options: Options) -> tuple[Box, StreamPlan]:
    """Return the output rows to compute per axis, and the plan for them."""
    along = choose_axis(ready.graph, ready.axes, ready.refused, options.axis)
    region = output_region(ready.graph, ready.axes, options.region)
    strips = make_plan(
        ready.graph,
        ready.axes,
        along,
        region,
        limits=Limits(byte_count(options.memory), options.strip, options.blocks),
        dtype=options.dtype or ready.dtype,
        spool=options.spool is not None,
        compiled=options.engine != "torch",
        given=options.barriers or (),
    )
    return region, _choose(ready, strips, region, options)


def _choose(ready: Prepared, strips: StreamPlan, region: Box, options: Options) -> StreamPlan:
    """Return the plan of the strategy that was asked for, else of the one with less work; its reason tells why.

    Resuming, spooling, and a strip or a number of blocks that the caller chose are possible with strips only.
    """
    strips_only = options.strip or options.blocks or options.spool is not None
    if options.strategy == "strips" or options.resume or (options.strategy is None and strips_only):
        return strips
    memory = byte_count(options.memory)
    try:
        windows = window_plan(ready, strips, region, memory, options.dtype or ready.dtype)
    except Refused:
        if options.strategy == "windows":
            raise
        return strips
    ratio = windows.macs / strips.macs if strips.macs else 1.0
    fits = memory is None or windows.peak_bytes <= memory
    if options.strategy == "windows" or (fits and ratio < 1):
        return replace(windows, reason=f"{windows.reason}; {ratio:.2f} times the work of strips")
    return replace(strips, reason=f"{strips.reason}; windows would do {ratio:.2f} times the work")
