"""Blurring by hand, sizes kept, weights shared, and what cannot be replaced named."""

import math

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from atrous._nd import CONV, MAX_POOL
from atrous.analysis import antialias
from atrous.analysis.antialias import BlurSubsample
from atrous.errors import UserError


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
