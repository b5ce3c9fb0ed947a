"""The analysis `transfer`: layers of any network, the whole of a linear one, texts and pictures."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from atrous._nd import AVG_POOL, CONV
from atrous.analysis import transfer
from atrous.errors import UserError


def test_layers_of_a_network_that_is_not_linear(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.ConvTranspose2d(4, 1, 2, stride=2))
    result = transfer(network, (3, 32, 32))
    assert [layer.name for layer in result.layers] == ["0", "2", "3"]
    assert list(result.theorem) == ["0", "2"]
    assert result.nonlinear == ("1 (relu)",)
    assert result.response is None
    power = torch.fft.fft2(network[0].weight.detach().double(), s=(64, 64)).abs().square().sum((0, 1)) / 3
    np.testing.assert_allclose(result.layers[0].gain, power.sqrt().numpy(), atol=1e-7)
    np.testing.assert_allclose(result.layers[1].gain[0], np.abs(np.cos(np.pi * np.arange(64) / 64)), atol=1e-7)
    text = result.text()
    assert "1 (relu): is not linear" in text
    assert "2: avg_pool2d 4 -> 4, kernel (2, 2), stride (2, 2): 1, 0 and 0, 1 at (0, 0)" in text
    content = json.loads(json.dumps(result.to_dict()))
    assert content["response"] is None
    assert content["layers"][1]["at_half"] == pytest.approx([0, 0], abs=1e-7)
    assert len(content["layers"][1]["gain"][1]) == 33
    assert result.draw(tmp_path / "maps.png").stat().st_size > 1000
    one = transfer(network, (3, 32, 32), layer="2")
    assert [layer.name for layer in one.layers] == ["2"]


@pytest.mark.parametrize("ndim", [1, 3])
def test_a_linear_network(ndim, tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(CONV[ndim](1, 2, 3, padding=1), AVG_POOL[ndim](2), nn.Upsample(scale_factor=2))
    result = transfer(network, (1, *[16] * ndim))
    assert result.response is not None
    assert result.reason is None
    content = json.loads(json.dumps(result.to_dict()))["response"]
    assert content["period"] == [2] * ndim
    assert content["largest_image"] > 0.1
    assert content["images"][0][0] == pytest.approx(0, abs=1e-9)  # constants stay constant
    text = result.text()
    assert "whole network, linear" in text
    assert "images: waves of other frequencies" in text
    assert f"period {(2,) * ndim}" in text
    assert result.draw(tmp_path / "curves.svg").stat().st_size > 1000


def test_linearized(tmp_path):
    network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Tanh(), nn.Conv1d(2, 1, 3, stride=2))
    result = transfer(network, (1, 32), at=0.5)
    assert "linearized around the constant 0.5" in result.text()
    assert "aliasing" in result.text()
    assert result.draw(tmp_path / "curves.png").stat().st_size > 1000


def test_mistakes():
    with pytest.raises(UserError, match="choose from 0"):
        transfer(nn.Sequential(nn.Conv1d(1, 1, 3)), (1, 16), layer="head")
    with pytest.raises(UserError, match="no convolution or average pool"):
        transfer(nn.ReLU(), (1, 16))
