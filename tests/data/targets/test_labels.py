"""Labels: how the data doctor sums them up, and positions without data. Reading: data/test_dataset.py."""

import numpy as np
import pytest

from atrous.data.coding import Coding
from atrous.data.targets.base import Facts
from atrous.data.targets.labels import Labels
from atrous.labels import IGNORE

COLORS = (0, 0x800000)


@pytest.mark.parametrize(
    ("coding", "colored", "said"),
    [
        (Coding(("a", "b"), colors=COLORS), True, "2 classes, by color, none ignored"),
        (Coding(("a", "b"), colors=COLORS), False, "2 classes, values 0..1, none ignored"),
        (Coding(("a", "b")), True, "2 classes, values 0..1, none ignored"),
        (Coding(("a", "b"), values=(0, 255)), False, "2 classes, values [0, 255], none ignored"),
        (Coding(("a",), values=(7,), ignore=(255,)), False, "1 class, values [7], ignored [255]"),
        (Coding(("a",)), False, "1 class, none ignored"),
    ],
)
def test_the_summary_says_how_files_store_classes(tmp_path, coding, colored, said):
    assert Labels.summary(Facts(tmp_path, coding), colored) == said


def test_positions_without_data_are_void():
    values = np.array([[0, 1], [2, 1]], np.uint8)
    gaps = np.array([[True, False], [False, True]])
    assert Labels.without(values, gaps).tolist() == [[IGNORE, 1], [2, IGNORE]]
    assert Labels.without(values, gaps[:1]) is values  # of another grid
