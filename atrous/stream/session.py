"""Live signals and video: push rows as they come, get finished rows back, with a latency known beforehand."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused
from atrous.geometry.field import axis_field
from atrous.geometry.maps import Resize
from atrous.geometry.plan import choose_axis
from atrous.geometry.program import Program, Walk, build, full_box
from atrous.geometry.strides import period
from atrous.stream.job import flushed_denormals
from atrous.stream.post import Post, post_function
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.run import Runner
from atrous.stream.source import read_box
from atrous.stream.stream import stream
from atrous.stream.values import constants, settle

OPEN = 2**20  # rows for which a session of unknown length is prepared, rounded to the period


class Session:
    """One live run of a network whose input arrives piece by piece along one spatial axis.

    `shape` is `(C, *S)`; the length of `axis` may be None: it is not known before `close`. `push(rows)` takes
    `(C, ..., n, ...)` and returns the output rows that have become final, `close()` the rest. All of them together
    equal
    the output for the whole input. `latency` is how many input rows beyond an output's own the answer waits for.

    Raises `Refused` for networks with barriers, which cannot answer before the end.

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
        self.network, self.index, self.output, self.post = network, axis, output, post
        self.open_ended = shape[1 + axis] is None
        nominal = tuple(OPEN if n is None else n for n in shape)
        self.ready = prepare(network, nominal, output=output)
        self.axis = self._axis(self.ready)
        self.dtype = dtype or self.ready.dtype
        field = axis_field(self.axis)
        self.latency = field.halo[1]
        self._keep = sum(field.halo) + 2 * period(self.axis)
        self._stride = field.stride
        self._program = self._build()
        self._walk = Walk(self._program)
        known = constants(self.ready.graph, self.dtype)
        settle(self.ready.graph, self.axis, known)
        self._runner = Runner(self._program, known, {})
        self._tail: np.ndarray | None = None
        self._tail_start = 0
        self._pushed = self._given = 0
        self._closed = False

    def _axis(self, ready: Prepared) -> Axis:
        axis = ready.axes[choose_axis(ready.graph, ready.axes, ready.refused, self.index)]
        if axis.barriers:
            raise Refused(axis.barriers[0], "needs the whole extent, so a live session cannot answer before the end")
        return axis

    def _build(self) -> Program:
        axes = {self.index: self.axis}
        return build(axes, self.index, {self.axis.graph.output: full_box(axes, self.axis.graph.output)}, (0,))

    def push(self, rows: Any) -> np.ndarray:
        """Take the next input rows `(C, ..., n, ...)`; gives the output rows that no later input can change."""
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
        rows = np.asarray(rows)
        self._remember(rows)
        x = read_box(rows, {g: (0, n) for g, n in enumerate(rows.shape[1:])}, self.dtype, self.ready.device)
        self._pushed += count
        out: list[Tensor] = []
        with flushed_denormals(), torch.inference_mode():
            step = self._walk.advance({0: self._pushed}, 0.0)
            self._runner.step(step, lambda v, lo, hi: x, lambda v, lo, hi, t: out.append(t))
        return self._result(out)

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
        final = (
            self.ready
            if tuple(shape) == self.ready.graph.shape
            else prepare(self.network, tuple(shape), output=self.output)
        )
        self._check_same(final)
        total = self._axis(final).length(final.graph.output)
        region = [slice(None)] * final.graph.ndim
        region[self.index] = slice(self._given, total)
        if self._given >= total:
            return self._result([])
        source = _Tail(self._tail, self._tail_start, tuple(shape), self.index)
        result = stream(final, source, region=tuple(region), post=self.post, dtype=self.dtype, axis=self.index)
        return np.asarray(result)

    def _check_same(self, final: Prepared) -> None:
        """A resize whose ratio depends on the length would have changed rows that were already given out."""
        scales = [
            [r.map.scale for a in axis.along for r in a.reads if isinstance(r.map, Resize)]
            for axis in (self.axis, self._axis(final))
        ]
        if scales[0] != scales[1] and self._given:
            raise UserError(
                f"the input ended after {self._pushed} rows, but this network resizes by a ratio "
                "that depends on the length: "
                f"end at a multiple of {period(self.axis)} rows"
            )

    def _remember(self, rows: np.ndarray) -> None:
        dim = 1 + self.index
        self._tail = rows.copy() if self._tail is None else np.concatenate([self._tail, rows], dim)
        needed = int(self._given * self._stride) - self._keep
        cut = min(max(0, needed - self._tail_start), self._tail.shape[dim])
        if cut > 0:
            self._tail = self._tail[(slice(None),) * dim + (slice(cut, None),)].copy()
            self._tail_start += cut

    def _result(self, parts: list[Tensor]) -> np.ndarray:
        dim = 2 + self.index
        if parts:
            rows = torch.cat(parts, dim)
        else:
            output = self.axis.graph.ops[self.axis.graph.output]
            sizes = list(output.shape)
            sizes[dim] = 0
            rows = torch.empty(sizes, dtype=self.dtype, device=self.ready.device)
        self._given += rows.shape[dim]
        function = post_function(self.post)
        rows = function(rows) if function else rows
        return rows[0].cpu().to(torch.float32 if rows.dtype == torch.bfloat16 else rows.dtype).numpy()


class _Tail:
    """The last rows of the input, under their true coordinates."""

    def __init__(self, rows: np.ndarray, start: int, shape: tuple[int, ...], index: int):
        self.rows, self.start, self.shape, self.index = rows, start, shape, index
        self.dtype = rows.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        part = key[1 + self.index]
        if part.start < self.start:
            raise IndexError(f"row {part.start} is gone; the first kept is {self.start}")
        moved = list(key)
        moved[1 + self.index] = slice(part.start - self.start, part.stop - self.start)
        return self.rows[tuple(moved)]
