"""Operators on rows: pointwise ones as they stand, empty parts, and windows taken for the whole."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from atrous.stream.compute import compute, on_window, whole
from atrous.stream.prepare import prepare
from atrous.stream.rows import output_span
from tests.stream.compute.parts import check_parts, values_of
from tests.toy_models import Lambda

POINTWISE = {
    "relu": F.relu,
    "sum": lambda x: x + x.abs(),
    "joined": lambda x: torch.cat([x, x.tanh()], 1),
    "joined rows": lambda x: torch.cat([x, x.tanh()], 2),
    "softmax": lambda x: x.softmax(1),
    "mean of channels": lambda x: x.mean(1, keepdim=True),
    "largest of channels": lambda x: x.max(1, keepdim=True)[0],
    "stacked": lambda x: torch.stack([x, x + 1], 1).flatten(1, 2),
    "chosen": lambda x: x[:, [1, 0]],
    "where": lambda x: torch.where(x > 0, x, -x),
}


def test_pointwise_rows_are_those_of_the_whole():
    for function in POINTWISE.values():
        check_parts(Lambda(lambda m, x, f=function: f(x)), (2, 7, 5))


def test_no_rows_have_the_other_sizes_and_the_type():
    ready = prepare(Lambda(lambda m, x: m.conv(x) > 0, conv=nn.Conv2d(1, 3, 3)), (1, 8, 9))
    mask, conv = ready.graph.ops[ready.graph.output], next(op for op in ready.graph.ops if op.kind == "conv2d")
    values = values_of(ready, torch.randn(1, 1, 8, 9))
    for op, dtype in ((conv, torch.float64), (mask, torch.bool)):
        tensors = {i: values[i].double() for i in op.inputs}
        span = output_span(op, ready.axes[0], 4, 4)
        across = output_span(op, ready.axes[1], 1, 4)
        assert span is not None
        assert across is not None
        empty = compute(op, tensors, (span, across))
        assert empty.shape == (1, 3, 0, 3)
        assert empty.dtype == dtype
        assert compute(op, tensors, (across, span)).shape == (1, 3, 0, 3)


def test_the_type_is_that_of_the_first_floating_input():
    ready = prepare(Lambda(lambda m, x: torch.where(x > 0, x, x * 2)), (1, 8))
    op = ready.graph.ops[ready.graph.output]
    tensors = {i: torch.zeros(1, 1, 0, dtype=torch.bool if k == 0 else torch.float64) for k, i in enumerate(op.inputs)}
    span = output_span(op, ready.axes[0], 3, 3)
    assert span is not None
    assert compute(op, tensors, (span,)).dtype == torch.float64


def test_windows_are_taken_for_the_whole():
    network = Lambda(lambda m, x: F.interpolate(F.relu(x), scale_factor=2).expand(1, 2, 16))
    ready = prepare(network, (2, 8))
    x = torch.randn(1, 2, 3)
    values = {0: x}
    for op in ready.graph.ops[1:]:
        rows = 6 if op.shape[2] == 16 else 3
        values[op.index] = on_window(replace(op, shape=(1, 2, rows)), values, ())
    assert torch.equal(values[ready.graph.output], F.interpolate(F.relu(x), scale_factor=2))


def test_a_whole_operator_gives_the_item_asked_for():
    ready = prepare(Lambda(lambda m, x: sum(x.aminmax(dim=1, keepdim=True))), (3, 8))
    x = torch.randn(1, 3, 8)
    values = values_of(ready, x)
    torch.testing.assert_close(values[ready.graph.output], x.amin(1, True) + x.amax(1, True))
    view = next(
        op for op in prepare(Lambda(lambda m, x: x.relu().view(1, 6, 4)), (3, 8)).graph.ops if op.kind == "view"
    )
    strided = torch.randn(1, 8, 3).transpose(1, 2)  # as values are laid out here
    assert torch.equal(whole(view, {view.inputs[0]: strided}), strided.reshape(1, 6, 4))
