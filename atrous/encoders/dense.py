"""The downward path of FC-DenseNet (Jegou et al. 2017, "The one hundred layers tiramisu"), in 1-D, 2-D and 3-D."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from atrous._nd import BATCH_NORM, CONV, MAX_POOL


class DenseBlock(nn.Module):
    """Layers that each read all that came before and add `growth` channels (Huang et al. 2017, "DenseNet").

    A layer is batch norm, ReLU, 3-wide convolution, dropout (table 1 of the FC-DenseNet paper).

    >>> DenseBlock(1, 4, layers=2, growth=3)(torch.zeros(2, 4, 8)).shape
    torch.Size([2, 6, 8])
    """

    def __init__(self, ndim: int, inputs: int, layers: int, growth: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                BATCH_NORM[ndim](inputs + i * growth),
                nn.ReLU(inplace=True),
                CONV[ndim](inputs + i * growth, growth, 3, padding=1),
                nn.Dropout(dropout),
            )
            for i in range(layers)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The new channels alone, `(N, layers * growth, *S)`."""
        made = []
        for layer in self.layers:
            made.append(layer(torch.cat([x, *made], dim=1)))
        return torch.cat(made, dim=1)


class DenseEncoder(nn.Module):
    """Dense blocks with a 1x1 convolution and a max pool of stride 2 after each, then a bottleneck block.

    Levels are what each block read and made, before the pool; the last one is what the bottleneck made.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        blocks: layers of each block on the way down.
        bottleneck: layers of the last block.
        growth: channels that a layer adds.
        first: channels of the first convolution.
        dropout: share of a layer's outputs that training blanks.

    >>> encoder = DenseEncoder(2, 3, blocks=(2, 2), bottleneck=3, growth=4, first=8)
    >>> encoder.channels, encoder.strides
    ((16, 24, 12), ((1, 1), (2, 2), (4, 4)))
    """

    pretrained = False

    def __init__(
        self,
        ndim: int,
        in_channels: int,
        *,
        blocks: Sequence[int] = (4, 4, 4, 4, 4),
        bottleneck: int = 4,
        growth: int = 12,
        first: int = 48,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not blocks or min(*blocks, bottleneck, growth, first) < 1:
            raise ValueError(f"blocks {tuple(blocks)}, bottleneck {bottleneck}, growth {growth}: all must be positive")
        self.ndim, self.in_channels, self.growth, self.dropout = ndim, in_channels, growth, dropout
        self.blocks = tuple(blocks)
        self.first = CONV[ndim](in_channels, first, 3, padding=1)
        self.dense, self.down = nn.ModuleList(), nn.ModuleList()
        channels = [first]
        for layers in blocks:
            self.dense.append(DenseBlock(ndim, channels[-1], layers, growth, dropout))
            channels.append(channels[-1] + layers * growth)
            self.down.append(
                nn.Sequential(
                    BATCH_NORM[ndim](channels[-1]), nn.ReLU(inplace=True), CONV[ndim](channels[-1], channels[-1], 1),
                    nn.Dropout(dropout), MAX_POOL[ndim](2),
                )
            )  # fmt: skip
        self.bottleneck = DenseBlock(ndim, channels[-1], bottleneck, growth, dropout)
        self.channels = (*channels[1:], bottleneck * growth)
        self.strides = tuple((2**level,) * ndim for level in range(len(self.channels)))

    def modules(self) -> Iterator[nn.Module]:  # type: ignore[override]
        """Every module in the order in which it runs: stages of a training count that way. Weights have their own."""
        yield from (self, self.dense, self.down)
        parts = [part for pair in zip(self.dense, self.down, strict=True) for part in pair]
        for part in (self.first, *parts, self.bottleneck):
            yield from part.modules()

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps, finest first."""
        x, levels = self.first(x), []
        for block, down in zip(self.dense, self.down, strict=True):
            levels.append(torch.cat([x, block(x)], dim=1))
            x = down(levels[-1])
        return [*levels, self.bottleneck(x)]
