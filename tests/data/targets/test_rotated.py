"""Rotated boxes of a sample: read, cut by views exactly, counted and drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.coding import Coding
from atrous.data.images import ArrayImage
from atrous.data.targets.base import Facts
from atrous.data.targets.places import Places
from atrous.data.targets.rotated import RotatedBoxes
from atrous.data.view import View
from atrous.errors import UserError
from atrous.objects.rotated import boxes_of, corners_of, rotated_iou

SIZE, CROP = (40, 50), (24, 28)
IMAGE = ArrayImage(Path("image"), np.zeros((1, *SIZE), np.float32))
TRUE = np.array([[12, 14, 14, 5, 0.5], [25, 30, 9, 9, 1.1], [38, 48, 8, 4, 2.0]])


def made(outlines, classes, image=IMAGE, fractions=False):
    return RotatedBoxes.of(Path("a.txt"), image, outlines, np.array(classes), fractions)


def values(classes=(0, 1, 0)):
    return Places(SIZE, corners_of(TRUE).reshape(-1, 8), np.array(classes))


def test_boxes_are_read_as_the_rectangles_around_their_points():
    ring = corners_of(TRUE)
    more = np.concatenate([ring[0], ring[0].mean(axis=0, keepdims=True)])
    line, away = np.array([[1.0, 1], [2, 2], [3, 3], [4, 4]]), ring[0] + 60
    found = made([more, line, ring[2], away], [1, 0, -1, 0]).read()
    assert found.classes.tolist() == [1, -1]
    assert rotated_iou(boxes_of(found.places), TRUE[[0, 2]]).min() > 1 - 1e-9
    fractions = made([ring[0] / SIZE], [0], fractions=True).read()
    np.testing.assert_allclose(rotated_iou(boxes_of(fractions.places), TRUE[:1]), 1, atol=1e-9)
    scanned = made(list(ring), [0, 1, 0]).scan(None)
    assert scanned.counts == {0: 2, 1: 1}
    np.testing.assert_allclose(scanned.sides[0], [[14, 5], [8, 4]])
    with pytest.raises(UserError, match="annotations have 2 axes"):
        made([ring[0]], [0], image=ArrayImage(Path("volume"), np.zeros((1, 4, 4, 4), np.float32))).read()
    assert made([], []).read().places.shape == (0, 8)


@given(st.floats(-7, 7), st.floats(0.5, 2), st.booleans(), st.booleans())
def test_boxes_move_exactly_with_a_turned_mirrored_and_zoomed_view(angle, zoom, up, left):
    """Points in a box are shown in the box that is cut, and the box has the zoomed sides."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    view = View(0, np.array([18.0, 22]), turn @ np.diag([-1.0 if up else 1, -1.0 if left else 1]) / zoom)
    crop = (400, 400)  # shows every box whole
    cut = RotatedBoxes.cut(values(), view, crop).double().numpy()
    assert cut[:, 8].tolist() == [0, 1, 0]
    found = boxes_of(cut[:, :8])
    np.testing.assert_allclose(found[:, 2:4], TRUE[:, 2:4] * zoom, rtol=1e-4)
    np.testing.assert_allclose(found[:, :2], view.to_crop(TRUE[:, :2], crop), atol=1e-3)
    tips = TRUE[:, :2] + np.stack([np.sin(TRUE[:, 4]), np.cos(TRUE[:, 4])], axis=1) * TRUE[:, 2:3] / 2
    away = view.to_crop(tips, crop) - found[:, :2]
    along = np.stack([np.sin(found[:, 4]), np.cos(found[:, 4])], axis=1)
    long = TRUE[:, 2] > TRUE[:, 3]
    np.testing.assert_allclose(np.abs((away * along).sum(axis=1))[long], (TRUE[:, 2] * zoom / 2)[long], rtol=1e-4)


def test_a_plain_view_is_a_window_and_boxes_of_which_it_shows_little_count_for_nothing():
    window = (slice(4, 4 + CROP[0]), slice(6, 6 + CROP[1]))
    view = View(0, np.array([4 + CROP[0] / 2, 6 + CROP[1] / 2]), np.eye(2))
    cut, cropped = RotatedBoxes.cut(values(), view, CROP), RotatedBoxes.crop(values(), window)
    torch.testing.assert_close(cut, RotatedBoxes.tensor(cropped))
    assert cropped.size == CROP
    assert cropped.classes.tolist() == [0, 1]  # the third one lies outside
    np.testing.assert_allclose(boxes_of(cropped.places)[:, 2:4], TRUE[:2, 2:4])  # they stay rectangles
    narrow = RotatedBoxes.crop(values(), (slice(0, 40), slice(33, 50)))
    assert narrow.classes.tolist() == [-1, 0]
    batch = RotatedBoxes.batch([cut, cut[:1]])
    assert batch.shape == (3, 10)
    assert batch[:, 0].tolist() == [0, 0, 1]


def test_boxes_are_drawn_and_summed_up():
    palette = ((255, 0, 0), (0, 255, 0))
    picture = RotatedBoxes.draw(np.zeros((1, *SIZE)), values((0, 1, -1)), palette)
    assert picture.shape == (*SIZE, 3)
    assert {tuple(color) for color in picture.reshape(-1, 3).tolist()} == {(0, 0, 0), *palette}
    assert not picture[35:, 44:].any()
    centers = RotatedBoxes.places(values(), 0)
    assert {k: places.tolist() for k, places in centers.items()} == {0: [[12, 14], [38, 48]], 1: [[25, 30]]}
    facts = Facts(Path(), Coding(("a", "b")))
    assert RotatedBoxes.summary(facts, False).startswith("rotated boxes of 2 classes")
