"""Training stages: which part of the network learns in which part of the run, and at which rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        name: what the stage is called in messages.
        share: the stage's share of the run, above 0 and at most 1. The shares of all stages add up to 1.
        rate: factor on the learning rate.
        encoder: share of the encoder's layers that learn, counted from the coarsest level: 0 for none, 1 for all.
        skips: how many skip connections of an FCN-8s or FCN-16s learn; all by default. Weights of the others stay as
            they are, which is 0 at the start.
    """

    name: str
    share: float
    rate: float = 1.0
    encoder: float = 1.0
    skips: int | None = None


@dataclass(frozen=True)
class Trainable:
    """How much of a network learns in a stage.

    Attributes:
        parameters: number of parameters that learn.
        all_parameters: number of parameters of the network.
        layers: number of layers that learn.
        all_layers: number of layers with parameters.
    """

    parameters: int
    all_parameters: int
    layers: int
    all_layers: int

    def text(self) -> str:
        """Return a sentence with these numbers.

        >>> Trainable(1234, 56789, 3, 20).text()
        '1,234 of 56,789 parameters in 3 of 20 layers learn'
        """
        return (
            f"{self.parameters:,} of {self.all_parameters:,} parameters "
            f"in {self.layers} of {self.all_layers} layers learn"
        )


def place(stages: Sequence[Stage], progress: float) -> tuple[int, float]:
    """Return the index of the stage that a run is in at `progress` (0 to 1), and the progress within that stage.

    >>> place([Stage("head", 0.25), Stage("all", 0.75)], 0.625)
    (1, 0.5)
    """
    start = 0.0
    for index, stage in enumerate(stages):
        within = (progress - start) / stage.share
        if within < 1 or index == len(stages) - 1:
            return index, min(1.0, max(0.0, within))
        start += stage.share
    return 0, progress


def _layers(module: nn.Module) -> list[nn.Module]:
    """Return the modules that have parameters of their own, in the order in which the network registered them."""
    return [m for m in module.modules() if any(True for _ in m.parameters(recurse=False))]


def _frozen(network: Any, stage: Stage) -> set[int]:
    """Return the `id` of each layer that does not learn in a stage."""
    frozen: list[nn.Module] = []
    layers = _layers(network.encoder)
    learning = (
        len(layers) if stage.encoder >= 1 else 0 if stage.encoder <= 0 else max(1, round(stage.encoder * len(layers)))
    )
    frozen += layers[: len(layers) - learning]
    if stage.skips is not None:
        frozen += [layer for skip in list(network.decoder.skips)[stage.skips :] for layer in _layers(skip)]
    return {id(layer) for layer in frozen}


def enter(network: nn.Module, stage: Stage) -> Trainable:
    """Put the network into training mode for one stage, and freeze the layers that do not learn in it.

    A frozen layer gets no gradient and runs in evaluation mode, so that a frozen batch norm neither uses nor updates
    the statistics of a batch. If `stage.encoder` is 0, the whole encoder runs in evaluation mode, with its dropout.
    """
    frozen = _frozen(network, stage)
    network.train()
    if stage.encoder <= 0:
        network.encoder.eval()  # type: ignore[operator, union-attr]
    learning, total, layers = 0, 0, _layers(network)
    for layer in layers:
        learns = id(layer) not in frozen
        if not learns:
            layer.eval()
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(learns)
            total += parameter.numel()
            learning += parameter.numel() * learns
    return Trainable(learning, total, len(layers) - len(frozen), len(layers))
