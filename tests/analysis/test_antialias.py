"""The blur by hand; sizes stay, weights are shared, and layers that cannot be replaced are named."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV, MAX_POOL
from atrous.analysis import antialias
from atrous.analysis.antialias import BlurSubsample
from atrous.errors import UserError
from atrous.nn.attention import EfficientChannel
from atrous.nn.blurpool import BlurPool, MaxBlurPool


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_blur_against_convolution_by_hand(stride):
    x = np.random.default_rng(0).normal(size=40)
    taps = np.array([math.comb(2 * stride - 2, i) for i in range(2 * stride - 1)]) / 4 ** (stride - 1)
    padded = np.pad(x, stride - 1, mode="edge")
    truth = np.convolve(padded, taps, mode="valid")[::stride]
    found = BlurSubsample((stride,))(torch.from_numpy(x)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, truth, rtol=1e-6)


def test_a_constant_stays_and_what_alternates_vanishes():
    blur = BlurSubsample((2, 2)).double()
    constant = torch.full((1, 3, 9, 9), 5.0, dtype=torch.float64)
    torch.testing.assert_close(blur(constant), torch.full((1, 3, 5, 5), 5.0, dtype=torch.float64))
    board = torch.arange(10, dtype=torch.float64).cos().sign()  # any signal; then the fastest one there is
    board = torch.where(torch.arange(10) % 2 == 0, 1.0, -1.0).double()[None, None, None].expand(1, 1, 10, 10)
    assert float(blur(board)[..., 1:-1].abs().max()) < 1e-12


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("size", [13, 16])
def test_sizes_stay(ndim, size):
    network = nn.Sequential(
        CONV[ndim](2, 4, 5, stride=2, padding=2), nn.ReLU(), MAX_POOL[ndim](3, stride=2, padding=1), CONV[ndim](4, 3, 1)
    )
    x = torch.randn(1, 2, *[size] * ndim)
    copied = antialias(network)
    assert copied(x).shape == network(x).shape
    assert network[0].stride == (2,) * ndim
    assert {p.data_ptr() for p in copied.parameters()} == {p.data_ptr() for p in network.parameters()}


def test_a_classifier_and_a_single_layer():
    network = torchvision.models.resnet18(weights=None).eval()
    copied = antialias(network)
    assert sum(isinstance(m, BlurSubsample) for m in copied.modules()) == 8
    assert copied(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
    assert antialias(nn.MaxPool1d(2))(torch.randn(1, 1, 8)).shape == (1, 1, 4)


def test_what_cannot_be_replaced_is_named():
    class Own(nn.Conv2d):
        pass

    for module in (nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(2, return_indices=True), Own(1, 1, 3, stride=2)):
        with pytest.raises(UserError, match=r"inner\.0"):
            antialias(nn.ModuleDict({"inner": nn.Sequential(module)}))


def test_a_pool_that_runs_twice_is_replaced_everywhere_and_once():
    pool, convolution = nn.MaxPool2d(2), nn.Conv2d(3, 3, 3, stride=2, padding=1)
    network = nn.Sequential(convolution, pool, nn.Sequential(convolution, pool))
    x = torch.randn(1, 3, 64, 64)
    copied = antialias(network)
    assert copied(x).shape == network(x).shape == (1, 3, 4, 4)
    assert copied[1] is copied[2][1]
    assert sum(isinstance(m, BlurSubsample) for m in copied.modules()) == 2


class Calls(nn.Module):
    """A network that strides in its forward pass."""

    def __init__(self, strided):
        super().__init__()
        self.first, self.strided = nn.Conv2d(1, 2, 3, padding=1), strided

    def forward(self, x):
        return self.strided(self.first(x), self)


def test_what_is_called_in_a_forward_pass_is_refused_by_name():
    cases = {
        "max_pool2d with stride": lambda x, net: F.max_pool2d(x, 2),
        "conv2d with stride": lambda x, net: F.conv2d(x, net.first.weight.transpose(0, 1), stride=2),
    }
    for message, strided in cases.items():
        with pytest.raises(UserError, match=rf"inner.*{message}"):
            antialias(nn.Sequential(OrderedDict(inner=Calls(strided))))


def test_what_blurs_already_stays():
    attend = EfficientChannel(2, 2)  # convolves along channels: another number of axes
    network = nn.Sequential(nn.Conv2d(1, 2, 3), attend, MaxBlurPool(2, 2), BlurPool(2, 2), nn.AvgPool2d(2))
    x = torch.randn(1, 1, 50, 50)
    assert torch.equal(antialias(network)(x), network(x))
    with pytest.raises(UserError, match="no convolution or max pool"):
        antialias(nn.ReLU())
