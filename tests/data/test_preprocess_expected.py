"""What differs from the training data is told, and another spacing is resampled where that is the field's habit."""

import re

import numpy as np
import pytest

from atrous.data.preprocess import Expected, Preparation, Wanted, value_range

KEEP = Preparation()


def image(low, high, dtype=np.float32, shape=(1, 40, 50)):
    values = np.random.default_rng(0).uniform(low, high, shape)
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (image(0, 1), "its values are 0.00019 to 1, those of the training data 0 to 255"),
        (image(0, 65535, np.uint16), "its values are .*, those of the training data 0 to 255"),
        (image(-1000, 255), "its values are -.*, those"),
        (image(0, 200, np.uint16), "it is stored as uint16, the training data as uint8"),
        (image(0, 255, np.uint8), None),
        (image(3, 120, np.uint8), None),  # a dark picture
        (image(0, 255), None),  # the same scale in another type
        (np.full((1, 40, 50), 0, np.uint8), None),  # blank
    ],
)
def test_values_of_another_scale_are_told(values, said):
    trained = Expected(Wanted(1), dtype="uint8", range=(0.0, 255.0))
    lines = trained.differences(values, None, KEEP)
    assert len(lines) == (said is not None)
    if said is not None:
        assert re.search(said, lines[0]), lines
    assert trained.differences(values, None, Preparation(("zscore",))) == []  # has no scale of its own


def test_nothing_is_told_where_nothing_is_known():
    assert Expected().differences(image(0, 1), (1.0, 1.0), KEEP) == []


@pytest.mark.parametrize(
    ("trained", "spacing", "differs"),
    [
        ((1.0, 1.0, 1.0), (2.0, 1.0, 1.0), True),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 0.5), True),
        ((1.0, 1.0, 1.0), (1.2, 1.0, 0.9), False),
        ((1.0, 1.0, 1.0), None, False),
        ((), (1.0, 1.0, 1.0), False),
        ((1 / 64,), (1 / 128,), True),
        ((1 / 64,), (1 / 64,), False),
    ],
)
def test_another_grid_is_resampled(trained, spacing, differs):
    expected = Expected(spacing=trained, resampled=True)
    assert expected.preparation(KEEP, spacing) == (Preparation(spacing=trained) if differs else KEEP)
    own = Preparation(spacing=(3.0,) * len(trained))
    assert expected.preparation(own, spacing) == own  # the recipe has a grid of its own
    lines = expected.differences(image(0, 1), spacing, KEEP)
    assert len(lines) == differs
    assert all(line.endswith("it is resampled") for line in lines)


def test_maps_of_another_resolution_are_told_and_kept():
    expected = Expected(spacing=(10.0, 10.0))
    assert expected.preparation(KEEP, (60.0, 60.0)) == KEEP
    (line,) = expected.differences(image(0, 1), (60.0, 60.0), KEEP)
    assert line.startswith("its positions are 60 x 60 apart, those of the training data 10 x 10")


def test_the_range_is_looked_at_in_three_places():
    values = np.zeros((1, 3_000_000), np.float32)
    values[0, 0], values[0, 1_500_000], values[0, -1], values[0, 5] = 1, 2, 3, np.nan
    assert value_range(values) == (0, 3)
    assert value_range(np.full((1, 9), np.inf)) == (0, 0)
