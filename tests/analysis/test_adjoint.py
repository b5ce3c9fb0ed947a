"""Adjointness: the error is rounding for every kind of convolution, except if borders are repeated."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV, CONV_TRANSPOSE
from atrous.analysis import adjointness

SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": 3, "dilation": 2, "padding": 2},
    {"stride": 2, "groups": 2},
]


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("settings", SETTINGS)
def test_exact_for_every_kind(ndim, settings):
    network = nn.ModuleDict({
        "conv": CONV[ndim](4, 6, 3, **settings),
        "transposed": CONV_TRANSPOSE[ndim](4, 6, 4, output_padding=settings.get("stride", 1) - 1, **settings),
    })  # fmt: skip
    errors = adjointness(network)
    assert set(errors) == {"conv", "transposed"}
    assert max(errors.values()) < 1e-14


def test_same_padding_with_an_even_kernel():
    assert max(adjointness(nn.Conv2d(1, 1, 4, padding="same")).values()) < 1e-14


def test_borders_that_repeat_are_not_what_the_transposed_convolution_undoes():
    errors = adjointness(nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"))
    assert max(errors.values()) > 1e-4


def test_the_adjoint_is_the_transposed_matrix_and_no_inverse():
    """Written as matrices, the transposed convolution is the transpose of the convolution."""
    torch.manual_seed(0)
    weight = torch.randn(1, 1, 3, dtype=torch.float64)
    unit = torch.eye(9, dtype=torch.float64)[:, None]
    matrix = F.conv1d(unit, weight, stride=2)[:, 0].T
    back = F.conv_transpose1d(torch.eye(4, dtype=torch.float64)[:, None], weight, stride=2)[:, 0].T
    torch.testing.assert_close(back, matrix.T)
    assert (back @ matrix - torch.eye(9, dtype=torch.float64)).abs().max() > 0.1
