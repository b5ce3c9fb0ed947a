"""What a worker of a cluster does: it prepares a network once, then computes units of it, one at a time."""

import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.data.source import Source
from atrous.errors import UserError
from atrous.extras import library
from atrous.geometry.axis import period
from atrous.geometry.graph import Graph
from atrous.geometry.memory import measure
from atrous.geometry.plan import COMFORT, HOLES, POSITIONS, StreamPlan, byte_count, row_positions
from atrous.geometry.program import Program
from atrous.stream.here import run_here
from atrous.stream.job import StreamJob
from atrous.stream.options import Options
from atrous.stream.portable import MappedFile, PartSink, opened_source
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.process import kept_memory
from atrous.stream.unit_record import State
from atrous.stream.units import Units

ONE = Lock()
"""Held while a unit is computed: a stream changes settings of the whole process."""


class UnitWork(ABC):
    """What all units of a run have in common. It is sent to each worker once, and prepares itself there."""

    @abstractmethod
    def compute(self, unit: int, known: dict[int, Tensor]) -> np.ndarray | None:
        """Compute the output of a unit, and return it unless it was written.

        `known` holds what the barriers of the network give, by operator.
        """

    @abstractmethod
    def gather(self, phase: int, unit: int, known: dict[int, Tensor]) -> State:
        """Gather a unit's part of the statistics of the barriers of a phase; `known` is of earlier phases."""


@dataclass
class StreamWork(UnitWork):
    """A network on a source, whose output goes into a sink.

    Attributes:
        network: the module.
        shape: of the source, `(C, *S)`.
        options: of each unit's stream.
        units: how the run is cut.
        source: as `portable_source` gave it.
        sink: as `shared_sink` gave it; None returns the output of each unit.
        signed: `layout` of the graph that the client exported.
        device: where to compute; None leaves the network where it is.
    """

    network: nn.Module
    shape: tuple[int, ...]
    options: Options
    units: Units
    source: Any
    sink: Any
    signed: str
    device: str | None = None

    @cached_property
    def ready(self) -> Prepared:
        """The network, exported once in this process."""
        network = self.network if self.device is None else self.network.to(self.device)
        ready = prepare(network, self.shape, output=self.options.output)
        require_alike(ready.graph, self.signed)
        return ready

    @cached_property
    def opened(self) -> tuple[Source, Any]:
        """The source and the sink of the whole run, opened once in this process."""
        sink = self.sink.open("r+") if isinstance(self.sink, MappedFile) else self.sink
        return opened_source(self.source), sink

    def compute(self, unit: int, known: dict[int, Tensor]) -> np.ndarray | None:
        """See `UnitWork.compute`."""
        region = self.units.region(unit)
        source, sink = self.opened
        options = replace(self.options, region=region, barriers=known or None)
        if sink is None:
            return run_here(self.ready, source, None, options)
        part = PartSink(sink, region)
        run_here(self.ready, source, part, options)
        part.settle()
        return None

    def gather(self, phase: int, unit: int, known: dict[int, Tensor]) -> State:
        """See `UnitWork.gather`."""
        return gather_unit(self.ready, self.units, (phase, unit), known, self.opened[0], self.options)


def gather_unit(
    ready: Prepared,
    units: Units,
    place: tuple[int, int],
    known: dict[int, Tensor],
    source: Source,
    options: Options,
) -> State:
    """Return what one unit gathers for the barriers of one phase; `place` is `(phase, unit)`.

    >>> from atrous.stream.units import cut_units
    >>> network = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.GroupNorm(1, 2)).eval()
    >>> ready = prepare(network, (1, 100))
    >>> state = gather_unit(ready, cut_units(ready, side=64), (0, 1), {}, np.ones((1, 100), np.float32), Options())
    >>> [int(count) for count, mean, squares in state.values()]
    [100]
    """
    phase, unit = place
    built = units.program(ready.axes, phase, units.index(unit))
    assert built is not None
    dtype = options.dtype or ready.dtype
    strip, peak = _strip(built, byte_count(options.memory), dtype)
    graph = ready.graph
    plan = StreamPlan(
        graph.network, graph.shape, graph.ops[graph.output].shape[1:], "strips", units.along, strip, None, 1,
        units.passes, 0.0, 0.0, int(peak), 0, "statistics",
    )  # fmt: skip
    region = {g: (part.start, part.stop) for g, part in enumerate(units.region(unit)) if g in ready.axes}
    job = StreamJob(ready, plan, region, replace(options, barriers=None))
    return {i: [t.cpu() for t in state] for i, state in job.gather(built, known, source).items()}


def _strip(built: Program, memory: float | None, dtype: torch.dtype) -> tuple[int, float]:
    """Return the rows of a strip, and the bytes that the program holds with it: within the memory if that can be."""
    unit = period(built.axis)
    strip = max(unit, POSITIONS // row_positions(built.axes, built.stream, built.boxes[0]) // unit * unit)
    while True:
        held = HOLES * measure(built, strip, dtype.itemsize).peak
        if held <= (COMFORT if memory is None else memory) or strip <= unit:
            return strip, held
        strip = max(unit, strip // 2 // unit * unit)


def layout(graph: Graph) -> str:
    """Return a digest of the operators and shapes of a graph, whatever the device and the weights."""
    return sha256(repr([(op.kind, op.shape, op.inputs) for op in graph.ops]).encode()).hexdigest()


def require_alike(graph: Graph, signed: str) -> None:
    """Raise `UserError` unless a graph has this `layout`: statistics are told apart by the numbers of operators."""
    if layout(graph) != signed:
        raise UserError("a worker exports another graph of the network: install one version of torch on all machines")


@dataclass(frozen=True)
class UnitOutcome:
    """What became of a unit.

    Attributes:
        unit: its number.
        found: what was returned: a state, an output, or nothing.
        seconds: that it took.
        refused: a mistake of the user's, which another worker would find too.
    """

    unit: int
    found: Any = field(default=None, repr=False)
    seconds: float = 0.0
    refused: str | None = None


@lru_cache(1)
def plugin_class() -> Any:
    """Return the class of what Dask keeps on every worker, also on those that join later: the work, still packed."""

    class UnitPlugin(library("distributed", "dask", "a cluster").WorkerPlugin):
        """Carries the work of a run; it is unpacked when the first unit is computed."""

        def __init__(self, name: str, packed: bytes, threads: int | None) -> None:
            self.name, self.packed, self.threads, self.work = name, packed, threads, None
            self.kept: ExitStack | None = None

        def setup(self, worker: Any) -> None:
            """Keep the memory of one unit for the next one."""
            self.kept = ExitStack()
            self.kept.enter_context(kept_memory())

        def teardown(self, worker: Any) -> None:
            """Give it back."""
            if self.kept is not None:
                self.kept.close()

    return UnitPlugin


def run_unit(name: str, phase: int | None, unit: int, known: dict[int, Tensor]) -> UnitOutcome:
    """Compute a unit on this worker (`phase` None), or gather its part of the statistics of a phase."""
    worker = library("distributed", "dask", "a cluster").get_worker()
    with ONE:
        try:
            return computed(_unpacked(worker.plugins[name]), phase, unit, known)
        except UserError as error:
            return UnitOutcome(unit, refused=str(error))


def computed(work: UnitWork, phase: int | None, unit: int, known: dict[int, Tensor]) -> UnitOutcome:
    """Compute a unit in this process (`phase` None), or gather its part of the statistics of a phase."""
    start = time.perf_counter()
    found = work.compute(unit, known) if phase is None else work.gather(phase, unit, known)
    return UnitOutcome(unit, found, time.perf_counter() - start)


def _unpacked(plugin: Any) -> UnitWork:
    if plugin.work is None:
        import cloudpickle

        if plugin.threads is not None:
            torch.set_num_threads(plugin.threads)
        plugin.work = cloudpickle.loads(plugin.packed)
    return plugin.work


def same(values: dict[int, Tensor]) -> dict[int, Tensor]:
    """Return the values: the task that every unit of a phase depends on, so that Dask sends them to a worker once."""
    return values
