"""DeepLab v3+ over any encoder (Chen et al. 2018, "Encoder-decoder with atrous separable convolution")."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize, resize

DETAIL_STRIDE = 4
"""The decoder joins the coarsest level of the encoder whose stride is at most this."""
DETAIL_CHANNELS = 48


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 and several dilated convolutions side by side, and the mean of the map.

    Chen et al. 2017, "Rethinking atrous convolution", section 3.3. The mean over the whole extent (image pooling) is a
    barrier: with it the network streams in two passes. Its branch has no batch norm, since a batch of one image gives
    that one value per channel.

    Args:
        ndim: spatial axes.
        inputs: channels of the input.
        outputs: channels of each branch and of the result.
        rates: dilation of the branches with a kernel of 3.
        image_pooling: whether the mean is a branch.

    >>> AtrousPyramid(2, 8, 4)(torch.zeros(1, 8, 5, 6)).shape
    torch.Size([1, 4, 5, 6])
    """

    def __init__(
        self, ndim: int, inputs: int, outputs: int, rates: Sequence[int] = (6, 12, 18), *, image_pooling: bool = True
    ) -> None:
        super().__init__()
        branches = [conv_norm_act(ndim, inputs, outputs, 1)]
        branches += [conv_norm_act(ndim, inputs, outputs, dilation=rate) for rate in rates]
        self.branches = nn.ModuleList(branches)
        self.image = nn.Sequential(CONV[ndim](inputs, outputs, 1), nn.ReLU(inplace=True)) if image_pooling else None
        self.project = conv_norm_act(ndim, (len(branches) + image_pooling) * outputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, inputs, *S)` to `(N, outputs, *S)`."""
        maps = [branch(x) for branch in self.branches]
        if self.image is not None:
            mean = self.image(x.mean(list(range(2, x.ndim)), keepdim=True))
            maps.append(mean.expand(-1, -1, *x.shape[2:]))
        return self.project(torch.cat(maps, dim=1))


class AtrousDecoder(nn.Module):
    """The pyramid on the coarsest level, joined with one finer level by two convolutions.

    Args:
        encoder: the encoder whose levels it reads, at least two.
        width: channels of the pyramid and of the convolutions.
        rates: dilation of the pyramid's branches.
        image_pooling: whether the mean over the whole extent is a branch.
        attend: builds an attention module, one after the pyramid and one at the end.
    """

    def __init__(
        self, encoder: Encoder, width: int, rates: Sequence[int], *, image_pooling: bool, attend: Attend | None
    ) -> None:
        super().__init__()
        ndim = encoder.ndim
        if len(encoder.channels) < 2:
            raise ValueError("deeplab joins two levels, the encoder has one")
        fine = [i for i, s in enumerate(encoder.strides[:-1]) if max(s) <= DETAIL_STRIDE]
        self.level = fine[-1] if fine else 0
        self.channels, self.all_channels = width, (width, width)
        self.pyramid = AtrousPyramid(ndim, encoder.channels[-1], width, rates, image_pooling=image_pooling)
        self.detail = conv_norm_act(ndim, encoder.channels[self.level], DETAIL_CHANNELS, 1)
        self.refine = nn.Sequential(
            conv_norm_act(ndim, width + DETAIL_CHANNELS, width), conv_norm_act(ndim, width, width)
        )
        initialize(self)
        self.attend = nn.ModuleList(attended(attend, ndim, width) for _ in range(2))

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the pyramid's map on the coarsest grid, and the refined one on the finer level's grid."""
        coarse = self.attend[0](self.pyramid(levels[-1]))
        detail = self.detail(levels[self.level])
        joined = torch.cat([resize(coarse, detail.shape[2:]), detail], dim=1)
        return [coarse, self.attend[1](self.refine(joined))]


def deeplab(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 256,
    rates: Sequence[int] = (6, 12, 18),
    image_pooling: bool = True,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a DeepLab v3+: atrous spatial pyramid pooling with image pooling, then a small decoder with one skip.

    Args:
        encoder: any `Encoder` of two levels or more; the paper's has output stride 16 (or 8, with doubled rates).
        outputs: channels of the output.
        width: channels of the pyramid and the decoder.
        rates: dilation of the pyramid's branches.
        image_pooling: whether the mean over the whole extent is a branch; without it the network streams in one pass.
        attend: builds an attention module, one after the pyramid and one at the end.
        deep_supervision: train with a head on the pyramid too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> encoder = ResNet(2, in_channels=1, depth=10, width=8, output_stride=8)
    >>> deeplab(encoder, outputs=2, width=16)(torch.zeros(2, 1, 33, 50)).shape
    torch.Size([2, 2, 33, 50])
    """
    decoder = AtrousDecoder(encoder, width, rates, image_pooling=image_pooling, attend=attend)
    return DenseNetwork(encoder, decoder, outputs, deep_supervision=deep_supervision, mean=mean, std=std)
