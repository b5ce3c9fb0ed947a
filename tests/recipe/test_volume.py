"""Crops and strides of volumes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.recipe.volume import EDGE, plan_patch, plan_strides

SIZES = st.tuples(*[st.integers(1, 700)] * 3)
SPACINGS = st.tuples(*[st.floats(0.3, 12)] * 3)


@given(SIZES, SPACINGS)
def test_crops_are_multiples_of_the_stride_and_about_as_large_as_allowed(size, spacing):
    crop, strides = plan_patch(size, spacing, 262_144)
    total = [math.prod(stage[axis] for stage in strides) for axis in range(3)]
    assert all(c % t == 0 for c, t in zip(crop, total, strict=True))
    assert all(c < n + t for c, n, t in zip(crop, size, total, strict=True))
    assert math.prod(crop) < 262_144 * 4
    assert 1 <= len(strides) <= 4


@given(SIZES, SPACINGS)
def test_every_halved_axis_keeps_its_edge(size, spacing):
    strides = plan_strides(size, spacing)
    for axis in range(3):
        total = math.prod(stage[axis] for stage in strides)
        assert total == 1 or size[axis] / total > EDGE / 2


@given(st.floats(0.3, 2), st.floats(1.0, 8.0))
def test_a_coarse_axis_is_never_halved_before_a_finer_one(fine, factor):
    strides = plan_strides((64, 64, 64), (fine * factor, fine, fine))
    for stages in range(1, len(strides) + 1):
        coarse, finer = (math.prod(stage[axis] for stage in strides[:stages]) for axis in (0, 1))
        assert coarse <= finer
        assert coarse * factor <= 2 * finer * factor
    assert all(stage[1] == stage[2] for stage in strides)


@pytest.mark.parametrize(
    ("size", "spacing", "crop"),
    [
        ((36, 50, 35), (1.0, 1.0, 1.0), (40, 56, 40)),
        ((1, 300, 300), (10.0, 1.5, 1.5), (1, 304, 304)),
        ((3, 3, 3), (1.0, 1.0, 1.0), (3, 3, 3)),
    ],
)
def test_small_and_flat_volumes_are_taken_whole(size, spacing, crop):
    assert plan_patch(size, spacing, 262_144)[0] == crop
