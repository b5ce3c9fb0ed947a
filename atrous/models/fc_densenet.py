"""FC-DenseNet (Jegou et al. 2017, "The one hundred layers tiramisu: fully convolutional DenseNets")."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV_TRANSPOSE
from atrous.encoders.dense import DenseBlock, DenseEncoder
from atrous.models.network import Attend, DenseNetwork, attended

SIZES = {56: ((4,) * 5, 4, 12), 67: ((5,) * 5, 5, 16), 103: ((4, 5, 7, 10, 12), 15, 16)}
"""Layers of each block, of the bottleneck, and growth, by the depth that names the network (section 4.1)."""


class DenseUp(nn.Module):
    """Transposed convolutions and dense blocks; only what a block made goes up, except at the end (section 3.2)."""

    def __init__(self, encoder: DenseEncoder, attend: Attend | None = None) -> None:
        super().__init__()
        ndim, growth = encoder.ndim, encoder.growth
        self.up, self.dense, self.attend = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        below, made = encoder.channels[-1], []
        for level in range(len(encoder.blocks) - 1, -1, -1):
            self.up.append(CONV_TRANSPOSE[ndim](below, below, 3, stride=2, padding=1, output_padding=1))
            joined, layers = below + encoder.channels[level], encoder.blocks[level]
            self.dense.append(DenseBlock(ndim, joined, layers, growth, encoder.dropout))
            below = layers * growth
            made.append(below if level else joined + below)
            self.attend.append(attended(attend, ndim, made[-1]))
        self.all_channels, self.channels = tuple(made), made[-1]

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """One feature map per level but the coarsest, coarse to fine."""
        x, made = levels[-1], []
        for i, feature in enumerate(levels[-2::-1]):
            joined = torch.cat([self.up[i](x), feature], dim=1)
            x = self.dense[i](joined)
            if i == len(levels) - 2:
                x = torch.cat([joined, x], dim=1)
            x = self.attend[i](x)
            made.append(x)
        return made


def fc_densenet(
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    blocks: Sequence[int] = SIZES[56][0],
    bottleneck: int = SIZES[56][1],
    growth: int = SIZES[56][2],
    first: int = 48,
    dropout: float = 0.2,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """An FC-DenseNet; the defaults make FC-DenseNet56, `SIZES` names the others.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        blocks: layers of each block on the way down, mirrored on the way up.
        bottleneck: layers of the block in the middle.
        growth: channels that a layer adds.
        first: channels of the first convolution.
        dropout: share of a layer's outputs that training blanks.
        attend: makes an attention module for every level on the way up.
        deep_supervision: train with heads on the coarser maps too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> fc_densenet(1, 4, 2, blocks=(2, 2), bottleneck=2, growth=4, first=8)(torch.zeros(2, 4, 45)).shape
    torch.Size([2, 2, 45])
    """
    encoder = DenseEncoder(
        ndim, in_channels, blocks=blocks, bottleneck=bottleneck, growth=growth, first=first, dropout=dropout
    )
    decoder = DenseUp(encoder, attend)
    return DenseNetwork(encoder, decoder, outputs, deep_supervision=deep_supervision, mean=mean, std=std)
