"""Networks that read both strands of a sequence alike.

What they say of the reverse complement is the reverse complement of what they say.

Reverse-complement parameter sharing: Shrikumar, Greenside & Kundaje 2017, "Reverse-complement parameter sharing
improves deep learning models for genomics"; as equivariance: Mallet & Vert 2021, "Reverse-complement equivariant
networks for DNA sequences". Here channel c of a feature map reads one strand as channel c + C/2 reads the other.
"""

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

__all__ = ["MirrorNorm", "halves", "mirror", "mirrored_input", "plain", "strand_pairs"]

_Network = TypeVar("_Network", bound=nn.Module)


def halves(channels: int) -> list[int]:
    """The partner of every channel of a feature map: half of all further on.

    >>> halves(6)
    [3, 4, 5, 0, 1, 2]
    """
    if channels % 2:
        raise ValueError(f"{channels} channels cannot be paired by strand: give an even width")
    return [(c + channels // 2) % channels for c in range(channels)]


def strand_pairs(channels: int) -> list[int]:
    """The partner of every output: outputs of the two strands alternate.

    >>> strand_pairs(4)
    [1, 0, 3, 2]
    """
    if channels % 2:
        raise ValueError(f"{channels} outputs are not two strands' each")
    return [c ^ 1 for c in range(channels)]


def mirrored_input(channels: int) -> list[int]:
    """The partner of every input: A C G T reversed, signals beside them as they are.

    >>> mirrored_input(5)
    [3, 2, 1, 0, 4]
    """
    return [3, 2, 1, 0, *range(4, channels)]


class _Shared(nn.Module):
    """A weight of which one half follows from the other: `W[p(o), q(i), -k] = W[o, i, k]`.

    The free weight and its mirror image are added; divided by the root of two, their variance at the start stays.
    """

    def __init__(self, first: Sequence[int], second: Sequence[int] | None) -> None:
        super().__init__()
        self.register_buffer("first", torch.tensor(first), persistent=False)
        self.register_buffer("second", None if second is None else torch.tensor(second), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The shared weight; a vector where there is one index alone."""
        image = weight[cast(torch.Tensor, self.first)]
        if self.second is not None:
            image = image[:, cast(torch.Tensor, self.second)].flip(-1)
        return (weight + image) * 0.5**0.5


class MirrorNorm(nn.Module):
    """Batch norm whose two halves of channels have the statistics and the scale in common.

    >>> MirrorNorm(4)(torch.randn(2, 4, 9)).shape
    torch.Size([2, 4, 9])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(len(halves(channels)) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(N, C, L)` to the same shape."""
        batch, channels, length = x.shape
        return self.norm(x.reshape(2 * batch, channels // 2, length)).reshape(batch, channels, length)


def mirror(network: nn.Module, first: nn.Module, last: nn.Module) -> None:
    """Share weights between the strands all through a 1-D network, in place.

    Every layer between `first` and `last` must treat positions and channels alike but for convolutions and batch norms:
    sums and pointwise functions do, joining channels does not. Strides must keep the grid its own mirror image.

    Args:
        network: of convolutions and batch norms over one axis.
        first: its convolution that reads the bases.
        last: its (transposed) convolution that gives the outputs, strands alternating.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm1d):
                setattr(parent, name, MirrorNorm(layer.num_features))
            elif isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                inputs = mirrored_input(layer.in_channels) if layer is first else halves(layer.in_channels)
                outputs = strand_pairs(layer.out_channels) if layer is last else halves(layer.out_channels)
                transposed = isinstance(layer, nn.ConvTranspose1d)
                shared = _Shared(inputs, outputs) if transposed else _Shared(outputs, inputs)
                parametrize.register_parametrization(layer, "weight", shared)
                if layer.bias is not None:
                    parametrize.register_parametrization(layer, "bias", _Shared(outputs, None))


def plain(network: _Network) -> _Network:
    """The same network without sharing, of plain convolutions and batch norms, in place: for export and streaming.

    >>> network = nn.Sequential(nn.Conv1d(4, 8, 3, padding=1), nn.BatchNorm1d(8), nn.Conv1d(8, 2, 1))
    >>> mirror(network, network[0], network[2])
    >>> sorted(plain(network).state_dict())[:2]
    ['0.bias', '0.weight']
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, MirrorNorm):
                setattr(parent, name, _whole(layer.norm))
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer):
            for name in list(cast(nn.ModuleDict, layer.parametrizations)):
                parametrize.remove_parametrizations(layer, name)
    return network


def _whole(half: nn.BatchNorm1d) -> nn.BatchNorm1d:
    place = {"device": half.weight.device, "dtype": half.weight.dtype}
    whole = nn.BatchNorm1d(2 * half.num_features, eps=half.eps, momentum=half.momentum, **place)
    whole.load_state_dict({
        name: value if value.ndim == 0 else value.repeat(2) for name, value in half.state_dict().items()
    })  # fmt: skip
    return whole.train(half.training)
