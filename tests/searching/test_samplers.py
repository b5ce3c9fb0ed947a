"""The four samplers on a made objective whose optimum is known."""

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from atrous.searching.samplers import (
    REFUSED,
    SAMPLERS,
    PolicySampler,
    distributions,
    history,
    losses_of,
    make_sampler,
    rewards,
)
from atrous.searching.space import Space, Variable
from atrous.verbs.search_options import SAMPLER_NAMES
from tests.searching.made import BEST, SPACE, matches, searched


def test_the_names_are_those_of_the_options():
    assert SAMPLER_NAMES == SAMPLERS


@pytest.mark.parametrize(("name", "late"), [("tpe", 3.0), ("evolution", 3.5), ("policy", 4.0), ("latent", 2.5)])
def test_it_learns_where_the_optimum_is(name, late):
    """Of 90 points of 729, the last 30 are far better than drawn ones, of which two of six labels match.

    `latent` proposes no point twice, so that it leaves the optimum again.
    """
    values = [trial.value for trial in searched(name, 90).trials]
    assert max(values) >= 5
    assert np.mean(values[-30:]) > late


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_gives_the_same_points(name):
    first, second = ([t.params for t in searched(name, 16).trials] for _ in range(2))
    assert first == second
    if name != "latent":  # its other seed would train another autoencoder; the points before it are drawn
        assert first != [t.params for t in searched(name, 16, 1).trials]
    assert [t.params for t in searched(name, 8, 1).trials] != first[:8]


@pytest.mark.parametrize("name", ["policy", "latent"])
def test_it_follows_two_objectives(name):
    """Both objectives get better than those of drawn points, whose means are 2 of 6."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(80):
        study.sampler = make_sampler(name, SPACE, 0, number)
        trial = study.ask(distributions(SPACE))
        study.tell(trial, [float(matches(trial.params)), float(sum(v == "c" for v in trial.params.values()))])
    late = study.trials[-30:]
    assert np.mean([trial.values[0] for trial in late]) > 2.3
    assert np.mean([trial.values[1] for trial in late]) < 1.9


def test_a_step_of_the_policy_is_that_of_reinforce():
    """The gradient of log softmax by finite differences, times the reward less the baseline."""
    space = Space((Variable("v", {"a": (), "b": ("x.v=b",), "c": ("x.v=c",)}),))
    sampler = PolicySampler(space, 0)
    after_first = sampler.logits([{"v": "b"}], [0.5])["v"]
    np.testing.assert_array_equal(after_first, np.zeros(3))  # the first reward is its own baseline
    after_second = sampler.logits([{"v": "b"}, {"v": "c"}], [0.5, 1.0])["v"]
    step = 1e-6
    gradient = [
        (np.log(np.exp(step * (i == 2)) / np.exp(step * np.eye(3)[i]).sum()) - np.log(1 / 3)) / step for i in range(3)
    ]
    np.testing.assert_allclose(after_second, sampler.rate * (1.0 - 0.5) * np.array(gradient), atol=1e-5)


def test_the_policy_leaves_a_variable_alone_where_it_does_not_matter():
    stem = Variable("stem", {"3": (), "7": ("model.stem=7",)}, {"encoder": ("resnet",)})
    space = Space((Variable("encoder", {"resnet": (), "lite": ("model.encoder=lite",)}), stem))
    points = [{"encoder": "lite", "stem": "3"}] * 4
    logits = PolicySampler(space, 0).logits(points, [0.0, 1.0, 1.0, 1.0])
    assert logits["encoder"][1] > logits["encoder"][0]
    np.testing.assert_array_equal(logits["stem"], np.zeros(2))


def test_rewards_are_ranks_and_refused_points_have_none():
    assert rewards([]) == []
    assert rewards([None]) == [0.0]
    assert rewards([[1.0]]) == [1.0]
    assert rewards([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], None]) == [1.0, 1.0, pytest.approx(0.0), 0.0]


def test_losses_are_smaller_where_values_are_better():
    both = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert losses_of([2.0, 3.0], both) == [-2.0, 3.0]


def test_history_has_refused_points_and_leaves_out_those_that_died():
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.RandomSampler(seed=0))
    kinds = (TrialState.COMPLETE, REFUSED, TrialState.FAIL, None)
    for kind in kinds:
        trial = study.ask(distributions(SPACE))
        if kind == TrialState.COMPLETE:
            study.tell(trial, 4.0)
        elif kind is not None:
            if kind == REFUSED:
                trial.set_user_attr(REFUSED, "too slow")
            study.tell(trial, state=TrialState.FAIL)
    points, losses = history(study, SPACE)
    assert losses == [[4.0], None]
    assert points == [study.trials[0].params, study.trials[1].params]
    assert set(points[0]) == set(BEST)
