"""Rotated boxes from dense maps, for every division of the grid."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.objects.assemble import keep, strips
from atrous.objects.boxes import lattice
from atrous.objects.rotated import form_of, rotated_iou, sides_of
from atrous.objects.rotated_boxes import DenseRotatedBoxes

SHAPE = (41, 53)


@pytest.fixture(autouse=True)
def thin_strips(monkeypatch):
    """Strips may be as thin as the tests ask for."""
    monkeypatch.setattr("atrous.objects.assemble.LEAST", 1)


def maps_of(seed=0, classes=2):
    rng = np.random.default_rng(seed)
    ranges = [(-2, 2), (-2, 2), (2, 4), (-1.5, 1.5), (-1.5, 1.5), (-1, 1), (-1, 1)]
    return np.concatenate([rng.random((classes, *SHAPE)), *(rng.uniform(*r, (1, *SHAPE)) for r in ranges)]).astype("f4")


def test_peaks_propose_the_boxes_that_the_maps_say():
    maps, stride = np.zeros((9, *SHAPE), np.float32), (4, 2)
    boxes = np.array([[10.5, 12, 14, 5, 0.4], [30, 33.25, 9, 9, 1.2], [22, 45, 16, 3, 2.9]])
    for number, box in enumerate(boxes):
        axes = [lattice(size, step) for size, step in zip(SHAPE, stride, strict=True)]
        places = [min(axis, key=lambda i, c=c: abs(i + 0.5 - c)) for axis, c in zip(axes, box[:2], strict=True)]
        maps[(number % 2, *places)] = 0.9 - number / 10
        maps[(slice(2, 4), *places)] = box[:2] - places - 0.5
        maps[(slice(4, None), *places)] = form_of(box[None])[0]
    found = keep(maps, DenseRotatedBoxes(2, stride=stride), strips(SHAPE, 8))
    np.testing.assert_allclose(rotated_iou(found.values, boxes), 1, atol=1e-5)
    assert found.classes.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_boxes_do_not_depend_on_the_regions(data):
    maps = maps_of(data.draw(st.integers(0, 99)))
    stride = tuple(data.draw(st.integers(1, 5)) for _ in SHAPE)
    decoder = DenseRotatedBoxes(2, 0.5, 0.15, reach=9, stride=stride)
    whole = keep(maps, decoder, iter([tuple(slice(0, n) for n in SHAPE)]))
    cuts = [sorted({0, n, *(data.draw(st.integers(1, n - 1)) for _ in range(2))}) for n in SHAPE]
    sides = [[slice(a, b) for a, b in itertools.pairwise(cut)] for cut in cuts]
    blocks = [tuple(sides[a][i] for a, i in enumerate(index)) for index in np.ndindex(*map(len, sides))]
    found = keep(maps, decoder, iter(data.draw(st.permutations(blocks))), in_order=False)
    for name in ("positions", "scores", "classes", "values"):
        assert np.array_equal(getattr(whole, name), getattr(found, name)), name


@pytest.mark.parametrize("rows", [1, 3, 16])
def test_strips_give_the_boxes_of_the_whole(rows, monkeypatch):
    monkeypatch.setattr("atrous.objects.suppress.GATHERED", 5)  # decided while strips come
    maps, decoder = maps_of(), DenseRotatedBoxes(2, 0.5, 0.15, reach=9, stride=(2, 3))
    whole, found = keep(maps, decoder, strips(SHAPE, 1000)), keep(maps, decoder, strips(SHAPE, rows))
    proposed = decoder.propose(maps, [slice(0, n) for n in SHAPE])
    assert 5 < len(whole) < len(proposed)
    assert found.values.tobytes() == whole.values.tobytes()


def test_numbers_that_are_none_and_boxes_that_are_too_large_stay_within_the_reach():
    maps = np.full((8, 6, 6), np.inf, np.float32)
    maps[0] = 0
    maps[0, 2, 3] = maps[0, 5, 0] = 1
    maps[1:, 2, 3] = [np.nan, -np.inf, 50, 3, 4, 0, 1]
    decoder = DenseRotatedBoxes(1, 0.5, reach=10)
    found = keep(maps, decoder, strips((6, 6), 2))
    assert len(found) == 2
    low, high = decoder.shape((6, 6)).bounds(found)
    middles = np.stack(np.divmod(found.positions, 6), axis=1) + 0.5
    assert np.abs(low - middles).max() <= 10 + 1e-9
    assert np.abs(high - middles).max() <= 10 + 1e-9
    np.testing.assert_allclose(np.hypot(*found.values[:, 2:4].T), 10)
    length, width, _ = sides_of(np.array([[10.0, 3, 4, 0, 1]]))[0]
    first = found.values[found.positions == 15][0]
    assert first[2] / first[3] == pytest.approx(length / width)
    assert first[:2].tolist() == [2.5, -1.5]


def test_nothing_is_found_in_empty_maps_and_boxes_are_not_painted():
    decoder = DenseRotatedBoxes(1, 0.5, stride=(4, 4))
    maps = np.zeros((8, 8, 8), np.float32)
    assert len(keep(maps, decoder, strips((8, 8), 2))) == 0
    assert decoder.propose(maps, (slice(0, 2), slice(0, 8))).values.shape == (0, 5)
    with pytest.raises(TypeError, match="not painted"):
        decoder.paint(maps, (slice(0, 2), slice(0, 8)), decoder.propose(maps, (slice(0, 2), slice(0, 8))))
