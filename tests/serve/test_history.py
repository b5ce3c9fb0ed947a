"""Changes that are undone and redone; the doctest shows the usual way, `test_paint_image.py` the limits."""

import numpy as np
import pytest

from atrous.serve.history import History

PART = (slice(1, 3),)


def test_a_change_that_cannot_be_written_stays_where_it_was():
    history = History(np.uint32)
    history.add(PART, np.array([1, 2], np.uint32), np.array([3, 70_000], np.uint32))

    def fail(region, before, after):
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        history.undo(fail)
    assert (history.can_undo, history.can_redo) == (True, False)
    seen = []
    assert history.undo(lambda region, before, after: seen.append((region, before.tolist(), after.tolist())))
    assert seen == [(PART, [3, 70_000], [1, 2])]
    assert (history.can_undo, history.can_redo) == (False, True)
