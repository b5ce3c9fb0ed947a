"""SegNet over any encoder (Badrinarayanan, Kendall & Cipolla 2017)."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.unpool import places, pool_with_indices, unpool


class UnpoolingDecoder(nn.Module):
    """Unpool to the places of the encoder's maxima, then convolve, level by level.

    Of each level the decoder reads only where its maxima are, over windows as large as the stride to the next level.
    With `VGG` these are the encoder's own pools; with any other encoder the level is pooled for this purpose. As in the
    paper, the coarsest level is pooled too, once more.

    Args:
        encoder: the encoder whose levels it reads.
        convolutions: number of convolutions after each unpooling.
        attend: builds an attention module for every level.
    """

    def __init__(self, encoder: Encoder, *, convolutions: int = 2, attend: Attend | None = None) -> None:
        super().__init__()
        if convolutions < 1:
            raise ValueError(f"{convolutions} convolutions: unpooled maps are sparse, at least one must fill them")
        ndim, channels = encoder.ndim, encoder.channels
        strides = [*encoder.strides, tuple(2 * step for step in encoder.strides[-1])]
        self.stride = strides[-1]
        self.windows = [tuple(b // a for a, b in zip(*pair, strict=True)) for pair in zip(strides, strides[1:])]  # noqa: B905, RUF007
        self.steps, self.attend = nn.ModuleList(), nn.ModuleList()
        channels_of_maps = []
        for level in range(len(channels) - 1, -1, -1):
            outputs = channels[max(level - 1, 0)]
            widths = [channels[level]] * convolutions + [outputs]
            self.steps.append(
                nn.Sequential(*(conv_norm_act(ndim, widths[i], widths[i + 1]) for i in range(convolutions)))
            )
            self.attend.append(attended(attend, ndim, outputs))
            channels_of_maps.append(outputs)
        self.all_channels, self.channels = tuple(channels_of_maps), channels_of_maps[-1]
        initialize(self.steps)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one feature map per level, coarse to fine."""
        indices = [places(level, window) for level, window in zip(levels, self.windows, strict=True)]
        maps, x = [], pool_with_indices(levels[-1], self.windows[-1])[0]
        for i, (step, attend) in enumerate(zip(self.steps, self.attend, strict=True)):
            level = len(levels) - 1 - i
            x = unpool(x, indices[level], self.windows[level], levels[level].shape[2:])
            x = attend(step(x))
            maps.append(x)
        return maps


def segnet(
    encoder: Encoder,
    outputs: int,
    *,
    convolutions: int = 2,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a SegNet: unpooling with the indices of the encoder's maxima, then convolutions, level by level.

    Args:
        encoder: any `Encoder`; `VGG(ndim, in_channels, depth=16)` is the paper's.
        outputs: channels of the output.
        convolutions: number of convolutions after each unpooling.
        attend: builds an attention module for every level of the decoder.
        deep_supervision: train with heads on the coarser maps too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.vgg import VGG
    >>> segnet(VGG(2, in_channels=1, depth=11, width=8), outputs=2)(torch.zeros(1, 1, 33, 50)).shape
    torch.Size([1, 2, 33, 50])
    """
    decoder = UnpoolingDecoder(encoder, convolutions=convolutions, attend=attend)
    return DenseNetwork(
        encoder, decoder, outputs, stride=decoder.stride, deep_supervision=deep_supervision, mean=mean, std=std
    )
