"""The downward path of FC-DenseNet (Jegou et al. 2017, "The one hundred layers tiramisu"), in 1-D, 2-D and 3-D."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from atrous._nd import BATCH_NORM, CONV, MAX_POOL


@dataclass(frozen=True)
class DenseLayers:
    """How many layers an FC-DenseNet has, and how wide they are.

    Attributes:
        blocks: layers of each dense block on the way down, finest first.
        bottleneck: layers of the block on the coarsest grid.
        growth: channels that each layer adds.
        first: channels of the first convolution.
        dropout: fraction of a layer's output channels and positions that training sets to zero.
    """

    blocks: tuple[int, ...] = (4, 4, 4, 4, 4)
    bottleneck: int = 4
    growth: int = 12
    first: int = 48
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: a number of layers or channels is less than 1, or there is no block.
        """
        if not self.blocks or min(*self.blocks, self.bottleneck, self.growth, self.first) < 1:
            raise ValueError(
                f"blocks {self.blocks}, bottleneck {self.bottleneck}, growth {self.growth}: all must be positive"
            )


class DenseBlock(nn.Module):
    """Layers that each read the block's input and all earlier layers' outputs (Huang et al. 2017, "DenseNet").

    A layer is a batch norm, a ReLU, a convolution with a kernel of 3 that gives `growth` channels, and a dropout (table
    1 of the FC-DenseNet paper).

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
        """Map `(N, inputs, *S)` to the new channels alone, `(N, layers * growth, *S)`."""
        outputs = []
        for layer in self.layers:
            outputs.append(layer(torch.cat([x, *outputs], dim=1)))
        return torch.cat(outputs, dim=1)


class DenseEncoder(nn.Module):
    """Dense blocks with a 1x1 convolution and a max pool of stride 2 after each, then a bottleneck block.

    A level holds the input and the output of its block, before the pool. The coarsest level holds the output of the
    bottleneck block alone.

    Args:
        ndim: spatial axes, 1 to 3.
        in_channels: channels of the input.
        layers: number and width of the layers.

    >>> encoder = DenseEncoder(2, 3, DenseLayers((2, 2), bottleneck=3, growth=4, first=8))
    >>> encoder.channels, encoder.strides
    ((16, 24, 12), ((1, 1), (2, 2), (4, 4)))
    """

    pretrained = False

    def __init__(self, ndim: int, in_channels: int, layers: DenseLayers = DenseLayers()) -> None:
        super().__init__()
        growth, dropout = layers.growth, layers.dropout
        self.ndim, self.in_channels, self.size = ndim, in_channels, layers
        self.first = CONV[ndim](in_channels, layers.first, 3, padding=1)
        self.dense, self.down = nn.ModuleList(), nn.ModuleList()
        channels = [layers.first]
        for count in layers.blocks:
            self.dense.append(DenseBlock(ndim, channels[-1], count, growth, dropout))
            channels.append(channels[-1] + count * growth)
            self.down.append(
                nn.Sequential(
                    BATCH_NORM[ndim](channels[-1]), nn.ReLU(inplace=True), CONV[ndim](channels[-1], channels[-1], 1),
                    nn.Dropout(dropout), MAX_POOL[ndim](2),
                )
            )  # fmt: skip
        self.bottleneck = DenseBlock(ndim, channels[-1], layers.bottleneck, growth, dropout)
        self.channels = (*channels[1:], layers.bottleneck * growth)
        self.strides = tuple((2**level,) * ndim for level in range(len(self.channels)))

    def modules(self) -> Iterator[nn.Module]:  # type: ignore[override]
        """Yield every module in the order in which it runs, since stages of a training freeze the first ones.

        Parameters and the state dict keep the order of registration.
        """
        yield from (self, self.dense, self.down)
        parts = [part for pair in zip(self.dense, self.down, strict=True) for part in pair]
        for part in (self.first, *parts, self.bottleneck):
            yield from part.modules()

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of `(N, in_channels, *S)`, finest first."""
        x, levels = self.first(x), []
        for block, down in zip(self.dense, self.down, strict=True):
            levels.append(torch.cat([x, block(x)], dim=1))
            x = down(levels[-1])
        return [*levels, self.bottleneck(x)]
