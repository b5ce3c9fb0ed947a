"""Weight gradients of 3-D convolutions in bfloat16 on maps of few slices, against those in float32."""

import pytest
import torch
from torch import nn

from atrous.nn.shallow import safe_shallow


def gradients(layer: nn.Module, x: torch.Tensor, half: bool) -> list[torch.Tensor]:
    """The output, and the gradients of its sum of squares by the input and the weights."""
    layer.zero_grad()
    given = x.clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = layer(given)
    assert found.dtype == (torch.bfloat16 if half else torch.float32)
    (found.float() ** 2).sum().backward()
    return [found.detach().float(), given.grad, *(weight.grad.clone() for weight in layer.parameters())]


@pytest.mark.parametrize("slices", [1, 2, 3, 4])
@pytest.mark.parametrize("layer", [
    nn.Conv3d(8, 16, 3, padding=1), nn.Conv3d(64, 32, 3, padding=1, bias=False), nn.Conv3d(8, 8, 5, padding="same"),
    nn.Conv3d(8, 8, 3, padding=2), nn.Conv3d(8, 8, (2, 3, 3), padding=1), nn.Conv3d(8, 8, 4, 2, padding=2),
    nn.Conv3d(8, 8, 3, padding=2, dilation=2), nn.Conv3d(8, 8, 3, padding=1, groups=8),
    nn.ConvTranspose3d(8, 16, 4, 2, padding=1), nn.ConvTranspose3d(8, 8, 2, 2), nn.ConvTranspose3d(8, 8, 3, 1, 1),
])  # fmt: skip
def test_gradients_are_those_of_float32(layer, slices):
    x = torch.randn(2, layer.in_channels, slices, 6, 5, generator=torch.Generator().manual_seed(slices))
    x = x.contiguous(memory_format=torch.channels_last_3d)
    wanted = gradients(layer, x, half=False)
    with safe_shallow(layer) as count:
        found = gradients(layer, x, half=True)
    assert count == 1
    for one, other in zip(found, wanted, strict=True):
        assert bool(one.isfinite().all())
        assert (one - other).norm() <= 0.02 * other.norm()


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.Conv3d(32, 32, (3, 1, 1), bias=False), (4, 32, 6, 48, 160)),
    (nn.Conv3d(32, 32, 3, bias=False), (4, 32, 6, 48, 160)),
    (nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0), bias=False), (4, 16, 4, 96, 160)),
])  # fmt: skip
def test_gradients_of_large_planes_are_those_of_float32(layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last_3d)
    wanted = gradients(layer, x, half=False)
    with safe_shallow(layer):
        found = gradients(layer, x, half=True)
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() <= 0.02 * other.norm()


def test_only_the_maps_at_risk_are_convolved_in_float32(monkeypatch):
    layer, flat, seen = nn.Conv3d(4, 4, 3, padding=1), nn.Conv3d(4, 4, (1, 3, 3)), []
    plain = nn.Conv3d.forward
    monkeypatch.setattr(
        nn.Conv3d, "forward", lambda conv, x: (seen.append(torch.is_autocast_enabled("cpu")), plain(conv, x))[1]
    )
    with safe_shallow(layer), safe_shallow(flat), torch.autocast("cpu", torch.bfloat16):
        for slices in (2, 7, 8):
            layer(torch.zeros(1, 4, slices, 5, 5))
        flat(torch.zeros(1, 4, 2, 5, 5))
    assert seen == [False, False, True, True]


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Conv2d(1, 1, 1), nn.ConvTranspose3d(2, 2, 2))
    with safe_shallow(network) as count:
        assert count == 2
    assert not any("forward" in vars(module) for module in network)
