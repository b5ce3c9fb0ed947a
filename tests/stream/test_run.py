"""Steps of a program: nothing is computed twice, what is kept is what is still read, and inputs are not spoiled."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.geometry.passes import passes_of, program
from atrous.geometry.program import Program, build, full_box, steps
from atrous.stream import prepare, run
from atrous.stream.run import Runner, new_gatherers
from atrous.stream.values import constants, settle
from tests import toy_models
from tests.toy_models import Lambda, difference, settled

ROWS = 29


def whole_program(network: nn.Module, shape: tuple[int, ...]) -> Program:
    ready = prepare(settled(network), shape)
    return build({0: ready.axes[0]}, 0, {ready.graph.output: full_box({0: ready.axes[0]}, ready.graph.output)}, (0,))


def play(built: Program, x: Tensor, strip: int, runner_of=Runner) -> tuple[Tensor, Runner]:
    known = constants(built.graph, None)
    settle(built.graph, built.axis, known)
    runner, parts = runner_of(built, known, {}), []
    dim = built.axis.dim(built.graph.output) or 0
    with torch.inference_mode():
        for step in steps(built, strip):
            runner.step(step, lambda v, lo, hi: x[None, :, lo:hi].clone(), lambda v, lo, hi, t: parts.append(t.clone()))
    return torch.cat(parts, dim), runner


@pytest.mark.parametrize("strip", [1, 3, 7, ROWS])
def test_every_row_is_computed_once_and_nothing_is_left(strip, monkeypatch):
    computed = Counter()
    original = run.output_span

    def noted(op, axis, lo, hi):
        computed.update((op.index, row) for row in range(lo, hi))
        return original(op, axis, lo, hi)

    network, x = settled(toy_models.unet(1)), torch.randn(2, ROWS)
    built = whole_program(network, (2, ROWS))
    monkeypatch.setattr(run, "output_span", noted)
    out, runner = play(built, x, strip)
    assert difference(out, network(x[None]).detach()) <= 5e-5
    assert set(computed.values()) == {1}
    expected = {(op.index, row) for op in built.order for row in range(*built.rows(op.index))}
    assert set(computed) == expected
    assert not runner.buffers


def test_buffers_hold_what_is_still_read():
    built, x, held = whole_program(nn.Conv1d(2, 3, 5, padding=2), (2, ROWS)), torch.randn(2, ROWS), []

    class Watched(Runner):
        def step(self, step, read, deliver):
            super().step(step, read, deliver)
            held.append({v: (b.start, b.start + b.tensor.shape[2]) for v, b in self.buffers.items()})

    play(built, x, 8, Watched)
    assert held == [{0: (4, 8)}, {0: (12, 16)}, {0: (20, 24)}, {}]


def test_dropped_rows_free_their_memory():
    built, x, sizes = whole_program(nn.Conv1d(2, 3, 5, padding=2), (2, ROWS)), torch.randn(2, ROWS), []

    class Watched(Runner):
        def step(self, step, read, deliver):
            super().step(step, read, deliver)
            sizes.extend(b.tensor.untyped_storage().nbytes() // 8 for b in self.buffers.values())

    play(built, x, 8, Watched)
    assert sizes == [4, 4, 4]


BRANCHES = {
    "twice read": lambda m, x: (y := m.a(x)) + F.relu(y),
    "both ways": lambda m, x: F.relu(y := m.a(x)) + y.sigmoid(),
    "added to the input": lambda m, x: F.relu(m.a(x) + x) + x,
    "added to itself": lambda m, x: (y := m.a(x)) + y,
    "scaled sum": lambda m, x: torch.add(m.a(x), x, alpha=3),
    "sum with a number": lambda m, x: m.a(x) + 2.5,
    "broadcast": lambda m, x: m.a(x)[:, :1] + m.b(x) + m.a.bias.exp()[:, None],
    "broadcast first": lambda m, x: m.b(x)[:, :1] + m.a(x),
    "input activated": lambda m, x: F.relu(x) + x,
    "chain of activations": lambda m, x: F.hardtanh(F.leaky_relu(F.silu(m.a(x)), 0.3), -0.1, 0.2),
    "joined": lambda m, x: torch.cat([x, F.relu(m.a(x))], 1).narrow(1, 1, 2) + F.hardswish(m.b(x)),
    "sliced": lambda m, x: F.relu(m.a(x)[:, :, 1:-1]) + m.a(x)[:, :, 2:],
    "view activated": lambda m, x: F.relu((y := m.a(x)).view(1, 2, -1)) + y,
    "activated later": lambda m, x: m.b(m.a(F.relu(y := m.a(x)))) + F.avg_pool1d(y, 5, 1, 2).relu(),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("strip", [4, ROWS])
def test_rows_that_others_read_are_not_overwritten(name, strip):
    network = Lambda(BRANCHES[name], a=nn.Conv1d(2, 2, 3, padding=1), b=nn.Conv1d(2, 2, 3, padding=1))
    x = torch.randn(2, ROWS, generator=torch.Generator().manual_seed(5))
    network.eval()
    kept = x.clone()
    out, _ = play(whole_program(network, (2, ROWS)), x, strip)
    assert torch.equal(x, kept)
    assert difference(out, network(x[None]).detach()) <= 5e-5


def test_results_that_are_read_on_are_not_overwritten():
    network = Lambda(lambda m, x: (y := m.a(x), F.relu(y)), a=nn.Conv1d(2, 2, 3, padding=1)).eval()
    ready = prepare(network, (2, ROWS), output=1)
    conv = next(op.index for op in ready.graph.ops if op.kind == "conv1d")
    axes = {0: ready.axes[0]}
    built = build(axes, 0, {conv: full_box(axes, conv), ready.graph.output: full_box(axes, ready.graph.output)}, (0,))
    parts, x = {conv: [], ready.graph.output: []}, torch.randn(2, ROWS)
    runner = Runner(built, constants(ready.graph, None), {})
    with torch.inference_mode():
        for step in steps(built, 6):
            runner.step(step, lambda v, lo, hi: x[None, :, lo:hi], lambda v, lo, hi, t: parts[v].append(t))
    first, second = network(x[None])
    assert difference(torch.cat(parts[conv], 2), first.detach()) <= 5e-5
    assert difference(torch.cat(parts[ready.graph.output], 2), second.detach()) <= 5e-5


def test_activations_overwrite_rows_that_nobody_else_reads(monkeypatch):
    overwritten = Counter()
    for kind, function in run.IN_PLACE.items():
        monkeypatch.setitem(
            run.IN_PLACE, kind, lambda x, *a, f=function, k=kind, **n: overwritten.update([k]) or f(x, *a, **n)
        )
    network = Lambda(lambda m, x: m.b(F.relu(m.a(x))), a=nn.Conv1d(2, 2, 3, padding=1), b=nn.Conv1d(2, 2, 1)).eval()
    x = torch.randn(2, ROWS)
    out, _ = play(whole_program(network, (2, ROWS)), x, 4)
    assert difference(out, network(x[None]).detach()) <= 5e-5
    assert overwritten["relu"] >= 7


def test_the_input_itself_can_be_the_result():
    built = whole_program(Lambda(lambda m, x: x), (2, ROWS))
    x = torch.randn(2, ROWS)
    assert torch.equal(play(built, x, 6)[0][0], x)


def test_barriers_are_gathered_once_per_row_and_between_is_called():
    network = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4))
    ready = prepare(network, (2, ROWS))
    first = passes_of(ready.axes[0])[0]
    built = program({0: ready.axes[0]}, 0, first, full_box(ready.axes, ready.graph.output))
    gathered, calls = new_gatherers(built), []
    assert list(gathered) == [op.index for op in ready.axes[0].barriers]
    x = torch.randn(2, ROWS)
    runner = Runner(built, constants(ready.graph, None), gathered, lambda: calls.append(1))
    count = 0
    with torch.inference_mode():
        for step in steps(built, 6):
            runner.step(step, lambda v, lo, hi: x[None, :, lo:hi], lambda *a: None)
            count += len(step.runs)
        expected = network[0](x[None]).reshape(2, -1).double()
    assert len(calls) == count
    (moments,) = gathered.values()
    torch.testing.assert_close(moments.mean, expected.mean(1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(moments.squares / moments.n, expected.var(1, correction=0), rtol=1e-5, atol=1e-6)
    assert moments.n == expected.shape[1]


def test_many_kept_rows_are_not_copied_for_every_strip():
    buffer, moved = run.Buffer(0, torch.arange(40.0).reshape(1, 1, 40)), 0
    for start in range(40, 200, 10):
        before = buffer.memory
        room = buffer.room(2, 10)
        moved += buffer.memory is not before
        room.copy_(torch.arange(start, start + 10.0))
        buffer.drop(2, start - 30)
        assert (buffer.start, buffer.tensor.flatten().tolist()) == (start - 30, list(range(start - 30, start + 10)))
    assert moved == 8  # of 16 strips


def test_few_kept_rows_free_the_memory_of_the_others():
    buffer = run.Buffer(0, torch.arange(40.0).reshape(1, 1, 40))
    buffer.room(2, 10).zero_()
    buffer.drop(2, 48)
    assert buffer.tensor.untyped_storage().nbytes() == 8
    assert buffer.room(2, 10).shape == (1, 1, 10)
