"""What mattered: a variable that alone decides has all of the importance."""

import optuna
from optuna.distributions import CategoricalDistribution

from atrous.searching.importance import importances
from atrous.searching.space import Space, Variable

SPACE = Space(
    (
        Variable("decides", {"a": (), "b": ("x.d=b",)}),
        Variable("nothing", {"a": (), "b": ("x.n=b",)}),
        Variable("beside", {"1": (), "2": ("x.b=2",)}, {"decides": ("b",)}),
    )
)


def study_of(values) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))
    choices = {v.name: CategoricalDistribution(v.labels) for v in SPACE.variables}
    for params, pair in values:
        study.add_trial(optuna.trial.create_trial(params=params, distributions=choices, values=pair))
    return study


def test_what_decides_has_the_importance():
    values = [
        ({"decides": d, "nothing": n, "beside": b}, [float(d == "b"), 5.0]) for d in "ab" for n in "ab" for b in "12"
    ]
    study = study_of(values)
    found = importances(study, SPACE, 0)
    assert next(iter(found)) == "decides"
    assert found["decides"] > 0.9
    assert abs(sum(found.values()) - 1) < 1e-6
    assert importances(study, SPACE, 1) == {}  # the same time for all


def test_too_few_points_say_nothing():
    study = study_of([({"decides": d, "nothing": "a", "beside": "1"}, [float(d == "b"), 1.0]) for d in "ab"])
    assert importances(study, SPACE, 0) == {}
