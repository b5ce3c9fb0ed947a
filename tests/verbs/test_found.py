"""What is found in a labeled sample: nothing where it has no data, on whichever grid the network works."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from atrous.data.formats.orient import Turn
from atrous.data.preprocess import Preparation
from atrous.tasks.counting import CountingTask
from atrous.tasks.instances import InstanceTask
from atrous.verbs.found import _Dense, _objects, _points, found_points


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


def test_the_mask_of_a_file_says_where_nothing_is_found():
    maps, valid = torch.zeros(1, 2, 4, 4), np.ones((4, 4), bool)
    maps[0, 0], maps[0, 1, 1, 0], maps[0, 1, 1, 3], valid[:, :2] = 0.5, 0.9, 0.9, False
    as_read = SimpleNamespace(turn=lambda affine: None, preparation=lambda given, spacing: given)
    predictor: Any = SimpleNamespace(
        expected=as_read, preparation=Preparation(), output=lambda image: maps,
        task=SimpleNamespace(probabilities=lambda output: output),
    )  # fmt: skip
    image, task = np.zeros((1, 4, 4), np.uint8), CountingTask(ndim=2)
    assert len(found_points(predictor, task, image, None).places) == 2
    found = found_points(predictor, task, image, None, None, valid)
    assert found.places.tolist() == [[1.5, 3.5]]
    assert found.counts.tolist() == [4]
