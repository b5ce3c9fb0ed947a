"""Certificates: published receptive fields, barriers by name, and fields that enclose the gradient's."""

import json

import pytest
import torch
import torchvision
from torch import nn

from atrous.geometry import certify
from tests import toy_models
from tests.geometry.truth import followed
from tests.toy_models import Lambda, settled


def headless(network: nn.Module) -> nn.Module:
    return nn.Sequential(*list(network.children())[:-2])


# Araujo, Norris, Sim (Distill, 2019); their ResNets stride in the 1x1. torchvision's stride in the 3x3, which then
# runs before the stride, not after: 2 (j - j/2) input positions less at each of the strides j = 8, 16, 32, 56 in all.
@pytest.mark.parametrize(
    ("build", "published", "less", "stride"),
    [
        (lambda: torchvision.models.alexnet().features, 195, 0, 32),
        (lambda: torchvision.models.vgg16().features, 212, 0, 32),
        pytest.param(lambda: headless(torchvision.models.resnet50()), 483, 56, 32, marks=pytest.mark.slow),
        pytest.param(lambda: headless(torchvision.models.resnet101()), 1027, 56, 32, marks=pytest.mark.slow),
    ],
)
def test_published_receptive_fields(build, published, less, stride):
    field = certify(build(), (3, 4096, 4096)).fields[0]
    assert field.receptive_field == published - less
    assert field.stride == stride


def test_resnet50_with_the_stride_in_the_1x1_is_the_published_one():
    network = torchvision.models.resnet50()
    for module in network.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    assert certify(headless(network), (3, 4096, 4096)).fields[0].receptive_field == 483


def gradient_rows(network: nn.Module, shape: tuple[int, ...], o: int) -> tuple[int, int]:
    x = torch.rand(1, *shape, requires_grad=True)
    network(x).select(2, o).sum().backward()
    assert x.grad is not None
    rows = torch.nonzero(x.grad.abs().sum((0, 1, 3))).flatten()
    return int(rows[0]), int(rows[-1]) + 1


POSITIVE = ["strided", "grouped", "same", "valid", "transposed", "avg pool", "bilinear", "nearest", "shuffle", "unet"]


@pytest.mark.parametrize("name", POSITIVE)
def test_field_is_the_gradient_s_for_positive_weights(name):
    """The graph's field contains the one from gradients, and no weight being zero, is as large."""
    network = settled(toy_models.two_dimensional()[name])
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.1
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.forward = nn.AvgPool2d(2).forward
    shape = (2, 96, 32)
    field = certify(network, shape).fields[0]
    found = []
    for o in range(field.outputs // 2, field.outputs // 2 + 4):
        lo, hi = gradient_rows(network, shape, o)
        start = o * field.stride + field.offset
        assert start <= lo
        assert hi <= (o + 1) * field.stride + field.halo[1] + 1
        found.append(hi - lo)
    if name != "unet":  # its max pools pass the gradient to one of four
        assert max(found) == field.receptive_field


def test_barriers_and_passes_are_named():
    found = certify(settled(toy_models.squeeze_excitation()), (2, 32, 32))
    assert found.verdict == "exact in 4 passes"
    assert len(found.barriers) == 3
    assert {b.operator for b in found.barriers} == {"mean", "adaptive_avg_pool2d", "adaptive_max_pool2d"}
    assert "exact in 4 passes" in found.text()


@pytest.mark.parametrize("name", toy_models.refused())
def test_refusals_are_in_the_certificate(name):
    network, operator = toy_models.refused()[name]
    found = certify(network, (2, 16, 16))
    assert not found.exact
    assert found.verdict.startswith("refused because ")
    assert operator in found.verdict


def test_a_classifier_has_no_grid():
    found = certify(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)), (3, 16, 16)
    )
    assert not found.exact
    assert found.output_shape == (5,)


def test_huge_inputs_cost_nothing():
    found = certify(settled(toy_models.unet(2)), (2, 131072, 131072))
    assert found.exact
    assert found.peak_whole > 10**11
    assert found.peak_streamed is not None
    assert found.peak_streamed < 2 * 2**30
    json.dumps(found.to_dict())


def test_a_wider_window_is_asked_for_where_values_are_cropped():
    from atrous.geometry.field import axis_field, margins

    axis = followed(nn.Sequential(nn.Conv1d(2, 2, 3, stride=2, padding=1), nn.ConstantPad1d((-2, -3), 0.0)), (2, 64))
    field = axis_field(axis)
    assert (field.inputs, field.outputs, field.stride, field.receptive_field) == (64, 27, 2, 3)
    assert (field.offset, field.halo) == (3.0, (0, 4))
    assert margins(axis) == (0, 10)  # outputs end 2 * 2 rows later, and 2 * 3 rows of the crop must not be padding


def test_waiting_outputs_are_later():
    from atrous.geometry.field import depends_on, latency, value_spans

    axis = followed(nn.Sequential(nn.Conv1d(2, 2, 5, padding=2), nn.Conv1d(2, 2, 3, padding=1)), (2, 64))
    first, second = (op.index for op in axis.graph.ops if op.kind == "conv1d")
    assert depends_on(axis, 10) == (7, 14)
    assert value_spans(axis, 10) == {0: (7, 14), first: (9, 12), second: (10, 11)}
    assert latency(axis, {}) == 3
    assert latency(axis, {first: 2, second: 4}) == 9
    assert value_spans(axis, 10, {second: 4})[first] == (9, 16)


def test_joined_rows_come_from_one_input():
    from atrous.geometry.field import depends_on

    axis = followed(Lambda(lambda m, x: torch.cat([x * 2, x[:, :, :5] * 3], 2)), (2, 10))
    assert depends_on(axis, 3) == (3, 4)
    assert depends_on(axis, 12) == (2, 3)
    assert depends_on(axis, 10) == (0, 1)
    assert depends_on(axis, 9) == (9, 10)
