"""Counts by hand, and the parameters of real networks without weight sharing."""

import pytest
import torch
import torchvision
from torch import nn

from atrous._nd import CONV
from atrous.analysis import sharing
from atrous.errors import UserError


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_convolution_by_hand(ndim):
    result = sharing(CONV[ndim](2, 5, 3, padding=1), (2, *[8] * ndim))
    kernel, positions = 2 * 5 * 3**ndim, 8**ndim
    assert result.parameters == kernel + 5
    assert result.local == positions * (kernel + 5)
    assert result.full == (2 * positions) * (5 * positions) + 5 * positions
    assert result.macs == positions * kernel
    assert result.full_macs == 10 * positions**2


def test_a_transposed_convolution_by_hand():
    result = sharing(nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1), (3, 10))
    assert result.layers[0].outputs == (2, 20)
    assert result.local == 10 * 3 * 2 * 4 + 20 * 2  # a kernel per input position, a bias per output
    assert result.macs == 10 * 3 * 2 * 4
    assert result.full == 30 * 40 + 40


def test_a_convolution_as_wide_as_its_input_is_the_fully_connected_layer():
    result = sharing(nn.Conv2d(4, 7, 6), (4, 6, 6))
    assert result.parameters == result.local == result.full
    assert result.full == sum(p.numel() for p in nn.Linear(4 * 36, 7).parameters())


def test_the_fully_connected_one_is_as_large_as_a_real_one():
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 1, 3, stride=2))
    dense = nn.Sequential(nn.Linear(2 * 20, 3 * 18), nn.Linear(3 * 18, 8))
    assert sharing(network, (2, 20)).full == sum(p.numel() for p in dense.parameters())


def test_a_layer_that_is_used_twice_is_shared_twice():
    convolution = nn.Conv1d(2, 2, 3, padding=1)
    result = sharing(nn.Sequential(convolution, nn.ReLU(), convolution), (2, 10))
    assert result.parameters == 14
    assert len(result.layers) == 2
    assert result.local == 2 * 10 * 14


def test_parameters_do_not_grow_with_the_input_and_the_others_do_at_any_size():
    network = torchvision.models.vgg11(weights=None).features
    small, large = sharing(network, (3, 224, 224)), sharing(network, (3, 2240, 2240))
    assert small.parameters == large.parameters == sum(p.numel() for p in network.parameters())
    assert large.local == 100 * small.local
    assert large.full_macs == 10_000 * small.full_macs > 2**53  # exact where floats no longer are
    assert large.macs == 100 * small.macs


def test_norms_are_counted_apart(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    result = sharing(network, (1, 8, 8))
    assert (result.parameters, result.others) == (36 + 10, 8)
    assert "locally connected" in result.text()
    assert result.to_dict()["layers"][1]["name"] == "2"
    assert result.draw(tmp_path / "sharing.png").stat().st_size > 1000


def test_a_network_without_weights():
    with pytest.raises(UserError, match="no weights to share"):
        sharing(nn.MaxPool1d(2), (1, 8))
    assert torch.is_grad_enabled()
