"""Values without rows: constants in the compute type, what follows from them, and whole forward passes."""

import pytest
import torch
from torch import nn

from atrous.stream.prepare import prepare
from atrous.stream.values import constants, evaluate, settle
from tests import toy_models
from tests.toy_models import Lambda, difference, settled


def test_constants_are_cast_and_laid_out():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 3, 2, 2))
    graph = prepare(network, (2, 8, 8)).graph
    for dtype in (None, torch.float64, torch.bfloat16):
        known = constants(graph, dtype)
        weights = [t for t in known.values() if t.dim() == 4]
        assert len(known) == 4
        assert len(weights) == 2
        assert all(t.dtype == (dtype or torch.float32) for t in known.values())
        assert all(t.is_contiguous(memory_format=torch.channels_last) for t in weights)
    assert all(torch.equal(t, graph.ops[i].tensor) for i, t in constants(graph, None).items())


def test_indices_keep_their_type_and_other_tensors_their_layout():
    table = torch.randn(1, 4, 3, 5)
    network = Lambda(lambda m, x: x[:, m.order] + m.table)
    network.register_buffer("order", torch.tensor([2, 0, 1, 3]))
    network.register_buffer("table", table)
    known = constants(prepare(network, (4, 3, 5)).graph, torch.float64)
    assert {t.dtype for t in known.values()} == {torch.int64, torch.float64}
    (kept,) = (t for t in known.values() if t.dim() == 4)
    assert kept.is_contiguous()
    line = constants(prepare(nn.Conv1d(2, 3, 3), (2, 8)).graph, None)
    assert all(t.is_contiguous() for t in line.values())


def test_what_follows_from_constants_is_settled_in_their_type():
    network = Lambda(lambda m, x: x * (m.a.bias * 2).exp()[:, None] + x.mean(2, keepdim=True), a=nn.Conv1d(2, 2, 1))
    ready = prepare(network, (2, 8))
    axis, graph = ready.axes[0], ready.graph
    for dtype in (torch.float32, torch.bfloat16):
        known = constants(graph, dtype)
        settle(graph, axis, known)
        exp = next(op.index for op in graph.ops if op.kind == "exp")
        torch.testing.assert_close(known[exp], (network.a.bias * 2).exp().to(dtype).detach())
        barrier = axis.barriers[0].index
        assert 0 not in known
        assert barrier not in known
        assert not any(axis.streamed(i) for i in known)


def test_what_follows_from_a_barrier_waits_for_it():
    network = Lambda(lambda m, x: x * torch.sigmoid(x.mean(2, keepdim=True)))
    ready = prepare(network, (2, 8))
    axis, known = ready.axes[0], {}
    settle(ready.graph, axis, known)
    gate = next(op.index for op in ready.graph.ops if op.kind == "sigmoid")
    assert gate not in known
    known[axis.barriers[0].index] = torch.ones(1, 2, 1)
    settle(ready.graph, axis, known)
    torch.testing.assert_close(known[gate], torch.ones(1, 2, 1).sigmoid())


def test_made_values_take_the_lower_type():
    network = Lambda(lambda m, x: m.a(x) + torch.linspace(0, 1, 3)[:, None].cos(), a=nn.Conv1d(2, 3, 1))
    ready = prepare(network, (2, 8))
    known = constants(ready.graph, torch.bfloat16)
    settle(ready.graph, ready.axes[0], known)
    cosine = next(op.index for op in ready.graph.ops if op.kind == "cos")
    assert known[cosine].dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["unet", "segnet", "joined", "squeeze excitation", "channels last"])
def test_a_whole_input_is_evaluated(name):
    network, x = settled(toy_models.two_dimensional()[name]), torch.randn(1, 2, 12, 16)
    graph = prepare(network, (2, 12, 16)).graph
    known = constants(graph, None)
    before = dict(known)
    with torch.inference_mode():
        assert difference(evaluate(graph, known, x), network(x)) <= 5e-5
    assert known.keys() == before.keys()


def test_values_are_freed_after_their_last_reader(monkeypatch):
    alive = []

    def noted(op, values):
        alive.append(sorted(values))
        return values[op.inputs[0]] + 1

    monkeypatch.setattr("atrous.stream.values.compute_whole", noted)
    graph = prepare(Lambda(lambda m, x: x.relu().sigmoid().tanh()), (1, 4)).graph
    assert evaluate(graph, {}, torch.zeros(1, 1, 4)).sum() == 12
    assert alive == [[0], [1], [2]]


def test_an_output_that_others_read_is_kept():
    graph = prepare(Lambda(lambda m, x: (y := x.relu(), y.tanh())), (1, 4), output=0).graph
    assert evaluate(graph, {}, torch.full((1, 1, 4), -1.0)).tolist() == [[[0.0] * 4]]
