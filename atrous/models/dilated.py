"""A dilated encoder and the context module.

Yu & Koltun 2016, "Multi-scale context aggregation by dilated convolutions".
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from atrous._nd import CONV
from atrous.encoders.encoder import Encoder
from atrous.models.network import Attend, DenseNetwork, attended
from atrous.nn.blocks import conv_norm_act, initialize

DILATIONS = (1, 1, 2, 4, 8, 16, 1)
"""Dilations of the context module's convolutions (table 1): its receptive field is 67 positions."""
FACTORS = {"basic": (1,) * 7, "large": (2, 2, 4, 8, 16, 32, 32)}
"""Output channels of each convolution, in multiples of the module's input channels."""
NOISE = 0.01
"""Standard deviation of the noise in a large module, where copies of one channel would otherwise learn alike."""


@torch.no_grad()
def identity_weights(weight: torch.Tensor, channels: int) -> None:
    """Set the weight of a convolution so that it passes every channel on unchanged (section 3, equations 4 and 5).

    `weight` is `(c_out, c_in, *kernel)`, in place. Both widths are multiples of `channels`: a map may hold several
    copies of every channel. An output then is the mean of its channel's copies, plus a little noise, so that the copies
    do not stay equal in training.

    >>> weight = torch.empty(2, 2, 3)
    >>> identity_weights(weight, 2)
    >>> weight.tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    outputs, inputs = weight.shape[:2]
    copies = inputs // channels
    if copies > 1 or outputs > channels:
        nn.init.normal_(weight, std=NOISE / inputs)
    else:
        weight.zero_()
    center = tuple(size // 2 for size in weight.shape[2:])
    for output in range(outputs):
        channel = output * channels // outputs
        weight[(output, slice(channel * copies, (channel + 1) * copies), *center)] += 1 / copies


class ContextModule(nn.Module):
    """Convolutions of growing dilation that start as the identity for inputs that are nowhere negative.

    Maps `(N, channels, *S)` to `(N, factor * channels, *S)` with the last of `FACTORS`, padded with zeros. The paper's
    last layer, a 1x1 convolution without a ReLU, is the network's head.

    >>> x = torch.rand(1, 4, 40)
    >>> bool(torch.allclose(ContextModule(1, 4)(x), x))
    True
    """

    def __init__(self, ndim: int, channels: int, size: Literal["basic", "large"] = "basic") -> None:
        super().__init__()
        widths = [channels, *(factor * channels for factor in FACTORS[size])]
        self.channels = widths[-1]
        layers: list[nn.Module] = []
        for i, dilation in enumerate(DILATIONS):
            layer = CONV[ndim](widths[i], widths[i + 1], 3, padding=dilation, dilation=dilation)
            identity_weights(layer.weight, channels)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            layers += [layer, nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, channels, *S)` to `(N, factor * channels, *S)`."""
        return self.layers(x)


class ContextDecoder(nn.Module):
    """The coarsest level projected to `width` channels, then the context module.

    The paper's module reads class scores of a front end that was trained before. Here it reads features after a ReLU,
    on which it starts as the identity, so that both can be trained together.
    """

    def __init__(self, encoder: Encoder, width: int, size: Literal["basic", "large"], attend: Attend | None) -> None:
        super().__init__()
        self.front = conv_norm_act(encoder.ndim, encoder.channels[-1], width, 1)
        initialize(self.front)
        self.context = ContextModule(encoder.ndim, width, size)
        self.channels = self.context.channels
        self.all_channels = (width, self.channels)
        self.attend = attended(attend, encoder.ndim, self.channels)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the projected map, and the context module's, both on the coarsest level's grid."""
        front = self.front(levels[-1])
        return [front, self.attend(self.context(front))]


def dilated(
    encoder: Encoder,
    outputs: int,
    *,
    width: int = 64,
    context: Literal["basic", "large"] = "basic",
    attend: Attend | None = None,
    deep_supervision: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> DenseNetwork:
    """Build a network of an encoder with little stride, the context module, and linear upsampling.

    Args:
        encoder: any `Encoder`; the paper's has output stride 8.
        outputs: channels of the output.
        width: channels of the context module; the large one has up to 32 times as many.
        context: "basic" or "large".
        attend: builds an attention module after the context module.
        deep_supervision: train with a head before the context module too, as the paper's front end has one.
        mean: of the raw input per channel.
        std: of the raw input per channel.

    >>> from atrous.encoders.vgg import VGG
    >>> encoder = VGG(2, in_channels=1, depth=11, width=8, output_stride=8)
    >>> dilated(encoder, outputs=2, width=16)(torch.zeros(1, 1, 33, 50)).shape
    torch.Size([1, 2, 33, 50])
    """
    decoder = ContextDecoder(encoder, width, context, attend)
    return DenseNetwork(encoder, decoder, outputs, deep_supervision=deep_supervision, mean=mean, std=std)
