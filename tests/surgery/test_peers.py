"""Surgery on networks that others wrote: certified within 1e-4 relative, or refused by name."""

import pytest
import torch

from atrous.errors import UserError
from atrous.surgery import convolutionalize, dilate, inflate
from atrous.surgery.certificate import Converted
from tests.surgery.networks import randomized

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CLASSIFIERS = {
    "torchvision": [
        "resnet18", "resnext50_32x4d", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
        "convnext_tiny", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1", "googlenet", "mnasnet0_5",
    ],
    "timm": [
        "resnet26d", "vgg11", "mobilenetv3_small_050", "tf_efficientnet_lite0", "convnext_atto", "regnety_002",
        "ghostnet_050", "dla34", "repvgg_a0", "densenet121", "mnasnet_050",
    ],
}  # fmt: skip
ENCODERS = {
    "timm": [
        "resnet18", "resnet26d", "seresnet18", "tf_efficientnet_lite0", "tf_mobilenetv3_small_minimal_100",
        "mobilenetv3_small_050", "convnext_atto", "regnety_002", "densenet121", "ghostnet_050", "dla34",
        "cspresnet50", "ecaresnet26t", "repvgg_a0",
    ],
    "smp": ["resnet18", "mobilenet_v2", "densenet121", "vgg11_bn", "se_resnet50", "efficientnet-b0"],
    "torchvision": ["resnet18", "squeezenet1_1", "googlenet", "regnet_x_400mf", "shufflenet_v2_x0_5"],
}  # fmt: skip
REFUSED = {"timm:resnetblur18": "reflect", "timm:hrnet_w18_small": "upsample"}


def pairs(table: dict[str, list[str]]) -> list[str]:
    return [f"{library}:{name}" for library, names in table.items() for name in names]


def build(spec: str, encoder: bool = False) -> torch.nn.Module:
    library, _, name = spec.partition(":")
    torch.manual_seed(0)
    if library == "smp":
        smp = pytest.importorskip("segmentation_models_pytorch")
        return randomized(smp.encoders.get_encoder(name, weights=None))
    if library == "timm":
        timm = pytest.importorskip("timm")
        return randomized(timm.create_model(name, **({"features_only": True} if encoder else {"num_classes": 10})))
    torchvision = pytest.importorskip("torchvision")
    more = {"init_weights": False} if name == "googlenet" else {}
    return randomized(torchvision.models.get_model(name, weights=None, **more))


@pytest.mark.parametrize("spec", pairs(CLASSIFIERS))
def test_convolutionalize(spec):
    done = convolutionalize(build(spec), 224 if spec == "timm:vgg11" else 64)
    assert done.certificate.max_error <= 1e-4
    assert done.certificate.changes
    assert "a map of 3x3" in done.certificate.compared


def test_native_size_of_networks_with_one():
    done = convolutionalize(build("torchvision:alexnet"), 224)
    assert done.certificate.max_error <= 1e-4
    assert done.network.classifier[1].weight.shape == (4096, 256, 6, 6)
    assert done.network(torch.zeros(1, 3, 288, 224)).shape == (1, 1000, 3, 1)


def test_attention_over_positions_has_no_map():
    with pytest.raises(UserError, match=r"head cannot be slid|no map"):
        convolutionalize(build("torchvision:vit_b_16"), 224)


def dilated(spec: str, stride: int) -> Converted:
    done = dilate(build(spec, encoder=True), stride, shape=(3, 64, 64))
    assert done.certificate.max_error <= 1e-4
    return done


@pytest.mark.parametrize(("spec", "stride"), [(s, (8, 16)[i % 2]) for i, s in enumerate(pairs(ENCODERS))])
def test_dilate(spec, stride):
    assert dilated(spec, stride).certificate.changes


@pytest.mark.parametrize(
    "spec", ["timm:resnet18", "timm:tf_efficientnet_lite0", "timm:convnext_atto", "smp:mobilenet_v2"]
)
@pytest.mark.parametrize("stride", [4, 1])
def test_dilate_far(spec, stride):
    done = dilated(spec, stride)
    with torch.no_grad():
        maps = done.network.eval()(torch.zeros(1, 3, 64, 64))
    assert maps[-1].shape[2:] == (64 // stride,) * 2


@pytest.mark.parametrize("spec", REFUSED)
def test_dilate_refuses_by_name(spec):
    with pytest.raises(UserError, match=REFUSED[spec]):
        dilate(build(spec, encoder=True), 8, shape=(3, 64, 64))


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "torchvision:vgg11_bn", "torchvision:mobilenet_v2"])
def test_inflate(spec):
    network = build(spec)
    body = getattr(network, "features", None) or torch.nn.Sequential(*list(network.children())[:-2])
    done = inflate(body, shape=(3, 32, 32))
    assert done.certificate.max_error <= 1e-4
    volume = torch.randn(1, 3, 32, 32, 32)
    done.network.train()(volume.repeat(2, 1, 1, 1, 1)).square().mean().backward()
    assert next(iter(done.network.parameters())).grad is not None
