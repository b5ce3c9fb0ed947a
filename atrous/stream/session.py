"""Live signals and video: push input rows as they arrive, and get output rows back as soon as they are final.

A session runs the same walk as `run.py`, with two differences.

Where the length of the input is open, the network is exported for `OPEN` rows, which never arrive. Away from the end,
its output rows are those of any length. Some operators drop rows at the end of their input (a crop, a resize); as many
rows are held back, because they may turn out to lie behind the end (`withheld`).

At `close` the true length is known. The network is exported again at that length, and the last output rows are computed
from the last input rows, which the session has kept, with the padding that the network has at the true end. A few rows
that were already returned are computed once more; if they differ, the length changes the network itself, and `close`
raises `UserError` instead of returning rows that do not fit the earlier ones.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.data.source import Key, LazySource, Source, span
from atrous.errors import UserError
from atrous.geometry.axis import Axis, Refused, period, strides
from atrous.geometry.field import axis_field, depends_on, latency
from atrous.geometry.graph import Op
from atrous.geometry.plan import choose_axis
from atrous.geometry.program import Program, ProgramWalk, build, full_box
from atrous.geometry.rules.resize import scale_factors
from atrous.stream.alike import first_difference, per_position
from atrous.stream.post import Post, post_function
from atrous.stream.prepare import Prepared, prepare
from atrous.stream.process import flushed_denormals
from atrous.stream.run import Runner
from atrous.stream.source import read_box
from atrous.stream.stream import stream
from atrous.stream.values import constants, settle

OPEN = 2**28  # rows for which a session of open length is prepared; torch counts the rows of pools in 32 bits
RENUMBER_AT = 2**27  # once so many rows have arrived, they are numbered anew,
RENUMBERED = 2**20  # as if about so many had arrived
RATIO = 4096  # sizes with a greater ratio than this, reduced, are not taken to keep it at every multiple of the period


class Session:
    """One live run of a network whose input arrives piece by piece along one spatial axis.

    All returned rows together equal the output for the whole input. `latency` is how many input rows beyond its own an
    output row waits for.

    Arguments:
        network: a module; it is run in evaluation mode and left as it was.
        shape: `(C, *S)` of the whole input. The length of `axis` may be None: it is not known before `close`.
        axis: the spatial axis along which the input arrives.
        post: as in `atrous.stream.options.Options`, and so are the next two.
        dtype: of the computation.
        output: which output, of several.

    Raises `Refused` for networks with barriers, which cannot answer before the end. When the length is open, also for
    networks that read the length or resize by a ratio that follows from it. `close` raises `UserError` when the length
    at which the input ended changes rows that were already returned: a network that pads in front to a multiple of its
    stride, for instance, must be told its length.

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
        self.network, self.index, self.output, self.post = network, axis, output, post_function(post)
        self.open_ended = shape[1 + axis] is None
        nominal = tuple(OPEN if n is None else n for n in shape)
        self.ready = prepare(network, nominal, output=output)
        self.axis = self._axis(self.ready)
        held_back = withheld(self.axis, self._longer(nominal)) if self.open_ended else {}
        self.dtype = dtype or self.ready.dtype
        field = axis_field(self.axis)
        self.latency = latency(self.axis, held_back)
        self._dim = len(self.axis.graph.ops[self.axis.graph.output].shape) - self.axis.graph.ndim + axis
        # output rows that `close` computes again: all that the end can reach, over one period of the network
        self._checked = math.ceil((sum(field.halo) + period(self.axis)) / field.stride) + 1
        self._program = self._build()
        self._walk = ProgramWalk(self._program, held_back)
        known = constants(self.ready.graph, self.dtype)
        settle(self.ready.graph, self.axis, known)
        self._runner = Runner(self._program, known, {}, packed={})
        self._tail: np.ndarray | None = None  # the last input rows, from row `_tail_start` on
        self._tail_start = 0
        self._last: Tensor | None = None  # the last `_checked` output rows, before post-processing
        self._pushed = self._returned = 0  # rows so far
        self._closed = False
        self._renumbers = self.open_ended and self._repeats()

    def _axis(self, ready: Prepared) -> Axis:
        """Return the axis along which rows arrive, after checking that nothing has to wait for the end."""
        axis = ready.axes[choose_axis(ready.graph, ready.axes, ready.refused, self.index)]
        if axis.barriers:
            raise Refused(axis.barriers[0], "needs the whole extent, so a live session cannot answer before the end")
        return axis

    def _longer(self, nominal: tuple[int, ...]) -> Axis:
        """Return the same axis of the network exported for one period more.

        Raises `Refused` when the network computes something else there, since it then reads the length of its input.
        """
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
        """Whether every value advances by a whole number of rows per period, so that rows can be numbered anew."""
        maps = [read.map for op in self._program.order for read in self.axis.along[op.index].reads]
        exact = all(step.is_uniform for step in maps)
        per_row, step = strides(self.axis), period(self.axis)
        return exact and all(v in per_row and step % per_row[v] == 0 for v in self._walk.done)

    def _renumber(self) -> None:
        """Number all rows as if a whole number of periods fewer had arrived.

        Away from the start all periods are alike, so that the session goes on as before, and row numbers stay small
        however long it runs. A value whose rows are `per_row` input rows apart loses `rows / per_row` of them.
        """
        step = period(self.axis)
        rows = (self._pushed - RENUMBERED) // step * step
        fewer = {value: int(rows / per_row) for value, per_row in strides(self.axis).items()}
        for value in self._walk.done:
            self._walk.done[value] -= fewer[value]
        for value, buffer in self._runner.buffers.items():
            buffer.start -= fewer[value]
        self._pushed -= rows
        self._tail_start -= rows
        self._returned -= fewer[self.axis.graph.output]

    def _build(self) -> Program:
        axes = {self.index: self.axis}
        return build(axes, self.index, {self.axis.graph.output: full_box(axes, self.axis.graph.output)}, (0,))

    def push(self, rows: Any) -> np.ndarray:
        """Take the next input rows `(C, ..., n, ...)` and return the output rows that no later input can change.

        Raises `UserError` when the rows do not have the session's shape, when they are more than its length, and when
        it is closed.
        """
        rows = _array(rows)
        expected = (*self.ready.graph.shape[: 1 + self.index], None, *self.ready.graph.shape[2 + self.index :])
        if self._closed:
            raise UserError("this session is closed: open a new one")
        if len(rows.shape) != len(expected) or any(
            e not in (None, n) for e, n in zip(expected, rows.shape, strict=True)
        ):
            raise UserError(
                f"rows of shape {tuple(rows.shape)} do not fit the session's shape {expected}, "
                "where None stands for any number of rows"
            )
        count = rows.shape[1 + self.index]
        limit = self.axis.length(0)
        if self._pushed + count > limit:
            raise UserError(
                f"{self._pushed + count} rows were pushed, but the session was opened for {limit}: give a longer shape"
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
                lambda value, lo, hi: x.narrow(2 + self.index, lo - before, hi - lo),
                lambda value, lo, hi, finished: out.append(finished),
            )
            result = torch.cat(out, dim) if out else self._empty()
        self._returned += result.shape[dim]
        last = result if self._last is None else torch.cat([self._last, result], dim)
        count = min(self._checked, last.shape[dim])
        self._last = last.narrow(dim, last.shape[dim] - count, count).clone()
        self._forget()
        if self._renumbers and self._pushed >= RENUMBER_AT:
            self._renumber()
        return self._result(result)

    def close(self) -> np.ndarray:
        """End the input, and return the remaining output rows, with the padding that belongs to the true end.

        Raises `UserError` when nothing was pushed, and when rows that were already returned would have been others had
        the length been known.
        """
        if self._closed:
            raise UserError("this session is closed: open a new one")
        if self._pushed == 0 or self._tail is None:
            raise UserError("no rows were pushed: push the input before closing the session")
        self._closed = True
        self._runner.buffers.clear()
        shape = list(self.ready.graph.shape)
        shape[1 + self.index] = self._pushed
        if self._returned == self.axis.length(self.axis.graph.output) and tuple(shape) == self.ready.graph.shape:
            return self._result(self._empty())
        final = prepare(self.network, tuple(shape), output=self.output)
        axis, dim = self._axis(final), self._dim
        self._check_ratios(axis)
        last, total = self._last, axis.length(final.graph.output)
        again = 0 if last is None else last.shape[dim]  # returned rows that are computed once more
        if self._returned > total or last is None:
            raise self._changed_by_end()
        if self._returned - again == total:
            return self._result(self._empty())
        region = [slice(None)] * final.graph.ndim
        region[self.index] = slice(self._returned - again, total)
        source = _Tail(self._tail, self._tail_start, tuple(shape), self.index)
        end = stream(final, source, region=tuple(region), dtype=self.dtype, axis=self.index, strategy="strips")
        rows = torch.as_tensor(end, dtype=last.dtype, device=last.device).unsqueeze(0)
        self._check_rows(rows.narrow(dim, 0, again), last)
        return self._result(rows.narrow(dim, again, total - self._returned))

    def _check_ratios(self, axis: Axis) -> None:
        """Raise `UserError` if a resize has another ratio at the true length: earlier rows would have been others."""
        scales = [
            [r.map.signature for along in a.along for r in along.reads if r.map.interpolates] for a in (self.axis, axis)
        ]
        if scales[0] != scales[1] and self._returned:
            raise UserError(
                f"the input ended after {self._pushed} rows, but this network resizes by a ratio that depends on the "
                f"length: end at a multiple of {period(self.axis)} rows, or open the session with the true length"
            )

    def _check_rows(self, computed: Tensor, returned: Tensor) -> None:
        """Raise `UserError` if the last returned rows differ from the same rows computed at the true length."""
        if returned.numel():
            scale = max(float(returned.abs().max()), float(computed.abs().max()))
            tolerance = 1e-3 if returned.dtype.itemsize > 2 else 5e-2
            if float((computed.double() - returned.double()).abs().max()) > tolerance * scale:
                raise self._changed_by_end()

    def _changed_by_end(self) -> UserError:
        return UserError(
            f"the input ended after {self._pushed} rows, and at that length the network gives other rows than were "
            f"already returned: end at a multiple of {period(self.axis)} rows, or open the session with the true length"
        )

    def _remember(self, rows: np.ndarray) -> None:
        self._tail = rows.copy() if self._tail is None else np.concatenate([self._tail, rows], 1 + self.index)

    def _forget(self) -> None:
        """Drop the kept input rows that no output row depends on, neither those to come nor those to be checked."""
        assert self._tail is not None
        dim = 1 + self.index
        needed = depends_on(self.axis, max(0, self._returned - self._checked))[0] - 2 * period(self.axis)
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
        """Return finished rows as an array without the batch axis, post-processed."""
        rows = self.post(rows) if self.post else rows
        return rows[0].cpu().to(torch.float32 if rows.dtype == torch.bfloat16 else rows.dtype).numpy()


def stretched(axis: Axis) -> Op | None:
    """Return the first resize whose ratio follows from the length of the input even at multiples of the period."""
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        for step in (read.map for read in along.reads):
            if step.interpolates:
                factor = scale_factors(op)[along.dim - len(op.shape)] if along.dim else None
                if step.ratio_follows_length(factor is not None, RATIO):
                    return op
    return None


def _array(rows: Any) -> np.ndarray:
    """Return pushed rows (a tensor, a list, an array) as an array."""
    if isinstance(rows, Tensor):
        rows = rows.detach().cpu()
        rows = rows.float() if rows.dtype == torch.bfloat16 else rows
    return np.asarray(rows)


def withheld(axis: Axis, longer: Axis) -> dict[int, int]:
    """Return how many rows each operator must hold back while the end of the input is not known, where any.

    An operator that crops the end of its input drops rows that have arrived, as soon as the input ends; a resize by a
    ratio that is no integer gives one row less where the length is no multiple. `longer` is the same axis for a longer
    input: a slice of the first rows, which is no crop at the end, gives no more rows there.
    """
    held_back: dict[int, int] = {}
    for op, along in zip(axis.graph.ops, axis.along, strict=True):
        grows = along.dim is not None and longer.length(op.index) > axis.length(op.index)
        for read in along.reads if grows else ():
            arrived, rows, step = axis.graph.ops[read.input].shape[read.dim], axis.length(op.index), read.map
            drop = step.dropped_at_end(arrived, rows)
            if drop > 0 and axis.streamed(read.input):
                held_back[op.index] = max(held_back.get(op.index, 0), drop)
    return held_back


class _Tail(LazySource):
    """A source that holds the last rows of the input only, to be sliced by their true row numbers."""

    def __init__(self, rows: Source, start: int, shape: tuple[int, ...], index: int):
        super().__init__(shape, rows.dtype)
        self.rows, self.start, self.index = rows, start, index

    def _read(self, key: Key) -> np.ndarray:
        first, stop, rest = span(key[1 + self.index], self.shape[1 + self.index])
        if first < self.start:
            raise UserError(
                f"at this length the network reads row {first} of the input again, which is no longer kept: "
                "open the session with the true length"
            )
        moved, lead = list(key), sum(isinstance(part, slice) for part in key[: 1 + self.index])
        moved[1 + self.index] = slice(first - self.start, stop - self.start)
        return self.rows[tuple(moved)][(slice(None),) * lead + (rest,)]
