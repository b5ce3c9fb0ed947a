"""What a surgery returns: the new network, and the proof, which is measured on it.

The error is relative to the largest output. A small channel beside a large one could be wrong unnoticed, so channels
are compared one by one as well. In float32 a difference in a small channel may be rounding, so such a suspicion is
decided by running both networks once more in float64.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from atrous.errors import UserError
from atrous.geometry.exportable import require_computable
from atrous.nn.blocks import Normalize
from atrous.surgery.copies import copied

TOLERANCE = 1e-4
"""The largest relative error that a surgery may have. Networks in types of fewer digits are compared in float32."""
SMALLEST_CHANNEL = 0.01
"""The error of a channel is divided by its largest |value|, or by this fraction of the largest |value| of all channels
if that is more: a channel of almost nothing but zeros would otherwise look wrong by rounding alone."""
TINY = 1e-30
"""Replaces a largest value of zero in a division."""

Pairs = Sequence[tuple[Tensor, Tensor]]
"""Each output of the new network, with the value that it should have."""


@dataclass(frozen=True)
class Change:
    """A module of the network, by name, and what was done to it or what the user should know about it."""

    module: str
    what: str


@dataclass(frozen=True)
class SurgeryCertificate:
    """What was compared, and how far apart the two networks were.

    Attributes:
        surgery: the name of the conversion.
        network: the class of the original network.
        max_error: the largest |difference| divided by the largest |original value|, over all `shapes`.
        tolerance: the largest error that was allowed.
        compared: which values were compared with which, in words.
        shapes: the input shapes `(C, *S)` on which both networks ran.
        changes: what was done to which module.
        remarks: what was left as it was, or is different in training.
    """

    surgery: str
    network: str
    max_error: float
    tolerance: float
    compared: str
    shapes: tuple[tuple[int, ...], ...]
    changes: tuple[Change, ...]
    remarks: tuple[Change, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain numbers, strings, lists and dicts, for JSON."""
        return json.loads(json.dumps(asdict(self)))

    def text(self) -> str:
        """Return the certificate as lines of text for a person."""
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        lines = [
            f"{self.surgery} of {self.network}: relative error {self.max_error:.2g} (allowed {self.tolerance:g})",
            f"compared: {self.compared}, on {shapes or '(no input)'}",
        ]
        lines += [f"  {change.module or 'the network'}: {change.what}" for change in self.changes]
        lines += [f"  kept {remark.module or 'the network'}: {remark.what}" for remark in self.remarks]
        return "\n".join(lines)


@dataclass(frozen=True)
class Converted:
    """A network after surgery, which is an ordinary `nn.Module` with the original's weights, and its certificate."""

    network: nn.Module
    certificate: SurgeryCertificate


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Run the block with the networks in evaluation mode and without gradients; then restore every module's mode."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def example(network: nn.Module, shape: Sequence[int], batch: int = 2, seed: int = 0) -> Tensor:
    """Return a random input `(batch, *shape)` with the type and device of the network's first parameter.

    The values are standard normal. If the network begins with our `Normalize`, they are raw values that are standard
    normal after it.
    """
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))
    normalize = next((m for m in network.modules() if isinstance(m, Normalize)), None)
    if normalize is not None and normalize.get_buffer("mean").numel() == shape[0]:
        mean, std = (normalize.get_buffer(name).to("cpu", torch.float32) for name in ("mean", "std"))
        noise = noise * std + mean
    return noise.to(like.device, like.dtype)


def tensors(output: Any) -> list[Tensor]:
    """Return the tensors in a network's output, which may be one tensor or a nested tuple, list or dict, in order."""
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def relative_error(output: Tensor, wanted: Tensor) -> float:
    """Return max |output - wanted| / max |wanted|, for tensors of any one shape.

    It is infinite if the shapes differ or a number is not finite.

    >>> relative_error(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]))
    0.25
    """
    if output.shape != wanted.shape:
        return float("inf")
    output, wanted = output.detach().double(), wanted.detach().double()
    error = float((output - wanted).abs().max() / wanted.abs().max().clamp_min(TINY)) if wanted.numel() else 0.0
    return float("inf") if math.isnan(error) else error


def channel_error(output: Tensor, wanted: Tensor) -> float:
    """Return the largest relative error of a channel of `(N, C, ...)`: divided by the largest |wanted| of the channel.

    >>> channel_error(torch.tensor([[100.0, 1.5]]), torch.tensor([[100.0, 2.0]]))
    0.25
    """
    if output.shape != wanted.shape or wanted.dim() < 2 or not wanted.numel():
        return relative_error(output, wanted)
    # The largest |value| of each channel: (N, C, ...) -> (C,).
    difference, size = (
        value.detach().double().abs().transpose(0, 1).flatten(1).amax(1) for value in (output - wanted, wanted)
    )
    error = float((difference / size.clamp_min(max(SMALLEST_CHANNEL * float(size.max()), TINY))).max())
    return float("inf") if math.isnan(error) else error


def proven_error(network: nn.Module, result: nn.Module, outputs: Callable[[nn.Module, nn.Module], Pairs]) -> float:
    """Return the largest relative error of `outputs(network, result)`.

    Steps: the error of each whole output is measured. If that is within the tolerance, but a channel's own error is
    not, both networks run in float64. There a wrong channel stays wrong, and rounding vanishes.
    """
    pairs = outputs(network, result)
    error = max((relative_error(*pair) for pair in pairs), default=0.0)
    if error > TOLERANCE or max((channel_error(*pair) for pair in pairs), default=0.0) <= TOLERANCE:
        return error
    try:
        exact_pairs = outputs(copied(network).double(), copied(result).double())
    except (RuntimeError, UserError):  # part of the network computes in float32 whatever its weights are
        return error
    return max(error, *(channel_error(*pair) for pair in exact_pairs))


def certified(
    surgery: str, original: nn.Module, result: nn.Module, *, tolerance: float = TOLERANCE, where: str = "", **facts: Any
) -> Converted:
    """Return the result with its certificate, whose other fields are `facts`.

    `where` says in an error message on which input the two differed.

    Raises:
        UserError: the measured error is larger than `tolerance`.
    """
    error, name = facts["max_error"], type(original).__name__
    if not error <= tolerance:
        raise UserError(
            f"{name}: {surgery} was tried and differs from the original by {error:.2g} of the largest output{where} "
            f"(allowed {tolerance:g}): this network does something that the surgery does not know"
        )
    return Converted(result, SurgeryCertificate(surgery, name, tolerance=tolerance, **facts))


def first_channels(network: nn.Module) -> tuple[int, int]:
    """Return the input channels and the number of spatial axes of the network's first registered convolution.

    Raises:
        UserError: the network has no convolution, or its operators cannot be known.
    """
    require_computable(network)
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module.in_channels, len(module.kernel_size)
    raise UserError(
        f"{type(network).__name__}: it has no convolution that tells how many channels the input has: give shape="
    )


def replace_module(network: nn.Module, path: str, new: nn.Module) -> None:
    """Put `new` in the place of the submodule `path` of the network, in the mode of the old module."""
    parent, _, name = path.rpartition(".")
    new.train(network.get_submodule(path).training)
    setattr(network.get_submodule(parent), name, new)
