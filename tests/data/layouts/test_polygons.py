"""Which level of a slide is trained on."""

import numpy as np
import pytest

from atrous.data.layouts.polygons import slide_level
from tests.slides import write_svs


@pytest.mark.parametrize(
    ("spacing", "level"), [(None, None), ((0.25, 0.25), None), ((0.4, 0.4), None), ((0.7, 0.7), 1), ((9.0, 9.0), 2)]
)
def test_the_level_nearest_to_the_spacing(tmp_path, spacing, level):
    path = write_svs(tmp_path / "a.svs", np.zeros((256, 256, 3), np.uint8), factors=(1, 4, 8))
    assert slide_level(path, None, spacing) == level


def test_damaged_slides_are_left_to_the_check(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"II*\0no slide")
    assert slide_level(tmp_path / "a.svs", None, (1.0, 1.0)) is None
