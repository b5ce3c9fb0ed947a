"""Numbers that say a class: both come back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.objects.kinds import classes_in, with_classes


@given(st.integers(1, 9), st.lists(st.integers(0, 8), min_size=1, max_size=20))
def test_objects_and_classes_come_back(kinds, drawn):
    classes = np.array(drawn) % kinds
    numbers = np.arange(len(classes) + 1, dtype=np.uint32)
    told = with_classes(numbers, classes, kinds)
    assert told.dtype == np.uint32
    assert told[0] == 0
    assert len(np.unique(told)) == len(told)
    np.testing.assert_array_equal(classes_in(told[1:], kinds), classes)
    np.testing.assert_array_equal((told[1:].astype(int) - 1) // kinds + 1, numbers[1:])
