"""Thinning against its definition, pixel by pixel, and what non-maximum suppression keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from atrous.tasks.thinning import suppress, thin

ROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
EIGHT = np.ones((3, 3), int)


def picture(text):
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def removed(edges, row, column, first):
    """Whether bwmorph's conditions, as MATLAB's manual lists them, remove a pixel in one half of a step."""
    x = [None, *(bool(edges[row + down, column + right]) for down, right in ROUND)]
    x.append(x[1])
    g1 = sum(not x[2 * i - 1] and (x[2 * i] or x[2 * i + 1]) for i in range(1, 5)) == 1
    n1 = sum(x[2 * k - 1] or x[2 * k] for k in range(1, 5))
    n2 = sum(x[2 * k] or x[2 * k + 1] for k in range(1, 5))
    g2 = 2 <= min(n1, n2) <= 3
    g3 = not ((x[2] or x[3] or not x[8]) and x[1]) if first else not ((x[6] or x[7] or not x[4]) and x[5])
    return g1 and g2 and g3


def thinned(edges):
    """The same, slowly."""
    edges = np.pad(edges, 1)
    while True:
        before = edges.copy()
        for first in (True, False):
            gone = [place for place in np.argwhere(edges) if removed(edges, *place, first)]
            for row, column in gone:
                edges[row, column] = False
        if np.array_equal(edges, before):
            return edges[1:-1, 1:-1]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
@settings(max_examples=60)
def test_thinning_keeps_its_definition_and_what_is_connected(edges):
    before = edges.copy()
    lines = thin(edges)
    np.testing.assert_array_equal(edges, before)  # the input stays
    np.testing.assert_array_equal(lines, thinned(edges))
    np.testing.assert_array_equal(thin(np.asfortranarray(edges)), lines)
    np.testing.assert_array_equal(thin(lines), lines)
    assert not (lines & ~edges).any()
    assert label(lines, EIGHT)[1] == label(edges, EIGHT)[1]
    ground = [label(~np.pad(values, 1))[1] for values in (lines, edges)]  # holes, and the ground around
    assert ground[0] == ground[1]


def test_known_shapes():
    bar = thin(picture("......... .#######. .#######. .#######. ........."))
    assert bar.sum(axis=0).max() == 1  # one line
    assert bar.sum() >= 5
    ring = thin(picture("....... .#####. .#####. .##.##. .#####. .#####. ......."))
    assert not ring[3, 3]
    assert label(~ring)[1] == 2
    line = picture("#.... .#... ..#.. ...#. ....#")
    np.testing.assert_array_equal(thin(line), line)
    assert not thin(np.zeros((3, 4), bool)).any()
    assert thin(np.ones((4, 4), bool)).sum() >= 1


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_suppression_keeps_the_crest_of_a_ridge(angle):
    rows, columns = np.indices((61, 61)) - 30
    across = np.cos(np.radians(angle)) * columns + np.sin(np.radians(angle)) * rows
    strength = np.exp(-(across**2) / 8).astype(np.float32)
    kept = suppress(strength)
    middle = np.s_[10:-10, 10:-10]
    crest = kept[middle] > 1e-3  # strengths close to 0 have no direction
    assert np.abs(across[middle][crest]).max() < 1.1
    assert kept[30, 30] > 0.8
    assert np.count_nonzero(crest) < 2.2 * 41  # about a line
    assert not kept[0].any()  # strengths fall to 0 at the border
    assert not kept[:, -1].any()


def test_suppression_of_nothing_and_of_a_line():
    assert not suppress(np.zeros((12, 9))).any()
    assert suppress(np.ones((1, 5))).shape == (1, 5)


@pytest.mark.parametrize("shape", [(1, 12), (2, 12), (12, 2), (2, 2), (1, 1)])
def test_what_is_all_border_is_smoothed_alone(shape):
    assert suppress(np.full(shape, 0.5, np.float32)) == pytest.approx(0.5)
