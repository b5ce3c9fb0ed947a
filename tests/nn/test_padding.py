"""Layers that say how they pad: against torch's own padding and timm's layers."""

import pytest
import timm.layers
import torch
from torch import nn
from torch.nn import functional as F

from atrous.nn.padding import (
    BatchNormAct3d,
    Conv3dSame,
    PadsItself,
    foreign_layer,
    pad_input,
    padding_rule,
    same_pads,
)
from atrous.surgery.window import DilatedAvgPool, DilatedConv2d, DilatedMaxPool, FineWindow


@pytest.mark.parametrize("size", [(7, 8), (9, 10), (1, 2), (12, 5)])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 2, 1), (2, 3, 1), (5, 2, 2), (1, 4, 1), ((3, 2), (1, 2), 1)]
)
def test_timms_same_convolution_pads_by_the_same_rule(size, kernel, stride, dilation):
    conv = timm.layers.Conv2dSame(2, 2, kernel, stride, dilation=dilation, bias=False)
    rule = padding_rule(conv)
    assert isinstance(rule, PadsItself)
    x = torch.randn(1, 2, *size)
    padded = pad_input(rule, x)
    plain = F.conv2d(padded, conv.weight, None, conv.stride, 0, conv.dilation)
    assert torch.equal(plain, conv(x))
    assert plain.shape[2:] == tuple(-(-n // s) for n, s in zip(size, conv.stride, strict=True))


def test_the_odd_position_is_at_the_far_end():
    assert same_pads((8, 7, 5), (3, 3, 1), (2, 2, 2), (1, 1, 1)) == ((0, 1), (1, 1), (0, 0))
    assert same_pads((6,), (4,), (1,), (2,)) == ((3, 3),)
    assert same_pads((4,), (2,), (4,), (1,)) == ((0, 0),)


@pytest.mark.parametrize("repeated", [None, 0, 1, 2])
def test_a_volume_is_padded_alike_with_zeros_or_its_outermost_values(repeated):
    conv = Conv3dSame(2, 3, (3, 2, 3), (2, 1, 1), dilation=(1, 3, 1))
    x = torch.randn(1, 2, 6, 5, 4)
    assert conv.pads_for(x.shape[2:]) == ((0, 1), (1, 2), (1, 1))
    padded = x
    for axis, pair in enumerate(((0, 1), (1, 2), (1, 1))):
        amounts = [0, 0, 0, 0, 0, 0]
        amounts[2 * (2 - axis) : 2 * (2 - axis) + 2] = pair
        padded = F.pad(padded, amounts, mode="replicate" if axis == repeated else "constant")
    conv.repeated = repeated
    wanted = F.conv3d(padded, conv.weight, conv.bias, conv.stride, 0, conv.dilation)
    torch.testing.assert_close(conv(x), wanted)


def test_who_says_how_it_pads():
    windows = [FineWindow(3, 2, 1, 0, 1, 1, 1)] * 2
    for layer, value in ((DilatedMaxPool(windows), float("-inf")), (DilatedAvgPool(windows), 0.0)):
        assert padding_rule(layer) is layer
        padded = pad_input(layer, torch.ones(1, 1, 4, 6))
        assert layer.pads_for((4, 6)) == tuple(window.pads(n) for window, n in zip(windows, (4, 6), strict=True))
        assert padded[0, 0, -1, -1] == value
        assert padded[0, 0, 0, 0] == 1
    conv = Conv3dSame(1, 1, 3)
    assert padding_rule(conv) is conv
    assert isinstance(DilatedConv2d(1, 1, 1), PadsItself)
    for layer in (nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), timm.layers.BatchNormAct2d(3)):
        assert padding_rule(layer) is None


def test_nothing_to_pad_is_the_input_itself():
    x = torch.ones(1, 1, 4, 4, 4)
    assert pad_input(Conv3dSame(1, 1, 1), x) is x


def test_layers_of_others_are_known_by_their_exact_class(monkeypatch):
    assert foreign_layer(timm.layers.Conv2dSame(1, 1, 3)).volume is Conv3dSame
    norm = timm.layers.BatchNormAct2d(3)
    assert foreign_layer(norm).volume is BatchNormAct3d
    assert foreign_layer(norm).rule is None

    class Other(timm.layers.Conv2dSame):
        pass

    assert foreign_layer(Other(1, 1, 3)) is None
    monkeypatch.delitem(__import__("sys").modules, "timm.layers")
    assert foreign_layer(norm) is None


def test_a_norm_with_an_activation_for_volumes():
    flat = timm.layers.BatchNormAct2d(3).eval()
    nn.init.normal_(flat.running_mean)
    x = torch.randn(2, 3, 4, 5)
    wanted = flat(x)
    flat.__class__ = BatchNormAct3d
    torch.testing.assert_close(flat(x[:, :, None])[:, :, 0], wanted)
