"""The smallest complete fully convolutional network: input, 1x1, 3x3, 1x1, transposed convolution, output."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder, Plain
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.transposed import linear_upsampling


class Coarsest(nn.Module):
    """No decoder: the coarsest level goes to the head as it is, or after attention."""

    def __init__(self, encoder: Encoder, attend: Attend | None = None) -> None:
        super().__init__()
        self.channels = encoder.channels[-1]
        self.all_channels = (self.channels,)
        self.attend = attended(attend, encoder.ndim, self.channels)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """The coarsest level alone."""
        return [self.attend(levels[-1])]


def five_layer(
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    width: int = 32,
    stride: int | tuple[int, ...] = 2,
    attend: Attend | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """One of each kind of layer that an FCN has, for teaching and as the least that a figure must beat.

    The 1x1 convolution mixes the input's channels at every position, the strided 3x3 one looks around and thins the
    grid out, the next 1x1 one scores the classes, and the transposed one, which begins as linear interpolation,
    brings the grid back (Long, Shelhamer & Darrell 2015, in its smallest form).

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        width: channels of the first layer; the second has twice as many.
        stride: of the second layer and of the transposed convolution.
        attend: makes an attention module before the scores.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> five_layer(2, 3, 4, width=8)(torch.zeros(1, 3, 21, 34)).shape
    torch.Size([1, 4, 21, 34])
    """
    encoder = Plain(ndim, in_channels, width=width, stride=stride)
    head = nn.Sequential(
        CONV[ndim](encoder.channels[-1], outputs, 1), linear_upsampling(ndim, outputs, encoder.strides[-1], mix=True)
    )
    return DenseNetwork(encoder, Coarsest(encoder, attend), outputs, head=head, mean=mean, std=std)
