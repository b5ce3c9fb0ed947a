"""FC-DenseNet (Jegou et al. 2017, "The one hundred layers tiramisu: fully convolutional DenseNets")."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV_TRANSPOSE
from atrous.encoders.dense import DenseBlock, DenseEncoder, DenseLayers
from atrous.models.network import Attend, DenseNetwork, attended

SIZES = {
    56: DenseLayers((4,) * 5, bottleneck=4, growth=12),
    67: DenseLayers((5,) * 5, bottleneck=5, growth=16),
    103: DenseLayers((4, 5, 7, 10, 12), bottleneck=15, growth=16),
}
"""The networks of the paper, by the depth that names them (section 4.1)."""


class DenseUp(nn.Module):
    """The upward path: a transposed convolution, the encoder's level joined, and a dense block, per level.

    Only the output of a block goes further up, not its input, except at the finest level (section 3.2).
    """

    def __init__(self, encoder: DenseEncoder, attend: Attend | None = None) -> None:
        super().__init__()
        ndim, size = encoder.ndim, encoder.size
        self.up, self.dense, self.attend = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        below, channels = encoder.channels[-1], []
        for level in range(len(size.blocks) - 1, -1, -1):
            self.up.append(CONV_TRANSPOSE[ndim](below, below, 3, stride=2, padding=1, output_padding=1))
            joined, layers = below + encoder.channels[level], size.blocks[level]
            self.dense.append(DenseBlock(ndim, joined, layers, size.growth, size.dropout))
            below = layers * size.growth
            channels.append(below if level else joined + below)
            self.attend.append(attended(attend, ndim, channels[-1]))
        self.all_channels, self.channels = tuple(channels), channels[-1]

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one feature map per level but the coarsest, coarse to fine."""
        x, maps = levels[-1], []
        for i, feature in enumerate(levels[-2::-1]):
            joined = torch.cat([self.up[i](x), feature], dim=1)
            x = self.dense[i](joined)
            if i == len(levels) - 2:
                x = torch.cat([joined, x], dim=1)
            x = self.attend[i](x)
            maps.append(x)
        return maps


def fc_densenet(
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    layers: DenseLayers = SIZES[56],
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build an FC-DenseNet; by default FC-DenseNet56.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        layers: number and width of the layers on the way down, mirrored on the way up; `SIZES` holds the paper's.
        attend: builds an attention module for every level on the way up.
        deep_supervision: train with heads on the coarser maps too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> layers = DenseLayers((2, 2), bottleneck=2, growth=4, first=8)
    >>> fc_densenet(1, 4, 2, layers=layers)(torch.zeros(2, 4, 45)).shape
    torch.Size([2, 2, 45])
    """
    encoder = DenseEncoder(ndim, in_channels, layers)
    return DenseNetwork(
        encoder, DenseUp(encoder, attend), outputs, deep_supervision=deep_supervision, mean=mean, std=std
    )
