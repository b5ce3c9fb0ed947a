"""Channels of different rates: any slice is that of the whole, and interpolation is linear in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.formats.rates import Channels

RNG = np.random.default_rng(0)
STORED = [RNG.normal(size=n) for n in (120, 30, 48, 17)]
RATES = [100.0, 25.0, 40.0, 15.0]


def source() -> Channels:
    return Channels([len(s) for s in STORED], RATES, lambda channel, start, stop: STORED[channel][start:stop])


def test_each_channel_is_interpolated_in_its_own_time():
    found = source()[...]
    assert found.shape == (4, 120)
    assert found.dtype == np.float32
    times = np.arange(120) / 100.0
    for row, stored, rate in zip(found, STORED, RATES, strict=True):
        np.testing.assert_allclose(row, np.interp(times, np.arange(len(stored)) / rate, stored), rtol=1e-5, atol=1e-6)


@given(st.slices(120), st.slices(4))
def test_a_slice_is_that_of_the_whole(place, channel):
    np.testing.assert_array_equal(source()[channel, place], source()[...][channel, place])


def test_only_what_is_sliced_is_read():
    read = []

    def reader(channel, start, stop):
        read.append((channel, start, stop))
        return STORED[channel][start:stop]

    Channels([120, 30], RATES[:2], reader)[:, 40:60]
    assert read == [(0, 40, 60), (1, 10, 16)]


def test_nothing_is_no_recording():
    with pytest.raises(ValueError, match="no samples"):
        Channels([], [], lambda *place: np.empty(0))
