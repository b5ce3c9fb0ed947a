"""One step of a training: forward, backward, update. On several devices it is the step of their whole batch."""

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from atrous.data.feed.batches import Batch, joined_batch
from atrous.errors import UserError
from atrous.ranks import joined
from atrous.tasks.task import Task
from atrous.training.processes import Processes, expect_unused
from atrous.training.settings import Settings
from atrous.training.sharpness import uphill
from atrous.training.teacher import ramp_up, said_by, teacher_loss
from atrous.training.trace import blame, supervised_loss
from atrous.training.whole import WholeSteps

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MOMENTUM = 0.9


def parameter_groups(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """The groups of an optimizer: pretrained weights at a lower rate; norms, biases and other vectors without decay."""
    encoder = getattr(network, "encoder", None)
    modules = encoder.modules() if isinstance(encoder, nn.Module) else ()
    parts = [module for module in modules if getattr(module, "pretrained", False) is True]
    lower = {id(p) for part in parts for p in part.parameters()}
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


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Make the optimizer that the settings name."""
    groups = parameter_groups(network, settings)
    if settings.optimizer != "sgd":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    optimizer = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=MOMENTUM, fused=True)
    for group in groups:  # torch's fused step cannot begin with some weights and go on with others, as stages do
        for weight in group["params"]:
            optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
    return optimizer


def beside_weights(optimizer: torch.optim.Optimizer) -> None:
    """Bring what an optimizer keeps of its weights to the device on which these are now."""
    for weight, kept in optimizer.state.items():
        kept.update({name: value.to(weight.device) for name, value in kept.items() if isinstance(value, torch.Tensor)})


def memory_format(ndim: int) -> torch.memory_format:
    """Return the order of values in memory in which convolutions over so many axes are fast."""
    return {2: torch.channels_last, 3: torch.channels_last_3d}.get(ndim, torch.contiguous_format)


def compiled(network: nn.Module, wanted: bool) -> nn.Module:
    """Return the network as `torch.compile` gives it, where that is wanted; it compiles at the first step."""
    return torch.compile(network) if wanted else network  # pyright: ignore[reportReturnType]


@contextmanager
def fast_kernels(device: torch.device, fixed: bool) -> Iterator[None]:
    """Let a CUDA device take the faster kernels within the block: TF32, and where sizes are fixed the best by trial."""
    if device.type != "cuda":
        yield
        return
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = fixed
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark


@dataclass(frozen=True)
class _Unchecked:
    """A step of which nobody has asked yet whether its loss was a number."""

    finite: torch.Tensor
    batch: Batch
    number: int


@dataclass
class Learner:
    """What a step works on.

    Attributes:
        fabric: puts tensors on the device.
        model: the network as Fabric wraps it.
        network: the network itself.
        optimizer: of its weights.
        average: of its weights, kept by the first process alone.
        task: gives the loss.
        settings: of the run.
        processes: that train together.
        whole: computes steps on whole samples; None for crops.
        lag: steps after which it is asked whether a loss was a number. To ask at once makes a GPU wait; a step that is
            not checked yet changes no weights where its loss or its gradient is not a number.
    """

    fabric: "Fabric"
    model: nn.Module
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel
    task: Task
    settings: Settings
    processes: Processes
    whole: WholeSteps | None = None
    lag: int = 0
    unchecked: deque[_Unchecked] = field(default_factory=deque)
    fresh: bool = True
    """Whether the network has been wrapped, but no step been taken since."""

    def step(self, batch: Batch, number: int, rate: float, progress: float = 1.0) -> torch.Tensor:
        """Take a step and return its loss, which is on the device.

        What the network draws (dropout) depends on the seed, the step and the process alone.

        Args:
            batch: the share of this process.
            number: of the step, from 0.
            rate: the learning rate.
            progress: share of the training, from 0 to 1, that is over.

        Raises:
            UserError: the loss of this step, or of one before, is not a number; the images that are the reason are
                named.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        images = self.fabric.to_device(batch.images).contiguous(memory_format=memory_format(batch.images.ndim - 2))
        batch = replace(batch, images=images, targets=self.fabric.to_device(batch.targets))
        loss = self._backward(batch, number, progress)
        if self.settings.sharpness > 0 and number % self.settings.sharpness_every == 0:
            with uphill(self.network, self.settings.sharpness):
                self._gradients(batch, number, progress)
        norm = self.fabric.clip_gradients(
            self.model,
            self.optimizer,
            max_norm=self.settings.clip,
            error_if_nonfinite=False,  # type: ignore[arg-type]
        )
        assert norm is not None
        self.unchecked.append(_Unchecked(loss.isfinite() & norm.isfinite(), batch, number))
        if self.lag == 0:
            self.check()
        else:  # the optimizer looks itself, on the device
            self.optimizer.found_inf = (~self.unchecked[-1].finite).float()  # pyright: ignore[reportAttributeAccessIssue]
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.processes.first:
            self.average.update_parameters(self.network)
        self.check(self.lag)
        return loss

    def wrap(self) -> None:
        """Wrap the network anew, after other parts of it learn than before; modules keep their modes."""
        network = compiled(self.network, self.settings.compile)
        self.model, self.fresh = self.fabric.setup_module(network), True
        gc.collect()  # the old wrapper goes on averaging while anything holds it

    def check(self, keep: int = 0) -> None:
        """Ask whether the losses of all steps but the last `keep` were numbers.

        Raises:
            UserError: one was not.
        """
        while len(self.unchecked) > keep:
            past = self.unchecked.popleft()
            if not bool(past.finite):
                self.optimizer.zero_grad()
                raise self._broken(past.batch, past.number)

    def _backward(self, batch: Batch, number: int, progress: float) -> torch.Tensor:
        """The loss; its gradients are left at the weights.

        Gradients are averaged while others are still computed, so it must be known which weights get none. The first
        step finds out, and is taken again if there are any.
        """
        fresh, self.fresh = self.fresh and self.processes.count > 1, False
        before = [buffer.clone() for buffer in self.network.buffers()] if fresh else []
        loss = self._gradients(batch, number, progress)
        if fresh and any(weight.requires_grad and weight.grad is None for weight in self.network.parameters()):
            for buffer, old in zip(self.network.buffers(), before, strict=True):
                buffer.copy_(old)
            self.optimizer.zero_grad()
            expect_unused(self.fabric)
            self.wrap()
            self.fresh = False
            loss = self._gradients(batch, number, progress)
        return loss

    def _gradients(self, batch: Batch, number: int, progress: float) -> torch.Tensor:
        torch.manual_seed(self.settings.seed * 1_000_003 + number + self.processes.rank * 7_368_787)
        if self.whole is not None:
            return torch.tensor(self.whole.step(batch.images[0], batch.targets[0]))
        with joined(self.processes.sums):
            output = self._output(batch.images)
            loss = supervised_loss(self.task, output, batch.targets, numbered=batch.numbered)
            if self.settings.teacher > 0:
                with self.fabric.autocast():
                    said = said_by(self.average.module, batch.images)
                loss = loss + self.settings.teacher * ramp_up(progress) * teacher_loss(output, said)
            self.fabric.backward(loss)
        return loss.detach()

    def _output(self, images: torch.Tensor) -> torch.Tensor:
        """The network's output; a batch norm that is given a single value of each channel is a mistake in the sizes."""
        try:
            return self.model(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            sides = " x ".join(map(str, images.shape[2:]))
            raise UserError(
                f"a batch norm of the network sees one value of each channel, with {len(images)} crop of {sides} on a "
                "device: raise train.batch_size or train.crop"
            ) from error

    def _broken(self, batch: Batch, number: int) -> UserError:
        """The error of a step whose loss is not a number; the first process looks at the crops of all."""
        if self.whole is not None:
            named = batch.names[0] if batch.names else "a sample"
            return UserError(f"{named}: the loss at step {number} is not a number: lower train.learning_rate")
        parts = self.processes.gathered(replace(batch, images=batch.images.cpu(), targets=batch.targets.cpu()))

        def look() -> str:
            every = joined_batch(parts)
            images, targets = self.fabric.to_device(every.images), self.fabric.to_device(every.targets)
            every = replace(every, images=images, targets=targets)
            return str(blame(self._plain, self.network, self.task, every, number))

        return UserError(self.processes.of_first(look))

    def _plain(self, images: torch.Tensor) -> Any:
        """The network in the arithmetic of the training, without Fabric, which allows no gradients but its own."""
        with self.fabric.autocast():
            return self.network(images)
