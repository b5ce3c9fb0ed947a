"""Every architecture trains from the command line's settings, and what does not go together is named."""

import pytest
import torch

from atrous.encoders.lite import lite_weights
from atrous.errors import UserError
from atrous.recipe.network import build_encoder, build_network
from atrous.recipe.sections import ModelSection
from atrous.verbs.train import train
from tests.conftest import SMALL

TINY = {
    "fcn": ["model.attention=se", "model.fusion=gated", "model.fine=true"],
    "fcn32s": [],
    "fcn16s": ["model.deep_supervision=true"],
    "fcn8s": ["model.encoder=vgg", "model.depth=11", "model.encoder_width=4", "model.at_once=true"],
    "fcos": ["model.width=8", "model.finest=2", "model.attention=eca"],
    "hed": ["model.width=8", "model.detail=4", "model.attention=se"],
    "segnet": ["model.encoder=vgg", "model.depth=11", "model.encoder_width=4", "model.antialias=true"],
    "unet": ["model.attention=local", "model.deep_supervision=true", "model.width=4"],
    "deeplab": ["model.width=8", "model.rates=[1, 2]", "model.output_stride=8"],
    "dilated": ["model.width=8"],
    "fc_densenet": ["model.blocks=[1, 1, 1]", "model.growth=4"],
    "five_layer": ["model.width=8"],
}


QUICK = ("fcn8s", "segnet", "deeplab")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TINY])
def test_each_model_trains_and_comes_back(name, digits, tmp_path):
    done = train(
        digits, out=tmp_path / "run", epochs=1, settings=[*SMALL, f"model.name={name}", *TINY[name]], report=False
    )
    assert done.outcome.step == 2
    assert done.scores is not None
    network = done.run.network()
    assert network(torch.zeros(1, network.encoder.in_channels, 33, 21)).shape == (1, 11, 33, 21)


@pytest.mark.slow
def test_output_strides_of_every_kind_of_encoder():
    """Those of others are dilated by surgery, which proves that the coarse grid keeps its values."""
    for name, levels in (("resnet", 5), ("vgg", 5), ("efficientnet_lite0", 5), ("resnet18", 5)):
        model = ModelSection(name="deeplab", encoder=name, depth=10 if name == "resnet" else 11, encoder_width=4)
        encoder = build_encoder(model.model_copy(update={"output_stride": 8})).eval()  # type: ignore[union-attr]
        assert max(encoder.strides[-1]) == 8
        found = encoder(torch.zeros(1, 3, 64, 64))
        assert len(found) == levels
        assert [64 // level.shape[2] for level in found] == [stride[0] for stride in encoder.strides]


def test_an_encoder_of_images_takes_volumes_and_trains():
    """Inflated: the weights of the 2-D encoder, each kernel repeated along depth."""
    model = ModelSection(name="unet", encoder="efficientnet_lite0", ndim=3, in_channels=1, width=4, mean=[0], std=[1])
    torch.manual_seed(0)
    network = build_network(model, 2)
    assert network.encoder.strides[-1] == (32, 32, 32)
    assert network.encoder.body.conv_stem.weight.shape == (32, 1, 3, 3, 3)
    x, target = torch.randn(2, 1, 32, 20, 32), torch.randint(0, 2, (2, 32, 20, 32))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.skipif(lite_weights() is None, reason="extra `pretrained` is not installed")
def test_weights_of_imagenet_reach_volumes():
    flat = build_encoder(ModelSection(encoder="efficientnet_lite0", pretrained=True))
    deep = build_encoder(ModelSection(encoder="efficientnet_lite0", pretrained=True, ndim=3))
    weights, wanted = dict(deep.named_parameters()), dict(flat.named_parameters())
    assert weights.keys() == wanted.keys()
    torch.testing.assert_close(weights["body.conv_stem.weight"].sum(2), wanted["body.conv_stem.weight"])
    assert deep.pretrained


def test_defaults_of_the_output_stride():
    tiny = {"encoder_width": 4, "depth": 10}
    assert build_encoder(ModelSection(name="dilated", **tiny)).strides[-1] == (8, 8)
    assert build_encoder(ModelSection(name="fcn", **tiny)).strides[-1] == (16, 16)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "fcn8s", "strides": [2]}, "2 skips need an encoder of 3 levels"),
        ({"name": "unet", "encoder": "torchvision:vgg99"}, "torchvision's alexnet"),
        ({"name": "unet", "encoder": "resnet18", "ndim": 1}, "is 2-D, the data are 1-D"),
        ({"name": "unet", "encoder": "resnet18", "antialias": True}, "antialias is for resnet and vgg"),
        ({"encoder": "vgg", "depth": 18}, "depth 18 is not one of"),
    ],
)
def test_what_does_not_go_together_is_named(values, words):
    with pytest.raises(UserError, match=words):
        build_network(ModelSection(**values), 2)
