"""Image classifiers of torchvision as encoders, as the FCN paper uses them.

The last layer, which classifies, is removed, the other fully connected layers become convolutions, and the outputs of
the pools are the levels for skip connections (Long, Shelhamer & Darrell 2015, section 4.1).
"""

import torch
from torch import nn
from torch.nn import functional as F

from atrous.encoders.timm_encoder import IMAGENET_MEAN, IMAGENET_STD
from atrous.errors import UserError

FAMILIES = ("alexnet", "vgg", "resnet")


class FarPad(nn.Module):
    """Pads with zeros after the last row and the last column."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad `(N, C, H, W)` to `(N, C, H + amount, W + amount)`."""
        return F.pad(x, [0, self.amount, 0, self.amount])


class HiddenConvolution(nn.Module):
    """A fully connected layer over a k x k map as a k x k convolution, padded so that it keeps the size.

    For an input of k x k its output at `(k // 2, k // 2)` is the fully connected layer's output.

    Args:
        layer: of `channels * k * k` inputs.
        channels: of the map.

    Raises:
        ValueError: the layer's inputs are no square map of so many channels.

    >>> layer = nn.Linear(2 * 3 * 3, 5)
    >>> x = torch.randn(1, 2, 3, 3)
    >>> bool(torch.allclose(HiddenConvolution(layer, 2)(x)[:, :, 1, 1], layer(x.flatten(1)), atol=1e-5))
    True
    """

    def __init__(self, layer: nn.Linear, channels: int) -> None:
        super().__init__()
        kernel = round((layer.in_features / channels) ** 0.5)
        if kernel * kernel * channels != layer.in_features:
            raise ValueError(f"{layer.in_features} inputs are no square map of {channels} channels")
        before, after = kernel // 2, kernel - 1 - kernel // 2
        self.pads = [before, after, before, after]
        self.convolution = nn.Conv2d(channels, layer.out_features, kernel)
        with torch.no_grad():
            self.convolution.weight.copy_(layer.weight.reshape(self.convolution.weight.shape))
            self.convolution.bias.copy_(layer.bias)  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, channels, H, W)` to `(N, out_features, H, W)`."""
        return self.convolution(F.pad(x, self.pads))


class ClassifierEncoder(nn.Module):
    """The feature maps of an AlexNet, VGG or ResNet of torchvision.

    The levels of AlexNet and VGG are the outputs of their pools, as in the paper; the hidden fully connected layers
    follow on the coarsest level. AlexNet's windows do not divide the grid evenly. They get zeros beyond the far border,
    so that every level has exactly the input's size divided by its stride.

    Args:
        network: has `features` and `classifier` (AlexNet, VGG), or `conv1` and `layer1` to `layer4` (ResNet).
        hidden: whether to keep the hidden fully connected layers of AlexNet and VGG.
        pretrained: whether its weights are pretrained: training then uses a lower learning rate for them.

    Raises:
        UserError: the network is none of these.

    >>> import torchvision
    >>> encoder = ClassifierEncoder(torchvision.models.resnet18())
    >>> encoder.channels, encoder.strides[-1]
    ((64, 64, 128, 256, 512), (32, 32))
    """

    ndim = 2

    def __init__(self, network: nn.Module, *, hidden: bool = True, pretrained: bool = False) -> None:
        super().__init__()
        self.pretrained, self.mean, self.std = pretrained, IMAGENET_MEAN, IMAGENET_STD
        if hasattr(network, "layer4"):
            self.stages = nn.ModuleList(_residual_stages(network))
        elif hasattr(network, "features") and hasattr(network, "classifier"):
            self.stages = nn.ModuleList(_pooled_stages(network, hidden))
        else:
            raise UserError(f"{type(network).__name__}: neither an AlexNet, a VGG nor a ResNet of torchvision")
        first = next(m for m in self.modules() if isinstance(m, nn.Conv2d))
        self.in_channels = first.in_channels
        channels, strides, total = [], [], 1
        for stage in self.stages:
            total *= _stride(stage)
            channels.append(_channels(stage))
            strides.append((total, total))
        self.channels, self.strides = tuple(channels), tuple(strides)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, C, H, W)`, finest first."""
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


def _residual_stages(network: nn.Module) -> list[nn.Module]:
    """Return the stages of a ResNet: the stem, the pool with the first layer, and the other layers."""
    part = dict(network.named_children())
    first = nn.Sequential(part["conv1"], part["bn1"], part["relu"])
    return [first, nn.Sequential(part["maxpool"], part["layer1"]), *(part[f"layer{i}"] for i in (2, 3, 4))]


def _pooled_stages(network: nn.Module, hidden: bool) -> list[nn.Module]:
    """Return the stages of an AlexNet or VGG, each of which ends in a pool, or in the hidden layers."""
    stages: list[list[nn.Module]] = [[]]
    for layer in network.features:  # type: ignore[union-attr]
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride, padding = (v if isinstance(v, int) else v[0] for v in _window(layer))
            # `size / stride` outputs need `size - stride + kernel` positions, of which `size + 2 * padding` exist.
            if stride > 1 and (missing := kernel - stride - 2 * padding) > 0:
                stages[-1].append(FarPad(missing))
        stages[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
    if stages[-1]:
        raise UserError(f"{type(network).__name__}: its features do not end in a pool")
    stages.pop()
    if hidden:
        channels = _channels(nn.Sequential(*stages[-1]))
        for layer in list(network.classifier)[:-1]:  # type: ignore[arg-type]
            if isinstance(layer, nn.Linear):
                stages[-1].append(HiddenConvolution(layer, channels))
                channels = layer.out_features
            else:
                stages[-1].append(layer)
    return [nn.Sequential(*layers) for layers in stages]


def _window(layer: nn.Conv2d | nn.MaxPool2d) -> tuple[int | tuple[int, ...], ...]:
    """Return kernel size, stride and padding."""
    return layer.kernel_size, layer.stride, layer.padding  # type: ignore[return-value]


def _stride(stage: nn.Module) -> int:
    """Return the stride of a stage: the product over its layers, of which a shortcut's are left out."""
    total = 1
    for name, layer in stage.named_modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            stride = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
            total *= stride
    return total


def _channels(stage: nn.Module) -> int:
    """Return the output channels of a stage: those of its last convolution."""
    return [m.out_channels for m in stage.modules() if isinstance(m, nn.Conv2d)][-1]


def classifier_encoder(name: str, in_channels: int = 3, *, pretrained: bool = False) -> ClassifierEncoder:
    """Return the torchvision classifier of this name (alexnet, vgg16, resnet50 ...) as an encoder.

    Args:
        name: of an AlexNet, VGG or ResNet.
        in_channels: of the input. If these are not three, every channel gets the mean of the first convolution's color
            weights, scaled so that a gray image gives the same output.
        pretrained: load torchvision's ImageNet weights, from its cache or by a download.

    Raises:
        UserError: there is no such classifier, or its weights cannot be loaded.
    """
    import torchvision

    if not name.startswith(FAMILIES) or name not in torchvision.models.list_models():
        raise UserError(f"encoder 'torchvision:{name}': give one of torchvision's alexnet, vgg11 ... or resnet18 ...")
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (OSError, RuntimeError) as error:
        raise UserError(f"encoder 'torchvision:{name}': its weights cannot be loaded ({error})") from error
    first_name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if in_channels != first.in_channels:
        weight = first.weight.detach().mean(1, keepdim=True) * (first.in_channels / in_channels)
        convolution = nn.Conv2d(
            in_channels, first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )  # fmt: skip
        convolution.load_state_dict(first.state_dict() | {"weight": weight.repeat(1, in_channels, 1, 1)})
        network.set_submodule(first_name, convolution)
    return ClassifierEncoder(network, pretrained=pretrained)
