"""The maps by which pictures are compared: those of timm's network, frozen, with the same gradients."""

import pytest
import timm
import torch

from atrous.encoders.activations import Activations
from atrous.encoders.lite import lite_weights


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Activations(pretrained=False)


def test_channels_and_strides_are_those_of_the_maps(encoder):
    maps = encoder(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape) for level in maps] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    assert max(*encoder.content_maps, *encoder.style_maps) < len(maps)


def test_maps_are_the_expanded_ones_of_timm(encoder):
    body = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    names = ["conv_stem", "bn1"]
    body.conv_stem.load_state_dict(encoder.stem[0].state_dict())
    body.bn1.load_state_dict(encoder.stem[1].state_dict())
    body.blocks[0].load_state_dict(encoder.first.state_dict())
    for number, stage in enumerate(encoder.stages):
        for index, block in enumerate(stage):
            body.blocks[number + 1][index].load_state_dict(block.state_dict())
            names.append(f"blocks.{number + 1}.{index}.bn1")
    seen = {}
    for name in names[1:]:
        body.get_submodule(name).register_forward_hook(lambda module, given, out, key=name: seen.update({key: out}))
    x = torch.rand(1, 3, 33, 47) * 255
    found = encoder(x)
    with torch.no_grad():
        body((x - 127) / 128)
    for level, name in zip(found, names[1:], strict=True):
        torch.testing.assert_close(level, seen[name])


def test_it_never_learns_and_never_leaves_evaluation(encoder):
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert not any(module.training for module in encoder.train().modules())


def test_gradients_reach_the_picture(encoder):
    """In float64 by finite differences, along one direction."""
    double = Activations(pretrained=False)
    double.load_state_dict(encoder.state_dict())
    x = (torch.rand(1, 3, 32, 32) * 255).requires_grad_(True)
    loss = double(x)[4].square().sum()
    (grad,) = torch.autograd.grad(loss, [x])
    direction = torch.randn_like(x)
    with torch.no_grad():
        step = 1e-2
        ahead, behind = (double(x + sign * step * direction)[4].double().square().sum() for sign in (1, -1))
    assert float((ahead - behind) / (2 * step)) == pytest.approx(float((grad * direction).sum()), rel=0.05)


@pytest.mark.skipif(lite_weights() is None, reason="the package with the weights is not installed")
def test_pretrained_weights_know_an_edge_from_a_plane():
    encoder = Activations()
    plane = torch.full((1, 3, 64, 64), 127.0)
    edge = plane.clone()
    edge[..., 32:] = 255
    level = encoder(edge)[0] - encoder(plane)[0]
    assert float(level[..., 15:17].abs().mean()) > 2 * float(level[..., 4:12].abs().mean())
