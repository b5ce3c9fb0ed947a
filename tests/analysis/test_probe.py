"""Probing does not change networks, and random pictures have the stated spectrum and units."""

import pytest
import torch
from torch import nn

from atrous.analysis.probe import forward, pictures_of_noise, shared_copy
from atrous.errors import UserError
from atrous.nn.blocks import Normalize
from tests.toy_models import Lambda


def test_noise_has_the_spectrum_of_natural_pictures():
    x = pictures_of_noise(nn.Identity(), 4, (2, 128, 128))
    torch.testing.assert_close(x.mean((2, 3)), torch.zeros(4, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.square().mean((2, 3)), torch.ones(4, 2), atol=1e-4, rtol=0)
    power = torch.fft.fft2(x).abs().square().mean((0, 1))[0, 1:64]
    slope = torch.log(power[:4].mean() / power[32:36].mean()) / torch.log(torch.tensor(33.5 / 2.5))
    assert 1.5 < float(slope) < 2.5  # power falls as 1 / f^2
    assert torch.equal(x, pictures_of_noise(nn.Identity(), 4, (2, 128, 128)))


def test_noise_is_in_the_units_that_the_network_normalizes():
    network = nn.Sequential(Normalize([100.0, 5.0], [20.0, 1.0], 1), nn.Conv1d(2, 1, 1))
    x = pictures_of_noise(network, 1, (2, 64))
    torch.testing.assert_close(x.mean((0, 2)), torch.tensor([100.0, 5.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(x.std((0, 2), correction=0), torch.tensor([20.0, 1.0]), atol=1e-3, rtol=0)


def test_a_copy_shares_tensors_and_nothing_else():
    network = nn.Sequential(nn.Conv1d(1, 1, 3), nn.BatchNorm1d(1))
    copied = shared_copy(network)
    copied[0].stride = (2,)
    assert network[0].stride == (1,)
    assert copied[0].weight is network[0].weight
    assert copied[1].running_mean is network[1].running_mean


def test_several_outputs():
    two = Lambda(lambda m, x: {"out": x + 1, "aux": x + 2})
    x = torch.zeros(1, 1, 3)
    assert float(forward(two, x).sum()) == 3
    assert float(forward(two, x, "aux").sum()) == 6
    pair = Lambda(lambda m, x: (x + 1, x + 2))
    assert float(forward(pair, x, 1).sum()) == 6
    with pytest.raises(UserError, match="choose an output"):
        forward(pair, x)
    with pytest.raises(UserError, match="does not run"):
        forward(nn.Conv1d(2, 1, 1), x)
