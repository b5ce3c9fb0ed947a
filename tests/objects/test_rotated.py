"""Rotated boxes: overlap against pixels and polygons clipped side by side, suppression, and forms without jumps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from atrous.objects import suppress
from atrous.objects.boxes import BoxShape
from atrous.objects.candidates import Candidates
from atrous.objects.rotated import (
    RotatedShape,
    boxes_of,
    common_area,
    convex_hull,
    corners_of,
    form_of,
    rectangle_around,
    rotated_iou,
    sides_of,
)
from atrous.objects.suppress import KEPT, Suppression, decide

WIDTH = 60


def some_boxes(rng, count, extent=30.0, sides=(1, 20)):
    return np.column_stack([
        rng.uniform(0, extent, (count, 2)), rng.uniform(*sides, (count, 2)), rng.uniform(-7, 7, count)
    ])  # fmt: skip


def as_candidates(boxes, scores=None, classes=None):
    count = len(boxes)
    places = np.arange(count) * 7 % (WIDTH * WIDTH)
    scores = np.ones(count, np.float32) if scores is None else scores
    return Candidates(places, scores, np.zeros(count, int) if classes is None else classes, boxes)


def clipped_area(box, other):
    """The common area by cutting the corners of one box at one side of the other after the other."""
    ring = [tuple(corner) for corner in corners_of(box[None])[0]]
    border = corners_of(other[None])[0]
    middle = border.mean(axis=0)
    for a, b in zip(border, np.roll(border, -1, axis=0), strict=True):
        normal = np.array([b[1] - a[1], a[0] - b[0]])
        normal = normal if normal @ (middle - a) > 0 else -normal
        cut = []
        for p, q in zip(ring, ring[1:] + ring[:1], strict=True):
            of_p, of_q = normal @ (p - a), normal @ (q - a)
            if of_p >= 0:
                cut.append(p)
            if (of_p >= 0) != (of_q >= 0):
                cut.append(tuple(np.array(p) + of_p / (of_p - of_q) * (np.array(q) - np.array(p))))
        ring = cut
        if not ring:
            return 0.0
    y, x = np.array(ring).T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def inside(box, points):
    """Which points `(n, 2)` lie in a box."""
    away = points - box[:2]
    along = away @ [np.sin(box[4]), np.cos(box[4])]
    across = away @ [np.cos(box[4]), -np.sin(box[4])]
    return (np.abs(along) <= box[2] / 2) & (np.abs(across) <= box[3] / 2)


@pytest.mark.parametrize("seed", range(8))
def test_the_overlap_is_that_of_pixels(seed):
    rng = np.random.default_rng(seed)
    box, other = some_boxes(rng, 2, extent=10, sides=(6, 20))
    steps = np.linspace(-20, 30, 801)
    points = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    one, two = inside(box, points), inside(other, points)
    expected = (one & two).sum() / (one | two).sum()
    assert rotated_iou(box[None], other[None])[0] == pytest.approx(expected, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_the_common_area_is_that_of_clipped_polygons(seed):
    rng = np.random.default_rng(seed)
    boxes, others = some_boxes(rng, 20), some_boxes(rng, 20)
    others[:5, 4] = boxes[:5, 4]  # parallel sides
    others[5:8] = np.add(boxes[5:8], [0, 0, 2, 0, 0])  # sides on one line
    others[8:10, 4], boxes[8:10, 4] = 0, np.pi / 2
    expected = [clipped_area(a, b) for a, b in zip(boxes, others, strict=True)]
    np.testing.assert_allclose(common_area(boxes, others), expected, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(-100, 100), st.floats(-7, 7))
def test_it_does_not_depend_on_the_frame_nor_on_how_a_box_is_written(seed, shift, turn):
    rng = np.random.default_rng(seed)
    boxes, others = some_boxes(rng, 20), some_boxes(rng, 20)
    iou = rotated_iou(boxes, others)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_allclose(rotated_iou(others, boxes), iou, atol=1e-12)
    np.testing.assert_allclose(rotated_iou(boxes, boxes), 1, atol=1e-12)
    swapped = np.add(boxes[:, [0, 1, 3, 2, 4]], [0, 0, 0, 0, np.pi / 2])
    np.testing.assert_allclose(rotated_iou(swapped, others), iou, atol=1e-12)
    np.testing.assert_allclose(rotated_iou(np.add(boxes, [0, 0, 0, 0, np.pi]), others), iou, atol=1e-12)

    def moved(rows):  # an angle counts from the last axis towards the first
        y, x = rows[:, 0], rows[:, 1]
        centers = [y * np.cos(turn) + x * np.sin(turn) + shift, x * np.cos(turn) - y * np.sin(turn)]
        return np.column_stack([*centers, rows[:, 2:4], rows[:, 4] + turn])

    np.testing.assert_allclose(rotated_iou(moved(boxes), moved(others)), iou, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_upright_boxes_overlap_as_upright_boxes_do(seed):
    rng = np.random.default_rng(seed)
    boxes = some_boxes(rng, 40)
    boxes[:, 4] = rng.integers(-4, 5, 40) * np.pi / 2
    shape, upright = RotatedShape(), BoxShape()
    every = as_candidates(boxes)
    bounds = as_candidates(np.concatenate(shape.bounds(every), axis=1))
    first, second = np.arange(20), np.arange(20, 40)
    np.testing.assert_allclose(
        shape.overlap(every.take(first), every.take(second)),
        upright.overlap(bounds.take(first), bounds.take(second)),
        atol=1e-12,
    )


def test_boxes_that_touch_or_are_empty_have_nothing_in_common():
    box = np.array([[5.0, 5, 4, 2, 0.3]])
    beside = np.add(box, [[2 * np.cos(0.3), -2 * np.sin(0.3), 0, 0, 0]])
    assert rotated_iou(box, beside)[0] == pytest.approx(0, abs=1e-12)
    assert rotated_iou(box, box * [1, 1, 0, 1, 1])[0] == 0
    assert rotated_iou(box * [1, 1, 0, 0, 1], box * [1, 1, 0, 0, 1])[0] == 0
    assert rotated_iou(box[:0], box[:0]).shape == (0,)
    far = box * [1e7, 1e7, 1, 1, 1]
    assert rotated_iou(far, np.add(far, [0, 0, 0, 0, np.pi]))[0] == pytest.approx(1, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_bounds_are_those_of_the_corners(seed):
    boxes = some_boxes(np.random.default_rng(seed), 30)
    low, high = RotatedShape().bounds(as_candidates(boxes))
    corners = corners_of(boxes)
    np.testing.assert_allclose(low, corners.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(high, corners.max(axis=1), atol=1e-12)
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    np.testing.assert_allclose(sides, boxes[:, [2, 3, 2, 3]], atol=1e-12)


def one_by_one(boxes, threshold, per_class):
    """Greedy suppression as it is defined."""
    kept = []
    for index in np.argsort(boxes.ranks()):
        rivals = [w for w in kept if not per_class or boxes.classes[w] == boxes.classes[index]]
        overlaps = [clipped_area(boxes.values[w], boxes.values[index]) for w in rivals]
        sizes = [np.prod(boxes.values[w, 2:4]) + np.prod(boxes.values[index, 2:4]) for w in rivals]
        if all(common <= threshold * (size - common) for common, size in zip(overlaps, sizes, strict=True)):
            kept.append(index)
    return set(kept)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.9), st.booleans(), st.integers(1, 30))
def test_suppression_keeps_what_one_by_one_keeps_in_any_strips(seed, threshold, per_class, rows):
    rng, reach = np.random.default_rng(seed), 15.0
    places = np.sort(rng.choice(WIDTH * WIDTH, 50, replace=False))
    centers = np.stack(np.divmod(places, WIDTH), axis=1) + 0.5
    boxes = np.column_stack([centers, rng.uniform(2, 20, (50, 2)), rng.uniform(0, np.pi, 50)])
    scores = (rng.integers(0, 5, 50) / 5).astype(np.float32)  # with ties
    every = Candidates(places, scores, rng.integers(0, 2, 50), boxes)
    expected = one_by_one(every, threshold, per_class)
    state = decide(every, RotatedShape(), threshold, np.ones(50, bool), per_class)
    assert set(np.flatnonzero(state == KEPT)) == expected
    suppression = Suppression(RotatedShape(), threshold, lambda positions: positions // WIDTH, reach, per_class)
    gathered, suppress.GATHERED = suppress.GATHERED, 1  # decide after every strip
    try:
        for start in range(0, WIDTH, rows):
            suppression.push(every.take((places // WIDTH >= start) & (places // WIDTH < start + rows)), start + rows)
    finally:
        suppress.GATHERED = gathered
    kept = suppression.close()
    order = np.argsort(every.ranks())
    assert kept.values.tobytes() == every.take([i for i in order if i in expected]).values.tobytes()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_a_form_says_the_box(seed):
    boxes = some_boxes(np.random.default_rng(seed), 30)
    boxes[:5, 3] = boxes[:5, 2]  # squares
    again = np.column_stack([boxes[:, :2], sides_of(form_of(boxes))])
    np.testing.assert_allclose(rotated_iou(boxes, again), 1, atol=1e-9)
    assert (again[:, 2] >= again[:, 3] - 1e-12).all()
    assert ((again[:, 4] >= 0) & (again[:, 4] <= np.pi)).all()
    long = boxes[:, 2] > boxes[:, 3] + 1e-6
    turns = (again[long, 4] - boxes[long, 4]) / np.pi
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(1, 20), st.floats(1, 20), st.floats(-7, 7), st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
def test_a_form_never_jumps(length, width, angle, longer, turn):
    box = np.array([[0.0, 0, length, width, angle]])
    other = np.add(box, [0, 0, longer, 0, turn])
    for same in (other, np.add(other[:, [0, 1, 3, 2, 4]], [0, 0, 0, 0, np.pi / 2]), other - [0, 0, 0, 0, np.pi]):
        # The derivatives are at most 1/4 by a side, and by the angle half of (l - w) / 2, or 4.
        most = 0.5 * abs(longer) + (abs(length - width) + 5) * abs(turn) + 1e-9
        assert np.abs(form_of(same) - form_of(box)).max() <= most


def test_forms_of_nothing_are_boxes_without_an_extent():
    sides = sides_of(np.array([[0.0, 0, 0, 0, 0], [-3, 1, 0, 1, 0], [2, 9, 0, 1, 0]]))
    assert sides[:, :2].tolist() == [[0, 0], [0, 0], [8, 0]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_corners_say_the_box(seed):
    boxes = some_boxes(np.random.default_rng(seed), 30)
    again = boxes_of(np.roll(corners_of(boxes), seed % 4, axis=1).reshape(-1, 8))
    np.testing.assert_allclose(rotated_iou(boxes, again), 1, atol=1e-9)
    assert (again[:, 2] >= again[:, 3]).all()
    assert ((again[:, 4] >= 0) & (again[:, 4] <= np.pi)).all()
    mirrored = boxes_of(corners_of(boxes)[:, ::-1])
    np.testing.assert_allclose(rotated_iou(mirrored, again), 1, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_the_rectangle_around_points_holds_them_and_none_is_smaller(seed, count):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 9, (count, 2)) if seed % 2 else rng.uniform(0, 9, (count, 2))
    box = boxes_of(rectangle_around(points)[None])
    assert inside(np.add(box[0], [0, 0, 1e-6, 1e-6, 0]), points).all()
    angles = np.linspace(0, np.pi / 2, 500)
    along = points @ np.stack([np.sin(angles), np.cos(angles)])
    across = points @ np.stack([np.cos(angles), -np.sin(angles)])
    assert box[0, 2] * box[0, 3] <= (np.ptp(along, axis=0) * np.ptp(across, axis=0)).min() + 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_the_hull_is_that_of_scipy(seed):
    points = np.random.default_rng(seed).normal(0, 5, (15, 2))
    theirs = points[ConvexHull(points).vertices]
    assert sorted(map(tuple, convex_hull(points))) == sorted(map(tuple, theirs))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_rectangles_are_their_own(seed):
    boxes = some_boxes(np.random.default_rng(seed), 10)
    again = np.array([rectangle_around(ring) for ring in corners_of(boxes)])
    np.testing.assert_allclose(rotated_iou(boxes_of(again), boxes), 1, atol=1e-6)
