"""Strokes on one image: drawn, erased, filled, undone and redone."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve import history
from atrous.serve.paint_image import PaintedImage
from atrous.serve.paint_masks import open_mask
from atrous.serve.paint_strokes import Stroke

IMAGE = (0, 0)
BOX = Stroke("box", [(2, 2), (8, 9)])


@pytest.fixture
def image(tmp_path):
    return PaintedImage(open_mask(tmp_path, "a", (40, 50)), lambda: None)


def labels(image):
    return image.labels(IMAGE, slice(0, 40), slice(0, 50))


def test_strokes_are_drawn_erased_undone_and_redone(image):
    states = [labels(image)]
    steps = ((BOX, 1), (Stroke("brush", [(5, 5)], 2.0), 0), (Stroke("brush", [(5, 5)], 1.0), IGNORE))
    for stroke, label in steps:
        assert image.paint(IMAGE, stroke, label)
        states.append(labels(image))
    assert (states[1] == 1).sum() == 42
    assert labels(image)[5, 5] == IGNORE
    for state in states[-2::-1]:
        assert image.undo()
        np.testing.assert_array_equal(labels(image), state)
    assert not image.undo()
    for state in states[1:]:
        assert image.redo()
        np.testing.assert_array_equal(labels(image), state)
    assert not image.redo()
    assert image.revision == 9


def test_counts_follow(image):
    image.paint(IMAGE, BOX, 1)
    image.paint(IMAGE, Stroke("box", [(2, 2), (4, 9)]), 3)
    assert (image.counts[1], image.counts[3], image.counts[IGNORE]) == (28, 14, 0)
    image.undo()
    assert (image.counts[1], image.counts[3]) == (42, 0)


def test_a_stroke_that_changes_nothing_is_no_step(image):
    assert image.paint(IMAGE, BOX, 1)
    assert not image.paint(IMAGE, BOX, 1)
    assert not image.paint(IMAGE, Stroke("brush", [(-90, -90)], 3.0), 1)
    assert image.revision == 1


def test_a_new_stroke_ends_what_could_be_redone(image):
    image.paint(IMAGE, BOX, 1)
    image.undo()
    image.paint(IMAGE, Stroke("box", [(20, 20), (22, 22)]), 0)
    assert image.can_undo
    assert not image.can_redo


def test_the_oldest_steps_are_forgotten(image, monkeypatch):
    monkeypatch.setattr(history, "STEPS", 2)
    for number in range(4):
        image.paint(IMAGE, Stroke("box", [(number, 0), (number + 1, 3)]), number)
    assert [image.undo() for _ in range(3)] == [True, True, False]
    assert set(np.unique(labels(image))) == {0, 1, IGNORE}


def test_an_outline_is_filled_within_the_view(image):
    outline = [(10, 10), (10, 30), (30, 30), (30, 10), (10, 10)]
    image.paint(IMAGE, Stroke("brush", outline, 1.0), 2)
    image.paint(IMAGE, Stroke("fill", [(20, 20)]), 2, (slice(5, 35), slice(5, 40)))
    assert (labels(image)[9:31, 9:31] == 2).all()
    with pytest.raises(UserError, match="not closed in view"):
        image.paint(IMAGE, Stroke("fill", [(6, 6)]), 1, (slice(5, 35), slice(5, 40)))
    with pytest.raises(UserError, match="outside of what is in view"):
        image.paint(IMAGE, Stroke("fill", [(1, 1)]), 1, (slice(5, 35), slice(5, 40)))


def test_the_image_is_put_beside_its_mask_before_the_first_stroke(tmp_path):
    begun = []
    image = PaintedImage(open_mask(tmp_path, "a", (40, 50)), lambda: begun.append(list(tmp_path.iterdir())))
    image.undo()
    assert begun == []
    image.paint(IMAGE, BOX, 1)
    image.paint(IMAGE, BOX, 0)
    assert begun == [[]]


def test_planes_of_a_volume(tmp_path):
    image = PaintedImage(open_mask(tmp_path, "a", (12, 30, 40)), lambda: None)
    image.paint((0, 5), Stroke("box", [(2, 3), (4, 6)]), 1)
    image.paint((2, 7), Stroke("brush", [(6, 20)], 2.0), 0)
    assert image.counts[1] == 6
    assert (image.tile((0, 5), 0, 0, 0)[2:4, 3:6] == 1).all()
    across = image.labels((2, 7), slice(0, 12), slice(0, 30))
    assert across[6, 20] == 0
    image.undo()
    assert image.counts[0] == 0
