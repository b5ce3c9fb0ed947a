"""A dilated network over codons: one position for every three bases in between, and the bases at the end.

The residual stack of dilated convolutions is that of Yu & Koltun 2016 ("Multi-scale context aggregation by dilated
convolutions") and van den Oord et al. 2016 ("WaveNet"), without pooling, and not causal. The stem has stride
three. The channels on its grid can tell the reading frames of either strand apart, and no later layer shifts them.
"""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV, CONV_TRANSPOSE
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.mirror import mirror

CODON = 3
BASES = 4
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 16, 4, 1)
STEM = 21
"""Kernel of the stem in bases: seven codons."""


class Codons(nn.Module):
    """An encoder of one level: a convolution whose stride is a codon, centered on the codon's middle base.

    Args:
        ndim: spatial axes; 1 for sequences.
        in_channels: channels of the input.
        width: channels of the level.
        kernel: of the convolution, in bases, odd.
    """

    pretrained = False

    def __init__(self, ndim: int, in_channels: int, width: int, kernel: int = STEM) -> None:
        super().__init__()
        self.ndim, self.in_channels = ndim, in_channels
        self.channels, self.strides = (width,), ((CODON,) * ndim,)
        # This padding centers the kernel on the middle base of a codon, so that the grid is its own mirror image;
        # `kernel // 2` would center it on the first base.
        self.stem = CONV[ndim](in_channels, width, kernel, stride=CODON, padding=kernel // 2 - 1, bias=False)
        self.norm = conv_norm_act(ndim, width, width, 1)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map `(N, in_channels, *S)` to one level `(N, width, *(S / 3))`."""
        return [self.norm(torch.relu(self.stem(x)))]


class DilatedBlock(nn.Module):
    """A dilated convolution with a kernel of 3 and a 1x1 convolution, with a shortcut around them."""

    def __init__(self, ndim: int, width: int, dilation: int) -> None:
        super().__init__()
        self.wide = conv_norm_act(ndim, width, width, dilation=dilation)
        self.mix = conv_norm_act(ndim, width, width, 1, act=False)
        self.act = nn.ReLU(inplace=True)
        initialize(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, width, *S)` to the same shape."""
        return self.act(self.mix(self.wide(x)) + x)


class DilatedStack(nn.Module):
    """A decoder of dilated blocks in a row, on the encoder's only level.

    Args:
        encoder: an encoder of one level.
        dilations: one per block, in codons.
        attend: builds an attention module after the last block.
    """

    def __init__(self, encoder: Codons, dilations: Sequence[int], attend: Attend | None = None) -> None:
        super().__init__()
        width = encoder.channels[-1]
        self.blocks = nn.Sequential(*(DilatedBlock(encoder.ndim, width, dilation) for dilation in dilations))
        self.attend = attended(attend, encoder.ndim, width)
        self.channels, self.all_channels = width, (width,)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the one feature map, on the encoder's grid."""
        return [self.attend(self.blocks(levels[-1]))]


def codons(
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    width: int = 64,
    dilations: Sequence[int] = DILATIONS,
    reverse_complement: bool | Sequence[int] = False,
    attend: Attend | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a dilated network on the grid of codons; with the default dilations its receptive field is 3,200 bases.

    Args:
        ndim: spatial axes.
        in_channels: channels of the input.
        outputs: channels of the output.
        width: channels of every layer.
        dilations: one per block, in codons.
        reverse_complement: share the weights between the strands (`nn/mirror.py`): for the reverse complement of a
            sequence of whole codons the network then gives the reverse complement of its output. If True, outputs
            alternate between the strands `+` and `-`; a sequence gives the output that each output is on the other
            strand (itself, if it has no strand).
        attend: builds an attention module after the last block.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    Raises:
        ValueError: the strands are to share weights, but the network has several axes, an odd width or attention.

    >>> codons(1, 4, 2, width=8, dilations=(1, 2))(torch.zeros(1, 4, 100)).shape
    torch.Size([1, 2, 100])
    """
    encoder = Codons(ndim, in_channels, width)
    decoder = DilatedStack(encoder, dilations, attend)
    head = CONV_TRANSPOSE[ndim](width, outputs, CODON, stride=CODON)
    network = DenseNetwork(encoder, decoder, outputs, head=head, stride=(CODON,) * ndim, mean=mean, std=std)
    if reverse_complement:
        if ndim != 1 or attend is not None or in_channels < BASES:
            raise ValueError("strands share weights in networks over one axis of bases, without attention")
        mirror(network, encoder.stem, head, () if reverse_complement is True else tuple(reverse_complement))
    return network
