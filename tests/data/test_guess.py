import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.guess import guess_classes


def guess(*values):
    return guess_classes(dict.fromkeys(values, 10))


@pytest.mark.parametrize(
    ("values", "count", "mapped", "ignore", "doubt"),
    [
        ((0, 1, 2), 3, None, (), None),
        ((0, 1, 2, 255), 3, None, (255,), None),
        ((0, 1, 4), 5, None, (), None),
        ((-1, 0, 1), 2, None, (-1,), None),
        ((0, 255), 2, (0, 255), (), "0 and 255"),
        ((1, 2, 3), 3, (1, 2, 3), (), "none is 0"),
        ((1, 2, 255), 2, (1, 2), (255,), "none is 0"),
        ((0, 38, 75, 113), 4, (0, 38, 75, 113), (), "gray levels"),
        ((0, 128, 255), 3, (0, 128, 255), (), "gray levels"),
        (tuple(range(151)), 151, None, (), None),
    ],
)
def test_classes_are_guessed_and_doubts_are_told(values, count, mapped, ignore, doubt):
    found = guess(*values)
    assert (len(found.classes), found.values, found.ignore, found.usable) == (count, mapped, ignore, True)
    assert (found.doubt is None) == (doubt is None)
    assert doubt is None or doubt in (found.doubt or "")
    assert bool(found.fix) == (doubt is not None)


@pytest.mark.parametrize("values", [range(256), range(0, 250, 3), (), (-5, 0, 1), (255,)])
def test_what_cannot_be_class_numbers_is_not_usable(values):
    found = guess(*values)
    assert not found.usable
    assert found.doubt


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ((0, 257, 514, 771), 256),
        ([0, *(kind * 256 + number for kind in (3, 11, 40) for number in range(1, 30)), 65 * 256], 256),
        ([0, 7, 8, 11, *range(24000, 24009), *range(26000, 26050), 33001], 1000),
        ([*range(11000, 11004), *range(26000, 26120)], 1000),
    ],
)
def test_classes_with_numbers_of_objects_are_told(values, factor):
    found = guess(*values)
    assert not found.usable
    assert f"class * {factor} + number of an object (instances)" in (found.doubt or "")
    assert f"write objects = {factor} in dataset.toml" in found.fix


@pytest.mark.parametrize(
    "values",
    [
        (0, 100, 200, 300),
        (0, 300, 600),
        range(0, 3000, 7),  # a ramp
        [int(v) for v in np.random.default_rng(0).integers(0, 65536, 300)],
        range(1, 297),
        (0, 256, 512),  # multiples are as many classes, whatever they mean
        (0, 1, 2, 1000),
    ],
)
def test_gray_levels_and_resized_masks_are_no_numbers_of_objects(values):
    assert "number of an object (instances)" not in (guess(*values).doubt or "")


@settings(deadline=None)
@given(st.sets(st.integers(0, 253), min_size=1, max_size=20), st.booleans())
def test_every_value_seen_has_a_class_or_is_ignored(values, void):
    found = guess(*values, *([255] if void else []))
    known = set(found.values if found.values is not None else range(len(found.classes)))
    assert values <= known | set(found.ignore)
    assert 255 in known | set(found.ignore) or not void


@pytest.mark.parametrize("values", [(1, 255), (3, 255), (253, 254, 255), (254, 255), (10, 20, 30, 255)])
def test_255_that_may_be_a_class_or_void_is_asked_for(values):
    found = guess(*values)
    assert not found.usable
    assert "255 may be void" in found.doubt
    assert "ignore = [255] if it is void" in found.fix


@pytest.mark.parametrize(
    ("files", "usable"),
    [
        ([{0, 1}, {0, 255}], False),  # one mask was saved in another way
        ([{0, 1}, {0, 255}, {0, 1}, {0}, {255}], False),
        ([{0, 1, 2}, {0, 255}], False),
        ([{0, 1}, {0, 1, 255}], True),  # beside another class: void
        ([{0, 1, 255}, {0, 255}], True),
        ([{0, 255}, {0, 255}, {0}], True),
        ([{0, 1}, {0, 1}], True),
    ],
)
def test_void_is_judged_file_by_file(files, usable):
    seen = dict.fromkeys(set().union(*files), 10)
    found = guess_classes(seen, files=files)
    assert found.usable == usable
    assert usable or "masks have the values 0 and 255 alone" in found.doubt
    assert guess_classes(seen, ignored=[255], files=files).usable  # said in dataset.toml
