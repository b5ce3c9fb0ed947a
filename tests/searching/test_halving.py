"""Successive halving: what moves up, with one objective and with several."""

import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.searching.halving import best_first, dominated_by, front, promotable, rung_minutes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"
LOSSES = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 5).map(float))


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(LOSSES)
def test_domination_is_what_its_definition_says(losses):
    counted = [sum(dominates(other, row) for other in losses) for row in losses]
    assert dominated_by(losses).tolist() == counted
    assert sorted(front(losses)) == [i for i, count in enumerate(counted) if count == 0]


@given(LOSSES)
def test_an_order_has_every_point_once_and_none_before_one_that_dominates_it(losses):
    order = best_first(losses)
    assert sorted(order) == list(range(len(losses)))
    for place, index in enumerate(order):
        assert not any(dominates(losses[later], losses[index]) for later in order[place + 1 :])


def test_with_one_objective_it_is_a_sort():
    losses = np.array([[4.0], [1.0], [3.0], [0.0], [2.0]])
    assert best_first(losses) == [3, 1, 4, 2, 0]


def test_a_third_moves_up():
    assert promotable([]) == []
    assert promotable([[1.0, 1.0], [0.0, 2.0]]) == []
    assert promotable([[1.0, 1.0], [0.0, 2.0], [2.0, 2.0]]) == [1]
    assert promotable([[float(i)] for i in range(9)]) == [0, 1, 2]


def test_what_moves_up_is_spread_over_the_front():
    """Of a front, the best in the first objective, then the one that is farthest from it."""
    losses = [[0.0, 10.0], [0.1, 9.9], [0.2, 9.8], [10.0, 0.0], [11.0, 11.0], [12.0, 12.0]]
    assert promotable(losses) == [0, 3]


def test_rungs():
    assert rung_minutes(0.5, 3) == (0.5, 1.5, 4.5)


def test_the_code_on_the_page_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), {"__name__": PAGE.name})
    assert capsys.readouterr().out == "[1, 2]\n"


def test_links_on_the_page_exist():
    for target in re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists()
