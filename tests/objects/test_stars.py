"""The decoder of star-convex shapes: what it reads of the maps, for images and for volumes."""

import numpy as np
import pytest

from atrous.objects.star_polygons import StarPolygons
from atrous.objects.star_polyhedra import StarPolyhedra
from atrous.objects.stars import Stars, star_shape


def maps_of(grid, rays, classes=0, seed=0):
    return np.random.default_rng(seed).random((1 + classes + rays, *grid)).astype(np.float32) * 2 - 0.1


def test_the_axes_say_the_shape():
    assert isinstance(star_shape((9, 8), 8, (1.0, 1.0)), StarPolygons)
    assert isinstance(star_shape((9, 8, 7), 8, (1.0, 1.0, 1.0)), StarPolyhedra)


@pytest.mark.parametrize(
    ("grid", "at_once"), [((20, 21), 1), ((9, 10, 11), 1), ((9, 10, 11), 5000), ((9, 10, 11), 1 << 24)]
)
@pytest.mark.parametrize("classes", [1, 3])
def test_candidates_are_read_where_the_peaks_are(grid, at_once, classes, monkeypatch):
    monkeypatch.setattr("atrous.objects.stars.AT_ONCE", at_once)
    maps = maps_of(grid, 12, classes if classes > 1 else 0)
    decoder = Stars(threshold=0.8, reach=1.2, rays=12, classes=classes, steps=(1.0,) * len(grid))
    region = [slice(1, n - 2) for n in grid]
    found, stretch = decoder.propose(maps, region), decoder.shape(grid).stretch
    places = np.stack(np.unravel_index(found.positions, grid), axis=1)
    assert len(places) > 5
    assert all(((places >= 1) & (places < np.array(grid) - 2)).ravel())
    for place, score, kind, lengths in zip(places, found.scores, found.classes, found.values, strict=True):
        around = maps[(0, *(slice(i - 1, i + 2) for i in place))]
        assert score == around.max() == maps[(0, *place)] > 0.8
        assert np.allclose(lengths, np.clip(maps[(slice(-12, None), *place)] * stretch, 0, 1.2))
        assert kind == (maps[(slice(1, 4), *place)].argmax() if classes > 1 else 0)


def test_lengths_are_stretched_in_volumes_only():
    assert star_shape((9, 8), 8, (1.0, 1.0)).stretch == 1
    assert 1 < star_shape((9, 8, 7), 96, (1.0,) * 3).stretch < star_shape((9, 8, 7), 32, (1.0,) * 3).stretch < 1.1
