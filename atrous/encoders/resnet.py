"""Residual networks in 1-D, 2-D and 3-D (He et al. 2016, "Deep residual learning for image recognition")."""

import torch
from torch import nn

from atrous._nd import per_axis
from atrous.nn.blocks import conv_norm_act, initialize

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks of two 3-wide convolutions per stage, by the depth that names the network."""


class Residual(nn.Module):
    """Two convolutions and a shortcut; a strided or widening block projects the shortcut (option B of the paper)."""

    def __init__(self, ndim: int, inputs: int, outputs: int, stride: tuple[int, ...]) -> None:
        super().__init__()
        self.first = conv_norm_act(ndim, inputs, outputs, stride=stride)
        self.second = conv_norm_act(ndim, outputs, outputs, act=False)
        same = inputs == outputs and set(stride) == {1}
        self.shortcut = nn.Identity() if same else conv_norm_act(ndim, inputs, outputs, 1, stride=stride, act=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(N, inputs, *S)` to `(N, outputs, *ceil(S / stride))`."""
        return self.act(self.second(self.first(x)) + self.shortcut(x))


class ResNet(nn.Module):
    """An encoder with a stride-1 stem and one stage per entry of `strides`.

    Unlike the classifier it starts from, the stem keeps the input's resolution (level 0), so thin structures survive.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        depth: 10, 18 or 34.
        width: channels of the stem and first stage; every later stage doubles them, up to 16 times.
        strides: stride of each of the four stages, one number or one per axis (anisotropic scans).

    >>> encoder = ResNet(3, in_channels=1, depth=10, width=8, strides=((1, 2, 2), 2, 2, 2))
    >>> encoder.channels, encoder.strides[-1]
    ((8, 8, 16, 32, 64), (8, 16, 16))
    >>> [tuple(level.shape[2:]) for level in encoder(torch.zeros(1, 1, 16, 16, 16))][:2]
    [(16, 16, 16), (16, 8, 8)]
    """

    pretrained = False

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        *,
        depth: int = 18,
        width: int = 32,
        strides: tuple[int | tuple[int, ...], ...] = (2, 2, 2, 2),
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth {depth} is not one of {sorted(BLOCKS)}")
        if not 1 <= len(strides) <= len(BLOCKS[depth]):
            raise ValueError(f"{len(strides)} strides for a network of at most {len(BLOCKS[depth])} stages")
        self.ndim, self.in_channels = ndim, in_channels
        self.stem = conv_norm_act(ndim, in_channels, width)
        channels, total, stages = [width], [(1,) * ndim], []
        for level, (blocks, step) in enumerate(zip(BLOCKS[depth], strides, strict=False)):
            stride, outputs = per_axis(step, ndim), width * 2**level
            layers = [Residual(ndim, channels[-1], outputs, stride)]
            layers += [Residual(ndim, outputs, outputs, (1,) * ndim) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*layers))
            channels.append(outputs)
            total.append(tuple(a * b for a, b in zip(total[-1], stride, strict=True)))
        self.stages = nn.ModuleList(stages)
        self.channels, self.strides = tuple(channels), tuple(total)
        initialize(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, finest first."""
        levels = [self.stem(x)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels
