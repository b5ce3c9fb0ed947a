"""The training loop: one flat function over steps, on Lightning Fabric."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from atrous.data.feed.batches import Batch
from atrous.errors import UserError
from atrous.nn.depthwise import fast_depthwise
from atrous.nn.strided import safe_strided
from atrous.tasks.task import NotFinite, Task
from atrous.training.average import averaged, on_device
from atrous.training.budget import Budget, one_cycle
from atrous.training.checkpoint import has_state, pack, read_tensors, state_path, unpack, write_tensors
from atrous.training.log import Log
from atrous.training.signals import stop_on_signal
from atrous.training.stages import Stage, enter, place
from atrous.training.trace import blame, supervised_loss
from atrous.training.whole import WholeSteps, whole_steps

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOG_SECONDS = 5.0
CHECKPOINT_SECONDS = 30.0
VALIDATION_SHARE = 8.0
"""A run by the clock trains at least so many times as long as it validates; a run by epochs validates as told."""


@dataclass(frozen=True)
class Settings:
    """How a run trains.

    Attributes:
        learning_rate: peak rate of AdamW.
        encoder_rate: factor on the rate for pretrained weights.
        weight_decay: of AdamW, on weights of convolutions alone.
        warmup: share of the run in which the rate rises.
        clip: greatest norm of the gradient.
        validations: how often the run is validated, evenly over its length.
        patience: validations without a gain after which the run stops, or None.
        precision: "bf16-mixed" or "32-true".
        device: torch's name of the device, such as "cpu", "cuda" or "cuda:1".
        seed: of everything drawn.
        stages: which part of the network learns when; all of it all the time when there are none.
        whole: whether a batch is one whole sample, whose gradients are computed in strips.
    """

    learning_rate: float = 1e-3
    encoder_rate: float = 0.5
    weight_decay: float = 0.02
    warmup: float = 0.06
    clip: float = 5.0
    validations: int = 12
    patience: int | None = None
    precision: str = "bf16-mixed"
    device: str = "cpu"
    seed: int = 0
    stages: tuple[Stage, ...] = ()
    whole: bool = False


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
        best_step: the step at which it was reached.
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


def parameter_groups(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """AdamW's groups: pretrained weights at a lower rate; norms, biases and other vectors without decay."""
    encoder = getattr(network, "encoder", None)
    pretrained_encoder = encoder is not None and getattr(encoder, "pretrained", False)
    lower = {id(p) for p in encoder.parameters()} if encoder is not None and pretrained_encoder else set()
    groups = []
    for pretrained in (False, True):
        for matrix in (False, True):
            chosen = [
                p for p in network.parameters()
                if p.requires_grad and (id(p) in lower) == pretrained and (p.ndim > 1) == matrix
            ]  # fmt: skip
            if chosen:
                rate = settings.encoder_rate if pretrained else 1.0
                groups.append(
                    {"params": chosen, "factor": rate, "weight_decay": settings.weight_decay if matrix else 0.0}
                )
    return groups


def _memory_format(ndim: int) -> torch.memory_format:
    return {2: torch.channels_last, 3: torch.channels_last_3d}.get(ndim, torch.contiguous_format)


@dataclass(frozen=True)
class Supply:
    """What the loop is fed with.

    Attributes:
        batches: called with a step, gives the batches from there on.
        validate: called with a network in eval mode, gives `loss` and the metrics that the task watches.
        per_epoch: steps in an epoch, for the log.
    """

    batches: Callable[[int], Iterable[Batch]]
    validate: Callable[[nn.Module], Mapping[str, float]]
    per_epoch: int


def fit(
    network: nn.Module,
    task: Task,
    supply: Supply,
    *,
    budget: Budget,
    settings: Settings,
    folder: Path,
    monitor: Monitor | None = None,
    resume: bool = False,
) -> Outcome:
    """Train `network` and leave the best averaged weights in `folder/model.safetensors`.

    Args:
        network: `(N, C, *S)` raw values to `(N, K, *S)`, or to a list of outputs, finest first.
        task: gives the loss and says which metric chooses the best weights.
        supply: batches and validation.
        budget: how long.
        settings: how.
        folder: of the run.
        monitor: told of every step.
        resume: whether to resume from `folder/checkpoint/state.safetensors`.
    """
    from lightning_fabric import Fabric

    torch.set_flush_denormal(True)
    device = torch.device(settings.device)
    devices = 1 if device.index is None else [device.index]
    fabric = Fabric(accelerator=device.type, devices=devices, precision=settings.precision)  # type: ignore[arg-type]
    for weight in network.parameters():
        weight.data = weight.data.contiguous(memory_format=_memory_format(weight.ndim - 2))
    average = averaged(network)
    optimizer = torch.optim.AdamW(parameter_groups(network, settings), lr=settings.learning_rate, fused=True)
    state = State()
    if resume:
        state = restore(folder, network, average, optimizer)
        budget.spent = state.spent
    model, optimizer = fabric.setup(network, optimizer)
    on_device(average.module, fabric.device)  # its count stays on the CPU, where reading it waits for nothing
    run = _Run(fabric, model, network, average, optimizer, task, supply, budget, settings, folder, state)
    run.monitor = monitor or Monitor()
    run.log = Log(folder, task.watched, state.step)
    # the gradients of fast_depthwise are its own, and strips follow those of torch
    depthwise = nullcontext() if settings.whole else fast_depthwise(network)
    try:
        with (
            stop_on_signal() as signals,
            depthwise,
            safe_strided(network),
            whole_steps(network, task, settings.whole) as run.whole,
        ):
            outcome = _steps(run, supply.batches(state.step), signals)
        return replace(outcome, interrupted=bool(signals))  # also by a signal that came after the last step
    finally:
        run.log.close()


def restore(folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Load the last checkpoint of a run; a run killed before its first starts anew."""
    if not has_state(folder):
        return State()
    tensors, facts = read_tensors(state_path(folder))
    unpack(tensors, network, average, optimizer)
    if facts["best"] == -1.0:
        facts["best"] = None  # earlier versions wrote -1 for "never a number"
    return State(**facts)


@dataclass
class _Run:
    """The parts of a run that its steps share."""

    fabric: "Fabric"
    model: nn.Module
    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    task: Task
    supply: Supply
    budget: Budget
    settings: Settings
    folder: Path
    state: State
    monitor: Monitor = field(default_factory=Monitor)
    log: Log = None  # type: ignore[assignment]
    whole: WholeSteps | None = None


def _steps(run: _Run, batches: Iterable[Batch], signals: list[int]) -> Outcome:
    state, budget, settings = run.state, run.budget, run.settings
    base_reserve = budget.reserve
    losses: list[torch.Tensor] = []
    logged = saved = time.monotonic()
    logged_step, images, stopped, validated_at, validated_step = state.step, 0, False, 0.0, -1
    run.model.train()
    _enter(run)
    for batch in batches:
        budget.reserve = base_reserve + budget.validations * state.validation_seconds
        progress = budget.progress(state.step)
        if progress >= 1 or stopped or signals:
            break
        rate = settings.learning_rate * _rate(run, progress)
        losses.append(_step(run, batch, rate))
        state.step += 1
        images += len(batch.images)
        now = time.monotonic()
        if now - logged >= LOG_SECONDS or state.step == 1:
            _note(run, losses, rate, images / (now - logged), (state.step - logged_step) / (now - logged))
            losses, images, logged, logged_step = [], 0, time.monotonic(), state.step
        due = progress * settings.validations >= state.validated + 1
        if due and (budget.minutes is None or now - validated_at >= VALIDATION_SHARE * state.validation_seconds):
            stopped, validated_at, validated_step = _validation(run, rate), time.monotonic(), state.step
            state.validated = int(progress * settings.validations)
            logged, logged_step, images, losses = time.monotonic(), state.step, 0, []
        if time.monotonic() - saved >= CHECKPOINT_SECONDS:
            _save(run)
            saved = time.monotonic()
    if not signals:
        if state.step != validated_step:
            _validation(run, 0.0)
        state.validated = settings.validations
    _save(run)
    return Outcome(state.step, budget.seconds, state.best, state.best_step, bool(signals))


def _rate(run: _Run, progress: float) -> float:
    """Factor on the learning rate; every stage has a cycle of its own. Enters the next stage when it is due."""
    stages = run.settings.stages
    if not stages:
        return one_cycle(progress, run.settings.warmup)
    index, within = place(stages, progress)
    if index > run.state.stage:
        run.state.stage = index
        _enter(run)
    if index < run.state.stage:  # by the clock, what is kept back may grow and the share done shrink again
        within = 0.0
    return stages[run.state.stage].rate * one_cycle(within, run.settings.warmup)


def _enter(run: _Run) -> None:
    """Freeze and free what the stage in progress says, and tell."""
    stages = run.settings.stages
    if stages:
        stage = stages[run.state.stage]
        learning = enter(run.network, stage).text()
        run.monitor.tell(
            f"stage {run.state.stage + 1} of {len(stages)}, {stage.name}: {learning}, "
            f"rate {run.settings.learning_rate * stage.rate:g}, {stage.share:.0%} of the run"
        )


def _step(run: _Run, batch: Batch, rate: float) -> torch.Tensor:
    """Forward, backward, update; what the network draws (dropout) depends on the seed and the step alone."""
    torch.manual_seed(run.settings.seed * 1_000_003 + run.state.step)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    images = run.fabric.to_device(batch.images).contiguous(memory_format=_memory_format(batch.images.ndim - 2))
    targets = run.fabric.to_device(batch.targets)
    if run.whole is not None:
        loss = torch.tensor(run.whole.step(images[0], targets[0]))
    else:
        loss = supervised_loss(run.task, run.model(images), targets)
        run.fabric.backward(loss)
    norm = run.fabric.clip_gradients(run.model, run.optimizer, max_norm=run.settings.clip, error_if_nonfinite=False)  # type: ignore[arg-type]
    if not (
        math.isfinite(loss.detach()) and norm is not None and math.isfinite(norm)
    ):  # the weights are still those before this batch
        run.optimizer.zero_grad()
        if run.whole is not None:
            named = batch.names[0] if batch.names else "a sample"
            raise UserError(f"{named}: the loss at step {run.state.step} is not a number: lower train.learning_rate")
        raise blame(_plain(run), run.network, run.task, replace(batch, images=images, targets=targets), run.state.step)
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.average.update_parameters(run.network)
    return loss.detach()


def _plain(run: _Run) -> Callable[[torch.Tensor], Any]:
    """The network in the arithmetic of the training, without Fabric, which allows no gradients but its own."""

    def compute(images: torch.Tensor) -> Any:
        with run.fabric.autocast():
            return run.network(images)

    return compute


def _note(run: _Run, losses: list[torch.Tensor], rate: float, images: float, steps: float) -> None:
    state = run.state
    loss = float(torch.stack(losses).mean())
    epoch, seconds = state.step / run.supply.per_epoch, run.budget.seconds
    run.log.write(
        step=state.step, epoch=epoch, seconds=seconds, split="train", loss=loss, learning_rate=rate,
        images_per_second=images,
    )  # fmt: skip
    left = run.budget.remaining(state.step, steps)
    run.monitor.on_step({
        "step": state.step, "epoch": epoch, "loss": loss, "rate": images, "left": left, "seconds": seconds,
        "progress": run.budget.progress(state.step),
    })  # fmt: skip


def _validation(run: _Run, rate: float) -> bool:
    """Validate the averaged weights, keep them when they are the best so far; whether patience has run out."""
    state, start = run.state, time.monotonic()
    network = run.average.module.eval()
    try:
        with torch.inference_mode(), run.fabric.autocast():
            values = run.supply.validate(network)
    except NotFinite as error:  # later weights may do better, and the best ones so far are kept
        values = dict.fromkeys(("loss", *run.task.watched), math.nan)
        run.monitor.tell(f"step {state.step}: {error}: this validation counts for nothing")
    value = values[run.task.watched[0]]
    best, known = state.best, math.isfinite(value)
    gained = known and best is not None and (value > best if run.task.higher_is_better else value < best)
    if gained or best is None:  # while nothing was a number, the latest weights are kept
        state.best = value if known else None
        state.best_step, state.stale = state.step, 0
        write_tensors(run.folder / "model.safetensors", network.state_dict(), {"step": state.step, **values})
    else:
        state.stale += 1
    state.validation_seconds = time.monotonic() - start
    run.log.write(
        step=state.step, epoch=state.step / run.supply.per_epoch, seconds=run.budget.seconds, split="val",
        learning_rate=rate, **values,
    )  # fmt: skip
    run.monitor.on_validation(state.step, dict(values))
    patience = run.settings.patience
    return patience is not None and state.stale >= patience


def _save(run: _Run) -> None:
    run.state.spent = run.budget.seconds
    tensors = pack(run.network, run.average, run.optimizer)
    write_tensors(state_path(run.folder), tensors, asdict(run.state))
