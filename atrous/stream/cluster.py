"""Run a network on the workers of a Dask cluster: the answer of one process, whatever the number of workers.

The output is cut into units (`units.py`). Each is computed by one worker, which reads the part of the source that the
unit depends on and writes into chunks of the sink that are the unit's alone. How the output is cut depends on the
network, the input and the sink only, so that every number is the same with one worker and with a thousand.

A network with barriers runs in phases. In each phase but the last, units gather their parts of the statistics in
float64. The parts are joined two by two in the order of the units (`Joinable.merge`, the update of Chan et al. 1979),
and the result goes to all workers before the next phase.

The network and its options are packed once and kept on every worker by a plugin of Dask's; workers that join later get
it too. A unit whose worker is lost goes to another one. What is done is recorded in the sink's folder
(`unit_record.py`), so that the same run goes on after the scheduler, or this process, was lost.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.geometry.graph import Graph
from atrous.geometry.passes import Pass
from atrous.stream.dispatch import Cluster, Dispatch, Dispatcher
from atrous.stream.gather import gatherer
from atrous.stream.options import Options
from atrous.stream.portable import portable_source, shared_sink, write_chunks
from atrous.stream.post import post_name, result_like
from atrous.stream.prepare import Prepared
from atrous.stream.resume import signature
from atrous.stream.source import checked_sink, write_box
from atrous.stream.unit_record import State, UnitRecord
from atrous.stream.units import cut_units
from atrous.stream.values import constants, settle
from atrous.stream.worker import StreamWork, layout


def run_on_cluster(ready: Prepared, source: Source, sink: Sink | None, options: Options, cluster: Cluster) -> Any:
    """Compute the output of a prepared network on a cluster, and return the sink (a new array when None).

    Workers write into zarr arrays and mapped files themselves. What goes into other sinks is sent here and written by
    this process.

    Raises:
        UserError: an option does not go with a cluster, the source cannot be sent, or as `Dispatch`.
        Refused: the network cannot be cut; the message names the layer.
    """
    for name in ("region", "spool", "axis", "blocks"):
        if getattr(options, name) is not None:
            raise UserError(f"{name}= does not go with client=: leave it out")
    graph, dtype = ready.graph, options.dtype or ready.dtype
    output = graph.ops[graph.output]
    kind = dtype if output.dtype.is_floating_point else output.dtype
    shape, kind = result_like(output.shape, kind, options.post, graph.ndim)
    sink = checked_sink(sink, shape, kind)
    units = cut_units(ready, chunks=write_chunks(sink, graph.ndim), side=cluster.side, excess=cluster.excess)
    cluster.tell(f"{graph.network}: {units.text(source.dtype.itemsize)}")
    facts = (graph.shape, str(dtype), shape, str(kind), post_name(options.post), units.sides)
    record = UnitRecord.beside(sink, len(units), signature(graph, facts)) if options.resume else None
    asked = Options(
        memory=options.memory, strip=options.strip, post=options.post, dtype=options.dtype, engine=options.engine,
        strategy=options.strategy or "strips", output=ready.output, axis=units.along,
    )  # fmt: skip
    sent = shared_sink(sink)
    work = StreamWork(
        ready.network, graph.shape, asked, units, portable_source(source), sent, layout(graph), cluster.device
    )
    missing = [unit for unit in range(len(units)) if record is None or unit not in record.done]
    if len(missing) < len(units):
        cluster.tell(f"{len(units) - len(missing)} of {len(units)} units are done already")
    progress, steps = options.progress or (lambda share: None), len(units.passes)
    with Dispatch(cluster, work, units) as dispatch:
        known = gathered(dispatch, ready, dtype, record, lambda share: progress(share / steps)) if missing else {}
        for done, outcome in enumerate(dispatch.outcomes(None, missing, known)):
            if outcome.found is not None:
                box = [(part.start, part.stop) for part in units.region(outcome.unit)]
                write_box(sink, torch.as_tensor(outcome.found)[None], box, graph.ndim)
            if record is not None:
                record.mark(outcome.unit)
            progress((steps - 1 + (done + 1) / len(missing)) / steps)
    if record is not None:
        record.remove()
    return sink


def gathered(
    dispatch: Dispatcher,
    ready: Prepared,
    dtype: torch.dtype,
    record: UnitRecord | None,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[int, Tensor]:
    """Run the phases of the barriers, and return what each barrier gives, by operator.

    Args:
        dispatch: the units.
        ready: the network, here.
        dtype: the type of the run.
        record: of what units gathered before; None for none.
        progress: called with the number of phases done, parts of one included.
    """
    units = dispatch.units
    known: dict[int, Tensor] = {}
    for phase, each in enumerate(units.passes):
        if each.final or not each.barriers:
            continue
        numbers = [n for n in range(len(units)) if units.targets(ready.axes, each, units.index(n))]
        states = {n: state for n in numbers if record and (state := record.kept(phase, n)) is not None}
        missing = [n for n in numbers if n not in states]
        for outcome in dispatch.outcomes(phase, missing, known):
            states[outcome.unit] = outcome.found
            if record is not None:
                record.keep(phase, outcome.unit, outcome.found)
            progress(phase + len(states) / len(numbers))
        known |= _joined(ready, units.along, each, [states[n] for n in numbers], known, dtype)
    return known


def _joined(
    ready: Prepared, along: int, each: Pass, states: list[State], known: dict[int, Tensor], dtype: torch.dtype
) -> dict[int, Tensor]:
    """Return what the barriers of a phase give, from the states of all units, joined two by two in their order."""
    graph, axis = ready.graph, ready.axes[along]
    whole = constants(graph, dtype)
    settle(graph, axis, whole)
    whole |= {i: t.to(dtype) if t.is_floating_point() else t for i, t in known.items()}
    settle(graph, axis, whole)
    results = {}
    for barrier in each.barriers:
        parts = [state[barrier] for state in states if state.get(barrier)]
        while len(parts) > 1:
            parts = [_merged(graph, barrier, parts[i : i + 2]) for i in range(0, len(parts), 2)]
        last = gatherer(graph.ops[barrier], graph)
        last.merge(parts[0])
        results[barrier] = last.result(whole).cpu()
    return results


def _merged(graph: Graph, barrier: int, parts: list[list[Tensor]]) -> list[Tensor]:
    joined = gatherer(graph.ops[barrier], graph)
    for part in parts:
        joined.merge(part)
    return joined.state()
