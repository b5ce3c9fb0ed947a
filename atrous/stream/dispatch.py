"""Units on their way to the workers of a Dask cluster and back; or computed here, one after the other."""

import math
import os
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from torch import Tensor

from atrous.errors import UserError
from atrous.extras import library
from atrous.stream.process import kept_memory
from atrous.stream.units import EXCESS, Units
from atrous.stream.worker import UnitOutcome, UnitWork, computed, plugin_class, run_unit, same

ATTEMPTS = 3
"""How often a unit is computed again after an error on its worker; and how often Dask may give a unit up, which it does
after some lost workers that had it (`distributed.scheduler.allowed-failures`)."""
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""Dask's settings in `local:N`. By default its processes look at themselves up to 100 times a second, which took 4 % of
a processor for each of them."""
QUICK = 0.2
"""Seconds of a unit below which a worker is given further units while it computes one."""
RECOUNT = 1.0
"""Seconds after which workers are counted again: some may have come."""
PATIENCE = 30
"""Seconds in which a first worker must have come."""


def _say_nothing(text: str) -> None:
    pass


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster and how a run uses it; `stream(..., client=...)` takes one, or the client alone.

    Attributes:
        client: a `dask.distributed.Client`.
        side: of the units, in output positions; None takes the smallest that keep to `excess`.
        excess: the work on halos that units may add, as a share of the work in one piece.
        resources: what a worker must offer to compute a unit, such as `{"GPU": 1}` (`dask worker --resources "GPU=1"`).
        device: where workers compute, such as "cuda"; None leaves the network on the device that it is on.
        threads: of torch in each worker; None leaves what the worker was started with.
        tell: called with the plan, with how long it will take, and with what is found done.
    """

    client: Any
    side: int | None = None
    excess: float = EXCESS
    resources: dict[str, float] | None = None
    device: str | None = None
    threads: int | None = None
    tell: Callable[[str], None] = _say_nothing


@contextmanager
def connect(text: str) -> Iterator[Any]:
    """Give a client of the cluster that a text names: the address of a scheduler, or `local:N` for N processes here.

    The processes of `local:N` share the processors evenly.

    Raises:
        UserError: Dask is not installed, the text names no cluster, or no scheduler answers.
    """
    distributed = library("distributed", "dask", "a cluster")
    kind, _, count = text.partition(":")
    if kind == "local":
        if not count.isdecimal() or int(count) < 1:
            raise UserError(f"--dask {text}: write how many processes this machine runs, such as local:4")
        with (
            library("dask", "dask", "a cluster").config.set(QUIET),
            distributed.LocalCluster(
                n_workers=int(count),
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                preload="atrous.stream.worker",
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(int(count))
            yield client
        return
    try:
        client = distributed.Client(text, timeout=PATIENCE)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"--dask {text}: no scheduler answers there ({' '.join(str(error).split())}): start `dask scheduler` and "
            "give its address, such as tcp://10.0.0.1:8786, or local:4 for processes on this machine"
        ) from error
    with client:
        yield client


def local_threads(text: str) -> int | None:
    """Return the threads of torch in each process of `local:N`; None for other clusters.

    `OMP_NUM_THREADS` decides where it is set.
    """
    kind, _, count = text.partition(":")
    if kind != "local" or not count.isdecimal():
        return None
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else max(1, available // max(1, int(count)))


@contextmanager
def connected(text: str, device: str, tell: Callable[[str], None]) -> Iterator[Cluster]:
    """Give the cluster that a text names (see `connect`), with the choices of `atrous predict`.

    Args:
        text: what `--dask` names.
        device: where workers compute. Workers on other machines that compute on a GPU must offer the resource `GPU`.
        tell: called with how many workers there are, and as `Cluster` says.

    Raises:
        UserError: as `connect`.
    """
    threads = local_threads(text)
    with connect(text) as client:
        tell(f"cluster: {len(client.nthreads())} workers, dashboard {client.dashboard_link}")
        resources = None if threads is not None or device == "cpu" else {"GPU": 1.0}
        yield Cluster(client, resources=resources, device=device, threads=threads, tell=tell)


class Dispatcher(ABC):
    """Has units computed, somewhere.

    Attributes:
        units: how the run is cut.
    """

    units: Units

    @abstractmethod
    def outcomes(self, phase: int | None, numbers: Sequence[int], known: dict[int, Tensor]) -> Iterator[UnitOutcome]:
        """Compute units (`phase` None), or let them gather for a phase, and yield what becomes of each, in any order.

        Raises:
            UserError: a unit found a mistake of the user's, or cannot be computed.
        """


class Here(Dispatcher):
    """Computes units in this process, one after the other."""

    def __init__(self, work: UnitWork, units: Units) -> None:
        self._work, self.units = work, units

    def outcomes(self, phase: int | None, numbers: Sequence[int], known: dict[int, Tensor]) -> Iterator[UnitOutcome]:
        """See `Dispatcher.outcomes`."""
        with kept_memory():
            for unit in numbers:
                yield computed(self._work, phase, unit, known)


class Dispatch(Dispatcher):
    """Units of one run on their way to the workers and back. Use it in a `with` block, which takes the work along.

    Args:
        cluster: where they are computed.
        work: what they have in common.
        units: how the run is cut.

    Attributes:
        address: of the scheduler.
        live: futures under way, by key; the unit of each, and the worker that it is meant for.

    Raises:
        UserError: no worker comes.
    """

    def __init__(self, cluster: Cluster, work: UnitWork, units: Units) -> None:
        self.cluster, self.units = cluster, units
        self.address = str(cluster.client.scheduler.address)
        self._work, self._token = work, uuid4().hex[:8]
        self._name = f"atrous-{self._token}"
        self.live: dict[str, tuple[Any, int, str | None]] = {}
        self._given_up: Counter[tuple[int | None, int]] = Counter()  # how often Dask gave a unit up, by phase and unit

    def __enter__(self) -> "Dispatch":
        import cloudpickle

        client = self.cluster.client
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            fix = f"start some with `dask worker {self.address}`"
            raise UserError(f"{self.address}: no worker has come in {PATIENCE} seconds: {fix}") from error
        try:
            packed = cloudpickle.dumps(self._work)
        except (TypeError, AttributeError, ValueError) as error:
            raise UserError(
                f"the network, its source or its sink cannot be sent to workers ({error}): give a module without open "
                "files, and sources and sinks that are zarr arrays or mapped files"
            ) from error
        client.register_plugin(plugin_class()(self._name, packed, self.cluster.threads))
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(Exception):  # the scheduler may be lost, and what it knew with it
            self.cluster.client.cancel([future for future, _, _ in self.live.values()])
            self.cluster.client.unregister_worker_plugin(self._name)

    def outcomes(self, phase: int | None, numbers: Sequence[int], known: dict[int, Tensor]) -> Iterator[UnitOutcome]:
        """See `Dispatcher.outcomes`: as many units as there are workers are under way, more if units are quick.

        Each is meant for a worker: Dask would choose one that has the values, and further units would wait there while
        other workers rest.

        Raises:
            UserError: a unit found a mistake of the user's, its workers died again and again, or the scheduler is lost.
        """
        if not numbers:
            return
        client, what = self.cluster.client, "output" if phase is None else f"statistics-{phase + 1}"
        values = client.submit(same, known, key=f"values-{what}-{self._token}", pure=False) if known else {}
        waiting, ends, crew = deque(numbers), _Pace(self, len(numbers), what), Crew(self)
        running = library("distributed", "dask", "a cluster").as_completed()
        while waiting or self.live:
            for _ in range(min(len(waiting), crew.most() - len(self.live))):
                running.add(self._submit(phase, waiting.popleft(), values, crew.least()))
            future = next(running)
            _, unit, _ = self.live.pop(future.key)
            outcome = self._result(future, phase, unit)
            if outcome is None:
                waiting.appendleft(unit)
            else:
                crew.seconds = outcome.seconds
                ends.take(outcome)
                yield outcome

    def workers(self) -> int:
        """Return how many workers there are now."""
        return len(self.cluster.client.nthreads())

    def meant(self) -> Counter[str | None]:
        """Return how many units under way are meant for each worker."""
        return Counter(worker for _, _, worker in self.live.values())

    def _submit(self, phase: int | None, unit: int, values: Any, worker: str | None) -> Any:
        parts = ",".join(f"{part.start}:{part.stop}" for part in self.units.region(unit))
        what = "unit" if phase is None else f"statistics {phase + 1}"
        future = self.cluster.client.submit(
            run_unit, self._name, phase, unit, values,
            key=f"{what} {unit + 1} of {len(self.units)} [{parts}] {self._token}-{self._given_up[phase, unit]}",
            retries=ATTEMPTS, pure=False, resources=self.cluster.resources, priority=-unit,
            workers=None if worker is None else [worker], allow_other_workers=worker is not None,
        )  # fmt: skip
        self.live[future.key] = future, unit, worker
        return future

    def _result(self, future: Any, phase: int | None, unit: int) -> UnitOutcome | None:
        """Return the outcome of a unit, None if it is to be computed again, since several of its workers were lost.

        What Dask says of a unit that could not be computed becomes a message.
        """
        distributed = library("distributed", "dask", "a cluster")
        try:
            outcome = future.result()
        except distributed.KilledWorker as error:
            self._given_up[phase, unit] += 1
            if self._given_up[phase, unit] < ATTEMPTS:
                return None
            raise UserError(
                f"{future.key}: its workers died again and again, as they do without enough memory: give workers more "
                "memory, or a smaller memory limit, and start the same command again: what is done is not repeated"
            ) from error
        except distributed.CancelledError as error:
            raise UserError(
                f"the scheduler at {self.address} is lost: start it, and the same command again: what is done is not "
                "repeated"
            ) from error
        if outcome.refused is not None:
            raise UserError(outcome.refused)
        return outcome


class Crew:
    """How many units are to be under way at a time.

    Attributes:
        seconds: that the last unit took.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch, self.seconds = dispatch, math.inf
        self._threads: dict[str, int] = {}
        self._counted = -math.inf

    def most(self) -> int:
        """Return the threads of all workers; twice as many and two more if the way to a worker counts."""
        now = time.monotonic()
        if now - self._counted > RECOUNT:
            self._threads, self._counted = dict(self._dispatch.cluster.client.nthreads()), now
        threads = sum(self._threads.values())
        return max(1, threads if self.seconds > QUICK else 2 * threads + 2)

    def least(self) -> str | None:
        """Return the worker for which the fewest units are meant; None leaves the choice to Dask."""
        if not self._threads or self._dispatch.cluster.resources is not None:
            return None
        meant = self._dispatch.meant()
        return min(self._threads, key=lambda worker: meant[worker] / self._threads[worker])


class _Pace:
    """Tells once how long the units of a phase will take, after the first ones were measured."""

    def __init__(self, dispatch: Dispatch, count: int, what: str) -> None:
        self.dispatch, self.count, self.what = dispatch, count, what
        self.seconds: list[float] | None = []

    def take(self, outcome: UnitOutcome) -> None:
        """Count a unit."""
        if self.seconds is None:
            return
        self.seconds.append(outcome.seconds)
        workers = self.dispatch.workers()
        if len(self.seconds) > workers or len(self.seconds) == self.count:  # the first ones prepare the network
            later = self.seconds[workers:] or self.seconds
            each = sum(later) / len(later)
            hours = each * self.count / max(workers, 1) / 3600
            self.dispatch.cluster.tell(
                f"{self.what}: a unit takes {each:.3g} s, {self.count} of them on {workers} workers {hours:.3g} hours"
            )
            self.seconds = None
