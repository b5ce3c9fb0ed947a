"""Receptive fields with a box counted by hand and a known energy."""

import math

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from atrous._nd import CONV
from atrous.analysis import receptive_field
from atrous.errors import UserError
from tests import toy_models


def stack(ndim: int, depth: int) -> nn.Module:
    """Return `depth` convolutions of 3 taps that compute the mean of their window."""
    network = nn.Sequential(*[CONV[ndim](1, 1, 3, padding=1, bias=False) for _ in range(depth)])
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1 / 3**ndim)
    return network.double()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_stack_of_means_has_the_energy_of_a_convolved_box(ndim):
    """n convolutions of 3 taps have a field of 2 n + 1 positions; their gradient is a box convolved n times."""
    result = receptive_field(stack(ndim, 4), (1, *[17] * ndim), samples=2)
    assert result.size == (9,) * ndim
    assert result.box == ((4, 13),) * ndim
    line = np.ones(1)
    for _ in range(4):
        line = np.convolve(line, np.ones(3) / 3)
    truth = line**2
    for _ in range(ndim - 1):
        truth = np.multiply.outer(truth, line**2)
    inner = result.energy[(slice(4, 13),) * ndim]
    np.testing.assert_allclose(inner, truth / truth.sum(), rtol=1e-10)
    assert result.outside < 1e-12
    ordered = np.sort(truth.ravel() / truth.sum())[::-1].cumsum()
    needed = np.flatnonzero(ordered >= 0.95 - 1e-12)[0] + 1
    assert math.isclose(result.share, needed / 9**ndim)
    assert result.effective == (5,) * ndim  # of squares of 1 4 10 16 19 16 10 4 1 the middle 5 hold 97 %, 4 hold 90 %


def test_published_size():
    """The receptive field of VGG-16's pool5 has 212 positions (Araujo, Norris and Sim 2019)."""
    features = torchvision.models.vgg11().features
    result = receptive_field(features[:6], (3, 64, 64), samples=1)  # two convolutions and pools: 3 + 1 + 4 + 2
    assert result.size == (10, 10)
    assert result.outside == pytest.approx(0, abs=1e-9)


def test_barriers_see_everything_and_are_named():
    result = receptive_field(toy_models.squeeze_excitation(), (2, 48, 48), samples=2)
    assert result.barriers
    assert result.outside > 0
    assert "depend on the whole input" in result.text()


def test_a_corner_and_given_pictures(tmp_path):
    pictures = torch.rand(2, 1, 12, 12, dtype=torch.float64)
    result = receptive_field(stack(2, 1), pictures=pictures, position=(0, 0), samples=1)
    assert result.box == ((-1, 2), (-1, 2))
    assert result.outside == pytest.approx(0, abs=1e-12)  # what is padding has no gradient
    assert result.draw(tmp_path / "field.png").stat().st_size > 1000


@pytest.mark.parametrize("ndim", [1, 3])
def test_pictures_in_one_and_three_dimensions(ndim, tmp_path):
    result = receptive_field(stack(ndim, 2), (1, *[9] * ndim), samples=1)
    assert result.draw(tmp_path / "field.png").stat().st_size > 1000
    assert result.to_dict()["size"] == [5] * ndim


def test_the_network_is_left_as_it_was_found():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.BatchNorm2d(2))
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    receptive_field(network, (1, 16, 16), samples=2)
    assert [m.training for m in network] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_mistakes():
    with pytest.raises(UserError, match="position"):
        receptive_field(stack(2, 1), (1, 12, 12), position=(12, 0))
    with pytest.raises(UserError, match="shape"):
        receptive_field(stack(2, 1))
    dead = stack(2, 1)
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(UserError, match="does not depend"):
        receptive_field(dead, (1, 12, 12))


def test_what_does_not_fit_into_memory_is_refused_before_it_runs(monkeypatch):
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 8, 3, padding=1))
    monkeypatch.setattr("atrous.analysis.probe.memory_limit", lambda: 8_000_000)  # 64 x 64 x 64 x 8 are 8.4 MB
    with pytest.raises(UserError, match=r"inputs of 1 x 6\d x 6\d x 6\d take at least .* GB"):
        receptive_field(network, (1, 64, 64, 64))
