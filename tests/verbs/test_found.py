"""What is found in a labeled sample: nothing where it has no data, on whichever grid the network works."""

import numpy as np
import pytest

from atrous.data.formats.orient import Turn
from atrous.tasks.counting import CountingTask
from atrous.tasks.instances import InstanceTask
from atrous.verbs.found import _Dense, _objects, _points


@pytest.mark.parametrize("turn", [None, Turn((1, 0), (0,))])
@pytest.mark.parametrize("size", [(4, 4), (8, 8)])
def test_nothing_is_found_where_a_sample_has_no_data(size, turn):
    gaps = np.zeros(size, bool)
    gaps[:, : size[1] // 2] = True
    known = ~gaps if turn is None else turn(~gaps)
    rows, columns = (np.arange(4) * size[0] // 4 for _ in range(2))
    maps = np.zeros((4, 4, 4), np.float32)
    maps[0] = 0.5
    maps[1, [0, 0, 3, 3], [0, 3, 0, 3]] = 0.9
    points = _points(_Dense(maps[:2].copy(), gaps, size, turn), CountingTask(ndim=2))
    assert len(points.places) == 2
    assert known[np.ix_(rows, columns)].sum() * 0.5 == points.counts
    assert (points.places[:, 1] > size[1] / 2).all()
    maps[0] = 0.9
    objects = _objects(_Dense(maps.copy(), gaps, size, turn), InstanceTask(ndim=2, apart=1.0, astray=1.5))
    assert not objects.numbers[gaps].any()
    assert len(objects.scores) == 2
