"""`benchmarks/named_models.py`: objects beside dots and boxes, counted by hand."""

import numpy as np
import pytest

from benchmarks.named_models import CHANGES, of_boxes, of_dots


def test_dots_that_share_miss_or_have_an_object():
    numbers = np.zeros((10, 10), np.uint32)
    numbers[0:3, 0:3], numbers[5:9, 5:9], numbers[0:2, 8:10] = 1, 2, 3
    dots = np.array([[1.5, 1.5], [5.5, 5.5], [7.5, 8.5], [9.5, 0.5]])  # alone, two in one, none; object 3 has no dot
    empty = np.zeros((4, 4), np.uint32)
    found = of_dots([numbers, empty], [dots, np.zeros((0, 2))])
    shares = {"alone": 1 / 4, "merged": 2 / 4, "missed": 1 / 4, "empty": 1 / 3}
    assert found == pytest.approx({"objects": 3 / 4, "count_mae": 0.5, "count_bias": -0.5, **shares})


def test_boxes_are_matched_one_to_one():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60.0]])
    mine = np.array([[0, 0, 10, 9], [0, 1, 10, 10], [22, 20, 32, 30], [80, 80, 90, 90.0]])
    found = of_boxes([mine], [boxes], [np.array([0, 1, -1])], ("a", "b"))
    assert found == pytest.approx({"objects": 2.0, "a": 1.0, "b": 1.0, "false": 0.5})
    nothing = of_boxes([np.zeros((0, 4))], [boxes], [np.array([0, 1, 1])], ("a", "b"))
    assert nothing == pytest.approx({"objects": 0.0, "a": 0.0, "b": 0.0, "false": 0.0})


def test_changes_move_image_and_numbers_alike():
    numbers = np.zeros((12, 18), np.uint16)
    numbers[3:9, 6:12] = 4
    image = (numbers > 0).astype(np.uint8)[None] * 200
    for name, change in CHANGES.items():
        seen, truth = change(image, numbers)
        assert seen.dtype == np.uint8
        assert seen.shape[1:] == truth.shape
        inside, outside = seen[0][truth == 4].mean(), seen[0][truth == 0].mean()
        assert (inside > outside) != (name == "inverted"), name
    assert CHANGES["as_is"](image, numbers)[0].tolist() == image.tolist()
    assert CHANGES["double_size"](image, numbers)[1].shape == (24, 36)
    assert (CHANGES["triple_size"](image, numbers)[1] == 4).sum() == 9 * 36
