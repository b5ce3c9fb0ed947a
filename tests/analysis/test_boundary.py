"""The effect of padding in cases where the answer is known."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from atrous._nd import CONV
from atrous.analysis import boundary
from atrous.errors import UserError
from tests import toy_models
from tests.analysis.test_grid import SLOW, positive
from tests.toy_models import settled


def stack(ndim: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(CONV[ndim](1, 3, 3, padding=1), nn.ReLU(), CONV[ndim](3, 2, 5, padding=2)).double()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_reach_of_two_convolutions(ndim):
    result = boundary(stack(ndim), (1, *[16] * ndim), samples=2)
    assert result.bound == ((3, 3),) * ndim
    for e in result.effects:
        assert e.reach == ((3, 3),) * ndim, e.mode
        inner = e.effect[(slice(3, -3),) * ndim]
        assert inner.max() < 1e-10
        assert e.at_border > 0.01


def test_the_map_is_the_difference_to_the_whole_picture():
    torch.manual_seed(1)
    network, whole = nn.Conv2d(1, 1, 3, padding=1).double(), torch.randn(1, 1, 14, 14, dtype=torch.float64)
    result = boundary(network, (1, 12, 12), pictures=whole, modes=("zeros",)).effects[0]
    with torch.no_grad():
        truth = network(whole)[0, 0, 1:-1, 1:-1]
        difference = (network(whole[..., 1:-1, 1:-1])[0, 0] - truth).abs() / (
            truth - truth.mean()
        ).square().mean().sqrt()
    np.testing.assert_allclose(result.effect, difference.numpy(), atol=1e-12)
    assert result.distrust.sum() == (difference > 0.1).sum()


def test_circular_padding_is_right_where_the_picture_repeats():
    pictures = torch.sin(2 * torch.pi * torch.arange(-3, 19).double() / 16)[None, None]
    result = {e.mode: e for e in boundary(stack(1), (1, 16), pictures=pictures).effects}
    assert result["circular"].effect.max() < 1e-10
    assert min(result[mode].at_border for mode in ("zeros", "reflect", "replicate")) > 0.01


def test_replicate_padding_is_right_where_the_picture_is_flat():
    ramp = torch.arange(-3, 19).double().clamp(4, 11)  # flat at either end of the crop
    result = {e.mode: e for e in boundary(stack(1), (1, 16), pictures=ramp[None, None]).effects}
    assert result["replicate"].effect.max() < 1e-10
    assert result["reflect"].effect.max() < 1e-10  # and so is a mirror
    assert result["zeros"].at_border > 0.01


def test_reflect_padding_is_right_for_one_layer_only():
    """A filter that is not symmetric does not turn a mirrored signal into a mirrored one, so a second layer errs."""
    mirrored = torch.cos(torch.pi * torch.arange(-3, 19).double() / 15)[None, None]  # about positions 0 and 15
    one = boundary(stack(1)[:1], (1, 16), pictures=mirrored, modes=("reflect",)).effects[0]
    two = boundary(stack(1), (1, 16), pictures=mirrored, modes=("reflect",)).effects[0]
    assert one.effect.max() < 1e-10
    assert two.effect.max() > 0.01


@pytest.mark.parametrize("name", ["strided", "unet", "bilinear", *SLOW])
def test_geometry_bounds_what_is_measured(name):
    network = positive(settled(toy_models.two_dimensional()[name])).double()
    result = boundary(network, (2, 96, 48), modes=("zeros", "replicate"), samples=1)
    for e in result.effects:
        for (before, after), (most_before, most_after) in zip(e.reach, result.bound, strict=True):
            assert before <= most_before
            assert after <= most_after
    assert result.effects[0].reach == result.bound  # positive weights: nothing cancels, and zeros are never right


def test_a_network_that_pads_by_another_mode_is_left_so(tmp_path):
    network = nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")
    result = boundary(network, (1, 12, 12), modes=("zeros", "reflect"))
    assert network.padding_mode == "reflect"
    same = nn.Conv2d(1, 2, 3, padding=1)
    same.load_state_dict(network.state_dict())
    assert np.array_equal(result.effects[0].effect, boundary(same, (1, 12, 12), modes=("zeros",)).effects[0].effect)
    assert not np.array_equal(result.effects[0].effect, result.effects[1].effect)
    assert result.draw(tmp_path / "border.png").stat().st_size > 1000
    assert json.loads(json.dumps(result.to_dict()))["modes"]["zeros"]["reach"] == [[1, 1], [1, 1]]
    assert "geometry" in result.text()


@pytest.mark.parametrize("ndim", [1, 3])
def test_pictures_in_one_and_three_dimensions(ndim, tmp_path):
    result = boundary(stack(ndim), (1, *[10] * ndim), modes=("zeros",), samples=1)
    assert result.draw(tmp_path / "border.png").stat().st_size > 1000


def test_mistakes():
    with pytest.raises(UserError, match="needs the whole input"):
        boundary(toy_models.squeeze_excitation(), (2, 64, 64))
    with pytest.raises(UserError, match="multiple"):
        boundary(settled(toy_models.unet(2)), (2, 65, 64))
    with pytest.raises(UserError, match="choose from"):
        boundary(stack(1), (1, 16), modes=("mirror",))
    with pytest.raises(UserError, match="with its surroundings needs at least"):
        boundary(stack(1), (1, 16), pictures=torch.zeros(1, 1, 16))
    with pytest.raises(UserError, match="give at least"):
        boundary(stack(1), (1, 4))


def test_what_does_not_fit_into_memory_is_refused_before_it_runs(monkeypatch):
    network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 8, 3, padding=1))
    monkeypatch.setattr("atrous.analysis.probe.memory_limit", lambda: 8_000_000)  # 64 x 64 x 64 x 8 are 8.4 MB
    with pytest.raises(UserError, match=r"inputs of 1 x 6\d x 6\d x 6\d take at least .* GB"):
        boundary(network, (1, 64, 64, 64))
