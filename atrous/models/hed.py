"""A holistically-nested edge detector (HED) over any encoder: an output on every scale, fused into one."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from atrous.encoders.encoder import Encoder
from atrous.models.fcn import FeaturePyramid
from atrous.models.network import Attend, DenseNetwork
from atrous.nn.blocks import conv_norm_act, initialize

DETAIL = 16
"""Channels on the grid of the input."""


class Detailed(nn.Module):
    """Another encoder with a level on the grid of the input before its own: one convolution with a kernel of 3.

    Most encoders begin with a stride of 2. What is thinner than that, such as the line between two edges, is then known
    to this level alone. A level of two convolutions made a step of training a quarter longer.

    Args:
        encoder: gives the coarser levels; it becomes part of this one.
        width: channels of the level.

    >>> from atrous.encoders.encoder import Plain
    >>> encoder = Detailed(Plain(1, in_channels=1, width=8), 4)
    >>> encoder.channels, encoder.strides, encoder(torch.zeros(1, 1, 64))[0].shape
    ((4, 16), ((1,), (2,)), torch.Size([1, 4, 64]))
    """

    def __init__(self, encoder: Encoder, width: int = DETAIL) -> None:
        super().__init__()
        self.ndim, self.in_channels, self.pretrained = encoder.ndim, encoder.in_channels, encoder.pretrained
        self.channels = (width, *encoder.channels)
        self.strides = ((1,) * encoder.ndim, *encoder.strides)
        self.detail = conv_norm_act(encoder.ndim, encoder.in_channels, width)
        initialize(self.detail)
        self.inner = cast(nn.Module, encoder)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, finest first."""
        return [self.detail(x), *self.inner(x)]


def hed(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 128,
    detail: int = DETAIL,
    attend: Attend | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build an edge detector: side outputs on every level, each of which is trained, and their learned fusion.

    Xie & Tu 2015, "Holistically-nested edge detection" (arXiv:1504.06375). There a side output sees its level alone.
    Here coarser levels are added to it first (a feature pyramid), as Wang, Zhao & Huang 2017 do it ("Deep crisp
    boundaries"): the finest output then knows which of its edges are texture. In training mode the network returns the
    fused output and the side outputs, finest first, all on the grid of the input; else the fused one.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output; 1 for edges.
        width: channels of the coarse levels. From stride 4 to the finest level each has half as many as the one before.
        detail: channels of a level on the grid of the input, for encoders that begin coarser; 0 for none.
        attend: builds an attention module for every level.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> network = hed(ResNet(2, in_channels=3, depth=10, width=8), outputs=1, width=16)
    >>> network.eval()(torch.zeros(1, 3, 45, 70)).shape, len(network.train()(torch.zeros(2, 3, 45, 70)))
    (torch.Size([1, 1, 45, 70]), 6)
    """
    finer = detail > 0 and max(encoder.strides[0]) > 1
    levels = Detailed(encoder, detail) if finer else encoder
    decoder = FeaturePyramid(levels, width, attend=attend, halved=3 if finer else 2)
    return DenseNetwork(levels, decoder, outputs, deep_supervision=True, fused=True, mean=mean, std=std)
