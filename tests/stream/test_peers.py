"""Networks that others wrote: streamed equals whole, or refused for the right reason."""

import pytest
import torch
from torch import nn

from atrous.stream import Refused, prepare, stream
from tests.toy_models import difference, settled

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SMP = [
    ("Unet", "resnet18"),
    ("Unet", "resnet50"),
    ("Unet", "efficientnet-b0"),
    ("Unet", "mobilenet_v2"),
    ("Unet", "densenet121"),
    ("Unet", "vgg11_bn"),
    ("Unet", "se_resnet50"),
    ("Unet", "timm-regnetx_002"),
    ("Unet", "tu-convnext_atto"),
    ("Unet", "tu-mobilenetv3_small_100"),
    ("Unet", "tu-resnet10t"),
    ("Unet", "inceptionv4"),
    ("Unet", "xception"),
    ("UnetPlusPlus", "resnet18"),
    ("UnetPlusPlus", "mobilenet_v2"),
    ("FPN", "resnet18"),
    ("FPN", "efficientnet-b0"),
    ("FPN", "tu-convnext_atto"),
    ("Linknet", "resnet18"),
    ("Linknet", "densenet121"),
    ("PAN", "resnet18"),
    ("PAN", "mobilenet_v2"),
    ("PSPNet", "resnet18"),
    ("PSPNet", "densenet121"),
    ("DeepLabV3", "resnet18"),
    ("DeepLabV3Plus", "resnet18"),
    ("DeepLabV3Plus", "efficientnet-b0"),
    ("DeepLabV3Plus", "mobilenet_v2"),
    ("UPerNet", "resnet18"),
    ("Segformer", "resnet18"),
]
REFUSED_SMP = [("Segformer", "mit_b0", "matmul"), ("MAnet", "resnet18", "matmul"), ("Unet", "mit_b0", "matmul")]
MONAI = {
    "UNet 2-D": (lambda n: n.UNet(2, 1, 2, (4, 8, 16), (2, 2), num_res_units=1), (1, 52, 44)),
    "UNet 3-D": (lambda n: n.UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=2), (1, 28, 20, 24)),
    "UNet 3-D batch": (lambda n: n.UNet(3, 1, 2, (4, 8, 16), (2, 2), norm="batch"), (1, 28, 20, 24)),
    "BasicUNet 2-D": (lambda n: n.BasicUNet(2, 1, 2, (4, 4, 8, 8, 16, 4)), (1, 64, 48)),
    "BasicUNet 3-D": (lambda n: n.BasicUNet(3, 1, 2, (4, 4, 8, 8, 16, 4), norm="batch"), (1, 32, 16, 16)),
    "DynUNet": (lambda n: n.DynUNet(2, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 8, 8]), (1, 48, 40)),
    "DynUNet 3-D": (lambda n: n.DynUNet(3, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 8, 8]), (1, 24, 16, 16)),
    "SegResNet 2-D": (lambda n: n.SegResNet(2, init_filters=8, in_channels=1, out_channels=2), (1, 48, 40)),
    "SegResNet 3-D": (lambda n: n.SegResNet(3, init_filters=8, in_channels=1, out_channels=2), (1, 16, 16, 24)),
    "AttentionUnet": (lambda n: n.AttentionUnet(2, 1, 2, (4, 8, 16), (2, 2)), (1, 48, 40)),
    "AttentionUnet 3-D": (lambda n: n.AttentionUnet(3, 1, 2, (4, 8, 16), (2, 2)), (1, 24, 16, 16)),
    "HighResNet": (lambda n: n.HighResNet(2, 1, 2), (1, 40, 36)),
    "VNet": (lambda n: n.VNet(3, 1, 2), (1, 16, 16, 32)),
}
TORCHVISION = ["fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"]
TIMM = [
    ("resnet18", 2),
    ("efficientnet_lite0", 3),
    ("convnext_atto", 3),
    ("mobilenetv3_small_100", 4),
    ("hrnet_w18_small", 1),
    ("res2net50_26w_4s", 2),
    ("dla34", 3),
    ("repvgg_a0", 2),
    ("convnextv2_atto", 2),
]


class Feature(nn.Module):
    """One of the maps of a network that returns several."""

    def __init__(self, network: nn.Module, level: int):
        super().__init__()
        self.network, self.level = network, level

    def forward(self, x):
        return self.network(x)[self.level]


def check(network: nn.Module, shape: tuple[int, ...], strip: int, *, blocks: int = 1) -> None:
    network = settled(network)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        wanted = network(x[None])
    wanted = (wanted["out"] if isinstance(wanted, dict) else wanted)[0]
    ready = prepare(network, shape)
    found = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip, blocks=blocks))
    assert difference(found, wanted) <= 5e-5
    h, w = wanted.shape[1:3]
    region = (slice(h // 2, h // 2 + 3), slice(w // 3, w // 3 + 7), *(slice(None),) * (wanted.dim() - 3))
    if 1 in ready.axes:
        part = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip, region=region))
        assert float((part - wanted[:, *region]).abs().max()) <= 5e-5 * float(wanted.abs().max())


@pytest.mark.parametrize(("architecture", "encoder"), SMP)
def test_segmentation_models_pytorch(architecture, encoder):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    strip = 1 + sum(map(ord, architecture + encoder)) % 60
    size = (3, 256, 256) if architecture == "PAN" else (3, 128, 96)  # PAN pools three times more
    check(getattr(smp, architecture)(encoder, encoder_weights=None, classes=3), size, strip)


@pytest.mark.parametrize(("architecture", "encoder", "operator"), REFUSED_SMP)
def test_attention_over_positions_is_refused(architecture, encoder, operator):
    smp = pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(Refused, match=operator):
        stream(getattr(smp, architecture)(encoder, encoder_weights=None), torch.zeros(3, 128, 128).numpy(), axis=0)


@pytest.mark.parametrize("name", MONAI)
@pytest.mark.parametrize("strip", [3, 16])
def test_monai(name, strip):
    networks = pytest.importorskip("monai.networks.nets")
    build, shape = MONAI[name]
    torch.manual_seed(0)
    check(build(networks), shape, strip, blocks=2 if len(shape) == 3 else 1)


def test_monai_transformer_is_refused():
    networks = pytest.importorskip("monai.networks.nets")
    pytest.importorskip("einops")
    with pytest.raises(Refused):
        stream(
            networks.UNETR(1, 2, (32, 32), spatial_dims=2, hidden_size=48, mlp_dim=96, num_heads=4),
            torch.zeros(1, 32, 32).numpy(),
        )


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("size", [(3, 97, 80), (3, 128, 61)])
def test_torchvision(name, size):
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    torch.manual_seed(0)
    check(getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=4), size, 40)


@pytest.mark.parametrize(("name", "level"), TIMM)
def test_timm_features(name, level):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(name, features_only=True, pretrained=False)
    size = (3, 128, 96) if name.startswith(("hrnet", "dla")) else (3, 113, 97)  # those two need whole multiples of 32
    check(Feature(network, min(level, len(network.feature_info) - 1)), size, 19)
