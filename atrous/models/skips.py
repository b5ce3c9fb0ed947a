"""The networks of the FCN paper: FCN-32s, FCN-16s and FCN-8s over any encoder.

Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation"; at-once training from
Shelhamer, Long & Darrell 2017. The paper pads its input by 100 pixels and crops the output by a constant that fits
its own sizes; here every level's grid is exactly the input's over its stride, so nothing is to be cropped but the far
padding that makes the input divisible.
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
"""What the pools at strides 16 and 8 are multiplied by for at-once training (Shelhamer et al. 2017, section 4.3)."""

MIXED = 32
"""Up to so many classes the last upsampling has a kernel for each pair of them."""


class SkipScores(nn.Module):
    """Scores from the coarsest level, upsampled and joined with scores from finer ones by addition.

    The scores of a skip begin at zero: the network is then the one without that skip, until training finds a use for it
    (section 4.2). Every upsampling is a transposed convolution that begins as linear interpolation of each class by
    itself. With many classes the last one stays so; with few it may learn to mix them, since one kernel per class runs
    several times slower on a CPU than one per pair of classes.

    Args:
        encoder: whose levels it reads.
        outputs: scores per position.
        skips: how many finer levels join: 0, 1 and 2 for the paper's 32s, 16s and 8s.
        scales: each skip's features are multiplied by its entry before they are scored.
        attend: makes an attention module for every level that is scored.

    Attributes:
        skips: one module of scores per skip, coarse to fine.
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
        """Scores at the coarsest level's grid, at each skip's but the last, and at the input's."""
        x = self.score(self.attend[0](levels[-1]))
        made = [x]
        for i, (skip, up) in enumerate(zip(self.skips, self.up, strict=True)):
            feature = self.attend[i + 1](levels[-2 - i])
            x = up(x) + skip(feature * self.scales[i] if self.scales[i] != 1 else feature)
            made.append(x)
        return [*made[:-1], self.last(x)]


def _classic(
    encoder: Encoder, outputs: int, skips: int, scales: Sequence[float] | None, attend: Attend | None,
    deep_supervision: bool, mean: Sequence[float] | None, std: Sequence[float] | None,
) -> DenseNetwork:  # fmt: skip
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
    """FCN-32s: scores of the coarsest level, upsampled in one step (by 32 over a classifier's encoder).

    Args:
        encoder: any `Encoder`; `classifier_encoder("vgg16")` is the paper's.
        outputs: channels of the output.
        attend: makes an attention module for every level that is scored.
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
    """FCN-16s: scores of the coarsest level and of the next finer one; arguments as for `fcn8s`.

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
    """FCN-8s: scores of the three coarsest levels (strides 32, 16 and 8 over a classifier's encoder).

    Args:
        encoder: any `Encoder` of three levels or more; `classifier_encoder("vgg16")` is the paper's.
        outputs: channels of the output.
        at_once: multiply the skips' features by 0.01 and 0.0001, so that all scores can be trained at once over a
            network without batch norm, whose finer levels have larger values. Otherwise the paper trains 32s, 16s and
            8s one after the other; in a recipe that is `stages = "skips"`.
        attend: makes an attention module for every level that is scored.
        deep_supervision: train with heads on the coarser scores too.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.resnet import ResNet
    >>> fcn8s(ResNet(3, in_channels=1, depth=10, width=8), outputs=2)(torch.zeros(1, 1, 9, 20, 17)).shape
    torch.Size([1, 2, 9, 20, 17])
    """
    return _classic(encoder, outputs, 2, AT_ONCE if at_once else None, attend, deep_supervision, mean, std)
