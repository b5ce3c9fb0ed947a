"""No channel hides behind a larger one, and rounding is no error."""

import copy

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery import dilate
from atrous.surgery.certificate import TOLERANCE, channel_error, proven_error, relative_error
from tests.surgery.networks import randomized
from tests.surgery.test_dilate import ByMean


def outputs(network, result):
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.to(next(network.parameters()).dtype)
    with torch.no_grad():
        return [(result(x), network(x))]


def scaled(large: float) -> nn.Module:
    network = nn.Conv2d(3, 2, 3)
    network.weight.data[0] *= large
    return network


def test_a_small_channel_counts_by_itself():
    network = scaled(1e5)
    wrong = copy.deepcopy(network)
    wrong.weight.data[1] *= 1.5
    ((found, wanted),) = outputs(network, wrong)
    assert relative_error(found, wanted) < TOLERANCE
    assert channel_error(found, wanted) > TOLERANCE
    assert proven_error(network, wrong, outputs) > TOLERANCE
    assert proven_error(network, copy.deepcopy(network), outputs) == 0


def test_rounding_of_a_small_channel_is_no_error():
    network = scaled(1.0)
    network.weight.data[1] *= 1e-3
    network.bias.data[1] = 0

    class Rounded(nn.Conv2d):
        def forward(self, input):
            y = super().forward(input)
            return y if y.dtype == torch.float64 else y + 3e-6 * y.abs().amax()

    rounded = copy.deepcopy(network)
    rounded.__class__ = Rounded
    ((found, wanted),) = outputs(network, rounded)
    assert channel_error(found, wanted) > TOLERANCE
    assert proven_error(network, rounded, outputs) == relative_error(found, wanted) < TOLERANCE


def test_a_conversion_that_is_wrong_in_a_small_channel_is_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.gate = nn.Conv2d(3, 8, 3, 2, 1), ByMean()
            self.large, self.small = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 1, 1)

        def forward(self, x):
            x = self.stem(x)
            return torch.cat([1000 * self.large(x), self.small(self.gate(x))], 1)

    with pytest.raises(UserError, match="differs from the original"):
        dilate(randomized(Two()), 1, shape=(3, 32, 32))
