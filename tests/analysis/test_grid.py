"""Interiors and spans against the effect of changing inputs and padding."""

import pytest
import torch
from torch import nn

from atrous.analysis.grid import grid_of
from atrous.errors import UserError
from tests import toy_models
from tests.toy_models import settled


def positive(network: nn.Module) -> nn.Module:
    """Make all weights positive, so that no two dependences cancel."""
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.1
    return network


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("grouped", "avg pool", "shuffle")]


@pytest.mark.parametrize("name", ["strided", "valid", "transposed", "unet", *SLOW])
def test_spans_are_where_the_gradient_is(name):
    torch.manual_seed(0)
    network = positive(settled(toy_models.two_dimensional()[name]))
    axis = grid_of(network, (2, 64, 48)).axes[0]
    for o in range(*axis.interior):
        x = torch.rand(1, 2, 64, 48, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(x).select(2, o).sum(), x)
        rows = torch.nonzero(gradient.abs().sum((0, 1, 3))).flatten()
        assert axis.span(o) == (int(rows[0]), int(rows[-1]) + 1), o


def test_a_transposed_convolution_that_crops_shows_that_its_neighbor_pads():
    """The input interval of the second output lies inside, and yet the last convolution read a zero in front of it."""
    network = nn.Sequential(nn.ConvTranspose1d(1, 1, 2, stride=2, padding=1), nn.Conv1d(1, 1, 3, padding=1))
    axis = grid_of(network, (1, 16)).axes[0]
    assert axis.span(0)[0] == 0
    assert axis.interior == (1, 29)
    assert axis.outputs == 30


def test_shapes_that_leave_room():
    network = settled(toy_models.unet(2))
    grid = grid_of(network, (2, 8, 8))
    with pytest.raises(UserError, match="give at least"):
        grid.require_interior()
    roomy = grid_of(network, grid.roomy)
    roomy.require_interior()
    for axis in roomy.axes:
        assert axis.inputs % axis.period == 0
        assert axis.interior[1] - axis.interior[0] >= 2 * axis.period


def test_what_has_no_interior_is_named():
    with pytest.raises(UserError, match="no positions along the input's axes"):
        grid_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (1, 16, 16))
    grid = grid_of(toy_models.squeeze_excitation(), (2, 32, 32))
    assert grid.barriers
    with pytest.raises(UserError, match="needs the whole input"):
        grid.require_interior()
