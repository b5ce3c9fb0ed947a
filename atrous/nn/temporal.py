"""Layers along time for networks that hold a clip as a batch of frames: convolutions along time, (2+1)-D blocks.

As a batch, frames run through any 2-D layer as fast as images do. Only the layers here mix the frames of a clip.
"""

import torch
from torch import nn
from torch.nn import functional as F

from atrous.nn.blocks import initialize


def to_frames(x: torch.Tensor) -> torch.Tensor:
    """Return clips `(N, C, T, H, W)` as a batch of frames `(N * T, C, H, W)`.

    It is a view if the channels are last in memory.

    >>> to_frames(torch.zeros(2, 3, 4, 8, 9)).shape
    torch.Size([8, 3, 8, 9])
    """
    return x.transpose(1, 2).flatten(0, 1)


def to_clip(x: torch.Tensor, frames: int) -> torch.Tensor:
    """Return a batch of frames `(N * T, C, H, W)` as clips `(N, C, T, H, W)` of `frames` frames each."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2)


class AlongTime(nn.Module):
    """A convolution along time alone, `(kernel, 1, 1)`, on a batch of frames `(N * T, C, H, W)`.

    The batch does not show where one clip ends and the next one starts. So `frames`, the length T of the clips, must be
    set before each pass (`set_frames`). A clip is padded with zeros at both ends, or before its start if causal.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: frames that an output frame reads, odd unless causal.
        causal: whether it reads this frame and earlier ones only.
        residual: whether the result is added to the input. The weights then start at zero, so that the layer starts as
            the identity.
        groups: of the channels, as in `torch.nn.Conv3d`.

    Raises:
        ValueError: the kernel is even and not causal, or the channels differ in a residual layer.

    >>> layer = AlongTime(2, 2, causal=True, residual=True)
    >>> layer.frames = 4
    >>> x = torch.randn(4, 2, 5, 5)
    >>> bool(torch.equal(layer(x), x))
    True
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        causal: bool = False,
        residual: bool = False,
        groups: int = 1,
    ) -> None:
        super().__init__()
        if kernel < 1 or (kernel % 2 == 0 and not causal):
            raise ValueError(f"a kernel of {kernel} frames has no middle: give an odd one, or a causal network")
        if residual and inputs != outputs:
            raise ValueError(f"{inputs} channels cannot be added to {outputs}")
        self.causal, self.residual, self.frames = causal, residual, 1
        self.before, self.after = (kernel - 1, 0) if causal else (kernel // 2, kernel // 2)
        self.conv = nn.Conv3d(inputs, outputs, (kernel, 1, 1), groups=groups, bias=False)
        if residual:
            nn.init.zeros_(self.conv.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N * T, inputs, H, W)` to `(N * T, outputs, H, W)`."""
        clip = F.pad(to_clip(x, self.frames), (0, 0, 0, 0, self.before, self.after))
        mixed = to_frames(self.conv(clip))
        return x + mixed if self.residual else mixed


def set_frames(network: nn.Module, frames: int) -> None:
    """Set the length of the clips in the next batch, in every `AlongTime` of a network."""
    for module in network.modules():
        if isinstance(module, AlongTime):
            module.frames = frames


def factorized(conv: nn.Conv2d, kernel: int = 3, *, causal: bool = False) -> nn.Sequential:
    """Build a (2+1)-D block: the given convolution in the plane, batch norm, ReLU, and a convolution along time.

    Tran et al. 2018, "A closer look at spatiotemporal convolutions for action recognition", section 3.5. Unlike there,
    the map between the two convolutions has as many channels as the convolution in the plane gives.

    >>> block = factorized(nn.Conv2d(3, 8, 3, padding=1, bias=False))
    >>> [type(layer).__name__ for layer in block]
    ['Conv2d', 'BatchNorm2d', 'ReLU', 'AlongTime']
    """
    channels = conv.out_channels
    time = AlongTime(channels, channels, kernel, causal=causal, groups=conv.groups)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), initialize(time))
