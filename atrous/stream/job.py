"""Carry out a plan of strips: all passes, all blocks, all steps, from a source into a sink.

A run is three nested loops:

- passes: the input is read once more for every barrier in a row (a global pool, a group norm). All passes but the last
  gather the barriers' statistics; the last one computes the output.
- blocks: a second axis may be cut into blocks. Each block is a program of its own, which computes its part of the
  output from its part of the input and the halo around it.
- steps: the program reads one strip, computes what is ready, and delivers finished rows.

Reading the next strip and writing finished rows happen in two threads beside the computation.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from atrous.data.source import Sink, Source
from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph
from atrous.geometry.passes import program
from atrous.geometry.plan import StreamPlan, byte_count
from atrous.geometry.program import Box, Program, full_box, steps
from atrous.geometry.segments import Segment, SegmentWalk, choose, steady_windows
from atrous.stream.chunked import ChunkedSink, ChunkedSource, chunk_rows
from atrous.stream.compiled import Compiler, SegmentRunner
from atrous.stream.options import Options
from atrous.stream.overlap import Ahead, Behind
from atrous.stream.post import post_function, post_name, result_like
from atrous.stream.prepare import Prepared, rows_limit
from atrous.stream.process import Settle, exact_process, steady_process
from atrous.stream.resume import Record, record_path, settle_sink, signature
from atrous.stream.rows import cross_rows
from atrous.stream.run import Deliver, Runner, new_gatherers
from atrous.stream.source import checked_sink, read_box, write_box
from atrous.stream.spool import Spool
from atrous.stream.values import constants, settle


@dataclass
class StreamJob:
    """One run of a prepared network over one source, by a plan of strips.

    Attributes:
        ready: the network.
        plan: the streamed axis, the strip, the blocks and the passes.
        region: the output rows to compute, per spatial axis that can be cut.
        options: the caller's choices. Those that the plan has settled (axis, strip, blocks) are not read again.
        compiler: compiles segments; None runs operator by operator.
        known: the values without rows that are known by now: constants, what follows from them, and what the barriers
            of earlier passes gave.
        constant: those of them that do not depend on the input.
        record: how far the run has come, when it is to be resumable.
        between: called after every operator.
        packed: the weights of convolutions as the fastest kernels read them, by operator.
    """

    ready: Prepared
    plan: StreamPlan
    region: Box
    options: Options = field(default_factory=Options)
    compiler: Compiler | None = None
    known: dict[int, Tensor] = field(default_factory=dict)
    constant: set[int] = field(default_factory=set)
    record: Record | None = None
    between: Settle | None = None
    packed: dict[int, Tensor] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.ready.graph

    @property
    def dtype(self) -> torch.dtype:
        """The element type to compute in."""
        return self.options.dtype or self.ready.dtype

    @property
    def axis(self) -> Axis:
        """The streamed axis."""
        return self.ready.axes[self.plan.axis]

    @property
    def cut_axes(self) -> dict[int, Axis]:
        """The axes along which values are cut: the streamed one, and all of them for blocks and regions."""
        cut = self.plan.blocks > 1 or self.region != full_box(self.ready.axes, self.graph.output)
        return self.ready.axes if cut else {self.plan.axis: self.axis}

    @property
    def extents(self) -> list[tuple[int, int]]:
        """The output rows `[lo, hi)` to compute, for each spatial axis."""
        sizes = self.graph.ops[self.graph.output].shape[-self.graph.ndim :]
        return [self.region.get(g, (0, n)) for g, n in enumerate(sizes)]

    def run(self, source: Source, sink: Sink | None = None) -> Any:
        """Compute the output of `source` `(C, *S)` into `sink`, and return the sink (a new array when None).

        Raises `UserError` when the source does not have the shape of the plan, and when the sink does not fit.
        """
        if tuple(source.shape) != self.graph.shape:
            raise UserError(f"the source has shape {tuple(source.shape)}, but the plan was made for {self.graph.shape}")
        output, ndim = self.graph.ops[self.graph.output], self.graph.ndim
        shape = (*output.shape[:-ndim], *(hi - lo for lo, hi in self.extents))
        output_dtype = self.dtype if output.dtype.is_floating_point else output.dtype
        result_shape, result_dtype = result_like(shape, output_dtype, self.options.post, ndim)
        sink = checked_sink(sink, result_shape, result_dtype)
        if self.options.resume:
            self.record = self._open_record(sink, result_shape, result_dtype)
        folder = self.options.folder
        spool = None if folder is None else Spool(folder, self.axis, self.dtype)
        with self._settings() as self.between, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            ends = _Ends(self, source, sink, spool, (reader, writer))
            try:
                for share in self._passes(ends):
                    if self.options.progress is not None:
                        self.options.progress(share)
            finally:
                if spool is not None:
                    spool.remove()
        if self.record is not None:
            self.record.remove()
        return sink

    def _open_record(self, sink: Any, shape: tuple[int, ...], dtype: Any) -> Record:
        """Open the record of an interrupted run into this sink, or start one."""
        facts = (
            self.plan.shape,
            self.plan.axis,
            self.plan.blocks,
            self.region,
            str(self.dtype),
            shape,
            str(dtype),
            post_name(self.options.post),
        )
        barriers = [{i: self.graph.ops[i].shape for i in each.barriers} for each in self.plan.passes]
        return Record.open(record_path(sink), signature(self.graph, facts), self.ready.device, barriers)

    def _settings(self) -> AbstractContextManager[Settle]:
        if self.compiler is not None:
            return exact_process()
        limit = rows_limit(self.ready, self.plan, self.dtype, byte_count(self.options.memory))
        return steady_process(limit, self.ready.device)

    def _passes(self, ends: "_Ends") -> Iterator[float]:
        """Do every pass, and yield the finished share of the run after each step.

        A record of an interrupted run says which passes, blocks and rows are finished; they are skipped. So are passes
        whose barriers an earlier run on this source has gathered (`Options.barriers`).
        """
        count, blocks, kept = len(self.plan.passes), self.plan.blocks, self.options.barriers
        self._begin(kept or {})
        for number, each in enumerate(self.plan.passes):
            if self.record is not None and number < self.record.passes:
                self._conclude({i: self.record.values[i] for i in each.barriers})
                continue
            if kept is not None and not each.final and kept.keys() >= set(each.barriers):
                self._conclude({i: kept[i] for i in each.barriers})
                continue
            gathered = None
            for b in range(blocks):
                if self.record is not None and each.final and b < self.record.block:
                    continue
                start = self.record.rows if self.record is not None and each.final and b == self.record.block else None
                built = program(
                    self.cut_axes, self.plan.axis, each, self.region, self.plan.block_axis, b, blocks, start
                )
                gathered = gathered or new_gatherers(built)
                for share in self._block(built, gathered, ends):
                    yield (number + (b + share) / blocks) / count
                if each.final:
                    self._mark(passes=number, block=b + 1, rows=None)
            results = {i: g.result(self.known) for i, g in (gathered or {}).items()}
            self._conclude({i: t.to(self.dtype) if t.is_floating_point() else t for i, t in results.items()})
            if kept is not None:
                kept.update(results)
            if self.record is not None and ends.spool is None and not each.final:
                self.record.values.update(results)
                self._mark(passes=number + 1, block=0, rows=None)

    def gather(self, built: Program, known: dict[int, Tensor], source: Source) -> dict[int, list[Tensor]]:
        """Return what each barrier of a program gathers of its part (`Joinable.state`); no output is computed.

        `known` holds what the barriers of earlier passes gave.
        """
        self._begin(known)
        gathered = new_gatherers(built)
        with self._settings() as self.between, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            for share in self._block(built, gathered, _Ends(self, source, None, None, (reader, writer))):
                if self.options.progress is not None:
                    self.options.progress(share)
        return {i: each.state() for i, each in gathered.items()}

    def _begin(self, known: dict[int, Tensor]) -> None:
        """Find the values without rows that are known before any row is read, given what barriers are known to give."""
        self.known = constants(self.graph, self.dtype)
        settle(self.graph, self.axis, self.known)
        self.constant = set(self.known)
        self._conclude(known)

    def _block(self, built: Program, gathered: dict[int, Any], ends: "_Ends") -> Iterator[float]:
        """Run the program of one block, and yield the finished share of the block after each step."""
        lo, hi = built.rows(built.sources[0]) if built.sources else (0, 1)
        runner, walk = self._runner(built, gathered)
        ahead, deliver = ends.reader(built), ends.writer(built)
        for step in ahead.follow(walk):
            with torch.inference_mode():
                runner.step(step, ahead, deliver)
            if self.record is not None and ends.rows is not None and self.record.due:
                ends.settle()
                self._mark(rows=ends.rows)
            arrived = max((last for value, _, last in step.feeds if value == built.sources[0]), default=hi)
            yield (arrived - lo) / max(hi - lo, 1)
        ends.settle()
        if isinstance(runner, SegmentRunner):
            runner.put_back()

    def _runner(self, built: Program, gathered: dict[int, Any]) -> tuple[Any, Iterator[Any]]:
        """Return what runs a program, operator by operator or in compiled segments, and the steps that it takes."""
        if self.compiler is None:
            runner = Runner(built, self.known, gathered, self.between, self.packed)
            return runner, steps(built, self.plan.strip)
        segments, windows = self._segments(built)
        like = torch.empty(0, dtype=self.dtype, device=self.ready.device)
        compiled = self.ready.compiled.setdefault((self.options.engine, self.dtype, self.plan.axis), {})
        measured = set(self.known) - self.constant
        runner = SegmentRunner(built, self.known, gathered, self.compiler, like, compiled, measured, self.ready.spare)
        return runner, SegmentWalk(built, segments, self.plan.strip, windows).steps()

    def _segments(self, built: Program) -> tuple[list[Segment], dict[int, int]]:
        """Return the segments of a program and the length of each one's windows; computed once and kept."""
        key = (self.plan.axis, self.plan.strip, self.dtype, built.sources, built.targets, str(built.boxes))
        if key not in self.ready.cuts:
            segments = choose(built, self.plan.strip, self.dtype.itemsize)
            self.ready.cuts[key] = segments, steady_windows(built, segments, self.plan.strip)
        return self.ready.cuts[key]

    def _conclude(self, results: dict[int, Tensor]) -> None:
        """Take over what the barriers of a pass gave, and compute the values without rows that follow from it."""
        for value, result in results.items():
            kind = self.dtype if result.is_floating_point() else result.dtype
            self.known[value] = result.to(self.ready.device, kind)
        settle(self.graph, self.axis, self.known)

    def _mark(self, **progress: int | None) -> None:
        """Write into the record, if there is one, how far the run has come."""
        if self.record is not None:
            for name, value in progress.items():
                setattr(self.record, name, value)
            self.record.save()


class _Ends:
    """Where rows come from and where they go: the source, the sink and the spool."""

    def __init__(
        self,
        job: StreamJob,
        source: Source,
        sink: Any,
        spool: Spool | None,
        pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor],
    ):
        self.job, self.source, self.sink, self.spool = job, source, sink, spool
        part = math.prod(
            (hi - lo) / job.graph.ops[job.graph.output].shape[g - job.graph.ndim]
            for g, (lo, hi) in enumerate(job.extents)
            if g != job.plan.axis
        )
        if chunk_rows(source, 1 + job.plan.axis, part=part) > 1:
            self.source = ChunkedSource(source, 1 + job.plan.axis, part)
        dim = 0 if sink is None else len(sink.shape) - job.graph.ndim + job.plan.axis
        if sink is not None and chunk_rows(sink, dim, written=True) > 1:
            self.sink = ChunkedSink(sink, dim)
        self.pool, self.behind = pools[0], Behind(pools[1])
        self.rows: int | None = None  # output rows of the current block that have been handed to the writer
        self.post = post_function(job.options.post)
        self.settled = time.time()

    def settle(self) -> None:
        """Wait until everything that was delivered is in the sink itself."""
        self.behind.finish()
        if hasattr(self.sink, "flush"):
            self.sink.flush()
        if self.job.record is not None:
            now = time.time()
            settle_sink(getattr(self.sink, "sink", self.sink), self.settled)
            self.settled = now

    def reader(self, built: Program) -> Ahead:
        """Return a reader for one program, which reads one strip ahead: of the input (value 0) or of the spool."""
        job = self.job
        whole: Box = {g: (0, n) for g, n in enumerate(job.graph.shape[1:])}

        def read(value: int, lo: int, hi: int) -> Tensor:
            if value:
                assert self.spool is not None
                return self.spool.read(value, _dims(built, value, lo, hi)).to(job.ready.device)
            return read_box(self.source, whole | built.boxes[0] | {built.stream: (lo, hi)}, job.dtype, job.ready.device)

        return Ahead(read, self.pool)

    def writer(self, built: Program) -> Deliver:
        """Return a function that takes the finished rows of one program: output rows go to the sink, others to the
        spool."""
        job, self.rows = self.job, None
        final = any(p.final for p in job.plan.passes) and job.graph.output in built.targets

        def deliver(value: int, lo: int, hi: int, rows: Tensor) -> None:
            if value == job.graph.output and final:
                rows = self.post(rows) if self.post else rows
                box = dict(enumerate(job.extents)) | built.boxes[value] | {built.stream: (lo, hi)}
                place = [(box[g][0] - first, box[g][1] - first) for g, (first, _) in enumerate(job.extents)]
                self.behind.submit(write_box, self.sink, rows, place, len(place))
                self.rows = hi
            else:
                assert self.spool is not None
                self.spool.write(value, _dims(built, value, lo, hi), rows)

        return deliver


def _dims(built: Program, value: int, lo: int, hi: int) -> dict[int, tuple[int, int]]:
    """Return the rows per dimension of a value of which rows `[lo, hi)` of the streamed axis are read or written."""
    rows, dim = cross_rows(built, value), built.axis.dim(value)
    return rows if dim is None else {**rows, dim: (lo, hi)}
