"""Budgets and schedules."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.training.budget import Budget, one_cycle


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


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_rate_rises_then_falls(a, b):
    a, b = min(a, b), max(a, b)
    if b <= 0.06:
        assert one_cycle(a) <= one_cycle(b) + 1e-9
    elif a >= 0.06:
        assert one_cycle(a) >= one_cycle(b) - 1e-9
    assert 0 < one_cycle(a) <= 1
