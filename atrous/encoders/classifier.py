"""Image classifiers of torchvision as encoders, their hidden fully connected layers made convolutions.

This is how the FCN paper uses them (Long, Shelhamer & Darrell 2015, section 4.1): the final classifying layer goes, the
other fully connected layers become convolutions, and the pools give the skips.
"""

import torch
from torch import nn
from torch.nn import functional as F

from atrous.encoders.timm_encoder import IMAGENET_MEAN, IMAGENET_STD
from atrous.errors import UserError

FAMILIES = ("alexnet", "vgg", "resnet")


class FarPad(nn.Module):
    """Zeros after the last row and column."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)` to `(N, C, H + amount, W + amount)`."""
        return F.pad(x, [0, self.amount, 0, self.amount])


class HiddenConvolution(nn.Module):
    """A fully connected layer over a k x k map as a k x k convolution, padded so that the grid stays.

    Position `(k // 2, k // 2)` of a k x k input is the fully connected layer's output.

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
        """`(N, channels, H, W)` to `(N, out_features, H, W)`."""
        return self.convolution(F.pad(x, self.pads))


class ClassifierEncoder(nn.Module):
    """The levels of an AlexNet, VGG or ResNet of torchvision; the coarsest one ends in its hidden layers.

    Levels of AlexNet and VGG are the outputs of their pools, as in the paper. Windows that do not divide the grid
    (AlexNet's) get zeros beyond the far border, so that every level has exactly the input's size over its stride.

    Args:
        network: with `features` and `classifier` (AlexNet, VGG), or `conv1` and `layer1` to `layer4` (ResNet).
        hidden: keep the hidden fully connected layers, where there are some.
        pretrained: whether its weights were trained: training then uses a lower rate for them.

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
        """Feature maps, finest first."""
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels


def _residual_stages(network: nn.Module) -> list[nn.Module]:
    part = dict(network.named_children())
    first = nn.Sequential(part["conv1"], part["bn1"], part["relu"])
    return [first, nn.Sequential(part["maxpool"], part["layer1"]), *(part[f"layer{i}"] for i in (2, 3, 4))]


def _pooled_stages(network: nn.Module, hidden: bool) -> list[nn.Module]:
    stages: list[list[nn.Module]] = [[]]
    for layer in network.features:  # type: ignore[union-attr]
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            kernel, stride, padding = (v if isinstance(v, int) else v[0] for v in _window(layer))
            if stride > 1 and (short := kernel - stride - 2 * padding) > 0:
                stages[-1].append(FarPad(short))
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
    return layer.kernel_size, layer.stride, layer.padding  # type: ignore[return-value]


def _stride(stage: nn.Module) -> int:
    """Of one stage: strided layers in a row multiply; those of a residual block's two paths do not."""
    found = 1
    for name, layer in stage.named_modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            stride = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
            found *= stride
    return found


def _channels(stage: nn.Module) -> int:
    return [m.out_channels for m in stage.modules() if isinstance(m, nn.Conv2d)][-1]


def classifier_encoder(name: str, in_channels: int = 3, *, pretrained: bool = False) -> ClassifierEncoder:
    """The torchvision classifier of this name (alexnet, vgg16, resnet50 ...) as an encoder.

    `pretrained` asks torchvision for its ImageNet weights (from its cache or the network). Channels other than three
    get the mean of the color weights.

    Raises:
        UserError: there is no such classifier, or its weights cannot be had.
    """
    import torchvision

    if not name.startswith(FAMILIES) or name not in torchvision.models.list_models():
        raise UserError(f"encoder 'torchvision:{name}': give one of torchvision's alexnet, vgg11 ... or resnet18 ...")
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (OSError, RuntimeError) as error:
        raise UserError(f"encoder 'torchvision:{name}': its weights cannot be had ({error})") from error
    first_name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if in_channels != first.in_channels:
        weight = first.weight.detach().mean(1, keepdim=True) * (first.in_channels / in_channels)
        made = nn.Conv2d(
            in_channels, first.out_channels, first.kernel_size, first.stride, first.padding,  # type: ignore[arg-type]
            bias=first.bias is not None,
        )  # fmt: skip
        made.load_state_dict(first.state_dict() | {"weight": weight.repeat(1, in_channels, 1, 1)})
        network.set_submodule(first_name, made)
    return ClassifierEncoder(network, pretrained=pretrained)
