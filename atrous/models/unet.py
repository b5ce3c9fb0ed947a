"""U-Net over any encoder (Ronneberger, Fischer & Brox 2015)."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous.encoders.encoder import Encoder
from atrous.models.network import DenseNetwork
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.resize import resize


class UNetDecoder(nn.Module):
    """Resize, concatenate the encoder's level, two convolutions; from the coarsest level to the finest."""

    def __init__(self, encoder: Encoder, width: int = 32) -> None:
        super().__init__()
        ndim, channels = encoder.ndim, encoder.channels
        self.channels = width
        self.steps = nn.ModuleList()
        below = channels[-1]
        for level in range(len(channels) - 2, -1, -1):
            outputs = width * 2 ** min(level, 3)
            self.steps.append(
                nn.Sequential(
                    conv_norm_act(ndim, below + channels[level], outputs), conv_norm_act(ndim, outputs, outputs)
                )
            )
            below = outputs
        if len(channels) == 1:
            self.channels = below
        initialize(self)

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Feature map on the grid of the finest level."""
        x = levels[-1]
        for feature, step in zip(levels[-2::-1], self.steps, strict=True):
            x = step(torch.cat([resize(x, feature.shape[2:]), feature], dim=1))
        return x


def unet(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 32,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """A U-Net: skip connections from every level of `encoder`, by concatenation.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output.
        width: channels of the decoder's finest level; coarser ones have up to 8 times as many.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.vgg import VGG
    >>> unet(VGG(2, in_channels=1, depth=11, width=8), outputs=2, width=8)(torch.zeros(1, 1, 33, 50)).shape
    torch.Size([1, 2, 33, 50])
    """
    return DenseNetwork(encoder, UNetDecoder(encoder, width), outputs, mean=mean, std=std)
