"""Boxes from dense maps, on every lattice and for every division of the grid."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.assemble import keep
from atrous.objects.boxes import DenseBoxes, find_boxes, lattice

SHAPES = {1: (70,), 2: (31, 43), 3: (13, 18, 15)}


@pytest.fixture(autouse=True)
def thin_strips(monkeypatch):
    """Strips may be as thin as the tests ask for."""
    monkeypatch.setattr("atrous.objects.assemble.LEAST", 1)


def maps_of(ndim, classes=2, seed=0):
    rng, shape = np.random.default_rng(seed), SHAPES[ndim]
    return np.concatenate([rng.random((classes, *shape)), rng.uniform(1, 6, (2 * ndim, *shape))]).astype(np.float32)


def one_by_one(maps, decoder):
    """The candidates as they are defined: every point of the lattice looks at its neighbors on the lattice."""
    grid, ndim = maps.shape[1:], maps.ndim - 1
    points = [list(lattice(n, s)) for n, s in zip(grid, decoder.stride, strict=True)]
    rows = set()
    for index in np.ndindex(*map(len, points)):
        place = tuple(axis[i] for axis, i in zip(points, index, strict=True))
        for number in range(decoder.classes):
            score = maps[(number, *place)]
            neighbors = []
            for offset in np.ndindex(*(3,) * ndim):
                other = [i + o - 1 for i, o in zip(index, offset, strict=True)]
                if offset != (1,) * ndim and all(0 <= i < len(a) for i, a in zip(other, points, strict=True)):
                    neighbors.append(maps[(number, *(axis[i] for axis, i in zip(points, other, strict=True)))])
            if score > decoder.threshold and score > max(neighbors, default=-1):
                reach = np.minimum(maps[(slice(decoder.classes, None), *place)].astype(float), decoder.reach)
                middle = np.array(place) + 0.5
                low, high = np.maximum(middle - reach[:ndim], 0), np.minimum(middle + reach[ndim:], grid)
                rows.add((int(np.ravel_multi_index(place, grid)), number, *low.tolist(), *high.tolist()))
    return rows


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_points_of_the_lattice_propose_boxes(ndim, stride):
    maps, decoder = maps_of(ndim), DenseBoxes(2, 0.6, reach=5, stride=(stride,) * ndim)
    found = decoder.propose(maps, [slice(0, n) for n in SHAPES[ndim]])
    rows = {(p, c, *v) for p, c, v in zip(found.positions.tolist(), found.classes.tolist(), found.values, strict=True)}
    assert rows == one_by_one(maps, decoder)
    assert len(rows) > 3


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.data())
def test_boxes_do_not_depend_on_the_regions(ndim, data):
    maps, grid = maps_of(ndim, seed=data.draw(st.integers(0, 99))), SHAPES[ndim]
    stride = tuple(data.draw(st.integers(1, 5)) for _ in grid)
    decoder = DenseBoxes(2, 0.5, reach=6, stride=stride)
    whole = keep(maps, decoder, iter([tuple(slice(0, n) for n in grid)]))
    cuts = [sorted({0, n, *(data.draw(st.integers(1, n - 1)) for _ in range(2))}) for n in grid]
    sides = [[slice(a, b) for a, b in itertools.pairwise(cut)] for cut in cuts]
    blocks = [tuple(sides[a][i] for a, i in enumerate(index)) for index in np.ndindex(*map(len, sides))]
    order = data.draw(st.permutations(blocks))
    found = keep(maps, decoder, iter(order), in_order=False)
    for name in ("positions", "scores", "classes", "values"):
        assert np.array_equal(getattr(whole, name), getattr(found, name)), name


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_strips_give_the_boxes_of_the_whole_in_the_order_of_their_places(rows):
    maps, decoder = maps_of(2), DenseBoxes(2, 0.5, reach=6, stride=(2, 4))
    whole, found = find_boxes(maps, decoder), find_boxes(maps, decoder, rows=rows)
    assert len(whole) > 5
    assert found.values.tobytes() == whole.values.tobytes()
    assert (np.diff(found.positions) >= 0).all()


def test_a_lattice_without_points_and_maps_without_objects_give_no_boxes():
    decoder = DenseBoxes(1, 0.5, stride=(4, 4))
    maps = np.zeros((5, 8, 8), np.float32)
    assert len(decoder.propose(maps, (slice(0, 2), slice(0, 8)))) == 0
    assert find_boxes(maps, decoder).values.shape == (0, 4)


def test_boxes_end_at_the_border_and_distances_that_are_no_numbers_are_none():
    maps = np.full((5, 6, 6), 9.0, np.float32)
    maps[0] = 0
    maps[0, 2, 3], maps[1, 2, 3] = 1, np.nan
    assert find_boxes(maps, DenseBoxes(1, 0.5)).values.tolist() == [[2.5, 0, 6, 6]]
