"""A module on the phases of a finer grid: each phase is what the module gives for it alone, at any length."""

import copy
import pickle

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.surgery.phases import OnPhases, run_on_phases

SIZES = [(8, 9), (7, 3), (2, 1), (1, 1)]


class Centered(nn.Module):
    """Takes the mean over all positions off: another function on every phase."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(3, 1, 1))

    def forward(self, x, factor=1.0, *, shift=0.0):
        return (x - x.mean((2, 3), keepdim=True)) * self.scale * factor + shift


@pytest.mark.parametrize("rates", [(2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize("size", SIZES)
def test_every_phase_is_what_the_module_gives_for_it_alone(rates, size):
    module = Centered().double()
    alone = copy.deepcopy(module)
    run_on_phases(module, rates)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    y = module(x, 2.0, shift=1.0)
    assert y.shape == x.shape
    for i in range(min(rates[0], size[0])):
        for j in range(min(rates[1], size[1])):
            phase = (..., slice(i, None, rates[0]), slice(j, None, rates[1]))
            torch.testing.assert_close(y[phase], alone(x[phase], 2.0, shift=1.0), rtol=1e-12, atol=1e-12)


def test_the_module_stays_what_it_was_and_phases_of_phases_are_more_phases():
    module = nn.GroupNorm(1, 4)
    names, parameter = list(module.state_dict()), module.weight
    run_on_phases(module, (2, 2))
    run_on_phases(module, (2, 1))
    assert isinstance(module, nn.GroupNorm)
    assert isinstance(module, OnPhases)
    assert type(module).__name__ == "GroupNorm"
    assert module.rates == (4, 2)
    assert "on each of 4x2 phases" in repr(module)
    assert list(module.state_dict()) == names
    assert module.weight is parameter
    x = torch.randn(1, 4, 9, 8)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(other) is type(module)
        assert torch.equal(other(x), module(x))


@pytest.mark.parametrize(
    ("module", "args", "line"),
    [
        (nn.AvgPool2d(2), 1, r"AvgPool2d gives \(4, 3, 2, 2\) for a map of \(4, 3, 4, 4\)"),
        (nn.Bilinear(4, 4, 4), 2, "Bilinear is called with several tensors"),
    ],
)
def test_what_cannot_run_on_phases_is_named(module, args, line):
    run_on_phases(module, (2, 2))
    with pytest.raises(UserError, match=line):
        module(*[torch.randn(1, 3, 8, 8)] * args)
