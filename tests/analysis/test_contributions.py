"""Contributions of bases against their definition, worked out for linear networks."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.analysis.contributions import contributions, require_bases
from atrous.errors import UserError


def sequence(length: int = 12, seed: int = 0) -> np.ndarray:
    return np.eye(4)[np.random.default_rng(seed).integers(0, 4, length)].T


def linear(classes: int = 3) -> nn.Module:
    """A convolution without bias and without a border effect, in float64."""
    torch.manual_seed(0)
    return nn.Conv1d(4, classes, 1, bias=False).double()


@pytest.mark.parametrize("method", ["gradients", "integrated"])
def test_a_linear_network_in_closed_form(method):
    """The gradient of a linear network is its weight: at each base that of the target minus the mean of the others."""
    network, bases = linear(), sequence()
    weight = network.weight.detach().numpy()[:, :, 0]  # (3, 4)
    scores = weight @ bases  # (3, L)
    target = int(scores.sum(1).argmax())
    others = [k for k in range(3) if k != target]
    slope = weight[target] - weight[others].mean(0)
    slope = slope - slope.mean()
    expected = np.where(scores.argmax(0) == target, slope @ bases, 0)
    assert (expected != 0).any()
    assert (scores.argmax(0) != target).any()
    np.testing.assert_allclose(contributions(network, bases, target, method=method), expected, atol=1e-12)


def test_integrated_gradients_add_up_to_the_difference_to_the_background():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv1d(4, 6, 3, padding=1), nn.Tanh(), nn.Conv1d(6, 2, 1)).double()
    bases = sequence(20)
    x, background = torch.from_numpy(bases)[None], torch.full((1, 4, 20), 0.25, dtype=torch.float64)
    with torch.no_grad():
        target = int(network(x)[0, :, 0].argmax())
        where = network(x).argmax(1) == target
        first, last = (
            (network(values)[:, target] - network(values)[:, 1 - target])[where] for values in (background, x)
        )
    expected = float(last.sum() - first.sum())
    assert contributions(network, bases, target, steps=32).sum() == pytest.approx(expected, rel=1e-6)


def test_the_steps_are_those_of_the_quadrature():
    """For a cubic network the gradient is quadratic along the line: two points are exact, one is not."""

    class Cubic(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = linear(2)

        def forward(self, x):
            return self.mix(x) ** 3

    network, bases = Cubic(), sequence(9)
    one, two, many = (contributions(network, bases, 1, steps=steps) for steps in (1, 2, 16))
    np.testing.assert_allclose(two, many, atol=1e-12)
    assert np.abs(one - many).max() > 1e-3


def test_a_class_that_is_predicted_nowhere_has_no_contributions():
    network = nn.Conv1d(4, 2, 1).double()
    nn.init.zeros_(network.weight)
    network.bias.data = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert contributions(network, sequence(5), 1).tolist() == [0] * 5


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv1d(4, 2, 1), nn.Dropout()).double()
    contributions(network, sequence(), 0)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_mistakes():
    with pytest.raises(UserError, match="choose from gradients, integrated"):
        contributions(linear(), sequence(), 0, method="filters")
    for target in (-1, 3):
        with pytest.raises(UserError, match="output channels 0 to 2"):
            contributions(linear(), sequence(), target)
    with pytest.raises(UserError, match="output channels 0 to 0"):
        contributions(linear(1), sequence(), 0)
    for bases in (np.zeros((3, 5)), np.zeros((4, 2, 2))):
        with pytest.raises(UserError, match=r"shape \("):
            require_bases(bases)
    for value in (-0.1, 1.1, np.nan):
        with pytest.raises(UserError, match="outside of 0 to 1"):
            require_bases(np.full((4, 3), value))
    require_bases(np.zeros((4, 0)))
