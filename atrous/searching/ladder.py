"""The trials of a search in a database: who tries which point next, for how long, and what came out.

Each rung of successive halving is an Optuna study of its own in one SQLite file, so that points are compared with those
that were trained as long, and the sampler learns from the first rung. Several processes may share the file: each takes
its own trials. A process shows that it lives by a time that it writes every few seconds; a trial whose process has
written nothing for a minute is marked failed, and its point is tried again.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from atrous.searching.halving import promotable
from atrous.searching.samplers import REFUSED, distributions, losses_of, make_sampler
from atrous.searching.space import Labels, Space

BEAT, SILENCE = 5.0, 60.0
"""Seconds between two signs of life, and seconds without one after which a process counts as dead."""
ATTEMPTS = 3
"""A point whose process died so many times is not tried again."""
PROPOSALS = 64
"""After so many proposals in a row that are refused or known, a point is drawn at random."""
COUNTABLE = 1000
"""Of a space of at most so many points it is noticed at once when all were tried."""
COPIED = "copied from"
"""The user attribute of a trial that was given the values of an earlier one of the same point."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process has taken.

    Attributes:
        rung: its rung, from 0.
        trial: the running trial.
        labels: its point.
        start: folder of the run of the same point on the rung below; None on the first rung.
    """

    rung: int
    trial: Trial
    labels: Labels
    start: str | None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"rung{self.rung + 1}-{self.trial.number:04d}"


def open_storage(database: Path, wait: float = 120.0) -> RDBStorage:
    """Open the database, which is made if it is not there; `wait`: seconds at most while another process writes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = {"connect_args": {"timeout": wait}}
    return RDBStorage(f"sqlite:///{database.absolute()}", engine_kwargs=options)


@dataclass(frozen=True)
class Ladder:
    """The rungs of a search.

    Attributes:
        storage: the database.
        studies: one for each rung.
        minutes: of a training on each rung.
        space: of the points.
        sampler: the name of the sampler.
        seed: of the search.
    """

    storage: BaseStorage
    studies: tuple[Study, ...]
    minutes: tuple[float, ...]
    space: Space
    sampler: str
    seed: int

    @classmethod
    def open(
        cls, storage: BaseStorage, minutes: Sequence[float], space: Space, *, sampler: str, seed: int,
        higher_is_better: bool,
    ) -> "Ladder":  # fmt: skip
        """Open the studies of a search; where there are none they are made, and the planned recipe is tried first."""
        directions = [StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
        existing = set(optuna.get_all_study_names(storage))
        studies = []
        for rung in range(len(minutes)):
            name = f"rung {rung + 1}"
            study = optuna.create_study(
                storage=storage, study_name=name, directions=directions, load_if_exists=True,
                pruner=optuna.pruners.NopPruner(), sampler=optuna.samplers.RandomSampler(seed=seed),
            )  # fmt: skip
            studies.append(study)
        ladder = cls(storage, tuple(studies), tuple(minutes), space, sampler, seed)
        if "rung 1" not in existing:
            ladder._enqueue(0, space.planned, "plan")
        return ladder

    def close(self) -> None:
        """Close the database, so that its file can be moved."""
        self.storage.remove_session()
        if isinstance(self.storage, RDBStorage):
            self.storage.engine.dispose()

    def claim(self, seconds: float, refuse: Callable[[Labels], str | None]) -> Claim | None:
        """Take the next trial: a promotion on the highest rung that has one, else a new point on the first rung.

        Args:
            seconds: that are left; a training that takes longer is not begun.
            refuse: says why a point is not worth a training, or None.

        Returns:
            The trial, or None when no time is left or every point of the space was tried.
        """
        self.bury_dead()
        for rung in range(len(self.studies) - 1, 0, -1):
            if 60 * self.minutes[rung] <= seconds:
                self._promote(rung)
                claim = self._waiting(rung)
                if claim is not None:
                    return claim
        return self._new(refuse) if 60 * self.minutes[0] <= seconds else None

    def finish(self, claim: Claim, values: Sequence[float], facts: Mapping[str, Any]) -> bool:
        """Store the outcome of a trial: its objectives, and what else is known.

        Returns:
            Whether it counts: not if this process was silent for so long that another one took it for dead.
        """
        return self._end(claim, facts, list(values))

    def refuse(self, claim: Claim, why: str) -> None:
        """Store that a point cannot be used, and why; it is not tried again."""
        self._end(claim, {REFUSED: why})

    def give_back(self, claim: Claim) -> None:
        """Mark a trial failed and let its point be tried again: it was interrupted."""
        if self._end(claim, {}):
            self._enqueue(claim.rung, claim.labels, _origin(claim.trial.user_attrs), start=claim.start)

    def _end(self, claim: Claim, facts: Mapping[str, Any], values: list[float] | None = None) -> bool:
        """End a trial, without values as failed; return whether it was ours still, not taken for dead by another."""
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        try:
            for name, value in facts.items():
                claim.trial.set_user_attr(name, value)
            self.studies[claim.rung].tell(claim.trial, values, state=state)
        except (ValueError, RuntimeError):  # what Optuna raises for a trial that is finished already
            if self.studies[claim.rung].get_trials(deepcopy=False)[claim.trial.number].state != TrialState.FAIL:
                raise
            return False
        return True

    def bury_dead(self) -> None:
        """Mark trials failed whose process has given no sign of life, and let their points be tried again."""
        for rung, study in enumerate(self.studies):
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if time.time() - _last_sign(trial) < SILENCE:
                    continue
                try:
                    study.tell(trial.number, state=TrialState.FAIL)
                except (ValueError, RuntimeError):  # another process has just done it
                    continue
                attempt = trial.user_attrs.get("attempt", 1) + 1
                if attempt <= ATTEMPTS and self._whole(trial):
                    start, origin = trial.user_attrs.get("start"), _origin(trial.user_attrs)
                    self._enqueue(rung, trial.params, origin, start=start, attempt=attempt)

    def finished(self, rung: int) -> list[FrozenTrial]:
        """Return the trials of a rung that were trained to the end, in order."""
        trials = self.studies[rung].get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [trial for trial in trials if COPIED not in trial.user_attrs]

    def losses(self, trials: Sequence[FrozenTrial]) -> list[list[float]]:
        """Return the objectives of trials so that smaller is better."""
        return [losses_of(trial.values, self.studies[0].directions) for trial in trials]

    def refused(self) -> dict[str, int]:
        """Return why points were refused, and how many different ones."""
        reasons: dict[str, set[str]] = {}
        for trial in self.studies[0].get_trials(deepcopy=False, states=(TrialState.FAIL,)):
            if REFUSED in trial.user_attrs and self._whole(trial):
                reason = str(trial.user_attrs[REFUSED])
                reasons.setdefault(reason, set()).add(self.space.text(trial.params))
        return {reason: len(points) for reason, points in reasons.items()}

    def spent(self) -> float:
        """Return the seconds in which at least one trial ran: pauses do not count, and parallel trials count once."""
        intervals = []
        for study in self.studies:
            for trial in study.get_trials(deepcopy=False):
                if trial.datetime_start is not None:
                    ended = trial.datetime_complete if trial.state == TrialState.COMPLETE else None
                    end = _last_sign(trial) if ended is None else ended.timestamp()
                    intervals.append((trial.datetime_start.timestamp(), end))
        total, until = 0.0, -np.inf
        for begin, end in sorted(intervals):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return float(total)

    def _promote(self, rung: int) -> None:
        """Put the points of the rung below that have earned it on the list of a rung."""
        below = self.finished(rung - 1)
        trials = self.studies[rung].get_trials(deepcopy=False)
        there = {self.space.text(trial.user_attrs["point"]) for trial in trials if "point" in trial.user_attrs}
        for index in promotable(self.losses(below)):
            trial = below[index]
            if self.space.text(trial.params) not in there:
                origin = f"rung {rung}, trial {trial.number}"
                self._enqueue(rung, trial.params, origin, start=trial.user_attrs.get("folder"))

    def _waiting(self, rung: int) -> Claim | None:
        """Take the next trial that waits on a rung; None if there is none."""
        study = self.studies[rung]
        while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            trial = study.ask(distributions(self.space))
            if "origin" not in trial.user_attrs:  # another process took the last one, and Optuna drew a new point
                study.tell(trial, state=TrialState.FAIL)
                return None
            claim = Claim(rung, trial, self.space.canonical(trial.params), trial.user_attrs.get("start"))
            twin = self._twin(claim)
            if twin is None:
                return claim
            study.tell(trial, state=TrialState.FAIL)  # two processes saw the same promotion
        return None

    def _twin(self, claim: Claim) -> FrozenTrial | None:
        """An earlier trial of the same point on the same rung that runs or has finished."""
        text = self.space.text(claim.labels)
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        for trial in self.studies[claim.rung].get_trials(deepcopy=False, states=states):
            earlier = trial.number < claim.trial.number and COPIED not in trial.user_attrs
            if earlier and self._whole(trial) and self.space.text(trial.params) == text:
                return trial
        return None

    def _whole(self, trial: FrozenTrial) -> bool:
        """Whether every variable of a trial's point is known; that of a process that is just asking is not."""
        return len(trial.params) == len(self.space.variables)

    def _enqueue(self, rung: int, labels: Mapping[str, str], origin: str, **facts: Any) -> None:
        """Put a point on the list of a rung."""
        point = dict(labels)
        self.studies[rung].enqueue_trial(point, user_attrs={"point": point, "origin": origin, **facts})

    def _new(self, refuse: Callable[[Labels], str | None]) -> Claim | None:
        """Take a point of the first rung that has not been tried: one that waits, one of the sampler, a random one."""
        study, known, tried = self.studies[0], self._known(), self._tried()
        for _ in range(PROPOSALS):
            if self.space.at_most <= COUNTABLE and all(
                text in tried or text in known for text in map(self.space.text, self.space.points())
            ):
                return None
            claim = self._waiting(0)
            if claim is None:
                number = len(study.get_trials(deepcopy=False))
                study.sampler = make_sampler(self.sampler, self.space, self.seed, number)
                trial = study.ask(distributions(self.space))
                claim = Claim(0, trial, self.space.canonical(trial.params), None)
            if self._is_new(claim, known, refuse):
                return claim
        generator = np.random.default_rng([self.seed, len(study.get_trials(deepcopy=False))])
        for _ in range(PROPOSALS):
            labels = self.space.random(generator)
            if self.space.text(labels) not in known:
                self._enqueue(0, labels, "random")
                claim = self._waiting(0)
                if claim is not None and self._is_new(claim, known, refuse):
                    return claim
        return None

    def _tried(self) -> set[str]:
        """The points of the first rung that were trained, or are being trained."""
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        trials = self.studies[0].get_trials(deepcopy=False, states=states)
        return {self.space.text(trial.params) for trial in trials if self._whole(trial)}

    def _known(self) -> dict[str, str]:
        """Why points of the first rung are not tried again: they were refused, or their processes died."""
        known = {}
        for trial in self.studies[0].get_trials(deepcopy=False, states=(TrialState.FAIL,)):
            if REFUSED in trial.user_attrs and self._whole(trial):
                known[self.space.text(trial.params)] = str(trial.user_attrs[REFUSED])
            elif trial.user_attrs.get("attempt", 1) >= ATTEMPTS and self._whole(trial):
                known[self.space.text(trial.params)] = f"its process died {ATTEMPTS} times"
        return known

    def _is_new(self, claim: Claim, known: dict[str, str], refuse: Callable[[Labels], str | None]) -> bool:
        """Whether a point is worth a training; if not its trial ends: with the values of its twin, or refused."""
        study, text, twin = self.studies[0], self.space.text(claim.labels), self._twin(claim)
        if twin is not None and twin.state == TrialState.COMPLETE:
            claim.trial.set_user_attr(COPIED, twin.number)
            study.tell(claim.trial, list(twin.values))
            return False
        if twin is not None:  # it is being tried
            study.tell(claim.trial, state=TrialState.FAIL)
            return False
        reason = known.get(text) or refuse(claim.labels)
        if reason is not None:
            known[text] = reason
            self.refuse(claim, reason)
        return reason is None


@contextmanager
def beating(trial: Trial) -> Iterator[None]:
    """Write signs of life of a trial while the block runs."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            try:
                trial.set_user_attr("beat", time.time())
            except StorageInternalError:  # another process has written for long: the next sign may get through
                pass
            except RuntimeError:  # another process took this one for dead
                return
            if stop.wait(BEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _last_sign(trial: FrozenTrial) -> float:
    """The time of the last sign of life, in seconds of `time.time`."""
    begun = trial.datetime_start
    return float(trial.user_attrs.get("beat", 0.0 if begun is None else begun.timestamp()))


def _origin(attributes: Mapping[str, Any]) -> str:
    """Where the point of a trial came from that is tried again."""
    return str(attributes.get("origin", "sampler"))
