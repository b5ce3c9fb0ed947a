"""Stages of a training: which part of the network learns in which share of the run, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Stage:
    """One share of a run.

    Attributes:
        name: in words.
        share: of the run, above 0 and at most 1; those of all stages add up to 1.
        rate: factor on the learning rate.
        encoder: share of the encoder's layers that learn, counted from the coarsest; 0 is the head alone, 1 all.
        skips: how many skips of an FCN-8s or FCN-16s learn; those that do not stay zero. All when None.
    """

    name: str
    share: float
    rate: float = 1.0
    encoder: float = 1.0
    skips: int | None = None


@dataclass(frozen=True)
class Trainable:
    """How much of a network learns in a stage: parameters and layers, of how many."""

    parameters: int
    all_parameters: int
    layers: int
    all_layers: int

    def text(self) -> str:
        """In words.

        >>> Trainable(1234, 56789, 3, 20).text()
        '1,234 of 56,789 parameters in 3 of 20 layers learn'
        """
        return (
            f"{self.parameters:,} of {self.all_parameters:,} parameters "
            f"in {self.layers} of {self.all_layers} layers learn"
        )


def place(stages: Sequence[Stage], progress: float) -> tuple[int, float]:
    """Which stage a run is in at `progress` (0 to 1), and its progress within that stage.

    >>> place([Stage("head", 0.25), Stage("all", 0.75)], 0.625)
    (1, 0.5)
    """
    begun = 0.0
    for index, stage in enumerate(stages):
        within = (progress - begun) / stage.share
        if within < 1 or index == len(stages) - 1:
            return index, min(1.0, max(0.0, within))
        begun += stage.share
    return 0, progress


def _layers(module: nn.Module) -> list[nn.Module]:
    """The modules that hold parameters of their own, in the order in which they were made."""
    return [m for m in module.modules() if any(True for _ in m.parameters(recurse=False))]


def _frozen(network: Any, stage: Stage) -> set[int]:
    """Identities of the layers that do not learn."""
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
    """Put the network into train mode for one stage: what does not learn is frozen, batch statistics included.

    A frozen layer gets no gradient and runs in eval mode, so a frozen batch norm neither uses nor updates the
    statistics of a batch. With `encoder` 0 the whole encoder is in eval mode, its dropout too.
    """
    frozen = _frozen(network, stage)
    network.train()
    if stage.encoder <= 0:
        network.encoder.eval()  # type: ignore[operator, union-attr]
    counted, everything, layers = 0, 0, _layers(network)
    for layer in layers:
        learns = id(layer) not in frozen
        if not learns:
            layer.eval()
        for parameter in layer.parameters(recurse=False):
            parameter.requires_grad_(learns)
            everything += parameter.numel()
            counted += parameter.numel() * learns
    return Trainable(counted, everything, len(layers) - len(frozen), len(layers))
