"""What mattered: the share of each variable in the differences between the points of a search.

fANOVA (Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance") fits a random
forest to the results and splits its variance over the variables, as Optuna computes it.
"""

from collections.abc import Sequence

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.study import Study

from atrous.searching.space import Space

FEWEST = 6
"""With fewer results nothing is said."""


def importances(study: Study, space: Space, objective: int, seed: int = 0) -> dict[str, float]:
    """Return the importance of each variable for one objective, the greatest first; they add up to 1.

    Args:
        study: of the first rung, where all points were trained as long.
        space: of its points; a variable counts with its first label where it does not matter.
        objective: 0 for the metric, 1 for the time.
        seed: of the forest.

    Returns:
        Importances by name; nothing where fewer than six points have results, or all results are equal.
    """
    trials = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    results = {space.text(trial.params): (space.canonical(trial.params), trial.values[objective]) for trial in trials}
    if len(results) < FEWEST or np.ptp([value for _, value in results.values()]) == 0:
        return {}
    varied = [v.name for v in space.variables if len({labels[v.name] for labels, _ in results.values()}) > 1]
    evaluator = FanovaImportanceEvaluator(seed=seed)
    found = evaluator.evaluate(_single(list(results.values()), varied, space))
    return {name: float(share) for name, share in found.items()}


def _single(results: Sequence[tuple[dict[str, str], float]], varied: Sequence[str], space: Space) -> Study:
    """A study in memory with one objective, each point once, and only the variables of which several labels occur."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    choices: dict[str, optuna.distributions.BaseDistribution] = {
        v.name: optuna.distributions.CategoricalDistribution(v.labels) for v in space.variables if v.name in varied
    }
    for labels, value in results:
        params = {name: labels[name] for name in varied}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=choices, value=value))
    return study
