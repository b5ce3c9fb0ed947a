"""The metrics of boxes over several images and classes."""

import numpy as np
import pytest

from atrous.labels import area_of
from atrous.tasks.detection_metrics import DetectionScores

BOXES = np.array([[0.0, 0, 10, 10], [20, 20, 60, 60], [100, 100, 220, 220]])
KINDS = np.array([0, 1, 1])


def test_perfect_boxes_of_every_size_have_one():
    scores = DetectionScores(("a", "b"), 2)
    scores.add("x", (BOXES, KINDS, np.array([0.9, 0.8, 0.7])), (BOXES, KINDS))
    values = scores.result(1.0).values
    for name in ("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar", "f1", "map_a", "map50_b"):
        assert values[name] == 1, name
    assert values["f1_score"] == 0.7
    assert values["boxes"] == 3


def test_classes_that_are_called_as_sizes_are_told_apart_from_these():
    scores = DetectionScores(("small", "large"), 2)
    scores.add("x", (BOXES[:2], KINDS[:2], np.array([0.9, 0.8])), (BOXES, KINDS))
    values = scores.result(1.0).values
    assert (values["map_small"], values["map_medium"], values["map_large"]) == (1, 1, 0)
    assert values["map_class_small"] == values["map50_class_small"] == 1
    assert values["map_class_large"] == pytest.approx(51 / 101)


def test_classes_weigh_the_same_and_images_are_ranked():
    scores = DetectionScores(("a", "b"), 2)
    scores.add("good", (BOXES[1:], KINDS[1:], np.array([0.9, 0.8])), (BOXES[1:], KINDS[1:]))
    scores.add("bad", (BOXES[:0], KINDS[:0], np.zeros(0)), (BOXES[:1], KINDS[:1]))
    result = scores.result(1.0)
    assert result.values["map50"] == 0.5
    assert result.values["map50_a"] == 0
    assert result.ranking() == ["bad", "good"]
    assert result.to_dict()["map"] == 0.5
    assert result.text().startswith("map ")


def test_boxes_that_count_for_nothing_are_no_truths():
    scores = DetectionScores(("a",), 2)
    scores.add("x", (BOXES[:1], KINDS[:1], np.ones(1)), (BOXES[:2], np.array([0, -1])))
    assert scores.result(0.0).values["map"] == 1
    scores = DetectionScores(("a",), 2)
    crowd, within = np.array([[20.0, 20, 60, 60]]), np.array([[25.0, 25, 50, 50]])
    found = np.concatenate([BOXES[:1], within]), np.zeros(2, int), np.array([0.5, 0.9])
    scores.add("x", found, (np.concatenate([BOXES[:1], crowd]), np.array([0, -1])))
    assert scores.result(0.0).values["map"] == scores.result(0.0).values["f1"] == 1


def test_a_crowd_hides_what_is_found_of_its_own_class_alone():
    true = np.concatenate([BOXES[:1], BOXES[2:], BOXES[1:2]]), np.array([0, 1, area_of(0)])
    within = np.array([[25.0, 25, 50, 50]])
    for number in (0, 1):
        scores = DetectionScores(("a", "b"), 2)
        found = np.concatenate([BOXES[:1], BOXES[2:], within])
        scores.add("x", (found, np.array([0, 1, number]), np.array([0.5, 0.5, 0.9])), true)
        values = scores.result(0.0).values
        assert (values["map_a"], values["map_b"]) == (1, 1 if number == 0 else pytest.approx(0.5))


def test_without_boxes_nothing_is_known():
    scores = DetectionScores(("a",), 1, full=False)
    scores.add("x", (np.zeros((0, 2)), np.zeros(0, int), np.zeros(0)), (np.zeros((0, 2)), np.zeros(0, int)))
    result = scores.result(0.0)
    assert result.to_dict()["map"] is None
    assert set(result.values) == {"map", "map50", "map75"}
    with pytest.raises(ValueError, match="counted twice"):
        scores.add("x", (np.zeros((0, 2)), np.zeros(0, int), np.zeros(0)), (np.zeros((0, 2)), np.zeros(0, int)))
