"""The networks of the FCN paper: FCN-32s, FCN-16s and FCN-8s over any encoder.

Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation"; at-once training from
Shelhamer, Long & Darrell 2017. The paper pads its input by 100 pixels and crops the output by constants. Here every
level has exactly the input's size divided by its stride, so only the far padding that makes the input divisible is
cropped.
"""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import initialize
from atrous.nn.transposed import linear_upsampling

AT_ONCE = (1e-2, 1e-4)
"""Factors for the features at strides 16 and 8 in at-once training (Shelhamer et al. 2017, section 4.3)."""

MIXED = 32
"""Up to this number of classes the last upsampling has a kernel for each pair of classes."""


class SkipScores(nn.Module):
    """Class scores of the coarsest level, upsampled and added to class scores of finer levels.

    The score layer of a skip starts at zero, so the network starts as the one without that skip (section 4.2). Every
    upsampling is a transposed convolution that starts as linear interpolation of each class by itself. With many
    classes the last upsampling has one kernel per class, and so never mixes classes. With few it has one per pair of
    classes, which is several times faster on a CPU.

    Args:
        encoder: the encoder whose levels it reads.
        outputs: scores per position.
        skips: number of finer levels that are added: 0, 1 and 2 for the paper's 32s, 16s and 8s.
        scales: for each skip, the number by which its features are multiplied before they are scored; 1 when None.
        attend: builds an attention module for every level that is scored.

    Attributes:
        skips: one score layer per skip, coarse to fine.

    Raises:
        ValueError: the encoder has too few levels, or `scales` has another length.
    """

    def __init__(
        self,
        encoder: Encoder,
        outputs: int,
        skips: int,
        *,
        scales: Sequence[float] | None = None,
        attend: Attend | None = None,
    ) -> None:
        super().__init__()
        ndim, levels = encoder.ndim, len(encoder.channels)
        if not 0 <= skips < levels:
            raise ValueError(f"{skips} skips need an encoder of {skips + 1} levels, this one has {levels}")
        self.scales = tuple(scales or (1.0,) * skips)
        if len(self.scales) != skips:
            raise ValueError(f"{len(self.scales)} scales for {skips} skips")
        self.channels, self.all_channels = outputs, (outputs,) * (skips + 1)
        used = range(levels - 1, levels - 2 - skips, -1)
        self.attend = nn.ModuleList(attended(attend, ndim, encoder.channels[level]) for level in used)
        self.score = CONV[ndim](encoder.channels[-1], outputs, 1)
        initialize(self.score)
        self.skips, self.up = nn.ModuleList(), nn.ModuleList()
        for level in used[1:]:
            skip = CONV[ndim](encoder.channels[level], outputs, 1)
            nn.init.zeros_(skip.weight)
            nn.init.zeros_(skip.bias)  # type: ignore[arg-type]
            self.skips.append(skip)
            ratio = [c // f for c, f in zip(encoder.strides[level + 1], encoder.strides[level], strict=True)]
            self.up.append(linear_upsampling(ndim, outputs, ratio, mix=True))
        self.last = linear_upsampling(ndim, outputs, encoder.strides[used[-1]], mix=outputs <= MIXED)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return scores on the coarsest grid, on the grid of each skip but the last, and on the input's grid."""
        x = self.score(self.attend[0](levels[-1]))
        maps = [x]
        for i, (skip, up) in enumerate(zip(self.skips, self.up, strict=True)):
            feature = self.attend[i + 1](levels[-2 - i])
            x = up(x) + skip(feature * self.scales[i] if self.scales[i] != 1 else feature)
            maps.append(x)
        return [*maps[:-1], self.last(x)]


def _classic(
    encoder: Encoder, outputs: int, skips: int, scales: Sequence[float] | None, attend: Attend | None,
    deep_supervision: bool, mean: Sequence[float] | None, std: Sequence[float] | None,
) -> DenseNetwork:  # fmt: skip
    """Build the network with this number of skips."""
    decoder = SkipScores(encoder, outputs, skips, scales=scales, attend=attend)
    return DenseNetwork(
        encoder, decoder, outputs, head=nn.Identity(), deep_supervision=deep_supervision, mean=mean, std=std
    )


def fcn32s(
    encoder: Encoder,
    outputs: int,
    *,
    attend: Attend | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build an FCN-32s: scores of the coarsest level, upsampled in one step (by 32 with a classifier as encoder).

    Args:
        encoder: any `Encoder`; `classifier_encoder("vgg16")` is the paper's.
        outputs: channels of the output.
        attend: builds an attention module for every level that is scored.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcn32s(ResNet(1, in_channels=4, depth=10, width=8), outputs=2)(torch.zeros(1, 4, 45)).shape
    torch.Size([1, 2, 45])
    """
    return _classic(encoder, outputs, 0, None, attend, False, mean, std)


def fcn16s(
    encoder: Encoder,
    outputs: int,
    *,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build an FCN-16s: scores of the coarsest level and of the next finer one; arguments as for `fcn8s`.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcn16s(ResNet(2, in_channels=1, depth=10, width=8), outputs=3)(torch.zeros(1, 1, 20, 45)).shape
    torch.Size([1, 3, 20, 45])
    """
    return _classic(encoder, outputs, 1, None, attend, deep_supervision, mean, std)


def fcn8s(
    encoder: Encoder,
    outputs: int,
    *,
    at_once: bool = False,
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build an FCN-8s: scores of the three coarsest levels (strides 32, 16 and 8 with a classifier as encoder).

    Args:
        encoder: any `Encoder` of three levels or more; `classifier_encoder("vgg16")` is the paper's.
        outputs: channels of the output.
        at_once: multiply the features of the skips by 0.01 and 0.0001. In an encoder without batch norm finer levels
            have larger values; scaled, all scores can be trained at once. Otherwise the paper trains 32s, 16s and 8s
            one after the other, which a recipe does with `stages = "skips"`.
        attend: builds an attention module for every level that is scored.
        deep_supervision: train with heads on the coarser scores too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcn8s(ResNet(3, in_channels=1, depth=10, width=8), outputs=2)(torch.zeros(1, 1, 9, 20, 17)).shape
    torch.Size([1, 2, 9, 20, 17])
    """
    return _classic(encoder, outputs, 2, AT_ONCE if at_once else None, attend, deep_supervision, mean, std)
