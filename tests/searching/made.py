"""A made space with a known optimum, and a search in it that trains nothing."""

import optuna

from atrous.searching.samplers import distributions, make_sampler
from atrous.searching.space import Labels, Space, Variable

SPACE = Space(tuple(Variable(f"v{i}", {"a": (), "b": (f"x.{i}=b",), "c": (f"x.{i}=c",)}) for i in range(6)))
BEST = dict(zip((v.name for v in SPACE.variables), "cabbca", strict=True))


def matches(labels: Labels) -> int:
    """How many variables have the label of the optimum: 6 at the optimum alone, 2 on average."""
    return sum(labels[name] == label for name, label in BEST.items())


def searched(name: str, count: int, seed: int = 0, space: Space = SPACE) -> optuna.Study:
    """A study of so many points, whose one objective is the number of matches."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(count):
        study.sampler = make_sampler(name, space, seed, number)
        trial = study.ask(distributions(space))
        study.tell(trial, float(matches({**BEST, **trial.params})))
    return study
