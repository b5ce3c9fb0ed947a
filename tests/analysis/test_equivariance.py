"""Errors are zero at multiples of the stride for networks of known period, and anti-aliasing lowers the others."""

import json

import pytest
import torch
from torch import nn

from atrous._nd import CONV, MAX_POOL
from atrous.analysis import antialias, equivariance
from atrous.errors import UserError
from tests import toy_models
from tests.toy_models import settled


def pooled(ndim: int, stride: int = 2, mode: str = "zeros") -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        CONV[ndim](1, 4, 3, padding=1, padding_mode=mode),
        nn.ReLU(),
        MAX_POOL[ndim](stride),
        CONV[ndim](4, 4, 3, padding=1, padding_mode=mode),
    ).double()


@pytest.mark.parametrize(
    ("ndim", "stride"), [(1, 2), (1, 3), (2, 2), (3, 2), pytest.param(2, 3, marks=pytest.mark.slow)]
)
def test_exact_at_multiples_of_the_stride_and_nowhere_else(ndim, stride):
    result = equivariance(pooled(ndim, stride), (1, *[8 * stride] * ndim))
    assert [a.period for a in result.axes] == [stride] * ndim
    for a in result.axes:
        assert a.shifts == tuple(range(2 * stride + 1))
        for shift, error in zip(a.shifts, a.errors, strict=True):
            assert error < 1e-12 if shift % stride == 0 else error > 1e-2, (shift, error)


def test_strips_are_long_along_their_axis_and_find_the_same():
    network = nn.Sequential(pooled(2), nn.Conv2d(4, 4, 3, padding=75, dilation=75)).double()  # sees 308 positions
    result = equivariance(network, (1, 16, 16), strips=True)
    assert [a.shape for a in result.axes] == [(1, 318, 128), (1, 128, 318)]
    for a in result.axes:
        assert a.at_multiples < 1e-12
        assert a.between > 1e-2
    assert "(1, 318, 128) and (1, 128, 318)" in result.text()


def test_circular_padding_makes_every_output_equivariant():
    result = equivariance(pooled(2, 2, "circular"), (1, 16, 12), wrap=True)
    assert max(a.at_multiples for a in result.axes) < 1e-12
    assert min(a.between for a in result.axes) > 1e-2
    padded = equivariance(pooled(2, 2), (1, 16, 12), wrap=True)
    assert max(a.at_multiples for a in padded.axes) > 1e-2  # zeros at the border do not roll around


def test_without_stride_every_shift_is_exact():
    network = nn.Sequential(nn.Conv1d(1, 3, 5, padding=2), nn.ReLU(), nn.Conv1d(3, 2, 3, dilation=2)).double()
    result = equivariance(network, (1, 40), shifts=range(7))
    assert max(result.axes[0].errors) < 1e-12


def test_a_u_net_has_stride_one_and_the_period_of_its_deepest_level():
    result = equivariance(settled(toy_models.unet(2)).double(), (2, 64, 64))
    for a in result.axes:
        assert (a.stride, a.period) == (1.0, 4)
        assert a.at_multiples < 1e-12
        assert a.between > 1e-2


def test_antialiasing_gains_and_keeps_exactness():
    network = pooled(2)
    result = equivariance(network, (1, 32, 32), against=antialias(network))
    for before, after in zip(result.axes, result.compared, strict=True):
        assert after.at_multiples < 1e-12
        assert after.between < 0.7 * before.between
    assert "reduction of the error" in result.text()
    assert json.loads(json.dumps(result.to_dict()))["axes"][0]["period"] == 2


def test_pictures_and_drawing(tmp_path):
    result = equivariance(pooled(2), (1, 20, 20), pictures=torch.rand(2, 1, 24, 24))
    assert result.draw(tmp_path / "shifts.svg").stat().st_size > 1000
    with pytest.raises(UserError, match="at least"):
        equivariance(pooled(2), (1, 20, 20), pictures=torch.rand(2, 1, 20, 20))


def test_mistakes():
    with pytest.raises(UserError, match="give at least"):
        equivariance(pooled(2), (1, 4, 4))
    with pytest.raises(UserError, match="needs the whole input"):
        equivariance(toy_models.squeeze_excitation(), (2, 64, 64))
    with pytest.raises(UserError, match="none that is negative"):
        equivariance(pooled(2), (1, 32, 32), shifts=[-1])


def test_a_number_of_pictures_is_drawn_at_random():
    picture = equivariance(pooled(1), (1, 16)).axes[0].errors
    several = equivariance(pooled(1), (1, 16), pictures=4).axes[0].errors
    assert several[0] < 1e-12
    assert several[1] != picture[1]
