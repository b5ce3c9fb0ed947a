"""One contract for every model: any size in any dimension, exported and streamed equals whole, bfloat16, state dict."""

import functools
import itertools

import pytest
import torch
from torch import nn

from atrous.encoders import VGG, DenseLayers, ResNet, Shrunk, efficientnet_lite0
from atrous.models import (
    DenseNetwork,
    deeplab,
    dilated,
    fc_densenet,
    fcn,
    fcn8s,
    fcn16s,
    fcn32s,
    fcos,
    five_layer,
    hed,
    segnet,
    unet,
)  # fmt: skip
from atrous.models.fcn import FeaturePyramid
from atrous.nn.attention import attention
from atrous.stream import prepare, stream
from tests.toy_models import difference, settled


def resnet(ndim, **options):
    options.setdefault("strides", (2, 2, 2, 2) if ndim < 3 else (2, 2))
    return ResNet(ndim, 2, depth=10, width=8, **options)


def coarse(ndim):
    """An encoder that begins with a stride, as pretrained ones do."""
    return Shrunk(resnet(ndim), 2)


def vgg(ndim, **options):
    return VGG(ndim, 2, depth=11, width=4, **options)


MODELS = {
    "fcn": lambda n, **o: fcn(resnet(n), 3, width=16, **o),
    "fcn gated": lambda n, **o: fcn(resnet(n), 3, width=16, fuse="gated", **o),
    "fcn fine": lambda n, **o: fcn(resnet(n), 3, width=16, fine=True, **o),
    "fcn fine thirds": lambda n, **o: fcn(resnet(n, strides=(3, 2)), 3, width=16, fine=True, **o),
    "fcn32s": lambda n, **o: fcn32s(vgg(n), 3, **o),
    "fcn16s": lambda n, **o: fcn16s(resnet(n), 3, **o),
    "fcn8s": lambda n, **o: fcn8s(vgg(n), 3, **o),
    "fcn8s at once": lambda n, **o: fcn8s(resnet(n), 3, at_once=True, **o),
    "fcos": lambda n, **o: fcos(resnet(n), 3, width=8, **o),
    "fcos shrunk": lambda n, **o: fcos(Shrunk(resnet(n), 2), 3, width=8, finest=8, **o),
    "hed": lambda n, **o: hed(coarse(n), 3, width=16, detail=4, **o),
    "segnet": lambda n, **o: segnet(vgg(n), 3, **o),
    "segnet over resnet": lambda n, **o: segnet(resnet(n, strides=(2, 3)), 3, convolutions=1, **o),
    "unet": lambda n, **o: unet(vgg(n), 3, width=4, **o),
    "unet sum": lambda n, **o: unet(resnet(n), 3, width=4, fuse="sum", **o),
    "deeplab": lambda n, **o: deeplab(resnet(n, output_stride=8), 3, width=8, rates=(1, 2, 3), **o),
    "deeplab blurred": lambda n, **o: deeplab(resnet(n, output_stride=2, antialias=True), 3, width=8, **o),
    "dilated": lambda n, **o: dilated(vgg(n, output_stride=4), 3, width=8, **o),
    "dilated large": lambda n, **o: dilated(resnet(n, strides=(2, 2)), 3, width=2, context="large", **o),
    "fc_densenet": lambda n, **o: fc_densenet(n, 2, 3, layers=DenseLayers((2, 1), 2, 3, first=6), **o),
    "five_layer": lambda n, **o: five_layer(n, 2, 3, width=4, **o),
}
DEEP = [name for name in MODELS if name not in ("fcn32s", "five_layer", "hed")]
SIZES = {1: (101,), 2: (51, 37), 3: (37, 9, 11)}
EVERY = list(itertools.product(MODELS, [1, 2, 3]))
COSTLY = [
    pytest.param(name, ndim, marks=[pytest.mark.slow] if ndim != 2 or " " in name else [])
    for name, ndim in EVERY
]  # fmt: skip
"""The same members; exporting each takes a second or more, so only the architectures in 2-D are always run."""
ARCHITECTURES = [name for name in MODELS if " " not in name]
"""One member of each, without its options."""


def make(name, ndim, **options) -> nn.Module:
    """A network whose zero-initialized parts are not zero and whose batch norms are not fresh."""
    torch.manual_seed(0)
    network = MODELS[name](ndim, **options)
    for parameter in network.parameters():
        if not parameter.detach().abs().sum() > 0:
            nn.init.normal_(parameter, std=0.2)
    return settled(network)


@pytest.mark.parametrize(("name", "ndim"), EVERY)
def test_any_size_in_any_dimension(name, ndim):
    network = make(name, ndim)
    for size in [(1, 1, 1), (17, 3, 5)]:
        with torch.no_grad():
            output = network(torch.randn(1, 2, *size[:ndim]))
        assert output.shape == (1, 3, *size[:ndim])
        assert torch.isfinite(output).all()


@pytest.mark.parametrize(("name", "ndim"), COSTLY)
def test_streamed_equals_whole(name, ndim):
    network = make(name, ndim)
    x = torch.randn(2, *SIZES[ndim])
    with torch.no_grad():
        want = network(x[None])[0]
    ready = prepare(network, tuple(x.shape))
    found = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=16))
    assert difference(found, want) <= 5e-5


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_is_close_to_float32(name):
    """In the mean, since where two maxima of a pool tie within bfloat16, unpooling may choose the other place."""
    network = make(name, 2)
    x = torch.randn(1, 2, *SIZES[2])
    with torch.no_grad():
        want = network(x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network(x)
    apart = (found.float() - want).square().mean().sqrt() / want.square().mean().sqrt()
    assert float(apart) < (0.25 if name.startswith("segnet") else 0.03)


@pytest.mark.parametrize("name", MODELS)
def test_state_dict_round_trip(name):
    network, other = make(name, 2), MODELS[name](2)
    other.load_state_dict(network.state_dict())
    x = torch.randn(1, 2, *SIZES[2])
    with torch.no_grad():
        assert torch.equal(network(x), other.eval()(x))


def reached(network: nn.Module, x: torch.Tensor) -> list[str]:
    """Parameters without a gradient."""
    output = network.train()(x)
    outputs = output if isinstance(output, list) else [output]
    torch.stack([o.square().mean() for o in outputs]).sum().backward()
    return [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize(("name", "ndim"), EVERY)
def test_gradients_reach_every_parameter(name, ndim):
    torch.manual_seed(0)
    network = MODELS[name](ndim)
    assert not reached(network, torch.randn(2, 2, *SIZES[ndim]))


@pytest.mark.parametrize("name", DEEP)
def test_deep_supervision_gives_more_outputs_in_training_alone(name):
    torch.manual_seed(0)
    network = MODELS[name](2, deep_supervision=True)
    x = torch.randn(2, 2, 45, 34)
    outputs = network.train()(x)
    assert len(outputs) >= 2
    assert {o.shape for o in outputs} == {(2, 3, 45, 34)}
    assert not reached(network, x)
    assert network.eval()(x).shape == (2, 3, 45, 34)
    assert not [n for n in MODELS[name](2).state_dict() if n.startswith("auxiliary")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fcn", "se"),
        ("unet", "local"),
        ("five_layer", "cbam"),
        ("dilated", "eca"),
        ("deeplab", "spatial"),
        ("fcn8s", "sk"),
        *(pytest.param(name, "scse", marks=pytest.mark.slow) for name in ARCHITECTURES),
    ],
)
def test_attention_is_an_option_of_every_decoder(name, kind):
    network = make(name, 2, attend=functools.partial(attention, kind))
    assert [n for n, _ in network.named_modules() if "attend" in n]
    x = torch.randn(2, 40, 27)
    with torch.no_grad():
        want = network(x[None])[0]
    found = torch.from_numpy(stream(prepare(network, tuple(x.shape)), x.numpy(), axis=0, strip=8))
    assert difference(found, want) <= 5e-5
    trained = network.train()(torch.randn(2, 2, 40, 27))
    outputs = trained if isinstance(trained, list) else [trained]  # side outputs of hed
    sum(output.square().mean() for output in outputs).backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None]


def test_the_skips_of_a_fresh_fcn8s_say_nothing_yet():
    torch.manual_seed(0)
    network = fcn8s(resnet(2), 3).eval()
    x = torch.randn(1, 2, 64, 64)
    want = network(x)
    for skip in network.decoder.skips:
        skip.weight.requires_grad_(False)
    network.decoder.attend[1], network.decoder.attend[2] = (nn.Conv2d(c, c, 1) for c in (32, 16))
    torch.testing.assert_close(network(x), want)


def test_a_pretrained_encoder_fits_every_decoder_that_takes_one():
    torch.manual_seed(0)
    encoder = efficientnet_lite0(pretrained=False)
    for build in (fcn, fcos, unet, fcn8s, segnet, dilated, functools.partial(deeplab, width=16)):
        assert not reached(build(encoder, 4), torch.randn(2, 3, 64, 64)), build
        encoder.zero_grad()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"\(N, 2, S1, S2\), got a tensor of shape \(1, 3, 8, 8\)"):
        fcn(ResNet(2, 2, depth=10, width=8), 2)(torch.zeros(1, 3, 8, 8))
    plain = fcn32s(resnet(2), 2)
    with pytest.raises(ValueError, match="SkipScores has one feature map"):
        DenseNetwork(plain.encoder, plain.decoder, 2, deep_supervision=True)
    with pytest.raises(ValueError, match="2 skips need an encoder of 3 levels, this one has 2"):
        fcn8s(resnet(2, strides=(2,)), 2)
    with pytest.raises(ValueError, match="deeplab joins two levels"):
        deeplab(five_layer(2, 2, 2).encoder, 2)


def test_normalization_travels_with_the_network():
    torch.manual_seed(0)
    encoder = ResNet(2, 1, depth=10, width=8)
    raw, plain = fcn(encoder, 2, mean=[100.0], std=[50.0]).eval(), fcn(encoder, 2).eval()
    plain.decoder, plain.head = raw.decoder, raw.head
    x = torch.randint(0, 255, (1, 1, 33, 20), dtype=torch.uint8)
    torch.testing.assert_close(raw(x), plain((x.float() - 100) / 50))


@pytest.mark.parametrize(("encoder", "detail", "count"), [(coarse, 4, 6), (coarse, 0, 5), (vgg, 4, 5)])
def test_the_fused_output_starts_as_the_mean_of_the_side_outputs(encoder, detail, count):
    """There is one of each level, and one on the grid of the input where the encoder begins with a stride."""
    torch.manual_seed(0)
    network = hed(encoder(2), 3, width=16, detail=detail).train()
    fused, *sides = network(torch.randn(2, 2, 45, 34))
    assert len(sides) == count
    assert {side.shape for side in sides} == {(2, 3, 45, 34)}
    torch.testing.assert_close(fused, torch.stack(sides).mean(dim=0))


def test_a_level_on_the_grid_of_the_input_sees_what_strides_hide():
    """A shift by one pixel shifts the finest side output by one pixel, away from the borders."""
    network = make("hed", 2)
    x = torch.randn(1, 2, 32, 32)
    finest = [network.encoder(part)[0] for part in (x, x.roll(1, dims=3))]
    torch.testing.assert_close(finest[0][..., 4:-5], finest[1][..., 5:-4], rtol=1e-4, atol=1e-4)
    assert network.encoder.strides[:2] == ((1, 1), (2, 2))


def test_what_is_fused_needs_several_outputs():
    with pytest.raises(ValueError, match="needs deep supervision"):
        DenseNetwork(encoder := resnet(2), FeaturePyramid(encoder, 16), 1, fused=True)
