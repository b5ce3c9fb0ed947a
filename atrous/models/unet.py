"""U-Net over any encoder (Ronneberger, Fischer & Brox 2015)."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize, resize
from atrous.nn.fusion import FusionKind, fusion


class UNetDecoder(nn.Module):
    """From the coarsest level to the finest: resize, join with the encoder's level, and convolve twice.

    Args:
        encoder: the encoder whose levels it reads.
        width: channels of the finest level; coarser ones have up to 8 times as many.
        fuse: how the coarser map and the encoder's are joined; the paper concatenates. For "sum" and "gated" a 1x1
            convolution first gives the encoder's map as many channels as the coarser map has.
        attend: builds an attention module for every level.
    """

    def __init__(
        self, encoder: Encoder, width: int = 32, *, fuse: FusionKind = "concat", attend: Attend | None = None
    ) -> None:
        super().__init__()
        ndim, channels = encoder.ndim, encoder.channels
        self.steps, self.lateral = nn.ModuleList(), nn.ModuleList()
        self.fuse, self.attend = nn.ModuleList(), nn.ModuleList()
        channels_of_maps, below = [], channels[-1]
        for level in range(len(channels) - 2, -1, -1):
            outputs = width * 2 ** min(level, 3)
            joined = below + channels[level] if fuse == "concat" else below
            self.steps.append(
                nn.Sequential(conv_norm_act(ndim, joined, outputs), conv_norm_act(ndim, outputs, outputs))
            )
            same = fuse == "concat" or channels[level] == below
            self.lateral.append(nn.Identity() if same else CONV[ndim](channels[level], below, 1))
            self.fuse.append(fusion(fuse, ndim, below))
            self.attend.append(attended(attend, ndim, outputs))
            channels_of_maps.append(outputs)
            below = outputs
        self.all_channels = tuple(channels_of_maps) or (below,)
        self.channels = self.all_channels[-1]
        initialize(nn.ModuleList([self.steps, self.lateral]))

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one feature map per level but the coarsest, coarse to fine."""
        maps, x = [], levels[-1]
        for i, feature in enumerate(levels[-2::-1]):
            x = self.fuse[i](resize(x, feature.shape[2:]), self.lateral[i](feature))
            x = self.attend[i](self.steps[i](x))
            maps.append(x)
        return maps or [x]


def unet(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 32,
    fuse: FusionKind = "concat",
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a U-Net: skip connections from every level of `encoder`, by concatenation.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output.
        width: channels of the decoder's finest level; coarser ones have up to 8 times as many.
        fuse: how coarse and fine maps are joined: "concat", "sum" or "gated".
        attend: builds an attention module for every level of the decoder.
        deep_supervision: train with heads on the coarser maps too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.vgg import VGG
    >>> unet(VGG(2, in_channels=1, depth=11, width=8), outputs=2, width=8)(torch.zeros(1, 1, 33, 50)).shape
    torch.Size([1, 2, 33, 50])
    """
    decoder = UNetDecoder(encoder, width, fuse=fuse, attend=attend)
    return DenseNetwork(encoder, decoder, outputs, deep_supervision=deep_supervision, mean=mean, std=std)
