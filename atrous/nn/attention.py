"""Attention: modules that reweight a feature map `(N, C, *S)` and keep its shape.

| kind | reweights | reads | source |
|---|---|---|---|
| `se` | channels | the whole extent | Hu, Shen & Sun 2018, "Squeeze-and-excitation networks" |
| `eca` | channels, from neighboring ones | the whole extent | Wang et al. 2020, "ECA-Net" |
| `spatial` | positions | a window | Woo et al. 2018, "CBAM", section 3.2 |
| `cbam` | channels, then positions | the whole extent | Woo et al. 2018 |
| `scse` | channels and positions, then the maximum | the whole extent | Roy, Navab & Wachinger 2018 |
| `sk` | two receptive fields, for each channel | the whole extent | Li et al. 2019, "Selective kernel networks" |
| `local` | positions of a window, by content | a window | Ramachandran et al. 2019; Hassani et al. 2023 |

Modules that read the whole extent are barriers: a network with k of them in a row streams exactly in k + 1 passes. The
others stream in one pass.
"""

import itertools
import math
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV
from atrous.nn.blocks import conv_norm_act

AttentionKind = Literal["se", "eca", "spatial", "cbam", "scse", "sk", "local"]


def _hidden(channels: int, reduction: int) -> int:
    """Return the channels of the bottleneck of a channel gate."""
    return max(channels // reduction, 4)


def _spatial_dims(x: torch.Tensor) -> list[int]:
    """Return the dimensions `*S` of `(N, C, *S)`."""
    return list(range(2, x.ndim))


class SqueezeExcitation(nn.Module):
    """Channel weights from the mean of every channel over all positions (Hu, Shen & Sun 2018).

    `gate = sigmoid(expand(relu(reduce(mean(x)))))`, with `C / reduction` channels between the two 1x1 convolutions.

    >>> SqueezeExcitation(1, 8)(torch.ones(1, 8, 5)).shape
    torch.Size([1, 8, 5])
    """

    def __init__(self, ndim: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.reduce = CONV[ndim](channels, _hidden(channels, reduction), 1)
        self.expand = CONV[ndim](_hidden(channels, reduction), channels, 1)

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weight of every channel of `(N, C, *S)`, as `(N, C, 1, ...)` in 0..1."""
        pooled = x.mean(_spatial_dims(x), keepdim=True)
        return torch.sigmoid(self.expand(F.relu(self.reduce(pooled))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply every channel of `(N, C, *S)` by its weight."""
        return x * self.gate(x)


class EfficientChannel(nn.Module):
    """Channel weights from the means of a few neighboring channels, without a bottleneck (Wang et al. 2020).

    The kernel over channels is `(log2 C + 1) / 2`, rounded down, and then up to an odd number, as in the paper.
    """

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        kernel = int(abs((math.log2(channels) + 1) / 2))
        kernel += 1 - kernel % 2
        self.mix = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply every channel of `(N, C, *S)` by its weight."""
        pooled = x.mean(_spatial_dims(x))
        gate = torch.sigmoid(self.mix(pooled.unsqueeze(1))).squeeze(1)  # along channels: (N, 1, C) -> (N, C)
        return x * gate.reshape(*gate.shape, *(1 for _ in _spatial_dims(x)))


class SpatialGate(nn.Module):
    """Position weights from the mean and the maximum of all channels, by one convolution (Woo et al. 2018, eq. 3)."""

    def __init__(self, ndim: int, kernel: int = 7) -> None:
        super().__init__()
        self.mix = CONV[ndim](2, 1, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply every position of `(N, C, *S)` by its weight."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.mix(pooled))


class CBAM(nn.Module):
    """Channel weights from mean and maximum over all positions, then position weights (Woo et al. 2018, eq. 1 to 3)."""

    def __init__(self, ndim: int, channels: int, reduction: int = 8, kernel: int = 7) -> None:
        super().__init__()
        self.reduce = CONV[ndim](channels, _hidden(channels, reduction), 1)
        self.expand = CONV[ndim](_hidden(channels, reduction), channels, 1)
        self.positions = SpatialGate(ndim, kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the channels of `(N, C, *S)`, then its positions."""
        dims = _spatial_dims(x)
        mean = self.expand(F.relu(self.reduce(x.mean(dims, keepdim=True))))
        most = self.expand(F.relu(self.reduce(x.amax(dims, keepdim=True))))
        return self.positions(x * torch.sigmoid(mean + most))


class SCSE(nn.Module):
    """A channel gate and a position gate side by side; the larger result is kept (Roy et al. 2018, max-out)."""

    def __init__(self, ndim: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.channels = SqueezeExcitation(ndim, channels, reduction)
        self.positions = CONV[ndim](channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weight the channels and, apart from that, the positions of `(N, C, *S)`; take the maximum of the two maps."""
        return torch.maximum(self.channels(x), x * torch.sigmoid(self.positions(x)))


class SelectiveKernel(nn.Module):
    """Attention over two branches of different receptive fields (Li et al. 2019, arXiv:1903.06586, section 3.1).

    Split: a 3x3 convolution and one that is dilated by 2, which sees 5 positions along each axis. Fuse: the mean of
    their sum over all positions, through a bottleneck. Select: for each channel a softmax over the branches. Of two
    scores it is a sigmoid of their difference, so only that is computed:

        gate = sigmoid(expand(relu(reduce(mean(narrow + wide)))))
        output = gate * narrow + (1 - gate) * wide

    >>> SelectiveKernel(2, 8)(torch.ones(1, 8, 5, 4)).shape
    torch.Size([1, 8, 5, 4])
    """

    def __init__(self, ndim: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.narrow = conv_norm_act(ndim, channels, channels)
        self.wide = conv_norm_act(ndim, channels, channels, dilation=2)
        self.select = SqueezeExcitation(ndim, channels, reduction)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix the two branches of `(N, C, *S)`."""
        narrow, wide = self.narrow(x), self.wide(x)
        return wide + self.select.gate(narrow + wide) * (narrow - wide)


class LocalAttention(nn.Module):
    """Self-attention of every position over the window around it, added to the input.

    Neighborhood attention (Ramachandran et al. 2019, "Stand-alone self-attention"; Hassani et al. 2023). At position
    `i`, with the `window ** ndim` offsets `t` of the window, for every head with `d = channels / heads` channels:

        score[t] = query[i] . key[i + t] / sqrt(d) + bias[t]
        output[i] = sum over t of  softmax(score)[t] * value[i + t]

    The bias is learned per head and offset. Positions beyond the border get no weight. Keys and values of one offset
    for all positions are one shifted slice of a padded map. So the module reads a fixed neighborhood like a
    convolution, and streams like one; its time and memory grow with the number of offsets. The output projection starts
    at zero, which makes the module the identity at first.

    Args:
        ndim: spatial axes.
        channels: of input and output; divisible by `heads`.
        window: positions along each axis, odd.
        heads: independent attentions, each over its share of the channels; None gives each about 16 channels.

    Raises:
        ValueError: the window is even, or the channels do not divide into the heads.

    >>> LocalAttention(2, 32, window=5)(torch.ones(1, 32, 9, 4)).shape
    torch.Size([1, 32, 9, 4])
    """

    def __init__(self, ndim: int, channels: int, window: int = 3, heads: int | None = None) -> None:
        super().__init__()
        if window % 2 == 0:
            raise ValueError(f"window {window} is even: it would have no middle")
        if heads is None:
            heads = next(h for h in range(max(channels // 16, 1), 0, -1) if channels % h == 0)
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        self.heads, self.window = heads, window
        self.query = CONV[ndim](channels, channels, 1)
        self.key = CONV[ndim](channels, channels, 1, bias=False)  # a bias would shift all scores of a query alike
        self.value = CONV[ndim](channels, channels, 1)
        self.project = CONV[ndim](channels, channels, 1)
        self.bias = nn.Parameter(torch.zeros(heads, window**ndim))
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add attention to `(N, C, *S)`."""
        size, ndim, pads = x.shape[2:], x.ndim - 2, [self.window // 2] * (2 * (x.ndim - 2))
        # 1. Split the channels: (N, C, *S) -> (N, heads, d, *S).
        split = (x.shape[0], self.heads, x.shape[1] // self.heads, *size)
        query = self.query(x).reshape(split) * split[2] ** -0.5
        key, value = F.pad(self.key(x), pads), F.pad(self.value(x), pads)
        # 2. Added to the scores, this makes the softmax give zero to positions beyond the border.
        outside = F.pad(torch.zeros_like(x[:, :1]), pads, value=-1e4)
        # 3. For every offset the scores (N, heads, *S) and the values (N, heads, d, *S) of all positions.
        scores, values = [], []
        for index, offsets in enumerate(itertools.product(range(self.window), repeat=ndim)):
            shifted_key, shifted_value, beyond = (_shift(part, offsets, size) for part in (key, value, outside))
            score = (query * shifted_key.reshape(split)).sum(2) + beyond
            scores.append(score + self.bias[:, index].reshape(1, -1, *[1] * ndim))
            values.append(shifted_value.reshape(split))
        # 4. The softmax over the offsets, and the weighted sum of the values.
        weights = torch.stack(scores, dim=1).softmax(1)
        mixed = values[0] * weights[:, 0].unsqueeze(2)
        for index in range(1, len(values)):
            mixed = mixed + values[index] * weights[:, index].unsqueeze(2)
        return x + self.project(mixed.reshape(x.shape))


def _shift(x: torch.Tensor, offsets: tuple[int, ...], size: torch.Size) -> torch.Tensor:
    """Cut `(N, C, *size)` out of a padded map, starting at `offsets`."""
    for axis, (offset, length) in enumerate(zip(offsets, size, strict=True)):
        x = x.narrow(axis + 2, offset, length)
    return x


def attention(kind: AttentionKind, ndim: int, channels: int) -> nn.Module:
    """Build the attention module of this kind, with its paper's settings, for `(N, channels, *S)`.

    >>> attention("cbam", 3, 8)(torch.ones(1, 8, 4, 4, 4)).shape
    torch.Size([1, 8, 4, 4, 4])
    """
    if kind == "spatial":
        return SpatialGate(ndim)
    kinds = {
        "se": SqueezeExcitation,
        "eca": EfficientChannel,
        "cbam": CBAM,
        "scse": SCSE,
        "sk": SelectiveKernel,
        "local": LocalAttention,
    }
    if kind not in kinds:
        raise ValueError(f"attention {kind!r} is not one of {', '.join(sorted([*kinds, 'spatial']))}")
    return kinds[kind](ndim, channels)
