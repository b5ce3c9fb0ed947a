"""A proof measures what differs, and refuses what is not a tie."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.exporting.proof import prove

IMAGES = [np.zeros((1, 4)), np.zeros((1, 4))]
CLASSES = np.array([[0.9, 0.5, 0.2, 0.5001], [0.1, 0.5, 0.8, 0.4999]], np.float32)
RIGHT = {"labels": np.array([0, 0, 1, 0], np.uint8), "probabilities": CLASSES}


def proof(change, tolerance=1e-3, threshold=None, right=RIGHT):
    other = {name: value[None].copy() for name, value in right.items()}
    change(other)
    return prove(
        lambda batch: other, lambda image: right, IMAGES, runtime="a runtime", inputs="zeros", tolerance=tolerance,
        threshold=threshold,
    )  # fmt: skip


def set_label(*positions):
    def change(found):
        for position in positions:
            found["labels"][0, position] = 1 - found["labels"][0, position]

    return change


def test_labels_that_differ_where_two_classes_are_as_probable_are_ties():
    found = proof(set_label(1, 3))
    assert (found.labels, found.labels_differ, found.ties) == (8, 4, 4)
    assert found.largest == {"probabilities": 0}
    assert "4 of 8 labels differ (50.000%), 4 of them ties" in found.text()
    assert found.to_dict()["sizes"] == [[4], [4]]


def test_other_labels_are_refused():
    with pytest.raises(UserError, match="a runtime gives 2 other labels than the network"):
        proof(set_label(0, 1))


def test_where_several_classes_are_possible_a_tie_is_at_the_threshold():
    with pytest.raises(UserError, match="other labels"):
        proof(set_label(1), threshold=0.3)
    assert proof(set_label(1), threshold=0.5).ties == 2


@pytest.mark.parametrize("value", [0.02, np.nan])
def test_an_answer_over_the_tolerance_is_refused(value):
    def change(found):
        found["probabilities"][0, 0, 0] += value

    with pytest.raises(UserError, match=r"a runtime computes other probabilities than the network: .*nothing was"):
        proof(change)


def test_without_a_tolerance_the_cost_is_told():
    def change(found):
        found["probabilities"] += 0.09
        set_label(0)(found)

    found = proof(change, tolerance=None)
    assert found.largest["probabilities"] == pytest.approx(0.1)
    assert (found.labels_differ, found.ties) == (2, 0)


def test_another_shape_is_refused():
    with pytest.raises(UserError, match=r"a runtime gives .* and the network labels of shape \(1, 4\)"):
        proof(lambda found: found.update(labels=np.zeros((1, 5), np.uint8)))


def test_the_difference_is_relative_to_the_largest_value_of_all_inputs():
    right = {"values": np.array([[0.0, 200.0]])}
    found = proof(lambda found: found.update(values=np.array([[[0.1, 200.0]]])), right=right)
    assert found.largest["values"] == pytest.approx(0.0005)
    assert found.labels is None


def test_answers_that_are_no_numbers_are_refused_whatever_is_accepted():
    def change(found):
        found["probabilities"][0, 0, 0] = np.nan

    with pytest.raises(UserError, match="a runtime computes probabilities that are nan or infinite"):
        proof(change, tolerance=None)
