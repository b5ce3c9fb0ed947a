"""The gradient of every barrier, ties and zeros included, equals autograd's on the whole input."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.stream import gradient

BARRIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum((2, 3), keepdim=True) / 50,
    "mean": lambda x: x.mean((1, 2, 3), keepdim=True),
    "amax": lambda x: x.amax((2, 3), keepdim=True),
    "amin": lambda x: x.amin((1, 2, 3), keepdim=True),
    "max of all": lambda x: x.max(),
    "max over one dimension": lambda x: x.max(2, keepdim=True)[0],
    "min over one dimension": lambda x: x.min(2, keepdim=True)[0],
    "global max pool": lambda x: F.adaptive_max_pool2d(x, 1),
    "window max pool": lambda x: F.max_pool2d(x, x.shape[2:]),
    "bins": lambda x: F.interpolate(F.adaptive_avg_pool2d(x, (3, 2)), x.shape[2:]),
    "std": lambda x: x.std((2, 3), keepdim=True),
    "var": lambda x: x.var((2, 3), correction=0, keepdim=True),
    "norm 1": lambda x: x.norm(p=1, dim=(2, 3), keepdim=True) / 50,
    "norm 2": lambda x: x.norm(p=2, dim=(2, 3), keepdim=True),
    "norm 3": lambda x: torch.linalg.vector_norm(x, 3, (2, 3), True),
    "norm inf": lambda x: torch.linalg.vector_norm(x, torch.inf, (2, 3), True),
    "layer norm": lambda x: F.layer_norm(x, x.shape[2:]),
}


class Gated(nn.Module):
    """A convolution, rounded to a few levels so that many values tie, with a dead channel, then one barrier."""

    def __init__(self, barrier: Callable[[Tensor], Tensor]):
        super().__init__()
        self.conv, self.barrier = nn.Conv2d(1, 3, 1), barrier
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0, 0.5]).reshape(3, 1, 1, 1))
            self.conv.bias.copy_(torch.tensor([0.5, 0.25, -100.0]))

    def forward(self, x):
        x = F.relu(self.conv(x))
        return x * (1 + self.barrier(x))


@pytest.mark.parametrize(
    ("name", "axis"), [*((name, 0) for name in BARRIERS), ("global max pool", 1), ("amax", 1), ("bins", 1)]
)
def test_the_gradient_of_a_barrier(name, axis):
    network = Gated(BARRIERS[name]).double()
    x = torch.randint(-2, 3, (1, 11, 7), generator=torch.Generator().manual_seed(0)).double()
    weight = torch.linspace(-1, 2, 3 * 77, dtype=torch.float64).reshape(3, 11, 7)

    def loss(rows: Tensor, weights: Tensor) -> Tensor:
        return (rows * weights).sum()

    value = loss(network(x[None]), weight[None])
    wanted = torch.autograd.grad(value, list(network.parameters()))
    found = gradient(network, x.numpy(), loss, weight.numpy(), axis=axis, strip=3)
    assert found == pytest.approx(float(value.detach()), rel=1e-12)
    for parameter, expected in zip(network.parameters(), wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-10)
