"""Live signals and video: push rows as they come, get finished rows back, with a latency known beforehand."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused, period, strides
from atrous.geometry.field import axis_field, depends_on, latency
from atrous.geometry.graph import Op
from atrous.geometry.plan import choose_axis
from atrous.geometry.program import Program, ProgramWalk, build, full_box
from atrous.geometry.rules.resize import scale_factors
from atrous.stream.alike import first_difference, per_position
from atrous.stream.post import Post, post_function
from atrous.stream.prepare import Prepared, output_region, prepare
from atrous.stream.process import flushed_denormals
from atrous.stream.run import Runner
from atrous.stream.source import read_box
from atrous.stream.stream import stream
from atrous.stream.values import constants, settle

OPEN = 2**28  # rows for which a session of unknown length is prepared; torch counts those of pools in 32 bits
TURN, KEPT = 2**27, 2**20  # once so many have come, they are counted anew, as if these were all
RATIO = 4096  # a size that is so many times another, or such a part of it, is so at every multiple of the period


class Session:
    """One live run of a network whose input arrives piece by piece along one spatial axis.

    `shape` is `(C, *S)`; the length of `axis` may be None: it is not known before `close`. `push(rows)` takes
    `(C, ..., n, ...)` and returns the output rows that have become final, `close()` the rest. All of them together
    equal the output for the whole input. `latency` is how many input rows beyond an output's own the answer waits for.

    Raises `Refused` for networks with barriers, which cannot answer before the end, and when the length is open for
    networks that read it or resize by it; `close` raises `UserError` when the length at which the input ended has
    changed rows that were given out (a network that pads in front to a multiple of its stride, say): such a network
    needs its length.

    >>> network = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 2, 3, padding=1))
    >>> session = Session(network, (1, None))
    >>> session.latency
    3
    >>> signal = torch.randn(1, 100)
    >>> parts = [session.push(signal[:, i : i + 10].numpy()) for i in range(0, 100, 10)] + [session.close()]
    >>> [p.shape[1] for p in parts][:3], sum(p.shape[1] for p in parts)
    ([7, 10, 10], 100)
    """

    def __init__(
        self,
        network: nn.Module,
        shape: tuple[int | None, ...],
        *,
        axis: int = 0,
        post: Post = None,
        dtype: torch.dtype | None = None,
        output: int | str | None = None,
    ):
        ndim = len(shape) - 1
        if axis not in range(-ndim, ndim):
            raise UserError(f"axis={axis}: the input has {ndim} spatial axes, 0 to {ndim - 1}")
        axis %= ndim
        self.network, self.index, self.output, self.post = network, axis, output, post
        self.open_ended = shape[1 + axis] is None
        nominal = tuple(OPEN if n is None else n for n in shape)
        self.ready = prepare(network, nominal, output=output)
        self.axis = self._axis(self.ready)
        held = withheld(self.axis, self._longer(nominal)) if self.open_ended else {}
        self.dtype = dtype or self.ready.dtype
        field = axis_field(self.axis)
        self.latency = latency(self.axis, held)
        output_region(self.ready.graph, self.ready.axes, None)  # raises where the output has no positions
        self._dim = len(self.axis.graph.ops[self.axis.graph.output].shape) - self.axis.graph.ndim + axis
        self._check = math.ceil((sum(field.halo) + period(self.axis)) / field.stride) + 1
        self._program = self._build()
        self._walk = ProgramWalk(self._program, held)
        known = constants(self.ready.graph, self.dtype)
        settle(self.ready.graph, self.axis, known)
        self._runner = Runner(self._program, known, {})
        self._tail: np.ndarray | None = None
        self._last: Tensor | None = None
        self._tail_start = 0
        self._pushed = self._given = 0
        self._closed = False
        self._turns = self.open_ended and self._repeats()

    def _axis(self, ready: Prepared) -> Axis:
        axis = ready.axes[choose_axis(ready.graph, ready.axes, ready.refused, self.index)]
        if axis.barriers:
            raise Refused(axis.barriers[0], "needs the whole extent, so a live session cannot answer before the end")
        return axis

    def _longer(self, nominal: tuple[int, ...]) -> Axis:
        """The axis at one period more: a network that is another one there reads its length."""
        shape = list(nominal)
        shape[1 + self.index] += period(self.axis)
        longer = self._axis(prepare(self.network, tuple(shape), output=self.output))
        placed = per_position(self.axis) or stretched(self.axis) or first_difference(self.axis, longer)
        if placed is not None:
            raise Refused(
                placed, "depends on the length of the input or on the position in it: open with the true length"
            )
        return longer

    def _repeats(self) -> bool:
        """Whether all rows move on by whole rows every period, so that they can be counted anew."""
        maps = [read.map for op in self._program.order for read in self.axis.along[op.index].reads]
        exact = all(step.is_uniform for step in maps)
        per_row, step = strides(self.axis), period(self.axis)
        return exact and all(v in per_row and step % per_row[v] == 0 for v in self._walk.done)

    def _turn(self) -> None:
        """Count rows anew, a whole number of periods later: away from the start they are all alike."""
        step = period(self.axis)
        rows = (self._pushed - KEPT) // step * step
        fewer = {value: int(rows / per_row) for value, per_row in strides(self.axis).items()}
        for value in self._walk.done:
            self._walk.done[value] -= fewer[value]
        for value, buffer in self._runner.buffers.items():
            buffer.start -= fewer[value]
        self._pushed -= rows
        self._tail_start -= rows
        self._given -= fewer[self.axis.graph.output]

    def _build(self) -> Program:
        axes = {self.index: self.axis}
        return build(axes, self.index, {self.axis.graph.output: full_box(axes, self.axis.graph.output)}, (0,))

    def push(self, rows: Any) -> np.ndarray:
        """Take the next input rows `(C, ..., n, ...)`; gives the output rows that no later input can change."""
        rows = _array(rows)
        expected = (*self.ready.graph.shape[: 1 + self.index], None, *self.ready.graph.shape[2 + self.index :])
        if self._closed:
            raise UserError("this session is closed: open a new one")
        if len(rows.shape) != len(expected) or any(
            e not in (None, n) for e, n in zip(expected, rows.shape, strict=True)
        ):
            raise UserError(f"rows of shape {tuple(rows.shape)} do not fit {expected} (None: any number of rows)")
        count = rows.shape[1 + self.index]
        limit = self.axis.length(0)
        if self._pushed + count > limit:
            raise UserError(
                f"{self._pushed + count} rows pushed, but the session was opened for {limit}: give a longer shape"
            )
        self._remember(rows)
        x = read_box(rows, {g: (0, n) for g, n in enumerate(rows.shape[1:])}, self.dtype, self.ready.device)
        before, dim = self._pushed, self._dim
        self._pushed += count
        out: list[Tensor] = []
        with flushed_denormals(), torch.inference_mode():
            step = self._walk.advance({0: self._pushed}, self._pushed / limit)
            self._runner.step(
                step,
                lambda v, lo, hi: x.narrow(2 + self.index, lo - before, hi - lo),
                lambda v, lo, hi, t: out.append(t),
            )
            rows = torch.cat(out, dim) if out else self._empty()
        self._given += rows.shape[dim]
        last = rows if self._last is None else torch.cat([self._last, rows], dim)
        kept = min(self._check, last.shape[dim])
        self._last = last.narrow(dim, last.shape[dim] - kept, kept).clone()
        self._forget()
        if self._turns and self._pushed >= TURN:
            self._turn()
        return self._result(rows)

    def close(self) -> np.ndarray:
        """The end of the input: gives the remaining output rows, with the padding that the network has at the true
        border."""
        if self._closed:
            raise UserError("this session is closed: open a new one")
        if self._pushed == 0 or self._tail is None:
            raise UserError("nothing was pushed")
        self._closed = True
        self._runner.buffers.clear()
        shape = list(self.ready.graph.shape)
        shape[1 + self.index] = self._pushed
        if self._given == self.axis.length(self.axis.graph.output) and tuple(shape) == self.ready.graph.shape:
            return self._result(self._empty())
        final = prepare(self.network, tuple(shape), output=self.output)
        axis, dim = self._axis(final), self._dim
        self._check_ratios(axis)
        last, total = self._last, axis.length(final.graph.output)
        known = 0 if last is None else last.shape[dim]
        region = [slice(None)] * final.graph.ndim
        region[self.index] = slice(self._given - known, total)
        if self._given > total or last is None:
            raise self._ended_badly() if self._given else UserError("nothing was pushed")
        if self._given - known == total:
            return self._result(self._empty())
        source = _Tail(self._tail, self._tail_start, tuple(shape), self.index)
        found = stream(final, source, region=tuple(region), dtype=self.dtype, axis=self.index, strategy="strips")
        rows = torch.as_tensor(found, dtype=last.dtype, device=last.device).unsqueeze(0)
        self._check_rows(rows.narrow(dim, 0, known), last)
        return self._result(rows.narrow(dim, known, total - self._given))

    def _check_ratios(self, axis: Axis) -> None:
        """A resize whose ratio depends on the length would have changed rows that were already given out."""
        scales = [
            [r.map.signature for along in a.along for r in along.reads if r.map.interpolates] for a in (self.axis, axis)
        ]
        if scales[0] != scales[1] and self._given:
            raise UserError(
                f"the input ended after {self._pushed} rows, but this network resizes by a ratio that depends on the "
                f"length: end at a multiple of {period(self.axis)} rows, or open the session with the true length"
            )

    def _check_rows(self, found: Tensor, given: Tensor) -> None:
        """The last rows given out, computed again now that the length is known."""
        if given.numel():
            scale = max(float(given.abs().max()), float(found.abs().max()))
            tolerance = 1e-3 if given.dtype.itemsize > 2 else 5e-2
            if float((found.double() - given.double()).abs().max()) > tolerance * scale:
                raise self._ended_badly()

    def _ended_badly(self) -> UserError:
        return UserError(
            f"the input ended after {self._pushed} rows, at which this network is another one than the rows given out "
            f"assume: end at a multiple of {period(self.axis)} rows, or open the session with the true length"
        )

    def _remember(self, rows: np.ndarray) -> None:
        self._tail = rows.copy() if self._tail is None else np.concatenate([self._tail, rows], 1 + self.index)

    def _forget(self) -> None:
        """Drop input rows that no output from the last few given out on depends on."""
        assert self._tail is not None
        dim = 1 + self.index
        needed = depends_on(self.axis, max(0, self._given - self._check))[0] - 2 * period(self.axis)
        cut = min(max(0, needed - self._tail_start), self._tail.shape[dim])
        if cut > 0:
            self._tail = self._tail[(slice(None),) * dim + (slice(cut, None),)].copy()
            self._tail_start += cut

    def _empty(self) -> Tensor:
        sizes = list(self.axis.graph.ops[self.axis.graph.output].shape)
        sizes[self._dim] = 0
        own = self.axis.graph.ops[self.axis.graph.output].dtype
        return torch.empty(sizes, dtype=self.dtype if own.is_floating_point else own, device=self.ready.device)

    def _result(self, rows: Tensor) -> np.ndarray:
        function = post_function(self.post)
        rows = function(rows) if function else rows
        return rows[0].cpu().to(torch.float32 if rows.dtype == torch.bfloat16 else rows.dtype).numpy()


def stretched(axis: Axis) -> Op | None:
    """The first resize whose ratio follows from the length of the input, at multiples of the stride too."""
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        for step in (read.map for read in along.reads):
            if step.interpolates:
                factor = scale_factors(op)[along.dim - len(op.shape)] if along.dim else None
                if step.ratio_follows_length(factor is not None, RATIO):
                    return op
    return None


def _array(rows: Any) -> np.ndarray:
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu()
        rows = rows.float() if rows.dtype == torch.bfloat16 else rows
    return np.asarray(rows)


def withheld(axis: Axis, longer: Axis) -> dict[int, int]:
    """For operators that drop rows at the end of their input: how many rows to hold back while the end is not known.

    A crop at the end drops rows that have arrived, once the input ends; a resize by a ratio that is no integer gives
    one row less where the length is no multiple. `longer` tells a crop at the end from a slice of the first rows.
    """
    found: dict[int, int] = {}
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        grows = along.dim is not None and longer.length(op.index) > axis.length(op.index)
        for read in along.reads if grows else ():
            arrived, rows, step = axis.graph.ops[read.input].shape[read.dim], axis.length(op.index), read.map
            drop = step.dropped_at_end(arrived, rows)
            if drop > 0 and axis.streamed(read.input):
                found[op.index] = max(found.get(op.index, 0), drop)
    return found


class _Tail:
    """The last rows of the input, under their true coordinates."""

    def __init__(self, rows: Any, start: int, shape: tuple[int, ...], index: int):
        self.rows, self.start, self.shape, self.index = rows, start, shape, index
        self.dtype = rows.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        part = key[1 + self.index]
        if part.start < self.start:
            raise UserError(
                f"the end of this network's input changes what it makes of row {part.start}, which is gone: "
                "open the session with the true length"
            )
        moved = list(key)
        moved[1 + self.index] = slice(part.start - self.start, part.stop - self.start)
        return self.rows[tuple(moved)]
