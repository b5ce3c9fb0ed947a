"""A user's own network as a model: normalized input, any size, logits of every position."""

from collections.abc import Sequence

import torch
from torch import nn

from atrous.errors import UserError
from atrous.models.evidence import EvidenceNetwork
from atrous.models.network import DenseNetwork

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Sizes that a network may ask its input to be a multiple of."""


class _AsEncoder(nn.Module):
    """A whole network as an encoder with one level: its logits."""

    pretrained = False

    def __init__(self, network: nn.Module, ndim: int, in_channels: int, outputs: int, multiple: int) -> None:
        super().__init__()
        self.network, self.ndim, self.in_channels = network, ndim, in_channels
        self.channels, self.strides = (outputs,), ((multiple,) * ndim,)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Logits `(N, K, *S')` of normalized values `(N, C, *S)`."""
        return [self.network(x)]


class _AsDecoder(nn.Module):
    """A decoder that has nothing to do: the level is the result."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.channels, self.all_channels = outputs, (outputs,)

    def maps(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
        """The levels as they are."""
        return levels


def own_network(
    network: nn.Module,
    ndim: int,
    in_channels: int,
    outputs: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    coarse: bool = False,
) -> DenseNetwork | EvidenceNetwork:
    """Wrap a network so that it can be trained, streamed and saved as those of `atrous` are.

    The network is given normalized values `(N, C, *S)` and returns logits `(N, K, *S')`. Where `S'` is coarser than
    `S`, logits are resized. Input is padded to the multiple that the network asks for, which is found by trying.

    Args:
        network: the user's network; it is not copied.
        ndim: spatial axes.
        in_channels: channels of the input.
        outputs: channels that the task needs.
        mean: of the raw input per channel.
        std: of the raw input per channel.
        coarse: whether logits keep the grid of the network.

    Raises:
        UserError: the network fails at every size that was tried, or gives other channels or axes.

    >>> model = own_network(nn.Conv2d(3, 2, 3, padding=1), 2, 3, 2, mean=[0.0] * 3, std=[1.0] * 3)
    >>> model(torch.zeros(1, 3, 5, 7)).shape
    torch.Size([1, 2, 5, 7])
    """
    multiple = _multiple(network, ndim, in_channels, outputs)
    encoder = _AsEncoder(network, ndim, in_channels, outputs, multiple)
    if coarse:
        return EvidenceNetwork(encoder, outputs, head=nn.Identity(), mean=mean, std=std)
    return DenseNetwork(encoder, _AsDecoder(outputs), outputs, head=nn.Identity(), mean=mean, std=std)


def _multiple(network: nn.Module, ndim: int, in_channels: int, outputs: int) -> int:
    """The least multiple at which the network runs, on one input and on two; its mode stays as it was."""
    training = network.training
    network.eval()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    error = ""
    try:
        for multiple in MULTIPLES:
            size = [multiple * (2 * axis + 3) for axis in range(ndim)]  # odd multiples, another one along each axis
            try:
                with torch.no_grad():
                    results = [network(torch.zeros(n, in_channels, *size, device=device)) for n in (1, 2)]
            except Exception as raised:  # the user's network may raise anything
                error = f"{type(raised).__name__}: {raised}".splitlines()[0]
                continue
            for inputs, output in enumerate(results, 1):
                _require_logits(output, inputs, ndim, outputs)
            return multiple
    finally:
        network.train(training)
    raise UserError(f"the network runs at no size that was tried (up to multiples of {MULTIPLES[-1]}): {error}")


def _require_logits(output: object, inputs: int, ndim: int, outputs: int) -> None:
    """Raise UserError unless the output is `(N, K, *S')` with N `inputs`, K `outputs` and the axes in their order.

    The inputs that were tried are longer along every further axis, so S' must not get shorter from axis to axis.
    """
    if not isinstance(output, torch.Tensor):
        raise UserError(f"the network gives {type(output).__name__}: it must return one tensor (N, K, *S)")
    shape = tuple(output.shape)
    if len(shape) != ndim + 2 or shape[1] != outputs:
        raise UserError(f"the network gives a tensor of shape {shape}: the task needs (N, {outputs}, and {ndim} axes)")
    if shape[0] != inputs:
        raise UserError(
            f"the network gives a tensor of shape {shape} for {inputs} input{'s' * (inputs > 1)}: it must return one "
            f"result per input, ({inputs}, {outputs}, and {ndim} axes)"
        )
    if list(shape[2:]) != sorted(shape[2:]):
        raise UserError(
            f"the network gives a tensor of shape {shape}, whose axes are exchanged: return them in the input's order"
        )
