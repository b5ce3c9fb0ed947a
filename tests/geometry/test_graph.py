"""Which of several results is taken."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.geometry.graph import export_graph
from tests.toy_models import Lambda

Pair = namedtuple("Pair", "first second")


def returning(function):
    return Lambda(lambda m, x: function(m.a(x), m.b(x)), a=nn.Conv1d(2, 3, 3), b=nn.Conv1d(2, 4, 3))


@pytest.mark.parametrize(
    ("results", "output", "channels"),
    [
        (lambda a, b: {"out": [a, b], "aux": a}, "aux", 3),
        (lambda a, b: {"out": [a, b], "aux": a}, "out.1", 4),
        (lambda a, b: OrderedDict(aux=a, out=b), None, 4),
        (Pair, "second", 4),
        (lambda a, b: (b, None), None, 4),
        (lambda a, b: (a, 3, b), 2, 4),
        (lambda a, b: [a, [b]], "1.0", 4),
        (lambda a, b: b, 0, 4),
    ],
)
def test_the_result_named_is_taken(results, output, channels):
    graph = export_graph(returning(results), (2, 16), output=output)
    assert graph.ops[graph.output].shape == (1, channels, 14)


def test_recurrence_is_refused_before_it_is_followed_step_by_step():
    network = Lambda(lambda m, x: m.rnn(x.transpose(1, 2))[0].transpose(1, 2), rnn=nn.GRU(2, 3, batch_first=True))
    with pytest.raises(UserError, match=r"rnn \(gru\): is recurrent over positions"):
        export_graph(network, (2, 100_000))


def test_several_results_must_be_chosen_from():
    with pytest.raises(UserError, match=r"2 tensors, named \[0, 1\]"):
        export_graph(returning(lambda a, b: (a, b)), (2, 16))


def test_weights_are_what_layers_read_beside_their_input():
    kernel = torch.ones(1, 1, 1, 1)
    network = Lambda(lambda m, x: torch.nn.functional.conv2d(x * 2, kernel.expand(3, 1, 5, 5) / 25, groups=3))
    graph = export_graph(network, (3, 9, 9))
    assert {graph.ops[i].kind for i in graph.weights} == {"constant", "expand", "div"}
    assert {op.kind for op in graph.ops if op.index not in graph.weights} == {"input", "mul", "conv2d"}
