"""Carry out a plan: passes, blocks and strips, from a source into a sink."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atrous.errors import UserError
from atrous.geometry.axis import Axis
from atrous.geometry.graph import Graph
from atrous.geometry.passes import program
from atrous.geometry.plan import StreamPlan
from atrous.geometry.program import Box, Program, full_box, steps
from atrous.geometry.segments import Segment, SegmentWalk, choose, steady_windows
from atrous.stream.chunked import ChunkedSink, ChunkedSource, chunk_rows
from atrous.stream.compiled import Compiler, SegmentRunner
from atrous.stream.overlap import Ahead, Behind
from atrous.stream.post import Post, post_function, post_name, result_like
from atrous.stream.prepare import Prepared, rows_limit
from atrous.stream.process import Settle, exact_process, steady_process
from atrous.stream.resume import Record, record_path, signature
from atrous.stream.run import Runner, new_gatherers
from atrous.stream.source import checked_sink, read_box, write_box
from atrous.stream.spool import Spool
from atrous.stream.values import constants, settle


@dataclass
class Job:
    """One run of a prepared network over one source, by a plan."""

    ready: Prepared
    plan: StreamPlan
    region: Box
    dtype: torch.dtype
    post: Post = None
    spool: Path | None = None
    resume: bool = False
    compiler: Compiler | None = None
    engine: str = "torch"
    known: dict[int, Tensor] = field(default_factory=dict)
    constant: set[int] = field(default_factory=set)
    record: Record | None = None
    between: Settle | None = None

    @property
    def graph(self) -> Graph:
        """The operators."""
        return self.ready.graph

    @property
    def axis(self) -> Axis:
        """The streamed axis."""
        return self.ready.axes[self.plan.axis]

    @property
    def used(self) -> dict[int, Axis]:
        """The axes along which values are cut."""
        cut = self.plan.blocks > 1 or self.region != full_box(self.ready.axes, self.graph.output)
        return self.ready.axes if cut else {self.plan.axis: self.axis}

    @property
    def extents(self) -> list[tuple[int, int]]:
        """The output positions asked for, per spatial axis."""
        sizes = self.graph.ops[self.graph.output].shape[-self.graph.ndim :]
        return [self.region.get(g, (0, n)) for g, n in enumerate(sizes)]

    def run(self, source: Any, sink: Any = None, progress: Callable[[float], None] | None = None) -> Any:
        """Go through the source as the plan says; gives the sink."""
        if tuple(source.shape) != self.graph.shape:
            raise UserError(f"the source has shape {tuple(source.shape)}, but the plan was made for {self.graph.shape}")
        output, ndim = self.graph.ops[self.graph.output], self.graph.ndim
        shape = (*output.shape[:-ndim], *(hi - lo for lo, hi in self.extents))
        kind = self.dtype if output.dtype.is_floating_point else output.dtype
        result_shape, result_dtype = result_like(shape, kind, self.post, ndim)
        sink = checked_sink(sink, result_shape, result_dtype)
        if self.resume:
            facts = (
                self.plan.shape,
                self.plan.axis,
                self.plan.blocks,
                self.region,
                str(self.dtype),
                result_shape,
                str(result_dtype),
                post_name(self.post),
            )
            self.record = Record.open(record_path(sink), signature(self.graph, facts), self.ready.device)
        stored = Spool(self.spool, self.graph, self.dtype) if self.spool is not None else None
        with self._settings() as self.between, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            ends = _Ends(self, source, sink, stored, reader, writer)
            try:
                for done in self._passes(ends):
                    if progress is not None:
                        progress(done)
            finally:
                if stored is not None:
                    stored.remove()
        if self.record is not None:
            self.record.remove()
        return sink

    def _settings(self) -> AbstractContextManager[Settle]:
        if self.compiler is not None:
            return exact_process()
        return steady_process(rows_limit(self.ready, self.plan, self.dtype))

    def _passes(self, ends: "_Ends") -> Iterator[float]:
        self.known = constants(self.graph, self.dtype)
        settle(self.graph, self.axis, self.known)
        self.constant = set(self.known)
        count, blocks = len(self.plan.passes), self.plan.blocks
        for number, each in enumerate(self.plan.passes):
            if self.record is not None and number < self.record.passes:
                self._conclude({i: self.record.values[i] for i in each.barriers})
                continue
            gathered = None
            for b in range(blocks):
                if self.record is not None and each.final and b < self.record.block:
                    continue
                start = self.record.rows if self.record is not None and each.final and b == self.record.block else None
                built = program(self.used, self.plan.axis, each, self.region, self.plan.block_axis, b, blocks, start)
                gathered = gathered or new_gatherers(built)
                for share in self._block(built, gathered, ends):
                    yield (number + (b + share) / blocks) / count
                if each.final:
                    self._mark(passes=number, block=b + 1, rows=None)
            results = {i: g.result(self.known) for i, g in (gathered or {}).items()}
            self._conclude({i: t.to(self.dtype) if t.is_floating_point() else t for i, t in results.items()})
            if self.record is not None and not self.spool and not each.final:
                self.record.values.update(results)
                self._mark(passes=number + 1, block=0, rows=None)

    def _block(self, built: Program, gathered: dict[int, Any], ends: "_Ends") -> Iterator[float]:
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
        """What runs a program, and the steps it takes: eager, or in compiled segments."""
        if self.compiler is None:
            return Runner(built, self.known, gathered, self.between), steps(built, self.plan.strip)
        segments, windows = self._segments(built)
        like = torch.empty(0, dtype=self.dtype, device=self.ready.device)
        compiled = self.ready.compiled.setdefault((self.engine, self.dtype, self.plan.axis), {})
        measured = set(self.known) - self.constant
        runner = SegmentRunner(built, self.known, gathered, self.compiler, like, compiled, measured, self.ready.spare)
        return runner, SegmentWalk(built, segments, self.plan.strip, windows).steps()

    def _segments(self, built: Program) -> tuple[list[Segment], dict[int, int]]:
        """The cuts of a program and the windows between them, found once for a prepared network."""
        key = (self.plan.axis, self.plan.strip, self.dtype, built.sources, built.targets, str(built.boxes))
        if key not in self.ready.cuts:
            segments = choose(built, self.plan.strip, self.dtype.itemsize)
            self.ready.cuts[key] = segments, steady_windows(built, segments, self.plan.strip)
        return self.ready.cuts[key]

    def _conclude(self, results: dict[int, Tensor]) -> None:
        for value, result in results.items():
            self.known[value] = result.to(self.dtype) if result.is_floating_point() else result
        settle(self.graph, self.axis, self.known)

    def _mark(self, **progress: int | None) -> None:
        if self.record is not None:
            for name, value in progress.items():
                setattr(self.record, name, value)
            self.record.save()


class _Ends:
    """Where rows come from and go to: the source, the sink and the spool."""

    def __init__(
        self,
        job: Job,
        source: Any,
        sink: Any,
        spool: Spool | None,
        reader: ThreadPoolExecutor,
        writer: ThreadPoolExecutor,
    ):
        self.job, self.source, self.sink, self.spool, self.pool = job, source, sink, spool, reader
        if chunk_rows(source, 1 + job.plan.axis) > 1:
            self.source = ChunkedSource(source, 1 + job.plan.axis)
        dim = len(sink.shape) - job.graph.ndim + job.plan.axis
        if chunk_rows(sink, dim) > 1:
            self.sink = ChunkedSink(sink, dim)
        self.behind = Behind(writer)
        self.rows: int | None = None
        self.post = post_function(job.post)

    def settle(self) -> None:
        """Wait until everything delivered is in the sink itself."""
        self.behind.finish()
        if hasattr(self.sink, "flush"):
            self.sink.flush()

    def reader(self, built: Program) -> Ahead:
        """Reads rows for one program, a strip ahead."""
        job = self.job
        whole: Box = {g: (0, n) for g, n in enumerate(job.graph.shape[1:])}

        def read(value: int, lo: int, hi: int) -> Tensor:
            if value:
                assert self.spool is not None
                return self.spool.read(value, self._dims(built, value, lo, hi)).to(job.ready.device)
            return read_box(self.source, whole | built.boxes[0] | {built.stream: (lo, hi)}, job.dtype, job.ready.device)

        return Ahead(read, self.pool)

    def writer(self, built: Program) -> Callable[[int, int, int, Tensor], None]:
        """Takes finished rows of one program."""
        job, self.rows = self.job, None
        final = any(p.final for p in job.plan.passes) and job.graph.output in built.targets

        def deliver(value: int, lo: int, hi: int, rows: Tensor) -> None:
            if value == job.graph.output and final:
                rows = self.post(rows) if self.post else rows
                box = dict(enumerate(job.extents)) | built.boxes[value] | {built.stream: (lo, hi)}
                at = [(box[g][0] - e[0], box[g][1] - e[0]) for g, e in enumerate(job.extents)]
                self.behind.submit(write_box, self.sink, rows, at, len(at))
                self.rows = hi
            else:
                assert self.spool is not None
                self.spool.write(value, self._dims(built, value, lo, hi), rows)

        return deliver

    def _dims(self, built: Program, value: int, lo: int, hi: int) -> dict[int, tuple[int, int]]:
        dims = {}
        for g, axis in built.axes.items():
            dim = axis.dim(value)
            if dim is not None:
                dims[dim] = (lo, hi) if g == built.stream else built.boxes[value][g]
        return dims
