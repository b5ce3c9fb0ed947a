"""Thin edges are those of the whole image, however few rows are suppressed at once."""

import numpy as np
import pytest
from PIL import Image

from atrous.prediction import thin_edges
from atrous.prediction.inputs import Opened
from atrous.prediction.thin_edges import ThinEdges
from atrous.tasks.thinning import suppress


class Strengths:
    """A file of strengths that is not in its place yet."""

    def __init__(self, values):
        self.values = values

    def rows(self, first, last):
        return self.values[:, first:last]


@pytest.mark.parametrize("rows", [1, 7, 32, 1024])
def test_thin_edges_do_not_depend_on_strips(tmp_path, monkeypatch, rows):
    rng = np.random.default_rng(0)
    strength = rng.random((75, 60)).astype(np.float32)
    strength[30:45, 20] = np.nan  # no data
    monkeypatch.setattr(thin_edges, "ROWS", rows)
    output = ThinEdges(tmp_path / "out" / "a_thin.png", Strengths(strength[None]))
    output.begin(Opened(np.zeros((3, 75, 60), np.uint8), (75, 60)), streamed=False)
    output.finish()
    want = np.rint(255 * suppress(np.nan_to_num(strength)))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a_thin.png")), want)
    assert 0 < np.count_nonzero(want) < want.size / 2
