"""Lesions found, missed and invented, and milliliters."""

import numpy as np
import pytest

from atrous.labels import IGNORE
from atrous.tasks.lesions import LesionCounter, lesion_counts


def volume(*boxes, shape=(12, 14, 16)):
    labels = np.zeros(shape, np.uint8)
    for label, *corner in boxes:
        labels[tuple(slice(start, start + 2) for start in corner)] = label
    return labels


@pytest.mark.parametrize(
    ("truth", "prediction", "counts"),
    [
        (volume((1, 0, 0, 0)), volume((1, 0, 0, 0)), [1, 0, 0]),
        (volume((1, 0, 0, 0)), volume((1, 1, 1, 1)), [1, 0, 0]),  # one common voxel
        (volume((1, 0, 0, 0)), volume((1, 5, 5, 5)), [0, 1, 1]),
        (volume((1, 0, 0, 0), (1, 6, 6, 6)), volume((1, 0, 0, 0)), [1, 1, 0]),
        (volume((1, 0, 0, 0), (1, 2, 2, 2)), volume(), [0, 1, 0]),  # they touch at a corner
        (volume((1, 0, 0, 0), (1, 3, 3, 3)), volume(), [0, 2, 0]),
        (volume((1, 0, 0, 0)), volume((2, 0, 0, 0)), [0, 1, 0]),
        (volume(), volume(), [0, 0, 0]),
    ],
)
def test_pieces_are_matched_by_a_common_voxel(truth, prediction, counts):
    assert lesion_counts(truth, prediction, 3)[:, 1].tolist() == counts


def test_one_piece_over_two_lesions_finds_both():
    truth, prediction = volume((1, 0, 0, 0), (1, 0, 0, 4)), np.zeros((12, 14, 16), np.uint8)
    prediction[:2, :2, :6] = 1
    assert lesion_counts(truth, prediction, 2)[:, 1].tolist() == [2, 0, 0]
    assert lesion_counts(prediction, truth, 2)[:, 1].tolist() == [1, 0, 0]


def test_counts_add_up_and_volumes_are_means():
    counter = LesionCounter(2)
    assert counter.result() is None
    counter.update(volume((1, 0, 0, 0)), volume((1, 0, 0, 0), (1, 6, 6, 6)), (5.0, 10.0, 10.0))
    counter.update(volume((1, 0, 0, 0), (1, 6, 6, 6)), volume(), (5.0, 10.0, 10.0))
    scores = counter.result()
    assert scores is not None
    assert scores.counts[:, 1].tolist() == [1, 2, 1]
    assert scores.f1[1] == pytest.approx(2 / (2 + 2 + 1))
    assert np.isnan([scores.f1[0], scores.true_ml[0]]).all()
    assert (scores.true_ml[1], scores.predicted_ml[1], scores.off_ml[1]) == pytest.approx((6.0, 4.0, 6.0))


def test_void_counts_for_nothing():
    truth, prediction = volume((IGNORE, 0, 0, 0)), volume((1, 0, 0, 0))
    counter = LesionCounter(2)
    counter.update(truth, prediction, (1.0, 1.0, 1.0))
    scores = counter.result()
    assert scores is not None
    assert scores.counts.sum() == 0
    assert scores.predicted_ml[1] == 0
