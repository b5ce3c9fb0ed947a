import json
import math

import numpy as np
import pytest

from atrous.tasks.calibration import Reliability
from atrous.tasks.scores import Scores

MEANS = ["miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice", "boundary_iou", "ece"]
KEYS = [*MEANS, "iou", "dice_per_class", "boundary_iou_per_class", "miou_ci95"]
KEYS += ["images", "seconds", "tta", "confusion", "conventions"]


def scores(confusion, **changes):
    confusion = np.array(confusion)
    values = {
        "classes": tuple(f"class {i}" for i in range(len(confusion))),
        "confusion": confusion,
        "per_image": {"a": 0.5, "b": 0.25, "c": math.nan},
        "miou_ci95": (0.4, 0.6),
        "seconds": 2.0,
    }
    return Scores(**(values | changes))


def test_figures_of_a_matrix_worked_out_by_hand():
    s = scores([[6, 2, 0], [1, 9, 0], [0, 2, 0]])
    np.testing.assert_allclose(s.iou, [6 / 9, 9 / 14, 0])
    np.testing.assert_allclose(s.dice_per_class, [12 / 15, 18 / 23, 0])
    np.testing.assert_allclose(s.accuracy, [6 / 8, 9 / 10, 0])
    np.testing.assert_allclose(s.frequency, [0.4, 0.5, 0.1])
    assert s.miou == pytest.approx((6 / 9 + 9 / 14) / 3)
    assert s.pixel_accuracy == pytest.approx(15 / 20)
    assert s.mean_accuracy == pytest.approx((6 / 8 + 9 / 10) / 3)
    assert s.fwiou == pytest.approx(0.4 * 6 / 9 + 0.5 * 9 / 14)
    assert s.dice == pytest.approx((12 / 15 + 18 / 23) / 3)


def test_a_class_that_never_occurs_is_null_and_outside_the_means():
    s = scores([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert s.to_dict()["iou"]["class 2"] is None
    assert s.miou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert s.mean_accuracy == pytest.approx((3 / 4 + 1) / 2)


def test_a_class_that_is_only_predicted_counts_as_wrong():
    s = scores([[3, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert s.to_dict()["iou"]["class 2"] == 0
    assert s.miou == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert math.isnan(s.accuracy[2])
    assert s.mean_accuracy == pytest.approx((3 / 4 + 1) / 2)


def test_dict_has_exactly_the_agreed_keys_and_is_json():
    parts = {"boundary": np.array([[1, 2], [2, 2]]), "reliability": Reliability.of(np.ones((3, 15)))}
    d = scores([[3, 1], [0, 4]], **parts).to_dict()
    assert sorted(d) == sorted(KEYS)
    back = json.loads(json.dumps(d, allow_nan=False))
    assert back == d
    assert back["boundary_iou_per_class"] == {"class 0": 0.5, "class 1": 1.0}
    assert back["miou_ci95"] == [0.4, 0.6]
    assert back["images"] == 3
    assert back["tta"] == "none"


def test_nothing_labelled_gives_nulls_without_a_warning():
    d = scores(np.zeros((2, 2), np.int64), miou_ci95=(math.nan, math.nan)).to_dict()
    assert [d[name] for name in MEANS] == [None] * len(MEANS)
    assert d["miou_ci95"] == [None, None]


def test_ranking_goes_from_worst_to_best_and_leaves_out_unlabelled_images():
    assert scores([[1, 0], [0, 1]]).ranking() == ["b", "a"]


def test_text_is_a_table_whose_lines_fit_together():
    lines = scores([[3, 1, 0], [0, 4, 0], [0, 0, 0]]).text().splitlines()
    header, rule, first = lines[:3]
    assert len(header) == len(rule) == len(first)
    assert header.split() == ["class", "IoU", "Dice", "accuracy", "boundary", "IoU", "share"]
    assert first.split() == ["class", "0", "0.750", "0.857", "0.750", "-", "0.500"]
    assert "mean IoU        0.775 (95 % interval over images 0.400 to 0.600)" in lines
