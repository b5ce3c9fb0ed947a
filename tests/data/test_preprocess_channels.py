"""Channels are found by their names; only 8-bit pictures change between gray and color."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.preprocess import Wanted, renamed, to_channels
from atrous.errors import UserError

FILE = Path("x.edf")


@given(st.permutations(["C3", "EOG left", "EMG"]), st.integers(1, 3))
def test_every_channel_is_found_by_its_name(stored, count):
    wanted = ("C3", "EOG left", "EMG")[:count]
    values = np.stack([np.full(5, ("C3", "EOG left", "EMG").index(name)) for name in stored])
    found = to_channels(values, Wanted(count, wanted), FILE, [name.upper() + " " for name in stored])
    np.testing.assert_array_equal(np.asarray(found[...])[:, 0], np.arange(count))
    np.testing.assert_array_equal(np.asarray(found[-1, 1:3]), [count - 1] * 2)


def test_other_names_are_told_where_channels_are_taken_in_order():
    values = np.zeros((1, 9))
    assert to_channels(values, Wanted(1, ("ECG",)), FILE, ("value",)) is values
    assert renamed(("value",), ("ECG",)) == [
        "its channels are called value, those of the training data ECG: they are taken in this order"
    ]
    assert renamed(("ecg", "x"), ("ECG",)) == renamed((), ("ECG",)) == renamed(("a",), ()) == []


@pytest.mark.parametrize("stored", [("SpO2", "Pleth"), ("C3", "Pleth"), ("C3",)])
def test_a_channel_that_is_missing_is_named(stored):
    with pytest.raises(UserError, match=f"x.edf: its channels are {', '.join(stored)}, but the network reads C3, EOG"):
        to_channels(np.zeros((len(stored), 9)), Wanted(2, ("C3", "EOG")), FILE, stored)


@pytest.mark.parametrize("stored", [(), ("", ""), ("a", "a")])
def test_channels_without_names_of_their_own_are_taken_as_they_come(stored):
    values = np.zeros((2, 9))
    assert to_channels(values, Wanted(2, ("C3", "EOG")), FILE, stored) is values


def test_new_names_are_given_to_channels_that_have_others():
    values = np.zeros((2, 9))
    assert to_channels(values, Wanted(2, ("left", "right"), renames=True), FILE, ("a", "b")) is values
    with pytest.raises(UserError, match="export right too, or rename"):
        to_channels(values, Wanted(2, ("a", "right"), renames=True), FILE, ("a", "b"))
    image = np.zeros((2, 4, 4))
    assert to_channels(image, Wanted(2, ("DAPI", "GFP")), FILE, ("C0", "C1")) is image  # microscopes name freely


def test_an_8_bit_picture_becomes_color_and_gray():
    gray = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    np.testing.assert_array_equal(np.asarray(to_channels(gray, Wanted(3), FILE)[...]), np.repeat(gray, 3, axis=0))
    color = np.array([[[200]], [[100]], [[50]]], np.uint8)
    assert np.asarray(to_channels(color, Wanted(1), FILE)[...]).tolist() == [[[124]]]  # 59.8 + 58.7 + 5.7


@pytest.mark.parametrize(
    ("shape", "dtype", "wanted"),
    [
        ((1, 4, 5, 6), np.uint8, Wanted(3)),  # one modality of three
        ((1, 4, 5), np.uint16, Wanted(3)),
        ((1, 4, 5), np.float32, Wanted(3)),
        ((1, 4, 5), np.uint8, Wanted(3, color=False)),  # three stains, not colors
        ((3, 4, 5), np.float32, Wanted(1)),  # three bands
        ((1, 50), np.uint8, Wanted(3)),
        ((3, 50), np.uint8, Wanted(1)),
        ((2, 4, 5), np.uint8, Wanted(3)),
    ],
)
def test_everything_else_is_refused(shape, dtype, wanted):
    with pytest.raises(UserError, match=rf"x.edf: {shape[0]} channels?, but the network reads {wanted.count}: give"):
        to_channels(np.zeros(shape, dtype), wanted, FILE)
