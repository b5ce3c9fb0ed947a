"""Networks that treat both strands of a DNA sequence alike, by shared weights.

The output for the reverse complement of a sequence is the reverse complement of the output: `f(rc(x)) = rc(f(x))`.

The rule is applied to every layer. Reversing a map `(N, C, L)` means to reverse its positions and to exchange each
channel c with its partner p(c): for bases A with T and C with G, for feature maps c with c + C/2, for outputs the same
label of the other strand. A convolution has the property if its weights fulfil `W[p(o), q(i), -k] = W[o, i, k]`, where
q pairs the input's channels and k counts from the kernel's middle.

Reverse-complement parameter sharing: Shrikumar, Greenside & Kundaje 2017, "Reverse-complement parameter sharing
improves deep learning models for genomics"; as equivariance: Mallet & Vert 2021, "Reverse-complement equivariant
networks for DNA sequences".
"""

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

__all__ = ["MirrorNorm", "halves", "mirror", "mirrored_input", "plain", "strand_pairs"]

_Network = TypeVar("_Network", bound=nn.Module)


def halves(channels: int) -> list[int]:
    """Return the partner of every channel of a feature map: the channel half of all channels further on.

    Raises:
        ValueError: the number of channels is odd.

    >>> halves(6)
    [3, 4, 5, 0, 1, 2]
    """
    if channels % 2:
        raise ValueError(f"{channels} channels cannot be paired by strand: give an even width")
    return [(c + channels // 2) % channels for c in range(channels)]


def strand_pairs(channels: int) -> list[int]:
    """Return the partner of every output, where the outputs of the two strands alternate.

    Raises:
        ValueError: the number of outputs is odd.

    >>> strand_pairs(4)
    [1, 0, 3, 2]
    """
    if channels % 2:
        raise ValueError(f"{channels} outputs are not two strands' each")
    return [c ^ 1 for c in range(channels)]


def mirrored_input(channels: int) -> list[int]:
    """Return the partner of every input: T G C A for A C G T; other inputs, such as signals, are their own partners.

    >>> mirrored_input(5)
    [3, 2, 1, 0, 4]
    """
    return [3, 2, 1, 0, *range(4, channels)]


class _Shared(nn.Module):
    """A parametrization that gives a weight the property `W[p(o), q(i), -k] = W[o, i, k]`.

    It adds the free weight and its mirror image, and divides by the square root of two, which keeps the variance of
    fresh weights. `first` and `second` hold the partners along the weight's first two dimensions; `second` is None for
    a bias.
    """

    def __init__(self, first: Sequence[int], second: Sequence[int] | None) -> None:
        super().__init__()
        self.register_buffer("first", torch.tensor(first), persistent=False)
        self.register_buffer("second", None if second is None else torch.tensor(second), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the shared weight, in the shape of the free one: `(C, C, k)`, or `(C,)` for a bias."""
        image = weight[cast(torch.Tensor, self.first)]
        if self.second is not None:
            image = image[:, cast(torch.Tensor, self.second)].flip(-1)
        return (weight + image) * 0.5**0.5


class MirrorNorm(nn.Module):
    """A batch norm of C channels that uses the same statistics, scale and shift for channel c and its partner c + C/2.

    >>> MirrorNorm(4)(torch.randn(2, 4, 9)).shape
    torch.Size([2, 4, 9])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(len(halves(channels)) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize `(N, C, L)`: the two halves of the channels are a batch of `2N` for a norm of `C / 2` channels."""
        batch, channels, length = x.shape
        return self.norm(x.reshape(2 * batch, channels // 2, length)).reshape(batch, channels, length)


def mirror(
    network: nn.Module, first: nn.Module | Sequence[nn.Module], last: nn.Module, partners: Sequence[int] = ()
) -> None:
    """Share the weights of all convolutions and batch norms of a 1-D network between the strands, in place.

    All other layers between `first` and `last` must treat every position and channel alike: sums and pointwise
    functions do, but joining channels does not. The grid of every map must be its own mirror image, so the padding of a
    strided convolution must be symmetric.

    Args:
        network: a network over one axis.
        first: its convolution that reads the bases, or several.
        last: its (transposed) convolution that gives the outputs.
        partners: the output that each output is on the other strand; an output without a strand is its own partner. If
            empty, the strands alternate.

    Raises:
        ValueError: there is not one partner for each output, or two outputs are not partners of each other.
    """
    count, readers = cast(int, last.out_channels), [first] if isinstance(first, nn.Module) else list(first)
    given = list(partners) or strand_pairs(count)
    if sorted(given) != list(range(count)) or any(given[other] != one for one, other in enumerate(given)):
        raise ValueError(f"partners {given} of {count} outputs: give for each output the one on the other strand")
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm1d):
                setattr(parent, name, MirrorNorm(layer.num_features))
            elif isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                reads = any(layer is reader for reader in readers)
                inputs = mirrored_input(layer.in_channels) if reads else halves(layer.in_channels)
                outputs = given if layer is last else halves(layer.out_channels)
                transposed = isinstance(layer, nn.ConvTranspose1d)
                shared = _Shared(inputs, outputs) if transposed else _Shared(outputs, inputs)
                parametrize.register_parametrization(layer, "weight", shared)
                if layer.bias is not None:
                    parametrize.register_parametrization(layer, "bias", _Shared(outputs, None))


def plain(network: _Network) -> _Network:
    """Replace shared weights by their values, and norms by ordinary ones, in place; return the network.

    The network computes the same. Export and streaming need ordinary layers.

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
    """Return an ordinary norm of all channels for a norm of half of them."""
    place = {"device": half.weight.device, "dtype": half.weight.dtype}
    whole = nn.BatchNorm1d(2 * half.num_features, eps=half.eps, momentum=half.momentum, **place)
    whole.load_state_dict({
        name: value if value.ndim == 0 else value.repeat(2) for name, value in half.state_dict().items()
    })  # fmt: skip
    return whole.train(half.training)
