"""Merge, split, delete and outline on small images of numbers."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.serve.object_edits import deleted, merged, outlined, split

ROWS, COLUMNS = np.mgrid[:40, :60]
LEFT, RIGHT = np.hypot(ROWS - 20, COLUMNS - 20) < 12, np.hypot(ROWS - 20, COLUMNS - 43) < 11
NUMBERS = (7 * LEFT + 3 * RIGHT).astype(np.uint32)


def applied(change, numbers=NUMBERS):
    box, after = change
    found = numbers.copy()
    found[box] = after
    return found


def test_objects_are_merged_into_the_first():
    found = applied(merged(NUMBERS, [(20, 43), (20, 20), (20, 44)]))
    np.testing.assert_array_equal(found, 3 * (LEFT | RIGHT))
    for places in ([(20, 20)], [(20, 20), (21, 21)], [(0, 0), (20, 20)]):
        with pytest.raises(UserError, match="two objects"):
            merged(NUMBERS, places)
    with pytest.raises(UserError, match="40 x 60"):
        merged(NUMBERS, [(20, 20), (40, 0)])


def test_a_line_through_two_objects_splits_both():
    found = applied(split(NUMBERS, [(18.3, 2.0), (18.9, 58.0)]))
    assert set(np.unique(found)) == {0, 3, 7, 8, 9}
    np.testing.assert_array_equal(found > 0, NUMBERS > 0)  # no pixel is lost
    for one, inside in ((7, LEFT), (3, RIGHT)):
        other = ({*np.unique(found[inside])} - {one}).pop()
        assert (found == one).sum() > (found == other).sum()  # the larger part keeps the number
        assert set(np.unique(NUMBERS[found == other])) == {one}
        assert ROWS[(found == other)].max() <= 19  # the smaller one lies above the line


@pytest.mark.parametrize("line", [[(20, 20), (20, 58)], [(20, 20), (20, 25)], [(1, 1), (1, 50)]])
def test_what_a_line_does_not_divide_stays(line):
    """The first line ends in the left object and crosses the right one."""
    if line[1][1] == 58:
        found = applied(split(NUMBERS, line))
        np.testing.assert_array_equal(found == 7, NUMBERS == 7)
        assert len(np.unique(found[RIGHT])) == 2
    else:
        with pytest.raises(UserError, match="the line"):
            split(NUMBERS, line)


def test_parts_of_an_object_that_the_line_does_not_touch_keep_its_number():
    numbers = NUMBERS.copy()
    numbers[:3, :3] = 3
    found = applied(split(numbers, [(2, 43), (38, 43)]), numbers)
    assert (found[:3, :3] == 3).all()
    assert len(np.unique(found[RIGHT])) == 2


def test_objects_are_deleted():
    np.testing.assert_array_equal(applied(deleted(NUMBERS, [(20, 20), (0, 0)])), 3 * RIGHT)
    with pytest.raises(UserError, match="no object"):
        deleted(NUMBERS, [(0, 0)])


def test_an_outline_takes_free_pixels_only():
    found = applied(outlined(NUMBERS, [(0, 0), (0, 20), (20, 20), (20, 0)]))
    np.testing.assert_array_equal(found[NUMBERS > 0], NUMBERS[NUMBERS > 0])
    np.testing.assert_array_equal(found == 8, (ROWS < 20) & (COLUMNS < 20) & (NUMBERS == 0))
    with pytest.raises(UserError, match="no free pixel"):
        outlined(NUMBERS, [(18, 18), (18, 22), (22, 22)])
