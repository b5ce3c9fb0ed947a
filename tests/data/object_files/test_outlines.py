"""Outlines of masks: filled again they are the masks, holes and pieces included."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.data.object_files.outlines import outline, rings
from atrous.data.object_files.raster import fill

MASKS = arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)))


@given(MASKS)
@settings(max_examples=150, deadline=None)
def test_a_filled_outline_is_the_mask(mask):
    points = outline(mask)
    whole = np.zeros(mask.shape, bool)
    if len(points):
        window, filled = fill([points.astype(float)], mask.shape)
        whole[window] = filled
    np.testing.assert_array_equal(whole, mask)


def test_a_ring_has_corners_alone_and_pieces_are_walked_apart():
    mask = np.zeros((4, 6), bool)
    mask[:3, :3] = True
    assert [ring.tolist() for ring in rings(mask)] == [[[0, 0], [0, 3], [3, 3], [3, 0]]]
    mask[1, 1] = False
    assert len(rings(mask)) == 2
    mask[3, 3] = True  # touches at a corner
    assert len(rings(mask)) == 3
