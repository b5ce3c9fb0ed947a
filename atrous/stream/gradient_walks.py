"""The walks of a gradient: forward through the strips, and back from the last one to the first.

A streamed network is a function of one step, applied again and again (`run.py`): from a strip of input rows and the
rows held, it computes the output rows that are ready and the rows to hold next,

    (output_t, held_t+1) = step(strip_t, held_t).

So its gradient is computed as that of a recurrent network is, by going back through the steps:

1. Walk forward, and keep the rows held before each strip (`held.py`).
2. From the last strip to the first: load the rows held before it as leaves of autograd, compute the strip again, and
   go back through this one step from the loss of its output rows, with 1, and from the rows it holds for the next
   strip, with their gradient. That gives its part of the gradient of the weights, and the gradient of the rows that
   were held before it, which the step before needs.

Barriers (global pools, group norm, batch norm in training mode) cut the network into passes. The walk back through the
last pass gives the gradient of what the barriers gave. Then each earlier pass, the last first, takes one more walk back
from the rows that its barriers read (`pullback.py`).

Keeping a part of the values and computing the others again is gradient checkpointing (Chen et al. 2016). Training a
convolutional network on an image in tiles, exactly, is StreamingCNN's idea (Pinckaers et al. 2020; lightstream).
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atrous.data.source import Source
from atrous.errors import UserError
from atrous.geometry.passes import Pass
from atrous.geometry.program import Program, StripStep
from atrous.stream.compute import whole as compute_whole
from atrous.stream.differentiable import Differentiable
from atrous.stream.gather import Rows
from atrous.stream.gradient_plan import schedule
from atrous.stream.held import HeldRows
from atrous.stream.objective import DenseObjective, Loss
from atrous.stream.options import Options
from atrous.stream.plain import PlainRunner, dropped, handed_on
from atrous.stream.process import bounded
from atrous.stream.pullback import Pullback, gradient_gatherer, pullback
from atrous.stream.run import Buffer
from atrous.stream.running import update_running_statistics
from atrous.stream.source import read_box
from atrous.stream.spool import Spool


class _Adjoints:
    """Gradients of values, added up; `None` stands for zero."""

    def __init__(self) -> None:
        self.of: dict[int, Tensor] = {}

    def add(self, value: int, part: Tensor | None) -> None:
        """Add a part of the gradient of a value."""
        if part is not None:
            held = self.of.get(value)
            self.of[value] = part.clone() if held is None else held.add_(part)


class _GradientSpool(Spool):
    """Gradients of values on disk, added up part by part."""

    def add(self, value: int, dims: dict[int, tuple[int, int]], part: Tensor) -> None:
        """Add a part of the gradient of rows of a value; rows without any part have zeros."""
        self.write(value, dims, self.read(value, dims).to(part.device) + part if value in self.written else part)


class GradientJob:
    """One gradient over one source."""

    def __init__(
        self,
        ready: Differentiable,
        source: Source,
        loss: Loss,
        target: Any,
        scale: float,
        options: Options,
        folder: Path | None,
    ):
        self.ready, self.source, self.options, self.folder, self.scale = ready, source, options, folder, scale
        self.loss, self.target = loss, target
        self.graph = ready.graph
        self.axis, self.stream = ready.axis, ready.axis.index
        self.active = ready.active()
        planned = schedule(ready, options)
        self.plan, self.passes = planned.plan, planned.passes
        self.programs, self.walks = planned.programs, planned.walks
        self.objective = DenseObjective(loss, target, self._sizes(), self.stream) if ready.dense else None
        self.spool = self.grads = None
        if folder is not None:
            self.spool = Spool(folder / "values", self.axis, ready.dtype)
            self.grads = _GradientSpool(folder / "gradients", self.axis, ready.dtype)
        self.pullbacks: dict[int, Pullback] = {}
        self.held: dict[int, HeldRows] = {}
        self.adjoints = _Adjoints()  # of the values without rows
        self.total = 0.0
        self.sums = torch.zeros((), dtype=torch.float64, device=ready.device)  # those that the loss follows from
        self.sum_adjoint = torch.full((), scale, dtype=torch.float64, device=ready.device)  # their gradient
        self.walked = 0
        self.settle = bounded(self.plan.bytes)

    def _sizes(self) -> tuple[int, ...]:
        return self.graph.ops[self.graph.output].shape[-self.graph.ndim :]

    def run(self) -> float:
        """Do all walks, then add to `.grad` and update running statistics; return the loss."""
        leaves = self.ready.constants()
        for number, each in enumerate(self.passes):
            self._forward(number, each, leaves)
        with torch.enable_grad():
            values = self._values(leaves)
        inputs = {i: t.detach().requires_grad_(t.requires_grad) for i, t in values.items()}
        if self.objective is None:
            self._pooled_loss(inputs[self.graph.output])
        elif self.objective.several:
            self._summed_loss(self.objective)
        for number in reversed(range(len(self.passes))):
            self._backward(number, values, inputs)
        self._accumulate(values, leaves)
        update_running_statistics(self.ready, self.pullbacks, values)
        return self.total

    def _told(self) -> None:
        """After a step: give memory back if there is too much, and tell the progress."""
        self.settle()
        self.walked += 1
        if self.options.progress is not None:
            counts = [len(walk) for walk in self.walks]
            again = 0 if self.folder is not None else sum(counts[:-1])
            self.options.progress(self.walked / (2 * sum(counts) + again))

    # ---- forward

    def _forward(self, number: int, each: Pass, leaves: dict[int, Tensor]) -> None:
        """Walk through a pass: keep the rows held if the walk back can use them, and gather its barriers."""
        gathered = {i: gradient_gatherer(self.graph.ops[i], self.graph) for i in each.barriers}
        keeps = self.folder is not None or number == len(self.passes) - 1
        with torch.no_grad():
            self._walk(number, self._values(leaves), gathered, keeps)
        self.pullbacks.update({i: pullback(each) for i, each in gathered.items()})

    def _walk(self, number: int, known: dict[int, Tensor], gathered: dict[int, Any], keeps: bool) -> None:
        """Walk forward through a pass without gradients."""
        built, walk = self.programs[number], self.walks[number]
        objective = self.objective if self.passes[number].final else None
        sums = objective is not None and objective.several

        def deliver(value: int, lo: int, hi: int, rows: Tensor) -> None:
            if value == self.graph.output:
                if objective is not None and objective.several:
                    self.sums = self.sums + objective.sums(rows, lo, hi).double()
            elif self.spool is not None:
                self.spool.write(value, self.dims(value, lo, hi), rows)

        held = HeldRows(None if self.folder is None else self.folder / f"held{number}")
        only_held = not (gathered or sums)  # then nothing reads what the last step gives
        runner = PlainRunner(built, known, gathered or handed_on(built, dropped))
        for t, step in enumerate(walk):
            if keeps and t % self.plan.every == 0:
                held.put(t, runner.buffers)
            if not (only_held and t == len(walk) - 1):
                runner.step(step, self.read, deliver)
            self._told()
        if keeps:
            self.held[number] = held

    def read(self, value: int, lo: int, hi: int) -> Tensor:
        """Return rows of the input, or of a value that an earlier pass stored."""
        if value:
            assert self.spool is not None
            return self.spool.read(value, self.dims(value, lo, hi)).to(self.ready.device)
        whole = {g: (0, n) for g, n in enumerate(self.graph.shape[1:])}
        return read_box(self.source, whole | {self.stream: (lo, hi)}, self.ready.dtype, self.ready.device).detach()

    def dims(self, value: int, lo: int, hi: int) -> dict[int, tuple[int, int]]:
        """Return rows `[lo, hi)` of a value by dimension."""
        dim = self.axis.dim(value)
        assert dim is not None
        return {dim: (lo, hi)}

    def _values(self, leaves: dict[int, Tensor]) -> dict[int, Tensor]:
        """Return all values without rows, computed with gradients from the constants and from what was gathered."""
        values, dtype = dict(leaves), self.ready.dtype
        for op in self.graph.ops:
            if op.index in values or self.axis.streamed(op.index) or op.kind == "input":
                continue
            if op.index in self.pullbacks:
                value = self.pullbacks[op.index].result(values)
                values[op.index] = value.to(dtype) if value.is_floating_point() else value
            elif all(i in values for i in op.inputs) and not self.axis.along[op.index].barrier:
                values[op.index] = compute_whole(op, values)
        return values

    # ---- backward

    def _pooled_loss(self, output: Tensor) -> None:
        """Compute the loss of an output without positions, and the gradient of that output."""
        with torch.enable_grad():
            value = self.loss(output, self.target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise UserError("the loss must return one number")
        self.total = float(value.detach()) * self.scale
        if value.requires_grad:
            (part,) = torch.autograd.grad(value.reshape(()) * self.scale, output, allow_unused=True)
            self.adjoints.add(self.graph.output, part)

    def _summed_loss(self, objective: DenseObjective) -> None:
        """Compute the loss by its sums, and its gradient by each of them."""
        with torch.enable_grad():
            sums = self.sums.to(self.ready.dtype).requires_grad_()
            value = objective.value(sums)
        self.total = float(value.detach()) * self.scale
        if value.requires_grad:
            (part,) = torch.autograd.grad(value, sums)
            self.sum_adjoint = part * self.scale

    def _through_whole(self, values: dict[int, Tensor], targets: list[Tensor]) -> list[Tensor | None]:
        """Return the gradients of `targets` that the values without rows hand on, by what is known of theirs."""
        known = [(values[i], part) for i, part in self.adjoints.of.items()]
        if not known or not targets:
            return [None] * len(targets)
        outputs, parts = zip(*known, strict=True)
        found = torch.autograd.grad(outputs, targets, parts, retain_graph=True, allow_unused=True)
        return list(found)

    def _barrier_adjoints(self, each: Pass, values: dict[int, Tensor]) -> dict[int, list[Tensor]]:
        """Return for each barrier of a pass that the loss depends on the gradients of what it gathered."""
        barriers = [i for i in each.barriers if self.graph.ops[i].inputs[0] in self.active]
        found = iter(self._through_whole(values, [leaf for i in barriers for leaf in self.pullbacks[i].leaves]))
        given = {i: [next(found) for _ in self.pullbacks[i].leaves] for i in barriers}
        adjoints = {}
        for i, parts in given.items():
            if any(part is not None for part in parts):
                pairs = zip(self.pullbacks[i].leaves, parts, strict=True)
                adjoints[i] = [torch.zeros_like(leaf) if part is None else part for leaf, part in pairs]
        return adjoints

    def _backward(self, number: int, values: dict[int, Tensor], inputs: dict[int, Tensor]) -> None:
        """Walk back through a pass."""
        each, built = self.passes[number], self.programs[number]
        adjoints = self._barrier_adjoints(each, values)
        stored = [] if self.grads is None else [v for v in each.spooled if v in self.grads.written]
        if not (adjoints or stored or each.final):
            return
        if number not in self.held:
            with torch.no_grad():
                self._walk(number, inputs, {}, keeps=True)
        walk, held = self.walks[number], self.held.pop(number)
        read_whole = {i for op in built.order for i in op.inputs if i in inputs and inputs[i].requires_grad}
        step_back = _StepBack(self, built, inputs, sorted(read_whole), adjoints)
        for first in reversed(range(0, len(walk), self.plan.every)):
            group = range(first, min(first + self.plan.every, len(walk)))
            self._walk_group(built, [walk[t] for t in group], inputs, held, first)
            for t in reversed(group):
                step_back(walk[t], held.take(t))
                self._told()

    def _walk_group(
        self, built: Program, group: list[StripStep], known: dict[int, Tensor], held: HeldRows, first: int
    ) -> None:
        """Find the rows held before each step of a group again, from those that are kept before its first one."""
        if len(group) == 1:
            return
        runner = PlainRunner(built, known, handed_on(built, dropped))
        kept = held.take(first)
        runner.buffers = {value: Buffer(start, rows) for value, (start, rows) in kept.items()}
        with torch.no_grad():
            for t, step in enumerate(group, first):
                held.put(t, runner.buffers)
                if t < first + len(group) - 1:
                    runner.step(step, self.read, lambda value, lo, hi, rows: None)

    def _accumulate(self, values: dict[int, Tensor], leaves: dict[int, Tensor]) -> None:
        """Add the gradients of the constants to `.grad` of their parameters."""
        learning = [i for i, t in leaves.items() if t.requires_grad]
        found = self._through_whole(values, [leaves[i] for i in learning])
        with torch.no_grad():
            for i, part in zip(learning, found, strict=True):
                parameter = self.ready.parameters[i]
                if part is None:
                    continue
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter).copy_(part)
                else:
                    parameter.grad.add_(part)


class _StepBack:
    """Goes back through one step after the other, and holds the gradients of the rows held before the last one."""

    def __init__(
        self,
        job: GradientJob,
        built: Program,
        inputs: dict[int, Tensor],
        read_whole: list[int],
        barrier_adjoints: dict[int, list[Tensor]],
    ):
        self.job, self.built, self.read_whole, self.barrier_adjoints = job, built, read_whole, barrier_adjoints
        self.inputs = inputs
        self.runner = PlainRunner(built, inputs, handed_on(built, self._take))
        self.rows: dict[int, Tensor] = {}  # gradients of the rows held before the step after this one
        self.seeds: list[tuple[Tensor, Tensor]] = []  # what the step gave, and its gradient

    def __call__(self, step: StripStep, held: dict[int, tuple[int, Tensor]]) -> None:
        """Compute a step again from the rows held before it, and go back through it."""
        job = self.job
        leaves = {v: rows.detach().requires_grad_(v in job.active) for v, (_, rows) in held.items()}
        self.runner.buffers = {v: Buffer(held[v][0], leaf) for v, leaf in leaves.items()}
        feeds: list[tuple[int, int, int, Tensor]] = []

        def read(value: int, lo: int, hi: int) -> Tensor:
            rows = job.read(value, lo, hi).requires_grad_(value in job.active)
            feeds.append((value, lo, hi, rows))
            return rows

        self.seeds = []
        with torch.enable_grad():
            self.runner.step(step, read, self._deliver)
        self._add_held()
        self.runner.buffers = {}
        learning = [v for v, leaf in leaves.items() if leaf.requires_grad]
        fed = [feed for feed in feeds if feed[3].requires_grad]
        wanted = [leaves[v] for v in learning] + [f[3] for f in fed] + [self.inputs[i] for i in self.read_whole]
        found = self._gradients(wanted)
        self.rows = {v: g for v in learning if (g := next(found)) is not None}
        for value, lo, hi, _ in fed:
            part = next(found)
            if part is not None:
                assert job.grads is not None
                job.grads.add(value, job.dims(value, lo, hi), part)
        for i in self.read_whole:
            job.adjoints.add(i, next(found))

    def _gradients(self, wanted: list[Tensor]) -> Any:
        """Yield the gradients of the wanted tensors, None for those that nothing depends on."""
        if not self.seeds or not wanted:
            return iter([None] * len(wanted))
        outputs, parts = zip(*self.seeds, strict=True)
        self.seeds = []
        return iter(torch.autograd.grad(outputs, wanted, parts, allow_unused=True))

    def _seed(self, tensor: Tensor, part: Tensor) -> None:
        if tensor.requires_grad:
            self.seeds.append((tensor, part.to(tensor.dtype)))

    def _add_held(self) -> None:
        """Let the rows that are held for the next step hand back their gradients."""
        for value, buffer in self.runner.buffers.items():
            if value in self.rows:
                self._seed(buffer.tensor, self.rows[value])

    def _deliver(self, value: int, lo: int, hi: int, rows: Tensor) -> None:
        """Take finished rows: seed their loss, or the gradient that later passes found for them."""
        job = self.job
        if value == job.graph.output and job.objective is not None:
            sums = job.objective.sums(rows, lo, hi)
            if not job.objective.several:
                job.total += float(sums.detach()) * job.scale
            self._seed(sums, job.sum_adjoint.expand_as(sums))
        elif job.grads is not None and value in job.grads.written:
            self._seed(rows, job.grads.read(value, job.dims(value, lo, hi)).to(rows.device))

    def _take(self, barrier: int, piece: Tensor, rows: Rows) -> None:
        """Give the rows of a barrier's input their gradient."""
        if barrier in self.barrier_adjoints and piece.requires_grad:
            pulled = self.job.pullbacks[barrier].gradient(piece.detach(), rows, self.barrier_adjoints[barrier])
            self._seed(piece, pulled)
