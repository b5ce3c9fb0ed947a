"""Masks as run lengths, against pictures and COCO's published strings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.data.formats import FileFault
from atrous.data.object_files.base import runs_extent
from atrous.data.object_files.runs import compress, decompress, mask_of, read_runs, runs_of

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
FILE = Path("a.json")


@given(MASKS)
@settings(max_examples=60, deadline=None)
def test_masks_come_back_from_runs_and_from_text(mask):
    runs = runs_of(mask)
    assert runs.counts.sum() == mask.size
    np.testing.assert_array_equal(mask_of(runs, FILE), mask)
    text = compress(runs.counts.tolist())
    assert decompress(text) == runs.counts.tolist()
    again = read_runs(FILE, "annotation 1", {"size": list(mask.shape), "counts": text})
    np.testing.assert_array_equal(mask_of(again, FILE), mask)
    rows, columns = np.nonzero(mask)
    want = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else (0, 0, 0, 0)
    box = runs_extent(runs)
    inside = box[0] <= want[0] and box[2] >= want[2]  # a run over two columns reaches both borders
    assert inside
    assert (box[1], box[3]) == (want[1], want[3])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_lengths_come_back_from_text(lengths):
    assert decompress(compress(lengths)) == lengths


def test_runs_go_down_the_columns():
    mask = np.zeros((3, 4), bool)
    mask[1:, 2] = True
    assert runs_of(mask).counts.tolist() == [7, 2, 3]


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "add up to 3, but 2 x 2 pixels are 4"),
        ({"size": [2, 2], "counts": [5, -1]}, "no run lengths"),
        ({"size": [2, 2], "counts": [1.0, 3.0]}, "no run lengths"),
        ({"size": [2, 2], "counts": "é"}, "no run lengths"),
        ({"size": [2, 2], "counts": "oooooooooooooooooooo"}, "no run lengths"),
        ({"size": [2], "counts": [4]}, "the size of its mask"),
        ({"size": [-2, -2], "counts": [4]}, "the size of its mask"),
        ({"size": [True, 4], "counts": [4]}, "the size of its mask"),
        ({"counts": [4]}, "the size of its mask"),
    ],
)
def test_wrong_runs_are_refused(stored, what):
    with pytest.raises(FileFault, match=what):
        read_runs(FILE, "annotation 1", stored)


def test_a_mask_beyond_the_memory_is_refused_before_it_is_made():
    size = 2**31 - 1
    runs = read_runs(FILE, "annotation 1", {"size": [size, size], "counts": [size * size]})
    with pytest.raises(FileFault, match="a mask in it"):
        mask_of(runs, FILE)
