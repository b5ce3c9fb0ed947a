"""The training loop: one flat function over steps, on Lightning Fabric."""

import math
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from atrous.data.feed.batches import Batch
from atrous.nn.depthwise import fast_depthwise
from atrous.nn.joint_norm import joint_norms
from atrous.nn.shallow import safe_shallow
from atrous.nn.strided import safe_strided
from atrous.stream.process import kept_memory
from atrous.tasks.task import NotFinite, Task
from atrous.training.average import averaged, on_device
from atrous.training.budget import Budget, one_cycle
from atrous.training.checkpoint import has_state, pack, read_tensors, state_path, unpack
from atrous.training.log import Log
from atrous.training.processes import Processes, make_fabric, noticing_ends
from atrous.training.saving import Saver
from atrous.training.settings import Monitor, Outcome, Settings, State, Supply
from atrous.training.signals import stop_on_signal
from atrous.training.stages import enter, place
from atrous.training.step import Learner, beside_weights, compiled, fast_kernels, make_optimizer, memory_format
from atrous.training.whole import whole_steps

LOG_SECONDS = 5.0
CHECKPOINT_SECONDS = 30.0
VALIDATION_SHARE = 8.0
"""A run by the clock trains at least so many times as long as it validates; a run by epochs validates as told."""


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
    processes: Processes | None = None,
) -> Outcome:
    """Train `network` and leave the best averaged weights in `folder/model.safetensors`.

    Args:
        network: `(N, C, *S)` raw values to `(N, K, *S)`, or to a list of outputs, finest first.
        task: gives the loss and says which metric chooses the best weights.
        supply: batches, of several processes the share of this one; and validation.
        budget: how long; that of the first process counts.
        settings: how.
        folder: of the run, which all processes see.
        monitor: told of every step.
        resume: whether to resume from `folder/checkpoint/state.safetensors`.
        processes: that train together, each with a call of its own; None for this one alone. The first one validates,
            writes and tells.
    """
    torch.set_flush_denormal(True)
    processes = processes or Processes()
    fabric = make_fabric(settings)
    for weight in network.parameters():
        weight.data = weight.data.contiguous(memory_format=memory_format(weight.ndim - 2))
    average = averaged(network)
    optimizer = make_optimizer(network, settings)
    state = State()
    if resume:
        state = restore(folder, network, average, optimizer)
        budget.spent = state.spent
    # the gradients of fast_depthwise are its own: strips follow those of torch, and a compiler writes others
    depthwise = nullcontext() if settings.whole or settings.compile else fast_depthwise(network)
    with (
        noticing_ends(),
        stop_on_signal() as signals,
        depthwise,
        safe_strided(network),
        safe_shallow(network),
        joint_norms(settings.sync_batch_norm and processes.count > 1),
        fast_kernels(fabric.device, fixed=not settings.whole),
        nullcontext() if settings.whole else kept_memory(),
        whole_steps(network, task, settings.whole) as whole,
        Saver() as saver,
    ):
        lag = 0 if fabric.device.type == "cpu" or settings.whole else 1
        learner = Learner(
            fabric,
            fabric.setup(compiled(network, settings.compile), optimizer)[0],  # held by the learner alone: see `wrap`
            network, optimizer, average, task, settings, processes, whole, lag,
        )  # fmt: skip
        beside_weights(optimizer)
        if processes.first:
            on_device(average.module, fabric.device)  # its count stays on the CPU, where reading it waits for nothing
        run = _Run(learner, supply, budget, folder, state, monitor or Monitor(), saver)
        try:
            run.log = processes.together(lambda: Log(folder, task.watched, state.step) if processes.first else None)
            outcome = _steps(run, supply.batches(state.step), signals)
        finally:
            if run.log is not None:
                run.log.close()
    # also by a signal that came after the last step
    return replace(outcome, interrupted=outcome.interrupted or bool(signals))


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

    learner: Learner
    supply: Supply
    budget: Budget
    folder: Path
    state: State
    monitor: Monitor
    saver: Saver
    log: Log | None = None

    @property
    def settings(self) -> Settings:
        """How the run trains."""
        return self.learner.settings


class _Clock:
    """What the first process has to do beside steps, and when."""

    def __init__(self, run: _Run) -> None:
        self.run, self.losses = run, list[torch.Tensor]()
        self.logged = self.saved = time.monotonic()
        self.logged_step, self.images = run.state.step, 0
        self.stopped = _patience_is_over(run)  # a resumed run may have been stopped before
        self.validated_at, self.validated_step = 0.0, run.state.step if self.stopped else -1

    def after(self, loss: torch.Tensor, images: int, progress: float, rate: float) -> None:
        """Log, validate and save where it is due."""
        run, state, budget = self.run, self.run.state, self.run.budget
        self.losses.append(loss)
        self.images += images
        now = time.monotonic()
        if now - self.logged >= LOG_SECONDS or state.step == 1:
            spent = now - self.logged
            _note(run, self.losses, rate, self.images / spent, (state.step - self.logged_step) / spent)
            self._restart()
        due = progress * run.settings.validations >= state.validated + 1
        apart = VALIDATION_SHARE * state.validation_seconds
        if due and (budget.minutes is None or now - self.validated_at >= apart):
            self.stopped, self.validated_at, self.validated_step = _validation(run, rate), time.monotonic(), state.step
            state.validated = int(progress * run.settings.validations)
            self._restart()
        if time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            _save(run)
            self.saved = time.monotonic()

    def end(self, interrupted: bool) -> None:
        """Validate a last time, unless a signal ended the run, and save."""
        run, state = self.run, self.run.state
        if not interrupted:
            if state.step != self.validated_step:
                _validation(run, 0.0)
            state.validated = run.settings.validations
        _save(run)
        run.saver.wait()

    def _restart(self) -> None:
        self.losses, self.images, self.logged, self.logged_step = [], 0, time.monotonic(), self.run.state.step


def _steps(run: _Run, batches: Iterable[Batch], signals: list[int]) -> Outcome:
    learner, state, budget, processes = run.learner, run.state, run.budget, run.learner.processes
    base_reserve, clock, error = budget.reserve, _Clock(run), None
    learner.model.train()
    _enter(run)
    feed, batch = iter(batches), None
    while True:
        budget.reserve = base_reserve + budget.validations * state.validation_seconds
        if error is None:
            try:
                batch = next(feed, None)
            except Exception as caught:
                error = caught
        progress = 1.0 if clock.stopped or batch is None else budget.progress(state.step)
        progress, interrupted = processes.agree(progress, bool(signals), error)
        if progress >= 1 or interrupted:
            break
        assert batch is not None
        rate = run.settings.learning_rate * _rate(run, progress)
        loss = learner.step(batch, state.step, rate, progress)
        state.step += 1
        if processes.first:
            try:
                clock.after(loss, run.supply.size or len(batch.images), progress, rate)
            except Exception as caught:  # told to the other processes before it is raised
                error = caught
        batch = None
    learner.check()
    processes.together(lambda: clock.end(interrupted) if processes.first else None)
    return Outcome(state.step, budget.seconds, state.best, state.best_step, interrupted)


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
    stages, learner = run.settings.stages, run.learner
    if stages:
        stage = stages[run.state.stage]
        learning = enter(learner.network, stage).text()
        if learner.processes.count > 1:  # gradients are averaged of what learned when the network was wrapped
            learner.wrap()
        run.monitor.tell(
            f"stage {run.state.stage + 1} of {len(stages)}, {stage.name}: {learning}, "
            f"rate {run.settings.learning_rate * stage.rate:g}, {stage.share:.0%} of the run"
        )


def _note(run: _Run, losses: list[torch.Tensor], rate: float, images: float, steps: float) -> None:
    state = run.state
    loss = float(torch.stack(losses).mean())
    epoch, seconds = state.step / run.supply.per_epoch, run.budget.seconds
    assert run.log is not None
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
    """Validate the averaged weights, keep those that count; whether patience has run out."""
    state, task, start = run.state, run.learner.task, time.monotonic()
    assert run.log is not None
    network = run.learner.average.module.eval()
    try:
        fabric = run.learner.fabric  # samples have many sizes: kernels are not tried out for each
        with torch.inference_mode(), fabric.autocast(), fast_kernels(fabric.device, fixed=False):
            values = run.supply.validate(network)
    except NotFinite as error:  # later weights may do better, and the best ones so far are kept
        values = dict.fromkeys(("loss", *task.watched), math.nan)
        run.monitor.tell(f"step {state.step}: {error}: this validation counts for nothing")
    value = values[task.watched[0]]
    best, known = state.best, math.isfinite(value)
    gained = known and best is not None and (value > best if task.higher_is_better else value < best)
    better = gained or best is None  # while nothing was a number, the latest weights are kept
    if better:
        state.best = value if known else None
    state.stale = 0 if better else state.stale + 1
    if better or (known and not run.settings.choose):
        state.best_step = state.step
        run.saver.save(run.folder / "model.safetensors", network.state_dict(), {"step": state.step, **values})
    state.validation_seconds = time.monotonic() - start
    run.log.write(
        step=state.step, epoch=state.step / run.supply.per_epoch, seconds=run.budget.seconds, split="val",
        learning_rate=rate, **values,
    )  # fmt: skip
    run.monitor.on_validation(state.step, dict(values))
    return _patience_is_over(run)


def _patience_is_over(run: _Run) -> bool:
    patience = run.settings.patience if run.settings.choose else None
    return patience is not None and run.state.stale >= patience


def _save(run: _Run) -> None:
    run.state.spent = run.budget.seconds
    tensors = pack(run.learner.network, run.learner.average, run.learner.optimizer)
    run.saver.save(state_path(run.folder), tensors, asdict(run.state))
