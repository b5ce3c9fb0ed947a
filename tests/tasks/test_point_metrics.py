"""Points are matched as well as possible, and counted: against a search through all matchings."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.tasks.counting import CountingTask
from atrous.tasks.keypoints import KeypointTask
from atrous.tasks.point_metrics import PointScores, match_points, pair_points
from atrous.tasks.points import PointAnswer


def best_matching(truth, found, distance):
    """The largest number of pairs, and the least sum of distances among the matchings that have so many."""
    apart = np.sqrt(((truth[:, None] - found[None]) ** 2).sum(-1))
    best = (0, 0.0)
    for size in range(1, min(len(truth), len(found)) + 1):
        for rows in combinations(range(len(truth)), size):
            for columns in permutations(range(len(found)), size):
                lengths = apart[list(rows), list(columns)]
                if (lengths <= distance).all():
                    best = max(best, (size, -float(lengths.sum())))
    return best[0], -best[1]


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 999), st.floats(0.5, 6), st.booleans())
@settings(max_examples=80)
def test_the_matching_is_the_best_one(n, m, seed, distance, whole):
    rng = np.random.default_rng(seed)
    truth, found = rng.uniform(0, 8, (n, 2)), rng.uniform(0, 8, (m, 2))
    if whole:  # equal places and equal distances
        truth, found = truth.round(), found.round()
    rows, columns = match_points(truth, found, distance)
    lengths = np.sqrt(((truth[rows] - found[columns]) ** 2).sum(-1))
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
    count, least = best_matching(truth, found, distance)
    assert len(rows) == count
    assert lengths.sum() == pytest.approx(least, abs=1e-9)


def answer(places, classes, counts):
    return PointAnswer(np.array(places, float), np.array(classes), np.ones(len(classes), np.float32), np.array(counts))


def test_counts_and_points_of_two_images():
    scores = PointScores(CountingTask(ndim=2, names=("a", "b"), distance=2.0))
    truth = np.array([[5.0, 5.0], [9.0, 9.0], [20.0, 20.0]])
    scores.add("one", truth, np.array([0, 0, 1]), answer([[5, 6], [20, 21], [9, 9]], [0, 0, 0], [2.5, 0.0]))
    scores.add("two", np.zeros((0, 2)), np.zeros(0, int), answer(np.zeros((0, 2)), np.zeros(0, int), [0.0, 1.0]))
    values = scores.result(0.0).values
    assert values["count_mae"] == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert values["count_rmse"] == pytest.approx(np.sqrt((0.25 + 1 + 1) / 4))
    assert values["count_relative"] == pytest.approx((0.25 + 1 + 0 + 1) / 4)
    assert values["count_bias"] == pytest.approx((0.5 - 1 + 1) / 4)
    assert values["count_mae_b"] == 1
    assert values["peaks_mae"] == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert values["f1"] == pytest.approx(2 * 2 / 6)
    assert values["offset"] == pytest.approx(0.5)
    assert next(iter(values)) == "count_mae"
    assert scores.result(0.0).ranking() == ["one", "two"]
    with pytest.raises(ValueError, match="twice"):
        scores.add("two", truth, np.zeros(3, int), answer([[5, 6]], [0], [1.0, 0.0]))


def test_key_points_count_within_a_part_of_their_box():
    task = KeypointTask(ndim=2, names=("left", "right"), single=True, fraction=0.1, distance=1.0)
    scores = PointScores(task)
    truth = np.array([[10.0, 10.0], [10.0, 50.0]])  # the box is 40 wide, so 4 positions count
    scores.add("one", truth, np.array([0, 1]), answer([[10, 13.5], [10, 55]], [0, 1], [1.0, 1.0]))
    result = scores.result(0.0)
    assert result.values["pck"] == 0.5
    assert (result.values["pck_left"], result.values["pck_right"]) == (1, 0)
    assert result.per_image == {"one": 0.5}
    assert result.higher_is_better


def test_without_images_there_are_no_metrics():
    assert np.isnan(PointScores(CountingTask(ndim=1)).result(0.0).values["count_mae"])
    assert np.isnan(PointScores(KeypointTask(ndim=1)).result(0.0).values["pck"])


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_counts_of_single_classes_are_said_where_there_are_several(names):
    scores = PointScores(CountingTask(ndim=2, names=names, distance=2.0))
    scores.add("one", np.array([[5.0, 5.0]]), np.array([0]), answer([[5, 5]], [0], [1.0] * len(names)))
    each = {name for name in scores.result(0.0).values if name.startswith("count_mae_")}
    assert each == ({"count_mae_a", "count_mae_b"} if len(names) > 1 else set())


def test_points_are_matched_by_the_steps():
    """One slice away is further than three columns away; with equal steps it is the other way around."""
    truth, classes = np.array([[5.5, 5.5, 5.5], [5.5, 5.5, 30.5]]), np.zeros(2, np.int64)
    places = truth + np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    answer = PointAnswer(places, classes, np.ones(2, np.float32), np.array([2.0]))
    aspect = (8.0, 1.0, 1.0)  # steps of 4, 1/2 and 1/2
    for chosen, matched in (((), [0]), (aspect, [1])):
        task = CountingTask(ndim=3, distance=2.0, aspect=chosen)
        pairs = pair_points(truth, classes, answer, task)
        assert pairs.true.tolist() == pairs.found.tolist() == matched
        assert pairs.offsets == pytest.approx([1.5 if chosen else 1.0])
