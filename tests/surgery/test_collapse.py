"""The smallest module around an operator that reads one map and gives one of its size becomes one operator."""

import pytest
import torch
from torch import nn

from atrous.geometry.graph import Graph, export_graph
from atrous.geometry.rules.rows import BLOCK
from atrous.surgery.collapse import collapsed
from tests.toy_models import Lambda


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        return self.mix(y).softmax(1).transpose(1, 2).reshape(x.shape)


def graph_and_operator(network: nn.Module, kind: str) -> tuple[Graph, int]:
    graph = export_graph(network, (4, 6, 5))
    return graph, next(op.index for op in graph.ops if op.kind == kind)


def test_a_module_of_one_map_becomes_one_operator():
    network = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(Tokens(), nn.ReLU()), nn.Conv2d(4, 4, 1))
    graph, index = graph_and_operator(network, "softmax")
    once = collapsed(graph, index, network)
    assert once is not None
    kinds = [op.kind for op in once.ops if op.kind != "constant"]
    assert kinds == ["input", "conv2d", BLOCK, "relu", "conv2d"]
    block = next(op for op in once.ops if op.kind == BLOCK)
    assert (block.module, block.shape) == ("1.0", (1, 4, 6, 5))
    assert once.ops[block.inputs[0]].kind == "conv2d"
    # the next larger one, around a module that is one operator already
    twice = collapsed(once, block.index, network)
    assert twice is not None
    assert [op.module for op in twice.ops if op.kind == BLOCK] == ["1"]
    assert collapsed(twice, next(op.index for op in twice.ops if op.kind == BLOCK), network) is None


class Own(Tokens):
    def __init__(self):
        super().__init__()
        self.forward = super().forward


@pytest.mark.parametrize(
    "network",
    [
        Lambda(lambda m, x: m.t(x).reshape(x.shape), t=nn.Sequential(nn.Flatten(2), nn.Softmax(2))),  # gives no map
        Lambda(lambda m, x: m.t(x) + m.t(x * 2), t=Tokens()),  # called twice, on two maps
        Tokens(),  # the network itself
        nn.Sequential(Own()),  # its forward pass is not that of its class
        nn.Sequential(torch.fx.symbolic_trace(Tokens())),
    ],
)
def test_there_may_be_no_such_module(network):
    graph, index = graph_and_operator(network, "softmax")
    assert collapsed(graph, index, network) is None
