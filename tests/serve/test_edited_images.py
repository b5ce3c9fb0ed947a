"""Changes of an image are undone and redone, and only a few images stay open, none of them twice."""

import gc
import weakref
from pathlib import Path

import numpy as np

from atrous.serve.edited_images import EditedImage, EditedImages

FIRST, SECOND, THIRD = Path("a"), Path("b"), Path("c")
PART = (slice(1, 3),)


class Row(EditedImage):
    """Four values that are nowhere on the disk."""

    def __init__(self, begin=lambda: None):
        super().__init__(np.uint8, begin)
        self.values = np.zeros(4, np.uint8)

    def put(self, value):
        with self._lock:
            self._change(PART, self.values[PART].copy(), np.full(2, value, np.uint8))

    def _write(self, region, before, after):
        self.values[region] = after


def test_changes_are_undone_redone_and_forgotten():
    begun, seen = [], []
    row = Row(lambda: begun.append(1))
    row.changed = lambda image: seen.append(image.revision)
    row.put(5)
    row.put(6)
    assert (row.undo(), row.values.tolist(), row.can_undo, row.can_redo) == (True, [0, 5, 5, 0], True, True)
    assert (row.redo(), row.redo(), row.values.tolist()) == (True, False, [0, 6, 6, 0])
    assert (seen, begun) == ([1, 2, 3, 4], [1])
    row.undo()
    row.forget_steps()
    assert (row.undo(), row.redo(), row.values.tolist()) == (False, False, [0, 5, 5, 0])


def test_images_that_were_not_used_for_the_longest_time_are_closed_and_their_revisions_go_on():
    images, noted = EditedImages(2), []
    first = images.get(FIRST, Row, lambda image: noted.append(image.revision))
    first.put(1)
    closed = weakref.ref(first)
    del first
    images.get(SECOND, Row)
    images.get(THIRD, Row)
    gc.collect()
    assert closed() is not None  # it has a change to undo: the second one went
    images.get(SECOND, Row).put(1)
    images.get(THIRD, Row).put(1)
    gc.collect()
    assert closed() is None
    again = images.get(FIRST, Row)
    assert (again.revision, noted) == (1, [0, 1])
    again.put(2)
    assert again.revision == 2


def test_an_image_that_is_used_is_not_opened_twice():
    images = EditedImages(1)
    first = images.get(FIRST, Row)
    for other in (SECOND, THIRD):
        images.get(other, Row)
    assert images.get(FIRST, Row) is first
    first.put(1)
    images.get(SECOND, Row)
    images.forget_steps()
    assert not first.can_undo
