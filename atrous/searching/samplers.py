"""The four ways to choose the next point: two of Optuna's, and two of our own.

| name | how |
|---|---|
| `tpe` | Optuna's tree-structured Parzen estimator |
| `evolution` | Optuna's NSGA-II, with a population that suits short searches |
| `policy` | reinforcement learning: a policy that is learned from the results |
| `latent` | steps from the best points in the latent space of an autoencoder of points |

A sampler keeps no state: it is made anew for every point, from a seed and from what the study holds. So a search that
was killed goes on as it would have gone on, and several processes can share it.
"""

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from atrous.searching.halving import dominated_by
from atrous.searching.latent import PointAutoencoder, autoencoder_of
from atrous.searching.space import Labels, Space

SAMPLERS = ("tpe", "evolution", "policy", "latent")
REFUSED = "refused"
"""The user attribute that says why a point was refused; it counts as worse than all that were trained."""
FIRST = 10
"""So many points are drawn at random before a sampler takes over."""
POPULATION = 12
"""Of NSGA-II; Optuna's 50 are more than an hour's search has."""


def make_sampler(name: str, space: Space, seed: int, number: int) -> BaseSampler:
    """Return the sampler of this name, for one point.

    Args:
        name: one of `SAMPLERS`.
        space: of the search.
        seed: of the search.
        number: how many points the study has; what is drawn depends on it and on the seed.
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "tpe":
        return TPESampler(seed=own, n_startup_trials=FIRST)
    if name == "evolution":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # parts of it are called experimental
            return NSGAIISampler(seed=own, population_size=POPULATION)
    return {"policy": PolicySampler, "latent": LatentSampler}[name](space, seed)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's description of a space: a category for each label of each variable."""
    return {variable.name: CategoricalDistribution(variable.labels) for variable in space.variables}


def losses_of(values: Sequence[float], directions: Sequence[StudyDirection]) -> list[float]:
    """Return values so that smaller is better.

    >>> losses_of([0.5, 20.0], [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    [-0.5, 20.0]
    """
    return [-v if d == StudyDirection.MAXIMIZE else v for v, d in zip(values, directions, strict=True)]


def rewards(losses: Sequence[Sequence[float] | None]) -> list[float]:
    """Return how good each point is among all: 1 less the share of the others by which it is dominated.

    With one objective this is the rank, from 0 (worst) to 1 (best). With several, all points of the front have 1
    (the ranking of Fonseca & Fleming 1993). Points without losses were refused: they have 0.

    >>> rewards([[3.0], [1.0], None, [2.0]])
    [0.0, 1.0, 0.0, 0.5]
    """
    known = [i for i, row in enumerate(losses) if row is not None]
    found = [0.0] * len(losses)
    if known:
        worse_than = dominated_by(np.array([losses[i] for i in known], float))
        for i, count in zip(known, worse_than, strict=True):
            found[i] = 1.0 - float(count) / max(1, len(known) - 1)
    return found


class _PointSampler(BaseSampler):
    """What our samplers share: they draw all variables of a point at once, from the history of the study."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space."""
        return distributions(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next point."""
        points, losses = history(study, self.space)
        generator = np.random.default_rng([self.seed, trial.number])
        drawn = self.draw(points, rewards(losses), generator)
        return {name: drawn[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return any label; it is only asked for a variable that the space does not have."""
        assert isinstance(param_distribution, CategoricalDistribution)
        choices = param_distribution.choices
        return choices[int(np.random.default_rng([self.seed, trial.number]).integers(len(choices)))]

    @abstractmethod
    def draw(self, points: Sequence[Labels], worth: Sequence[float], generator: np.random.Generator) -> Labels:
        """Return the next point, from earlier ones and their rewards, in order."""


def history(study: Study, space: Space) -> tuple[list[Labels], list[list[float] | None]]:
    """Return the points of a study that have an outcome, in order, with losses; None where a point was refused."""
    points, losses = [], []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL)):
        if set(trial.params) < {variable.name for variable in space.variables}:
            continue
        if trial.state == TrialState.COMPLETE:
            losses.append(losses_of(trial.values, study.directions))
        elif REFUSED in trial.user_attrs:
            losses.append(None)
        else:
            continue
        points.append(space.canonical(trial.params))
    return points, losses


class PolicySampler(_PointSampler):
    """A policy over points that is learned by REINFORCE (Williams 1992), as Zoph & Le 2017 (arXiv:1611.01578) do.

    The policy has independent logits for the labels of each variable, and is a mixture of their softmax with a little
    of the uniform distribution, so that nothing is ever given up. For every point that has a result, in order,

        logits[variable] += rate * (reward - baseline) * (one_hot(label) - softmax(logits[variable]))

    for the variables that matter at the point. The reward is that of `rewards`, the baseline the moving mean of earlier
    rewards. Points that the policy did not draw itself (the planned recipe, repeated ones) count as if it had.
    """

    rate, memory, uniform = 1.0, 0.8, 0.1

    def logits(self, points: Sequence[Labels], worth: Sequence[float]) -> dict[str, np.ndarray]:
        """Return the logits of each variable's labels after all these results."""
        logits = {variable.name: np.zeros(len(variable.labels)) for variable in self.space.variables}
        baseline: float | None = None
        for point, reward in zip(points, worth, strict=True):
            baseline = reward if baseline is None else baseline
            for variable in self.space.active(point):
                values = logits[variable.name]
                step = -_softmax(values)
                step[variable.labels.index(point[variable.name])] += 1.0
                values += self.rate * (reward - baseline) * step
            baseline = self.memory * baseline + (1 - self.memory) * reward
        return logits

    def draw(self, points: Sequence[Labels], worth: Sequence[float], generator: np.random.Generator) -> Labels:
        """Draw a label of each variable from the policy."""
        logits, labels = self.logits(points, worth), {}
        for variable in self.space.variables:
            count = len(variable.labels)
            chances = (1 - self.uniform) * _softmax(logits[variable.name]) + self.uniform / count
            labels[variable.name] = variable.labels[int(generator.choice(count, p=chances / chances.sum()))]
        return self.space.canonical(labels)


class LatentSampler(_PointSampler):
    """Steps from the best points in the latent space of an autoencoder that was trained on random points.

    The first points are drawn at random. Then one of the best eighth (three at least) is encoded, moved by a random
    step, and decoded; a step that leads to a point that was tried already is taken again, a tenth wider.
    """

    steps, tries = (0.3, 0.6, 1.0), 40

    def draw(self, points: Sequence[Labels], worth: Sequence[float], generator: np.random.Generator) -> Labels:
        """Return the point of a step in the latent space."""
        if len(points) < FIRST:
            return self.space.random(generator)
        coder: PointAutoencoder = autoencoder_of(self.space, self.seed)
        order = sorted(range(len(points)), key=lambda i: -worth[i])
        best = order[: max(3, math.ceil(len(points) / 8))]
        origin = coder.encode(points[best[int(generator.integers(len(best)))]])
        width = self.steps[int(generator.integers(len(self.steps)))]
        tried = {self.space.text(point) for point in points}
        reached = points[best[0]]
        for attempt in range(self.tries):
            step = generator.standard_normal(len(origin)) * coder.spread * width * 1.1**attempt
            reached = self.space.canonical(coder.decode(origin + step))
            if self.space.text(reached) not in tried:
                break
        return reached


def _softmax(values: np.ndarray) -> np.ndarray:
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()
