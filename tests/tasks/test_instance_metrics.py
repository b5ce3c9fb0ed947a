"""Metrics of objects, against their definitions computed in the slow way."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from atrous.tasks.instance_metrics import THRESHOLDS, InstanceScores, match, overlaps


def label_images(seed, shape=(40, 50)):
    """True objects in a grid, and found ones: shifted, some lost, some split, some invented."""
    rng = np.random.default_rng(seed)
    truth, found = np.zeros(shape, int), np.zeros(shape, int)
    for number, (row, column) in enumerate(np.ndindex(4, 5), 1):
        y, x = 10 * row, 10 * column
        truth[y + 1 : y + 1 + rng.integers(3, 9), x + 1 : x + 8] = 3 * number
        kind = rng.integers(4)
        if kind < 3:
            found[y + rng.integers(0, 3) : y + 8, x + rng.integers(0, 4) : x + 8] = 2 * number
        if kind == 2:
            found[y + 4 :, x : x + 4][:4] = 2 * number + 1
    return truth, found


def iou_table(truth, found):
    true, answers = np.unique(truth)[1:], np.unique(found)[1:]
    table = [[((truth == a) & (found == b)).sum() / ((truth == a) | (found == b)).sum() for b in answers] for a in true]
    return np.array(table).reshape(len(true), len(answers))


@pytest.mark.parametrize("seed", range(5))
def test_matches_are_the_best_assignment(seed):
    truth, found = label_images(seed)
    table = iou_table(truth, found)
    for threshold in THRESHOLDS:
        rows, columns = linear_sum_assignment(-1.0 * (table >= threshold) - table / 1000)
        expected = int((table[rows, columns] >= threshold).sum())
        assert len(match(overlaps(truth, found), threshold)[0]) == expected


def test_all_metrics_follow_their_definitions():
    images = [label_images(seed) for seed in range(4)]
    scores = InstanceScores()
    for number, (truth, found) in enumerate(images):
        scores.add(str(number), truth, found, np.ones(found.max()))
    result = scores.result(1.0)
    matched, true, found, quality, seg = 0, 0, 0, 0.0, []
    for one, other in images:
        table = iou_table(one, other)
        rows, columns = np.nonzero(table > 0.5)
        matched, true, found = matched + len(rows), true + table.shape[0], found + table.shape[1]
        quality += table[rows, columns].sum()
        for index, number in enumerate(np.unique(one)[1:]):
            shares = [((one == number) & (other == b)).sum() / (one == number).sum() for b in np.unique(other)[1:]]
            seg.append(table[index, int(np.argmax(shares))] if max(shares) > 0.5 else 0.0)
    values = result.values
    assert values["ap50"] == pytest.approx(matched / (true + found - matched))
    assert values["f1"] == pytest.approx(2 * matched / (true + found))
    assert values["pq"] == pytest.approx(quality / ((true + found) / 2))
    assert values["seg"] == pytest.approx(np.mean(seg))
    assert values["count_mae"] == np.mean([abs(len(np.unique(a)) - len(np.unique(b))) for a, b in images])
    assert values["objects"] == true
    assert values["ap_mean"] == pytest.approx(np.mean([values[f"ap{round(100 * t)}"] for t in THRESHOLDS]))
    assert result.images == 4
    assert 0 < values["ap50_small"] < 1


def test_an_image_without_objects_counts_inventions_alone():
    scores = InstanceScores()
    scores.add("empty", np.zeros((4, 4), int), np.zeros((4, 4), int), np.zeros(0))
    scores.add("invented", np.zeros((4, 4), int), np.eye(4, dtype=int), np.ones(1))
    result = scores.result(0.0)
    assert result.values["ap50"] == 0
    assert np.isnan(result.per_image["empty"])
    assert result.per_image["invented"] == 0
    assert np.isnan(result.values["seg"])


def test_a_name_counts_once_and_shapes_agree():
    scores = InstanceScores()
    scores.add("a", np.zeros(3, int), np.zeros(3, int), np.zeros(0))
    with pytest.raises(ValueError, match="twice"):
        scores.add("a", np.zeros(3, int), np.zeros(3, int), np.zeros(0))
    with pytest.raises(ValueError, match="differ in shape"):
        scores.add("b", np.zeros(3, int), np.zeros(4, int), np.zeros(0))
    with pytest.raises(ValueError, match="object 2 was found, but there are 1 scores"):
        scores.add("b", np.zeros(3, int), np.array([0, 1, 2]), np.ones(1))


def test_classes_that_are_called_as_sizes_are_told_apart_from_these():
    truth = np.array([1, 0, 3, 3, 0, 6, 6, 6, 6])  # two of the first class, one of the second
    scores = InstanceScores(names=("small", "other"))
    scores.add("a", truth, np.where(truth == 3, 0, truth), np.ones(3))
    values = scores.result(0.0).values
    assert (values["ap50_small"], values["ap50_medium"], values["ap50_large"]) == (1, 0, 1)
    assert (values["ap50_class_small"], values["ap50_other"]) == (0.5, 1)


def test_masks_are_ranked_in_images_only():
    truth, found = label_images(0)
    scores = InstanceScores()
    scores.add("a", truth, truth, np.ones(truth.max()))
    assert scores.result(0.0).values["mask_map"] == scores.result(0.0).values["mask_map50"] == 1
    for one, other in ((truth[0], found[0]), (truth[None], found[None])):
        scores = InstanceScores()
        scores.add("a", one, other, np.ones(found.max()))
        assert "mask_map" not in scores.result(0.0).values
