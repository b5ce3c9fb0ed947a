"""What a surgery hands back: the network, and the proof measured on it."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from atrous.errors import UserError
from atrous.nn.normalize import Normalize

TOLERANCE = 1e-4
"""The largest relative error of a surgery; what has fewer digits than float32 is compared in float32."""


@dataclass(frozen=True)
class Change:
    """One module of the network, by its name, and what was done to it or said of it."""

    module: str
    what: str


@dataclass(frozen=True)
class SurgeryCertificate:
    """What was compared, and how far apart it lay.

    `max_error` is the largest |difference| in units of the largest |original|, over all `shapes` of inputs `(C, *S)`;
    `compared` says which values were held against which; `changes` says what was done, `remarks` what was left.
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
        """Plain numbers, strings and lists, for JSON."""
        return json.loads(json.dumps(asdict(self)))

    def text(self) -> str:
        """The certificate as lines for a person."""
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        lines = [
            f"{self.surgery} of {self.network}: relative error {self.max_error:.2g} (allowed {self.tolerance:g})",
            f"compared: {self.compared}, on {shapes or '(no input)'}",
        ]
        lines += [f"  {c.module or 'the network'}: {c.what}" for c in self.changes]
        lines += [f"  kept {c.module or 'the network'}: {c.what}" for c in self.remarks]
        return "\n".join(lines)


@dataclass(frozen=True)
class Converted:
    """A network after surgery, an ordinary `nn.Module` with the weights of the original, and its certificate."""

    network: nn.Module
    certificate: SurgeryCertificate


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode, without gradients; every module's own mode is put back."""
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
    """Standard normal noise `(batch, *shape)` of the type and on the device of the network's first parameter.

    Where the network begins with our `Normalize`, the noise is standard normal behind it.
    """
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))
    first = next((m for m in network.modules() if isinstance(m, Normalize)), None)
    if first is not None and first.get_buffer("mean").numel() == shape[0]:
        mean, std = (first.get_buffer(name).to("cpu", torch.float32) for name in ("mean", "std"))
        noise = noise * std + mean
    return noise.to(like.device, like.dtype)


def tensors(output: Any) -> list[Tensor]:
    """The tensors in an output: one, or those of a tuple, list or dictionary, in order."""
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def relative_error(found: Tensor, wanted: Tensor) -> float:
    """The largest |difference| in units of the largest |wanted|; infinite where a number is not finite.

    >>> relative_error(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]))
    0.25
    """
    if found.shape != wanted.shape:
        return float("inf")
    found, wanted = found.detach().double(), wanted.detach().double()
    error = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)) if wanted.numel() else 0.0
    return float("inf") if math.isnan(error) else error


def certified(
    surgery: str, original: nn.Module, result: nn.Module, *, tolerance: float = TOLERANCE, where: str = "", **facts: Any
) -> Converted:
    """The result with its certificate; `UserError` when the error measured is larger than allowed."""
    error, name = facts["max_error"], type(original).__name__
    if not error <= tolerance:
        raise UserError(
            f"{name}: {surgery} was tried and differs from the original by {error:.2g} of the largest output{where} "
            f"(allowed {tolerance:g}): this network does something that the surgery does not know"
        )
    return Converted(result, SurgeryCertificate(surgery, name, tolerance=tolerance, **facts))


def first_channels(network: nn.Module) -> tuple[int, int]:
    """Input channels and number of spatial axes of the first convolution, as registered.

    Raises:
        UserError: there is no convolution.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return module.in_channels, len(module.kernel_size)
    raise UserError(f"{type(network).__name__}: has no convolution to learn the input's channels from: give shape=")


def replace_module(network: nn.Module, path: str, new: nn.Module) -> None:
    """Put `new` where the module `path` stands, in the same mode."""
    parent, _, name = path.rpartition(".")
    new.train(network.get_submodule(path).training)
    setattr(network.get_submodule(parent), name, new)
