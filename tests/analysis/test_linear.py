"""Operators that are linear and operators that are not, and kernels against the layers that they come from."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from atrous.analysis.linear import double_copy, operators
from atrous.nn.blurpool import BlurPool
from tests.toy_models import Lambda


def test_operators_that_are_linear():
    def forward(m, x):
        x = m.norm(m.first(x))
        x = torch.cat([x, F.interpolate(F.avg_pool1d(x, 2), scale_factor=2.0, mode="linear")], 1)
        x = m.drop(F.pad(x, [1, 2], mode="reflect")).flip(1)[..., 3:] * torch.arange(1, 5).to(x)[:, None]
        return x - x.mean() + 3

    network = Lambda(forward, first=nn.Conv1d(1, 2, 3, padding=1), norm=nn.BatchNorm1d(2), drop=nn.Dropout())
    assert operators(network, (1, 16)).nonlinear == ()


def test_operators_that_are_not():
    network = nn.Sequential(
        nn.Hardtanh(-100, 100),  # a bend far from 0
        nn.Softshrink(1e-2),  # a small one at 0
        nn.Conv1d(1, 2, 3),
        nn.BatchNorm1d(2, track_running_stats=False),
        nn.GroupNorm(1, 2),
        nn.MaxPool1d(2),
        Lambda(lambda m, x: x * x),
        Lambda(lambda m, x: torch.where(x > 0, x, 2 * x)),
        Lambda(lambda m, x: x.log()),
    )
    found = operators(network, (1, 32)).nonlinear
    assert list(dict.fromkeys(name.partition(" ")[0] for name in found)) == ["0", "1", "3", "4", "5", "6", "7", "8"]


def test_kernels_are_those_that_the_layers_use():
    layers = [
        nn.Conv2d(2, 4, (3, 4), stride=(1, 2), padding="valid", dilation=(2, 1), groups=2),
        parametrizations.weight_norm(nn.Conv2d(4, 4, 4, padding="same")),
        nn.AvgPool2d(2, padding=1),
        BlurPool(2, 4),
        nn.ConvTranspose2d(4, 6, 3, stride=(2, 1), padding=(1, 0), groups=2),
    ]
    kernels = operators(nn.Sequential(*layers), (2, 32, 32)).kernels
    assert [k.name for k in kernels] == ["0", "1", "2", "3", "4"]
    assert [k.operator for k in kernels] == ["conv2d", "conv2d", "avg_pool2d", "conv2d", "conv_transpose2d"]
    assert [k.channels for k in kernels] == [(2, 4), (4, 4), (4, 4), (4, 4), (4, 6)]
    assert [k.stride for k in kernels] == [(1, 2), (1, 1), (2, 2), (2, 2), (2, 1)]
    assert [k.padding for k in kernels[:3]] == [((0, 0), (0, 0)), ((1, 2), (1, 2)), ((1, 1), (1, 1))]
    assert [k.transposed for k in kernels] == [False, False, False, False, True]
    for kernel, layer in zip(kernels[:2], layers[:2], strict=True):
        torch.testing.assert_close(kernel.weight, layer.weight.detach().double(), rtol=1e-6, atol=1e-6)
    assert kernels[2].weight.unique().tolist() == [0.25]
    assert kernels[2].weight.shape == (4, 1, 2, 2)


def test_a_module_that_runs_twice_is_listed_once_and_functions_get_numbers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x):
            x = self.layer(self.layer(x))
            return F.conv1d(F.conv1d(x, torch.ones(1, 1, 2).to(x)), torch.ones(1, 1, 3).to(x))

    assert [k.name for k in operators(Twice(), (1, 16)).kernels] == ["layer", "Twice", "Twice (2)"]


def test_the_network_stays_as_it_is():
    network = nn.Sequential(nn.Conv1d(1, 1, 3), nn.BatchNorm1d(1)).train()
    copied = double_copy(network)
    assert network.training
    assert not copied.training
    assert network[0].weight.dtype == torch.float32
    assert next(copied.parameters()).dtype == torch.float64
