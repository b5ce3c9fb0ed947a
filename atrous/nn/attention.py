"""Attention: modules that reweight a feature map `(N, C, *S)` and keep its shape.

| kind | reweights | sees | source |
|---|---|---|---|
| `se` | channels | the whole extent | Hu, Shen & Sun 2018, "Squeeze-and-excitation networks" |
| `eca` | channels, from neighboring ones | the whole extent | Wang et al. 2020, "ECA-Net" |
| `spatial` | positions | a window | Woo et al. 2018, "CBAM", section 3.2 |
| `cbam` | channels, then positions | the whole extent | Woo et al. 2018 |
| `scse` | channels and positions, the greater | the whole extent | Roy, Navab & Wachinger 2018 |
| `local` | by content | a window | Ramachandran et al. 2019; Hassani et al. 2023 |

Those that see the whole extent are barriers: a network with k of them in a row streams exactly in k + 1 passes. The
others stream in one.
"""

import itertools
import math
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from atrous._nd import CONV

AttentionKind = Literal["se", "eca", "spatial", "cbam", "scse", "local"]


def _hidden(channels: int, reduction: int) -> int:
    return max(channels // reduction, 4)


def _spatial_dims(x: torch.Tensor) -> list[int]:
    return list(range(2, x.ndim))


class SqueezeExcitation(nn.Module):
    """Channel weights from the mean of every channel over all positions (Hu, Shen & Sun 2018).

    >>> SqueezeExcitation(1, 8)(torch.ones(1, 8, 5)).shape
    torch.Size([1, 8, 5])
    """

    def __init__(self, ndim: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.reduce = CONV[ndim](channels, _hidden(channels, reduction), 1)
        self.expand = CONV[ndim](_hidden(channels, reduction), channels, 1)

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, 1...)` in 0..1."""
        pooled = x.mean(_spatial_dims(x), keepdim=True)
        return torch.sigmoid(self.expand(F.relu(self.reduce(pooled))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels scaled."""
        return x * self.gate(x)


class EfficientChannel(nn.Module):
    """Channel weights from the means of a few neighboring channels, without a bottleneck (Wang et al. 2020).

    The kernel over channels is the odd number nearest to `(log2 C + 1) / 2`, as in the paper.
    """

    def __init__(self, ndim: int, channels: int) -> None:
        super().__init__()
        kernel = int(abs((math.log2(channels) + 1) / 2))
        kernel += 1 - kernel % 2
        self.mix = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels scaled."""
        pooled = x.mean(_spatial_dims(x))
        gate = torch.sigmoid(self.mix(pooled.unsqueeze(1))).squeeze(1)
        return x * gate.reshape(*gate.shape, *(1 for _ in _spatial_dims(x)))


class SpatialGate(nn.Module):
    """Position weights from the mean and the greatest of all channels, by one convolution (Woo et al. 2018, eq. 3)."""

    def __init__(self, ndim: int, kernel: int = 7) -> None:
        super().__init__()
        self.mix = CONV[ndim](2, 1, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Positions scaled."""
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
        """Channels, then positions scaled."""
        dims = _spatial_dims(x)
        mean = self.expand(F.relu(self.reduce(x.mean(dims, keepdim=True))))
        most = self.expand(F.relu(self.reduce(x.amax(dims, keepdim=True))))
        return self.positions(x * torch.sigmoid(mean + most))


class SCSE(nn.Module):
    """Squeeze over positions and over channels side by side, the greater of both kept (Roy et al. 2018, max-out)."""

    def __init__(self, ndim: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.channels = SqueezeExcitation(ndim, channels, reduction)
        self.positions = CONV[ndim](channels, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Channels and positions scaled."""
        return torch.maximum(self.channels(x), x * torch.sigmoid(self.positions(x)))


class LocalAttention(nn.Module):
    """Self-attention of every position over the window around it, added to the input.

    Neighborhood attention (Ramachandran et al. 2019, "Stand-alone self-attention"; Hassani et al. 2023) with a learned
    bias per head and relative place. Positions beyond the border take no part. Keys and values are shifted slices of a
    padded map, one for each of the `window ** ndim` places, so it reads a fixed neighborhood like a convolution and
    streams like one; time and memory grow with that number. The output projection begins at zero: the module is then
    the identity.

    Args:
        ndim: spatial axes.
        channels: of input and output; divisible by `heads`.
        window: positions along each axis, odd.
        heads: chosen so that each has about 16 channels when None.

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
        """`(N, C, *S)` to the same shape."""
        size, ndim, pads = x.shape[2:], x.ndim - 2, [self.window // 2] * (2 * (x.ndim - 2))
        split = (x.shape[0], self.heads, x.shape[1] // self.heads, *size)
        query = self.query(x).reshape(split) * split[2] ** -0.5
        key, value = F.pad(self.key(x), pads), F.pad(self.value(x), pads)
        inside = F.pad(
            torch.zeros_like(x[:, :1]), pads, value=-1e4
        )  # added to scores: exp gives zero beyond the border
        scores, values = [], []
        for place, offsets in enumerate(itertools.product(range(self.window), repeat=ndim)):
            shifted = [_shift(part, offsets, size) for part in (key, value, inside)]
            score = (query * shifted[0].reshape(split)).sum(2) + shifted[2]
            scores.append(score + self.bias[:, place].reshape(1, -1, *[1] * ndim))
            values.append(shifted[1].reshape(split))
        weights = torch.stack(scores, dim=1).softmax(1)
        mixed = values[0] * weights[:, 0].unsqueeze(2)
        for place in range(1, len(values)):
            mixed = mixed + values[place] * weights[:, place].unsqueeze(2)
        return x + self.project(mixed.reshape(x.shape))


def _shift(x: torch.Tensor, offsets: tuple[int, ...], size: torch.Size) -> torch.Tensor:
    for axis, (offset, length) in enumerate(zip(offsets, size, strict=True)):
        x = x.narrow(axis + 2, offset, length)
    return x


def attention(kind: AttentionKind, ndim: int, channels: int) -> nn.Module:
    """The attention module of this kind, with its paper's settings, over `(N, channels, *S)`.

    >>> attention("cbam", 3, 8)(torch.ones(1, 8, 4, 4, 4)).shape
    torch.Size([1, 8, 4, 4, 4])
    """
    if kind == "spatial":
        return SpatialGate(ndim)
    kinds = {"se": SqueezeExcitation, "eca": EfficientChannel, "cbam": CBAM, "scse": SCSE, "local": LocalAttention}
    if kind not in kinds:
        raise ValueError(f"attention {kind!r} is not one of {', '.join(sorted([*kinds, 'spatial']))}")
    return kinds[kind](ndim, channels)
