"""What a pretrained encoder sees in pictures, layer by layer, for losses that compare pictures by it."""

from typing import Any

import torch
from torch import nn

from atrous.encoders.lite import LITE_MEAN, LITE_STD, efficientnet_lite0
from atrous.nn.depthwise import fast_depthwise

STAGES = (1, 2, 3)
"""Stages of EfficientNet-Lite0 whose activations are given. Later ones see objects, and no texture."""


class Activations(nn.Module):
    """The activations of EfficientNet-Lite0 on pictures, from fine to coarse; its weights never change.

    The blocks of this encoder hand on few channels without a nonlinearity. What they detect is in the many channels
    inside a block, behind the ReLU. So this gives the first convolution's map and, of three stages, the expanded maps
    of the first two blocks, of which the first still has the grid of the stage before.

    Args:
        pretrained: whether to load the ImageNet weights; without them they are random.

    Attributes:
        channels: of each map.
        strides: pixels between the positions of each map, along both axes.
        content_maps: numbers of the maps by which the content of pictures is compared.
        style_maps: numbers of the maps by which their style is compared.

    Raises:
        UserError: the package with the weights is not installed.

    >>> encoder = Activations(pretrained=False)
    >>> [tuple(level.shape[1:]) for level in encoder(torch.zeros(1, 3, 64, 96))][:3]
    [(32, 32, 48), (96, 32, 48), (144, 16, 24)]
    """

    channels = (32, 96, 144, 144, 240, 240, 480)
    strides = (2, 2, 4, 4, 8, 8, 16)
    content_maps = (5,)
    style_maps = (0, 1, 2, 4, 6)

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        body: Any = efficientnet_lite0(pretrained=pretrained).body
        self.stem = nn.Sequential(body.conv_stem, body.bn1)
        self.first = body.blocks[0]
        self.stages = nn.ModuleList(body.blocks[stage][:2] for stage in STAGES)
        self.register_buffer("mean", torch.tensor(LITE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(LITE_STD).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Activations":
        """Stay in evaluation mode, whatever the mode of what this is part of."""
        return super().train(False)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps `(N, C_i, H / stride_i, W / stride_i)` of pictures `(N, 3, H, W)` with values of 0 to 255."""
        with fast_depthwise(self):
            x = self.stem((pictures.float() - self.mean) / self.std)  # type: ignore[operator]
            maps = [x]
            x = self.first(x)
            for stage in self.stages:
                for block in stage:  # type: ignore[union-attr]
                    expanded, x = _expanded(block, x)
                    maps.append(expanded)
        return maps


def _expanded(block: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the expanded map of an inverted residual block (Sandler et al. 2018), and its output."""
    expanded = block.bn1(block.conv_pw(x))
    out = block.bn3(block.conv_pwl(block.bn2(block.conv_dw(expanded))))
    return expanded, out + x if block.has_skip else out
