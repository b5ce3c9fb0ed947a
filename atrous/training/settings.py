"""What a training is told: its settings, what it is fed with, whom it tells of its progress, and how it ended."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn

from atrous.data.feed.batches import Batch
from atrous.training.stages import Stage


@dataclass(frozen=True)
class Settings:
    """How a run trains.

    Attributes:
        optimizer: "adamw", or "sgd" with a momentum of 0.9.
        learning_rate: peak rate.
        encoder_rate: factor on the rate for pretrained weights.
        weight_decay: on weights of convolutions alone.
        warmup: share of the run in which the rate rises.
        clip: greatest norm of the gradient.
        validations: how often the run is validated, evenly over its length.
        patience: validations without a gain after which the run stops, or None.
        choose: whether the weights of the best validation are kept; else the last ones are, and patience has no end.
        precision: "bf16-mixed", "32-true", or "64-true" for comparisons.
        device: torch's name of the device, such as "cpu", "cuda" or "cuda:1"; of several devices without a number.
        devices: devices of each machine, one process for each.
        nodes: machines.
        sync_batch_norm: whether batch norms normalize by the crops of all devices, not by those of one.
        compile: whether the network is compiled by `torch.compile`.
        seed: of everything drawn.
        stages: which part of the network learns when; all of it all the time when there are none.
        whole: whether a batch is one whole sample, whose gradients are computed in strips.
        sharpness: how far from the weights, along their gradients, the gradients of a step are taken (SAM); 0 takes
            them at the weights.
        sharpness_every: every so many steps.
        teacher: weight of the loss by which the network follows its running average (mean teacher); it rises over the
            first fifth of the training (`teacher.ramp_up`).
    """

    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    encoder_rate: float = 0.5
    weight_decay: float = 0.02
    warmup: float = 0.06
    clip: float = 5.0
    validations: int = 12
    patience: int | None = None
    choose: bool = True
    precision: str = "bf16-mixed"
    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    sync_batch_norm: bool = False
    compile: bool = False
    seed: int = 0
    stages: tuple[Stage, ...] = ()
    whole: bool = False
    sharpness: float = 0.0
    sharpness_every: int = 1
    teacher: float = 0.0


@dataclass
class State:
    """Where a run is, in numbers; they are kept in the checkpoint beside its tensors.

    `best` is the best value of the first watched metric so far; None while it was never a number.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    validated: int = 0
    stale: int = 0
    spent: float = 0.0
    validation_seconds: float = 0.0
    stage: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: steps taken.
        seconds: time that they took, validations included.
        best: the best value of the first watched metric on val (of segmentation: mean IoU); None when it was never a
            number.
        best_step: the step whose weights are kept: that at which it was reached, or the last one.
        interrupted: whether a signal stopped the run, so that it can be resumed.
    """

    step: int
    seconds: float
    best: float | None
    best_step: int
    interrupted: bool


@dataclass
class Monitor:
    """Functions that the loop calls as it goes; each does nothing by default.

    Attributes:
        on_step: given `step`, `epoch`, `loss`, `rate` (images per second), `left` and `seconds`, `progress` (0 to 1),
            every few seconds.
        on_validation: given the step and the validation's `loss` and watched metrics.
        tell: given a line of text: a stage of fine-tuning begins, or a validation failed.
    """

    on_step: Callable[[dict[str, float]], None] = field(default=lambda values: None)
    on_validation: Callable[[int, dict[str, float]], None] = field(default=lambda step, values: None)
    tell: Callable[[str], None] = field(default=lambda text: None)


@dataclass(frozen=True)
class Supply:
    """What the loop is fed with.

    Attributes:
        batches: called with a step, gives the batches from there on.
        validate: called with a network in eval mode, gives `loss` and the metrics that the task watches.
        per_epoch: steps in an epoch, for the log.
        size: crops in a step of all processes, for the log; 0 where batches are those of all.
    """

    batches: Callable[[int], Iterable[Batch]]
    validate: Callable[[nn.Module], Mapping[str, float]]
    per_epoch: int
    size: int = 0
