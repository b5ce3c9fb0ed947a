"""A simulation of exact inference on a cluster, event by event (SimPy), as `atrous/stream/cluster.py` does it.

    the client      sends as many units as there are workers, and the next one for each answer. For each answer it
                    needs some seconds, its own and the scheduler's, one answer after the other.
    a worker        starts, prepares the network with its first unit of a run, and computes one unit at a time. It reads
                    the chunks that the unit touches and writes its shards while it computes.
    the store       is shared: transfers that run at the same time each get an equal part of its rate, at most the rate
                    of one worker. Each request waits for the latency; `PARALLEL` requests of a worker wait together.
    a phase         ends when its last unit is done; only then does the next one begin (barriers).
    a lost worker   fails at random (exponential times between failures) or is killed; its unit begins anew elsewhere
                    once the loss is noticed, and the worker comes back after a time, unprepared.

How long a unit takes is `fixed + per_mac * multiply-adds`, of a real run (`Speed`), times a factor that is drawn from
the factors of that run. `unit_loads.py` counts the multiply-adds and chunks of every unit.

Left out: the first strip, which is read before anything is computed; a scheduler or a client that dies; quick units,
of which more are sent; statistics and values of barriers on the network.
"""

import heapq
import math
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import simpy

PARALLEL = 10
"""Requests that a worker has open at a time: zarr's `async.concurrency`."""


@dataclass(frozen=True)
class Load:
    """What one unit does in one phase.

    Attributes:
        macs: multiply-adds.
        phase: number of the phase, which tells the seconds of a multiply-add.
        number: of the unit.
        moved: bytes of the chunks that it reads, and of the shards that it writes.
        requests: how many chunks and shards these are.
    """

    macs: float
    phase: int = 0
    number: int = 0
    moved: float = 0.0
    requests: float = 0.0


@dataclass(frozen=True)
class Speed:
    """What was measured of one worker.

    Attributes:
        phases: for each phase, the seconds of a unit besides its multiply-adds, and the seconds of one multiply-add.
        spread: seconds of units over those that `phases` gives.
        start: seconds until a worker is there.
        prepare: seconds that the first unit of a run takes longer on each worker: imports, export.
        plan: seconds that the client takes before the first unit of a run is sent.
        answer: seconds that client and scheduler take for each unit.
        link: bytes a second that one worker moves at most.
        packed: bytes of the network as it is sent to each worker.
    """

    phases: tuple[tuple[float, float], ...]
    spread: tuple[float, ...] = (1.0,)
    start: float = 0.0
    prepare: float = 0.0
    plan: float = 0.0
    answer: float = 0.0
    link: float = math.inf
    packed: float = 0.0

    def seconds(self, load: Load) -> float:
        """Return how long a unit takes, without chance.

        >>> Speed(((1.0, 0.5),)).seconds(Load(macs=4))
        3.0
        """
        fixed, per_mac = self.phases[load.phase]
        return fixed + per_mac * load.macs


@dataclass(frozen=True)
class World:
    """The cluster, and what goes wrong on it.

    Attributes:
        workers: how many.
        slowed: factor of all seconds: the workers of one machine share its memory.
        store: bytes a second of the store, for all workers together.
        latency: seconds that a request waits.
        failures: of one worker in an hour.
        back: seconds until a lost worker starts again.
        noticed: seconds until a loss is noticed; Dask waits 5 minutes for a machine that is silent, and no time for a
            process that ends.
        stragglers: share of the workers that are slower.
        slower: by this factor.
        kills: a worker is killed when so many units are done.
    """

    workers: int
    slowed: float = 1.0
    store: float = math.inf
    latency: float = 0.0
    failures: float = 0.0
    back: float = 0.0
    noticed: float = 0.0
    stragglers: float = 0.0
    slower: float = 1.0
    kills: tuple[int, ...] = ()


@dataclass(frozen=True)
class Course:
    """What came of a simulated run.

    Attributes:
        seconds: from the start of the workers to the last answer.
        units: that were done.
        redone: units that were begun and lost.
        moved: bytes that went over the network.
        busy: seconds in which workers computed, lost work included.
        waiting: share of the workers' time in which they computed nothing.
    """

    seconds: float
    units: int
    redone: int
    moved: float
    busy: float
    waiting: float


class SharedStore:
    """A store whose rate is shared evenly by all transfers that run: its clock tells the bytes that each has got."""

    def __init__(self, env: simpy.Environment, rate: float, link: float) -> None:
        self._env, self._rate, self._link = env, rate, link
        self._clock = self._since = 0.0
        self._running: list[tuple[float, int, simpy.Event]] = []  # when the clock shows the first number, it is done
        self._count = 0
        self._version = 0

    def move(self, size: float) -> simpy.Event:
        """Begin a transfer of some bytes; the event comes when it is done."""
        event = self._env.event()
        if size <= 0 or math.isinf(min(self._rate, self._link)):
            return event.succeed()
        self._advance()
        self._count += 1
        heapq.heappush(self._running, (self._clock + size, self._count, event))
        self._wait()
        return event

    def drop(self, event: simpy.Event) -> None:
        """End a transfer that nobody waits for."""
        self._advance()
        self._running = [each for each in self._running if each[2] is not event]
        heapq.heapify(self._running)
        self._wait()

    def _each(self) -> float:
        return min(self._link, self._rate / len(self._running))

    def _advance(self) -> None:
        if self._running:
            self._clock += (self._env.now - self._since) * self._each()
        self._since = self._env.now

    def _wait(self) -> None:
        self._version += 1
        if self._running:
            self._env.process(self._finish(self._version, max(0.0, self._running[0][0] - self._clock) / self._each()))

    def _finish(self, version: int, delay: float) -> Generator[Any, Any, None]:
        yield self._env.timeout(delay)
        if version == self._version:  # no transfer began or ended meanwhile
            self._advance()
            self._clock, _, event = heapq.heappop(self._running)
            event.succeed()
            self._wait()


class Simulation:
    """One run, or several runs one after the other, on one cluster.

    Args:
        runs: of each run the phases, of each phase the units.
        speed: of one worker.
        world: the cluster.
        seed: of all chance.
    """

    def __init__(self, runs: Sequence[Sequence[Sequence[Load]]], speed: Speed, world: World, seed: int = 0) -> None:
        self.runs, self.speed, self.world = runs, speed, world
        self.env = simpy.Environment()
        self.store = SharedStore(self.env, world.store, speed.link)
        self.ready, self.answers = simpy.Store(self.env), simpy.Store(self.env)
        self.run = self.units = self.redone = 0
        self.moved = self.busy = 0.0
        slow = set(Random(f"{seed} slow").sample(range(world.workers), round(world.stragglers * world.workers)))
        self.workers = [_Worker(self, number, number in slow, seed) for number in range(world.workers)]

    def course(self) -> Course:
        """Simulate to the end."""
        self.env.run(until=self.env.process(self._client()))
        seconds, workers = self.env.now, self.world.workers
        waiting = 1 - self.busy / (seconds * workers) if seconds else 0.0
        return Course(seconds, self.units, self.redone, self.moved, self.busy, waiting)

    def _client(self) -> Generator[Any, Any, None]:
        yield self.env.timeout(self.speed.start)
        for run in self.runs:
            yield self.env.timeout(self.speed.plan)
            self.run += 1
            for phase in run:
                yield from self._phase(deque(phase))

    def _phase(self, units: deque[Load]) -> Generator[Any, Any, None]:
        left = len(units)
        for _ in range(min(left, self.world.workers)):
            self.ready.put(units.popleft())
        for _ in range(left):
            yield self.answers.get()
            self.units += 1
            yield self.env.timeout(self.speed.answer)
            if units:
                yield self.ready.put(units.popleft())
            if self.units in self.world.kills:
                yield self.env.timeout(0)  # its next unit has begun
                self._kill_one()

    def _kill_one(self) -> None:
        for worker in [worker for worker in self.workers if worker.here][:1]:
            worker.kill()

    def again(self, load: Load) -> Generator[Any, Any, None]:
        """Have a lost unit computed again, once the loss is noticed."""
        yield self.env.timeout(self.world.noticed)
        self.ready.put(load)


class _Worker:
    """One worker: it starts, computes units, is lost, and comes back."""

    def __init__(self, simulation: Simulation, number: int, slow: bool, seed: int) -> None:
        self.simulation, self.env = simulation, simulation.env
        self.factor = simulation.world.slowed * (simulation.world.slower if slow else 1.0)
        self.chance, self.faults = Random(f"{seed} units {number}"), Random(f"{seed} faults {number}")
        self.here = False
        self.process = self.env.process(self._live())
        if simulation.world.failures:
            self.env.process(self._fail())

    def kill(self) -> None:
        """Lose the worker."""
        self.here = False
        self.process.interrupt()

    def _fail(self) -> Generator[Any, Any, None]:
        while True:
            yield self.env.timeout(self.faults.expovariate(self.simulation.world.failures / 3600))
            if self.here:
                self.kill()

    def _live(self) -> Generator[Any, Any, None]:
        yield self.env.timeout(self.simulation.speed.start)
        while True:
            self.here = True
            try:
                yield from self._serve()
            except simpy.Interrupt:
                yield self.env.timeout(self.simulation.world.back + self.simulation.speed.start)

    def _serve(self) -> Generator[Any, Any, None]:
        simulation, prepared = self.simulation, 0
        while True:
            asked = simulation.ready.get()
            try:
                load = yield asked
            except simpy.Interrupt:
                if asked.triggered:
                    simulation.ready.put(asked.value)
                else:
                    asked.cancel()
                raise
            first, prepared = prepared != simulation.run, simulation.run
            yield from self._compute(load, first)
            simulation.answers.put(load)

    def _compute(self, load: Load, first: bool) -> Generator[Any, Any, None]:
        simulation, speed, begun = self.simulation, self.simulation.speed, self.env.now
        seconds = speed.seconds(load) * self.chance.choice(speed.spread) + (speed.prepare if first else 0.0)
        seconds *= self.factor
        size = load.moved + (speed.packed if first else 0.0)
        simulation.moved += size
        moved = simulation.store.move(size)
        patience = load.requests * simulation.world.latency / PARALLEL
        try:
            yield self.env.timeout(seconds) & moved & self.env.timeout(patience)
        except simpy.Interrupt:
            simulation.store.drop(moved)
            simulation.redone += 1
            simulation.busy += min(self.env.now - begun, seconds)
            self.env.process(simulation.again(load))
            raise
        simulation.busy += seconds


def courses(runs: Sequence[Sequence[Sequence[Load]]], speed: Speed, world: World, seeds: int) -> list[Course]:
    """Return what comes of a run for each of some seeds.

    >>> four = [Load(macs=2)] * 4
    >>> courses([[four]], Speed(((1.0, 1.0),), start=5.0), World(workers=2), 1)[0].seconds
    11.0
    """
    return [Simulation(runs, speed, world, seed).course() for seed in range(seeds)]
