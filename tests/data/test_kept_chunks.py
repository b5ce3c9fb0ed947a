"""Chunks are read whole, once, while there is room for them."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from atrous.data.kept_chunks import KeptChunks


class _Counted:
    """A chunked array that notes which boxes are read of it."""

    def __init__(self, values, chunks):
        self.values, self.shape, self.dtype, self.chunks, self.read = values, values.shape, values.dtype, chunks, []

    def __getitem__(self, key):
        self.read.append(tuple((part.start, part.stop) for part in key))
        return self.values[key]


VALUES = np.arange(7 * 11, dtype=np.float32).reshape(7, 11)
SLICES = st.one_of(st.slices(11), st.integers(0, 6))


@settings(max_examples=60)
@given(
    keys=st.lists(st.tuples(st.one_of(st.slices(7), st.integers(0, 6)), SLICES), max_size=5), most=st.integers(0, 300)
)
def test_what_is_sliced_is_what_the_array_holds(keys, most):
    source = KeptChunks(_Counted(VALUES, (3, 4)), most)
    for key in keys:
        np.testing.assert_array_equal(source[key], VALUES[key])


def test_strips_thinner_than_a_chunk_read_it_once():
    array = _Counted(VALUES, (3, 4))
    source = KeptChunks(array)
    for row in range(6):
        np.testing.assert_array_equal(source[row : row + 2, 2:9], VALUES[row : row + 2, 2:9])
    assert array.read == [((0, 3), (0, 11)), ((3, 6), (0, 11)), ((6, 7), (0, 11))]
    forgetful = KeptChunks(array, most=0)
    array.read.clear()
    for _ in range(2):
        assert forgetful[0, 0] == 0
    assert len(array.read) == 2
