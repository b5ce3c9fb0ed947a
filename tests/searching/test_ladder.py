"""The trials of a search: rungs, what moves up, what died, and processes that share a database."""

import time
from itertools import count

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from atrous.searching import ladder as module
from atrous.searching.ladder import COPIED, Ladder, beating, open_storage
from atrous.searching.space import Space, Variable
from tests.searching.made import SPACE, matches

MINUTES = (1.0, 3.0, 9.0)
SMALL = Space((Variable("a", {"1": (), "2": ("x.a=2",)}), Variable("b", {"1": (), "2": ("x.b=2",)}, {"a": ("2",)})))


def nothing(labels):
    """Refuses no point."""
    return


def opened(storage=None, space=SPACE, sampler="policy") -> Ladder:
    return Ladder.open(storage or InMemoryStorage(), MINUTES, space, sampler=sampler, seed=0, higher_is_better=True)


def tried(ladder, seconds=1e9, refuse=nothing):
    """One trial whose metric is the number of matches, a little more on higher rungs."""
    claim = ladder.claim(seconds, refuse)
    if claim is not None:
        ladder.finish(claim, [matches(claim.labels) + 0.1 * claim.rung, 5.0], {"folder": f"trials/{claim.name}"})
    return claim


def test_the_plan_is_first_and_no_point_comes_twice():
    ladder = opened()
    claims = [tried(ladder) for _ in range(30)]
    assert claims[0].labels == SPACE.planned
    assert claims[0].name == "rung1-0000"
    points = [(claim.rung, SPACE.text(claim.labels)) for claim in claims]
    assert len(set(points)) == len(points)


def test_the_best_third_moves_up_and_starts_where_it_was():
    ladder = opened()
    claims = [tried(ladder) for _ in range(40)]
    rungs = [claim.rung for claim in claims]
    assert rungs[:3] == [0, 0, 0]
    assert rungs[3] == 1
    assert 20 < rungs.count(0) < 32
    assert rungs.count(2) >= 2
    for claim in claims:
        if claim.rung:
            earlier = next(c for c in claims if c.rung == claim.rung - 1 and c.labels == claim.labels)
            assert claim.start == f"trials/{earlier.name}"
        else:
            assert claim.start is None
    best = max(matches(claim.labels) for claim in claims[:3])
    assert matches(claims[3].labels) == best


def test_a_training_that_does_not_fit_into_the_time_is_not_begun():
    ladder = opened()
    assert [tried(ladder, seconds=100).rung for _ in range(9)] == [0] * 9
    assert tried(ladder, seconds=59) is None
    assert tried(ladder, seconds=200).rung == 1


def test_refused_points_are_counted_and_not_asked_again():
    asked = []

    def refuse(labels):
        asked.append(SPACE.text(labels))
        return "too slow" if labels["v0"] == "a" else None

    ladder = opened()
    claims = [tried(ladder, 100, refuse) for _ in range(12)]
    assert all(claim.labels["v0"] != "a" for claim in claims)
    assert len(asked) == len(set(asked))
    assert ladder.refused() == {"too slow": len(asked) - 12}


def test_a_small_space_is_exhausted():
    ladder = opened(space=SMALL)
    found = {SMALL.text(claim.labels) for claim in iter(lambda: claim_and_finish(ladder), None)}
    assert found == {SMALL.text(point) for point in SMALL.points()}


NUMBERS = count()


def claim_and_finish(ladder):
    claim = ladder.claim(100, nothing)
    if claim is not None:
        ladder.finish(claim, [float(next(NUMBERS)), 1.0], {})
    return claim


def test_a_point_that_comes_again_gets_its_values_without_a_training():
    ladder = opened(space=SMALL, sampler="tpe")
    while claim_and_finish(ladder) is not None:
        pass
    copies = [t for t in ladder.studies[0].trials if COPIED in t.user_attrs]
    assert copies
    for trial in copies:
        assert trial.values == ladder.studies[0].trials[trial.user_attrs[COPIED]].values
    assert len(ladder.finished(0)) == 3


def test_a_point_whose_process_died_is_tried_again_but_not_for_ever(monkeypatch):
    ladder = opened()
    monkeypatch.setattr(module, "SILENCE", -1.0)
    first = [ladder.claim(100, nothing) for _ in range(3)]
    assert [claim.labels for claim in first] == [SPACE.planned] * 3  # each buries the one before
    states = [trial.state for trial in ladder.studies[0].trials]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.RUNNING]
    assert ladder.claim(100, nothing).labels != SPACE.planned


def test_a_live_process_keeps_its_trial():
    ladder = opened()
    claim = ladder.claim(100, nothing)
    with beating(claim.trial):
        ladder.bury_dead()
    assert ladder.studies[0].trials[0].state == TrialState.RUNNING
    assert time.time() - ladder.studies[0].trials[0].user_attrs["beat"] < 60
    ladder.give_back(claim)
    again = ladder.claim(100, nothing)
    assert again.labels == claim.labels
    assert again.trial.number == 1


def test_a_sign_of_life_that_does_not_get_through_is_not_the_last(monkeypatch):
    signs = []

    class Busy:
        def set_user_attr(self, name, value):
            signs.append(name)
            if len(signs) == 1:
                raise StorageInternalError("database is locked")

    monkeypatch.setattr(module, "BEAT", 0.001)
    with beating(Busy()):
        while len(signs) < 3:
            time.sleep(0.001)


def test_what_was_taken_for_dead_does_not_count(monkeypatch):
    ladder = opened()
    claim = ladder.claim(100, nothing)
    monkeypatch.setattr(module, "SILENCE", -1.0)
    ladder.bury_dead()
    assert not ladder.finish(claim, [1.0, 1.0], {"minutes": 1.0})
    ladder.refuse(claim, "its training failed")
    ladder.give_back(claim)
    assert [trial.state for trial in ladder.studies[0].trials] == [TrialState.FAIL, TrialState.WAITING]
    assert not ladder.refused()
    with beating(claim.trial):
        pass
    monkeypatch.undo()
    assert ladder.finish(ladder.claim(100, nothing), [1.0, 1.0], {})


def test_a_promotion_that_died_starts_where_it_was(monkeypatch):
    ladder = opened()
    for _ in range(3):
        tried(ladder)
    promoted = ladder.claim(1e9, nothing)
    assert promoted.rung == 1
    monkeypatch.setattr(module, "SILENCE", -1.0)
    again = ladder.claim(1e9, nothing)
    assert (again.rung, again.labels, again.start) == (1, promoted.labels, promoted.start)


def test_processes_share_a_database(tmp_path):
    """Two ladders on one file take different points, see each other's results, and agree on what moves up."""
    first, second = (opened(open_storage(tmp_path / "search.db")) for _ in range(2))
    claims = [ladder.claim(1e9, nothing) for ladder in (first, second, first)]
    assert len({SPACE.text(claim.labels) for claim in claims}) == 3
    for ladder, claim in zip((first, second, first), claims, strict=True):
        ladder.finish(claim, [float(matches(claim.labels)), 1.0], {"folder": claim.name})
    assert len(first.finished(0)) == len(second.finished(0)) == 3
    promoted, other = first.claim(1e9, nothing), second.claim(1e9, nothing)
    assert (promoted.rung, other.rung) == (1, 0)
    first.close()
    second.close()


def test_two_that_see_the_same_promotion_do_not_both_train_it():
    ladder = opened()
    for _ in range(3):
        tried(ladder)
    ladder._promote(1)
    point = ladder.studies[1].trials[0].user_attrs["point"]
    ladder._enqueue(1, point, "rung 1, trial 0", start="trials/x")  # as another process would
    assert ladder.claim(1e9, nothing).rung == 1
    assert ladder.claim(1e9, nothing).rung == 0
    assert [trial.state for trial in ladder.studies[1].trials] == [TrialState.RUNNING, TrialState.FAIL]


def test_time_counts_once_though_trials_overlap(monkeypatch):
    ladder = opened()
    assert ladder.spent() == 0
    claims = [ladder.claim(100, nothing) for _ in range(2)]
    time.sleep(0.2)
    for claim in claims:
        ladder.finish(claim, [1.0, 1.0], {})
    assert ladder.spent() == pytest.approx(0.2, abs=0.15)
