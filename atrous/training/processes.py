"""The processes of a training on several devices: what they tell each other beside gradients.

Messages go over the CPUs (gloo), in a group of their own: a GPU is never waited for. An error in one process is told to
all of them at the next message, so that all end alike and none waits for one that is gone.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import distributed

from atrous.errors import UserError
from atrous.files import disk_trouble
from atrous.training.settings import Settings

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")
PATIENCE = timedelta(hours=24)
"""So long processes wait for one that validates. One that has ended is noticed at once."""


class Agreed(NamedTuple):
    """What all processes know before a step.

    Attributes:
        progress: of the first process, from 0 to 1.
        interrupted: whether any of them received a signal.
    """

    progress: float
    interrupted: bool


@dataclass(frozen=True)
class Processes:
    """The processes of one training, of which this is one; by default it is alone.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        messages: process group for messages between CPUs; None for a process that is alone.
        sums: process group for the sums of losses and norms.

    >>> Processes().agree(0.5, False, None)
    Agreed(progress=0.5, interrupted=False)
    """

    rank: int = 0
    count: int = 1
    messages: Any = None
    sums: Any = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that tells, validates and writes."""
        return self.rank == 0

    def agree(self, progress: float, interrupted: bool, error: Exception | None) -> Agreed:
        """Tell the others how this process is; return what all of them know. All must call it alike.

        Raises:
            UserError: it is the error of one of the processes, or one of them has ended.
            Exception: what is no mistake of the user's, in the process where it happened.
        """
        if self.count == 1:
            if error is not None:
                raise error
            return Agreed(progress, interrupted)
        told = torch.tensor(
            [progress if self.first else -1.0, float(interrupted), float(error is not None)], dtype=torch.float64
        )
        with noticing_ends():
            distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self.messages)
            if told[2] > 0:
                raise self._shared(error)
        return Agreed(float(told[0]), bool(told[1]))

    def together(self, work: Callable[[], T]) -> T:
        """Do some work in every process, and return what it gives; an error in one of them is raised in all."""
        result, error = None, None
        try:
            result = work()
        except Exception as caught:
            error = caught
        self.agree(0.0, False, error)
        return result  # type: ignore[return-value]

    def of_first(self, work: Callable[[], T]) -> T:
        """Do some work in the first process, and return what it gives in all of them."""
        given = [self.together(lambda: work() if self.first else None)]
        if self.count > 1:
            with noticing_ends():
                distributed.broadcast_object_list(given, 0, group=self.messages)
        return given[0]  # type: ignore[return-value]

    def gathered(self, value: T) -> list[T]:
        """Return the value of every process, in the order of their numbers."""
        if self.count == 1:
            return [value]
        every: list[Any] = [None] * self.count
        with noticing_ends():
            distributed.all_gather_object(every, value, group=self.messages)
        return every

    def _shared(self, error: Exception | None) -> Exception:
        """What this process raises when one of them has an error."""
        said = self.gathered(None if error is None else (said_to_user(error), repr(error)))
        if error is not None and said_to_user(error) is None:
            return error
        mistakes = [entry[0] for entry in said if entry is not None and entry[0] is not None]
        if mistakes:
            return UserError(str(mistakes[0]))
        rank, entry = next((rank, entry) for rank, entry in enumerate(said) if entry is not None)
        return RuntimeError(f"process {rank} of this training failed: {entry[1]}")


def said_to_user(error: Exception) -> str | None:
    """Return what a user is told of an error; None where it is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if not isinstance(error, OSError):
        return None
    trouble = disk_trouble(error)
    if error.filename is None:
        return trouble
    return f"{error.filename}: {trouble or error.strerror}"


@contextmanager
def noticing_ends() -> Iterator[None]:
    """Within the block, the end of another process of the training is a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or "gloo" in str(error) or "closed by peer" in str(error)
        if not lost:
            raise
        raise UserError("another process of this training has ended") from error


def make_fabric(settings: Settings) -> "Fabric":
    """Make what puts a network on its device, or on one of several.

    Raises:
        UserError: torchrun, SLURM or another launcher started other processes than the settings say.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    device = torch.device(settings.device)
    if settings.devices * settings.nodes == 1:
        devices = 1 if device.index is None else [device.index]
        return Fabric(accelerator=device.type, devices=devices, precision=settings.precision)  # type: ignore[arg-type]
    strategy = DDPStrategy(timeout=PATIENCE)
    try:
        fabric = Fabric(
            accelerator=device.type, devices=settings.devices, num_nodes=settings.nodes, strategy=strategy,
            precision=settings.precision,  # type: ignore[arg-type]
        )  # fmt: skip
        environment = strategy.cluster_environment
        assert environment is not None
        if not environment.creates_processes_externally:
            raise UserError(
                f"train.devices = {settings.devices}: from Python, start the script by torchrun --nproc-per-node="
                f"{settings.devices}; the command atrous train starts the processes itself"
            )
        fabric.launch()
    except ValueError as error:  # torchrun or SLURM started others than the settings say
        told = str(error).splitlines()[0]
        raise UserError(f"train.devices = {settings.devices}, train.nodes = {settings.nodes}: {told}") from error
    return fabric


def expect_unused(fabric: "Fabric") -> None:
    """Let networks that are wrapped from now on have weights that take no part in the output, such as a head."""
    kwargs: dict[str, Any] = fabric.strategy._ddp_kwargs  # pyright: ignore[reportAttributeAccessIssue]
    kwargs["find_unused_parameters"] = True


@contextmanager
def open_processes(settings: Settings) -> Iterator[Processes]:
    """Join the other processes of a training within the block, where settings say that there are some.

    Raises:
        UserError: as `make_fabric`, or another number of processes was started.
    """
    wanted = settings.devices * settings.nodes
    if wanted == 1:
        yield Processes()
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        fabric = make_fabric(settings)
        try:
            if fabric.world_size != wanted:
                raise UserError(
                    f"train.devices = {settings.devices}, train.nodes = {settings.nodes}: {fabric.world_size} "
                    "processes were started: start as many as there are devices"
                )
            messages = distributed.new_group(backend="gloo", timeout=PATIENCE)
            yield Processes(fabric.global_rank, fabric.world_size, messages, distributed.new_group(timeout=PATIENCE))
        finally:
            distributed.destroy_process_group()
