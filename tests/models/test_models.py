"""One contract for every model: any size, any number of axes, a state dict that comes back."""

import itertools

import pytest
import torch

from atrous.encoders import VGG, ResNet, efficientnet_lite0
from atrous.models import fcn, unet

BUILDERS = {"fcn": fcn, "unet": unet}
ENCODERS = {
    "resnet": lambda ndim: ResNet(ndim, 2, depth=10, width=8),
    "vgg": lambda ndim: VGG(ndim, 2, depth=11, width=8),
}


@pytest.mark.parametrize(("name", "encoder", "ndim"), list(itertools.product(BUILDERS, ENCODERS, [1, 2, 3])))
def test_any_size_in_any_dimension(name, encoder, ndim):
    network = BUILDERS[name](ENCODERS[encoder](ndim), 3, width=16).eval()
    for size in [(1, 1, 1), (5, 17, 3), (32, 16, 33)]:
        output = network(torch.randn(1, 2, *size[:ndim]))
        assert output.shape == (1, 3, *size[:ndim])
        assert torch.isfinite(output).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_state_dict_round_trip_and_gradients_reach_every_weight(name):
    torch.manual_seed(0)
    first = BUILDERS[name](efficientnet_lite0(pretrained=False), 4)
    second = BUILDERS[name](efficientnet_lite0(pretrained=False), 4)
    second.load_state_dict(first.state_dict())
    x = torch.randn(1, 3, 70, 50)
    torch.testing.assert_close(first.eval()(x), second.eval()(x))
    first.train()(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert not [n for n, p in first.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("name", BUILDERS)
def test_bfloat16_agrees_with_float32(name):
    torch.manual_seed(0)
    network = BUILDERS[name](ResNet(2, 3, depth=10, width=16), 4).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        want = network(x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = network(x)
    assert float((got.float() - want).abs().max()) < 0.05 * float(want.abs().max())


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r"\(N, 2, S1, S2\), got a tensor of shape \(1, 3, 8, 8\)"):
        fcn(ResNet(2, 2, depth=10, width=8), 2)(torch.zeros(1, 3, 8, 8))


def test_normalization_travels_with_the_network():
    torch.manual_seed(0)
    encoder = ResNet(2, 1, depth=10, width=8)
    raw, plain = fcn(encoder, 2, mean=[100.0], std=[50.0]).eval(), fcn(encoder, 2).eval()
    plain.decoder, plain.head = raw.decoder, raw.head
    x = torch.randint(0, 255, (1, 1, 33, 20), dtype=torch.uint8)
    torch.testing.assert_close(raw(x), plain((x.float() - 100) / 50))
