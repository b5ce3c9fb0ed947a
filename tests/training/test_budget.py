"""Budgets and schedules."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.training.budget import STRETCH, Budget, one_cycle


def test_minutes_count_everything_since_the_start():
    budget = Budget(minutes=1, spent=12, reserve=12, started=time.monotonic() - 12)
    assert budget.progress(0) == pytest.approx(0.5, abs=0.01)
    assert budget.remaining(0, 1.0) == pytest.approx(36, abs=0.5)


def test_a_reserve_larger_than_the_budget_ends_it():
    assert Budget(minutes=0.1, reserve=60).progress(0) == 1


def test_steps_count_steps():
    budget = Budget(steps=40)
    assert [budget.progress(s) for s in (0, 10, 40, 50)] == [0, 0.25, 1, 1]
    assert budget.remaining(10, 2.0) == 15


@pytest.mark.parametrize("both", [{}, {"minutes": 1.0, "steps": 3}])
def test_one_of_minutes_and_steps(both):
    with pytest.raises(ValueError, match="either minutes or steps"):
        Budget(**both)


def ago(seconds, **fields):
    return Budget(minutes=1, least_steps=100, started=time.monotonic() - seconds, **fields)


def test_a_starved_machine_goes_on_until_its_steps_are_done():
    assert ago(60).progress(50) == pytest.approx(0.5, abs=0.01)
    assert ago(60).progress(100) == 1
    assert ago(60).remaining(50, 1.0) == pytest.approx(50, abs=0.5)


def test_a_fast_machine_uses_its_minutes():
    assert ago(30).progress(500) == pytest.approx(0.5, abs=0.01)
    assert ago(30).remaining(500, 10.0) == pytest.approx(30, abs=0.5)


def test_steps_that_never_come_end_after_four_times_the_minutes():
    assert ago(STRETCH * 30).progress(0) == pytest.approx(0.5, abs=0.01)
    assert ago(STRETCH * 60).progress(2) == 1
    assert ago(STRETCH * 60 - 5).remaining(2, 0.01) == pytest.approx(5, abs=0.5)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 9)), max_size=30), st.floats(0, 30))
def test_progress_never_goes_back(moves, reserve):
    seconds, step, before = 0.0, 0, 0.0
    for longer, more in moves:
        seconds, step = seconds + longer, step + more
        now = ago(0, reserve=reserve, spent=seconds).progress(step)
        assert now >= before - 1e-3  # the clock runs while this test does
        before = now


def test_least_steps_need_minutes():
    with pytest.raises(ValueError, match="least_steps is for a run in minutes"):
        Budget(steps=3, least_steps=4)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_rate_rises_then_falls(a, b):
    a, b = min(a, b), max(a, b)
    if b <= 0.06:
        assert one_cycle(a) <= one_cycle(b) + 1e-9
    elif a >= 0.06:
        assert one_cycle(a) >= one_cycle(b) - 1e-9
    assert 0 < one_cycle(a) <= 1
