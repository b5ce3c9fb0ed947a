"""A light fully convolutional decoder: lateral 1x1 convolutions, summed from coarse to fine."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize, resize
from atrous.nn.fusion import FusionKind, fusion
from atrous.nn.transposed import learned_resize


class Context(nn.Module):
    """Parallel dilated convolutions on the coarsest map, summed: a larger receptive field at the same resolution.

    An atrous spatial pyramid (Chen et al. 2017, "Rethinking atrous convolution"), but without image pooling, so that
    the network has no barrier and streams in one pass.
    """

    def __init__(self, ndim: int, inputs: int, outputs: int, dilations: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        self.project = conv_norm_act(ndim, inputs, outputs, 1)
        self.branches = nn.ModuleList(
            [conv_norm_act(ndim, outputs, outputs, dilation=dilation, act=False) for dilation in dilations]
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, inputs, *S)` to `(N, outputs, *S)`."""
        x = self.project(x)
        for branch in self.branches:
            x = x + branch(x)
        return self.act(x)


class FeaturePyramid(nn.Module):
    """From the coarsest level to the finest: resize, add to a 1x1 projection of the encoder's level, and convolve.

    Lin et al. 2017, "Feature pyramid networks for object detection". The coarse levels have `width` channels. Each of
    the `halved` finest levels has half as many as the next coarser one: at stride 2 the same convolution costs 2 (1-D)
    to 8 times (3-D) as much on the finer grid. The output has the grid of the encoder's finest level.

    Args:
        encoder: the encoder whose levels it reads.
        width: channels of the coarse levels.
        fuse: how the coarser map and the encoder's are joined: "sum", "concat" or "gated".
        attend: builds an attention module for every level.
        halved: how many of the finest levels are narrower.
    """

    def __init__(
        self,
        encoder: Encoder,
        width: int = 96,
        *,
        fuse: FusionKind = "sum",
        attend: Attend | None = None,
        halved: int = 2,
    ) -> None:
        super().__init__()
        ndim, levels = encoder.ndim, len(encoder.channels)
        widths = [max(width // 2 ** max(halved - level, 0), 16) for level in range(levels)]
        if levels == 1:
            widths = [width]
        self.channels, self.all_channels = widths[0], tuple(reversed(widths))
        self.context = Context(ndim, encoder.channels[-1], widths[-1])
        self.lateral, self.reduce, self.refine = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.fuse, self.attend = nn.ModuleList(), nn.ModuleList()
        for level in range(levels - 2, -1, -1):
            coarser, finer = widths[level + 1], widths[level]
            self.lateral.append(conv_norm_act(ndim, encoder.channels[level], finer, 1, act=False))
            self.reduce.append(nn.Identity() if coarser == finer else CONV[ndim](coarser, finer, 1))
            self.refine.append(conv_norm_act(ndim, 2 * finer if fuse == "concat" else finer, finer))
            self.fuse.append(fusion(fuse, ndim, finer))
            self.attend.append(attended(attend, ndim, finer))
        initialize(nn.ModuleList([self.context, self.lateral, self.reduce, self.refine]))

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one feature map per level, coarse to fine."""
        maps = [self.context(levels[-1])]
        for i, feature in enumerate(levels[-2::-1]):
            x = resize(self.reduce[i](maps[-1]), feature.shape[2:])
            maps.append(self.attend[i](self.refine[i](self.fuse[i](x, self.lateral[i](feature)))))
        return maps


def fcn(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 96,
    fuse: FusionKind = "sum",
    attend: Attend | None = None,
    fine: bool = False,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a network with a light pyramid decoder, for high accuracy after few minutes of training on a CPU.

    The networks of the FCN paper are `fcn32s`, `fcn16s` and `fcn8s`.

    Args:
        encoder: any `Encoder`.
        outputs: channels of the output.
        width: channels of the decoder's coarse levels.
        fuse: how coarse and fine maps are joined: "sum", "concat" or "gated".
        attend: builds an attention module for every level of the decoder.
        fine: the head learns to draw borders between the positions of the finest map (`fine_head`), instead of a 1x1
            convolution whose result is resized.
        deep_supervision: train with heads on the coarser maps too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcn(ResNet(1, in_channels=4, depth=10, width=8), outputs=2, width=16)(torch.zeros(1, 4, 100)).shape
    torch.Size([1, 2, 100])
    """
    decoder = FeaturePyramid(encoder, width, fuse=fuse, attend=attend)
    head = fine_head(encoder.ndim, decoder.channels, outputs, encoder.strides[0]) if fine else None
    return DenseNetwork(encoder, decoder, outputs, head=head, deep_supervision=deep_supervision, mean=mean, std=std)


def fine_head(ndim: int, channels: int, outputs: int, strides: Sequence[int]) -> nn.Sequential:
    """Build a head of a convolution on the finest map, then a transposed one onto the input's grid.

    It maps `(N, channels, *S)` to `(N, outputs, *(S * strides))`. The convolution has twice as many channels, since
    each position describes several of the input's.
    """
    wide = conv_norm_act(ndim, channels, 2 * channels)
    return nn.Sequential(initialize(wide), learned_resize(ndim, 2 * channels, outputs, strides))
