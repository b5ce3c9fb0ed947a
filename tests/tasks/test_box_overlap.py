"""The overlap of all boxes with all: rotated ones that are upright are upright ones, others have the exact overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.objects.rotated import corners_of, rotated_iou
from atrous.tasks.box_overlap import box_iou, covered, volumes


def upright(rng, count):
    low = rng.uniform(0, 40, (count, 2))
    return np.concatenate([low, low + rng.uniform(0, 30, (count, 2))], axis=1)


def corners(boxes):
    return boxes[:, [0, 1, 0, 3, 2, 3, 2, 1]]


@given(st.integers(0, 10**6))
def test_rotated_boxes_that_are_upright_overlap_as_upright_ones(seed):
    rng = np.random.default_rng(seed)
    boxes, others = upright(rng, 7), upright(rng, 5)
    np.testing.assert_allclose(box_iou(corners(boxes), corners(others)), box_iou(boxes, others), atol=1e-12)
    np.testing.assert_allclose(covered(corners(boxes), corners(others)), covered(boxes, others), atol=1e-12)
    np.testing.assert_allclose(volumes(corners(boxes)), volumes(boxes), atol=1e-9)


@given(st.integers(0, 10**6))
def test_rotated_boxes_overlap_exactly(seed):
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.uniform(0, 40, (9, 2)), rng.uniform(1, 30, (9, 2)), rng.uniform(0, np.pi, 9)])
    found = box_iou(corners_of(rows[:5]).reshape(-1, 8), corners_of(rows[5:]).reshape(-1, 8))
    for i, j in np.ndindex(5, 4):
        assert found[i, j] == pytest.approx(rotated_iou(rows[i : i + 1], rows[5 + j : 6 + j])[0], abs=1e-9)


def test_nothing_overlaps_nothing():
    none = np.zeros((0, 8))
    assert box_iou(none, none).shape == (0, 0)
    assert covered(corners(np.array([[0.0, 0, 2, 2]])), none).tolist() == [0]
