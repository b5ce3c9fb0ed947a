"""A dilated network over codons: one position for every three bases in between, and the bases at the end.

A second path keeps single bases. A gene begins at an exact base, and what tells which one, a ribosome binding site 5 to
13 bases before a start codon (Shine & Dalgarno 1974), lies at any distance, not only at whole codons. This path sees 18
bases on either side; the maps of the two are added, as in the skips of FCN-8s.

The residual stack of dilated convolutions is that of Yu & Koltun 2016 ("Multi-scale context aggregation by dilated
convolutions") and van den Oord et al. 2016 ("WaveNet"), without pooling, and not causal. The stem has stride
three. The channels on its grid can tell the reading frames of either strand apart, and no later layer shifts them.
"""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import BATCH_NORM, CONV, CONV_TRANSPOSE
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize
from atrous.nn.mirror import mirror

CODON = 3
BASES = 4
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 16, 4, 1)
STEM = 21
"""Kernel of the stem in bases: seven codons."""
NEAR = ((9, 1), (7, 2), (5, 4))
"""Kernels and dilations of the path of single bases: it sees 18 bases on either side."""


class Codons(nn.Module):
    """An encoder of one level: a convolution whose stride is a codon, centered on the codon's middle base.

    With `local` there is a finer level before it, of single bases: three convolutions.

    Args:
        ndim: spatial axes; 1 for sequences.
        in_channels: channels of the input.
        width: channels of the level.
        kernel: of the convolution, in bases, odd.
        local: channels of the level of single bases; 0 for none.
    """

    pretrained = False

    def __init__(self, ndim: int, in_channels: int, width: int, kernel: int = STEM, local: int = 0) -> None:
        super().__init__()
        self.ndim, self.in_channels = ndim, in_channels
        self.channels, self.strides = (width,), ((CODON,) * ndim,)
        self.near = nn.Sequential()
        if local:
            self.channels, self.strides = (local, width), ((1,) * ndim, (CODON,) * ndim)
            for number, (size, dilation) in enumerate(NEAR):
                last, inputs = number == len(NEAR) - 1, local if number else in_channels
                self.near.append(conv_norm_act(ndim, inputs, local, size, dilation=dilation, act=not last))
        # This padding centers the kernel on the middle base of a codon, so that the grid is its own mirror image;
        # `kernel // 2` would center it on the first base.
        self.stem = CONV[ndim](in_channels, width, kernel, stride=CODON, padding=kernel // 2 - 1, bias=False)
        self.norm = conv_norm_act(ndim, width, width, 1)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map `(N, in_channels, *S)` to one level `(N, width, *(S / 3))`, and one `(N, local, *S)` before it if any."""
        coarse = self.norm(torch.relu(self.stem(x)))
        return [self.near(x), coarse] if len(self.near) else [coarse]


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
    """A decoder of dilated blocks in a row, on the encoder's coarsest level.

    If the encoder has a level of single bases, the result is brought to it by a transposed convolution and added to it;
    a 1x1 convolution mixes the sum.

    Args:
        encoder: an encoder of one or two levels.
        dilations: one per block, in codons.
        attend: builds an attention module after the last block.
    """

    def __init__(self, encoder: Codons, dilations: Sequence[int], attend: Attend | None = None) -> None:
        super().__init__()
        width = encoder.channels[-1]
        self.blocks = nn.Sequential(*(DilatedBlock(encoder.ndim, width, dilation) for dilation in dilations))
        self.attend = attended(attend, encoder.ndim, width)
        self.channels, self.all_channels = encoder.channels[0], (encoder.channels[0],)
        self.rise, self.mix = nn.Sequential(), nn.Sequential()
        if len(encoder.channels) > 1:
            local, ndim = encoder.channels[0], encoder.ndim
            self.rise.append(CONV_TRANSPOSE[ndim](width, local, CODON, stride=CODON, bias=False))
            self.rise.append(BATCH_NORM[ndim](local))
            self.mix = conv_norm_act(ndim, local, local, 1)
            initialize(self.mix)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the one feature map, on the grid of the encoder's finest level."""
        coarse = self.attend(self.blocks(levels[-1]))
        return [self.mix(torch.relu(self.rise(coarse) + levels[0]))] if len(levels) > 1 else [coarse]


def codons(
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    width: int | tuple[int, int] = 64,
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
        width: channels of every layer; a pair has those of a second path of single bases after them.
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
    wide, local = (width, 0) if isinstance(width, int) else width
    encoder = Codons(ndim, in_channels, wide, local=local)
    decoder = DilatedStack(encoder, dilations, attend)
    head = CONV[ndim](local, outputs, 1) if local else CONV_TRANSPOSE[ndim](wide, outputs, CODON, stride=CODON)
    network = DenseNetwork(encoder, decoder, outputs, head=head, stride=(CODON,) * ndim, mean=mean, std=std)
    if reverse_complement:
        if ndim != 1 or attend is not None or in_channels < BASES:
            raise ValueError("strands share weights in networks over one axis of bases, without attention")
        first = [encoder.stem, *(layer for layer in encoder.near[:1].modules() if isinstance(layer, nn.Conv1d))]
        mirror(network, first, head, () if reverse_complement is True else tuple(reverse_complement))
    return network
