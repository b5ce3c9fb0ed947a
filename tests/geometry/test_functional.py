"""Programs that are read as they are, and those that are written anew first: the same operators either way."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.encoders import ResNet
from atrous.geometry import graph as module
from atrous.geometry.functional import is_functional, written_anew
from atrous.geometry.graph import COMPOSED, _compositions, export_graph
from tests.geometry.truth import network_of
from tests.toy_models import Lambda, settled, two_dimensional

SHAPE = (2, 28, 44)
READ = (
    "unet", "strided", "slices", "coordinates", "grouped", "same", "transposed", "max pool", "avg pool inner", "segnet",
    "nearest exact", "bilinear odd", "bicubic", "shuffle", "group norm", "stored instance norm", "batch norm alone",
    "squeeze excitation", "prelu", "spatial attention", "mean over width",
)  # fmt: skip
WRITTEN = {
    "a view of another shape": lambda x: x.flatten(2),
    "the input in place": F.relu_,
    "a part in place": lambda x: F.relu_(x.exp()[:, :1]),
    "in place what is read before": lambda x: [y := x.exp(), y + 1, F.relu_(y)][1],
    "in place with a wider type": lambda x: x.exp().add_(x.double()),
    "integers in place": lambda x: x.exp().int().mul_(2),
    "statistics of the input": lambda x: F.batch_norm(x, None, None, training=True),
    "composed": lambda x: torch.diff(x, dim=3),
    "a constant": lambda x: x + torch.tensor([1.0, 2.0]).sum(),
}


def operators(graph):
    found = [(op.kind, op.module, op.shape, op.dtype, str(op.target), op.args, op.kwargs, op.item) for op in graph.ops]
    return found, graph.output


def test_operators_are_those_of_the_decomposed_program(monkeypatch):
    """All networks in one export, since decomposing takes long."""
    known = two_dimensional()
    networks = {f"part{k}": settled(known[name]) for k, name in enumerate(READ)}
    networks["read afterwards"] = network_of(lambda x: [y := x.exp(), F.relu_(y), y + 1][2])
    networks["resnet"] = settled(ResNet(2, 2, depth=10, width=4))  # adds and rectifies in place
    whole = Lambda(lambda m, x: [getattr(m, name)(x) for name in networks], **networks)
    answers = []

    def asked(program, composed):
        answers.append(is_functional(program, composed))
        return answers[-1]

    monkeypatch.setattr(module, "is_functional", asked)
    read = operators(export_graph(whole, SHAPE, output=0))
    monkeypatch.setattr(module, "is_functional", lambda program, composed: False)
    monkeypatch.setattr(module, "written_anew", lambda program, written: program.run_decompositions(written))
    assert answers == [True]
    assert read == operators(export_graph(whole, SHAPE, output=0))
    assert not any(kind.endswith("_") for kind, *_ in read[0])


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_anew_is_told(name):
    program = torch.export.export(network_of(WRITTEN[name]), (torch.zeros(1, *SHAPE),), strict=False)
    assert not is_functional(program, COMPOSED)


MORE = {
    "a layer of composites": lambda x: torch.matmul(F.linear(x, x.new_ones(6, 44)), x.new_ones(6, 3)),
    "norms of channels": lambda x: F.cosine_similarity(x, x * 2)[:, None] / torch.linalg.norm(x, dim=1, keepdim=True),
    "norms of the input": lambda x: F.instance_norm(x) + F.group_norm(x, 2),
    "views": lambda x: torch.cat(x.unflatten(1, (2, -1)).movedim(1, 2).flatten(1, 2).chunk(2, 1), 1).expand_as(x),
}


def test_programs_are_written_anew_as_torch_does():
    """Those above and a few more, in one export."""
    networks = {f"part{k}": network_of(function) for k, function in enumerate([*WRITTEN.values(), *MORE.values()])}
    whole = Lambda(lambda m, x: [getattr(m, name)(x) for name in networks], **networks).eval()
    program = torch.export.export(whole, (torch.zeros(1, *SHAPE),), strict=False)
    ours, truth = written_anew(program, _compositions()), program.run_decompositions(_compositions())
    assert ours.graph_module.code == truth.graph_module.code
    found, wanted = ([str(node.meta.get("val")) for node in one.graph.nodes] for one in (ours, truth))
    assert found == wanted


def test_a_value_that_nobody_reads_is_left_out():
    def forward(m, x):
        m.a(x)
        return m.b(x)

    graph = export_graph(Lambda(forward, a=nn.Conv2d(2, 3, 3), b=nn.Conv2d(2, 4, 1)), SHAPE)
    assert [op.shape for op in graph.ops if op.kind == "conv2d"] == [(1, 4, 28, 44)]
