"""The smallest complete fully convolutional network: input, 1x1, 3x3, 1x1, transposed convolution, output."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder, Plain
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.transposed import linear_upsampling


class Coarsest(nn.Module):
    """No decoder: the head reads the coarsest level as it is, or after attention."""

    def __init__(self, encoder: Encoder, attend: Attend | None = None) -> None:
        super().__init__()
        self.channels = encoder.channels[-1]
        self.all_channels = (self.channels,)
        self.attend = attended(attend, encoder.ndim, self.channels)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the coarsest level alone."""
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
    """Build a network with one of each kind of layer that an FCN has, for teaching and as a baseline.

    A 1x1 convolution mixes the input's channels at every position. A strided convolution with a kernel of 3 reads the
    neighbors and thins the grid out. A second 1x1 convolution gives the scores of the classes. A transposed
    convolution, which starts as linear interpolation, restores the grid (Long, Shelhamer & Darrell 2015, in its
    smallest form).

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        outputs: channels of the output.
        width: channels of the first layer; the second has twice as many.
        stride: of the second layer and of the transposed convolution.
        attend: builds an attention module before the scores.
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
