"""Values are changed as they pass, slice by slice, as they would be all at once."""

from pathlib import Path

import numpy as np
import pytest

from atrous.data.preprocess import Wanted, to_channels
from atrous.data.views import LUMA, Filled, Finite, Gaps, Guarded, LabelsAndProbabilities, Scaled, Standardized, Voided
from atrous.errors import UserError

RNG = np.random.default_rng(0)
KEYS = [..., (slice(None), slice(1, 5)), 0, (slice(1, 3), 3), (slice(None, None, -1), slice(2, 4)), (-1, ..., 2)]


def noisy(shape=(3, 9, 8)):
    values = RNG.normal(size=shape).astype(np.float32)
    values[RNG.random(shape) < 0.1] = np.nan
    values[0, 0, 0] = np.inf
    return values


@pytest.mark.parametrize("key", KEYS)
def test_values_are_scaled_as_they_are_sliced(key):
    values = RNG.normal(size=(3, 9, 8)).astype(np.float32)
    shift = np.array([1, 2, 3], np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(Scaled(values, lambda part: part - shift.reshape(3, *[1] * (part.ndim - 1)))[key],
                                  (values - shift)[key])  # fmt: skip


@pytest.mark.parametrize("key", [*KEYS, slice(0, 0), (slice(0, 1), 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_become_gray_and_color_as_they_are_sliced(key, channels):
    values = RNG.integers(0, 256, (4 - channels, 5, 9, 8)).astype(np.uint8)
    whole = np.asarray(to_channels(values, Wanted(channels, frames=True), Path("clip"))[...])
    assert whole.shape == (channels, 5, 9, 8)
    expected = values.repeat(3, 0) if channels == 3 else np.rint(np.tensordot(LUMA, values.astype(np.float32), 1))[None]
    np.testing.assert_array_equal(whole, expected)
    part = to_channels(values, Wanted(channels, frames=True), Path("clip"))
    np.testing.assert_array_equal(part[key], whole[key])
    with pytest.raises(UserError, match="but the network reads"):
        to_channels(values, Wanted(channels), Path("scan"))


@pytest.mark.parametrize("key", KEYS)
def test_values_are_standardized_in_float32(key):
    values = RNG.integers(0, 60000, (3, 9, 8)).astype(np.uint16)
    mean, std = np.array([10, 20000, 3], np.float32), np.array([1, 7, 100], np.float32)
    part = Standardized(values, mean, std)[key]
    assert part.dtype == np.float32
    expected = (values.astype(np.float32) - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    np.testing.assert_array_equal(part, expected[key])


@pytest.mark.parametrize("key", KEYS)
def test_values_that_are_not_finite_read_as_the_fill(key):
    values, fill = noisy(), np.array([1, 2, 3], np.float32)
    expected = np.where(np.isfinite(values), values, fill.reshape(3, 1, 1))
    np.testing.assert_array_equal(Filled(values, fill)[key], expected[key])


def test_a_mask_of_finite_positions_is_read_only_after_such_values_were_met():
    values = noisy()
    filled = Filled(values, [0.0])
    mask = Finite(filled)
    assert mask[2:4].shape == (2, 8)
    assert mask[2:4].all()
    filled[...]
    assert filled.met
    for key in [..., 2, (slice(1, 5), 3), (slice(None, None, -2), slice(2, 4))]:
        np.testing.assert_array_equal(mask[key], np.isfinite(values).all(0)[key])


class Damaged:
    shape, dtype, rate = (1, 8), np.dtype(np.float32), 250.0

    def __getitem__(self, key):
        raise OSError("cut short")


def test_damage_that_shows_when_a_file_is_sliced_is_explained():
    def guard(read):
        try:
            return read()
        except OSError as error:
            raise UserError(f"a.edf: {error}") from error

    source = Guarded(Damaged(), guard)
    assert source.rate == 250.0
    with pytest.raises(UserError, match=r"a\.edf: cut short"):
        source[:, 2:3]
    with pytest.raises(AttributeError, match="chunks"):
        getattr(source, "chunks")  # noqa: B009


def test_a_void_sink_writes_a_value_where_there_is_no_data_and_reads_it_back():
    valid, labels = RNG.random((9, 8)) > 0.3, np.zeros((9, 8), np.uint8)
    sink = Voided(labels, valid)
    sink[2:5, 1:] = np.ones((3, 7), np.uint8)
    np.testing.assert_array_equal(sink[2:5, 1:], np.where(valid[2:5, 1:], 1, 255))
    assert sink.nbytes == labels.nbytes


def test_labels_and_probabilities_are_taken_apart():
    values = RNG.random((4, 9, 8)).astype(np.float32)
    values[0] = RNG.integers(0, 256, (9, 8))
    labels, probabilities = np.zeros((9, 8), np.uint8), np.zeros((3, 9, 8), np.float32)
    sink = LabelsAndProbabilities(labels, probabilities)
    assert sink.shape == values.shape
    for row in range(0, 9, 4):
        sink[:, row : row + 4] = values[:, row : row + 4]
    np.testing.assert_array_equal(probabilities, values[1:])
    np.testing.assert_array_equal(labels, values[0])


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", -9999), ("uint16", -9999), ("uint8", 65535), ("int16", 0.5)])
def test_a_value_that_the_type_cannot_hold_is_nowhere(dtype, nodata):
    stored = np.array([[0, 1, 241, 255]]).astype(dtype)
    np.testing.assert_array_equal(Gaps(stored, (nodata, 1))[...], [[0, np.nan, 241, 255]])
