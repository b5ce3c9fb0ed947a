"""Curves of any length: extremes of every bin as counted directly, bounded work for each request, kept on disk."""

import numpy as np
import pytest

from atrous.serve import extremes as module
from atrous.serve.extremes import PIECE, CurveLevels, fitting_step

LENGTH = 2 * PIECE + 12_345


class Counting:
    """A source that counts the values that were read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.read = values, values.shape, values.dtype, 0

    def __getitem__(self, key):
        found = self.values[key]
        self.read += found.size
        return found


@pytest.fixture(scope="module")
def values():
    values = np.random.default_rng(0).normal(size=(3, LENGTH)).cumsum(1).astype(np.float32)
    values[1, 1000:90_000] = np.nan
    return values


def direct(values, start, step, count):
    """The least and the largest value of every bin, NaN where there is none."""
    low, high = np.full((2, len(values), count), np.nan)
    for channel, row in enumerate(values):
        for number in range(count):
            part = row[start + number * step : start + (number + 1) * step]
            part = part[np.isfinite(part)]
            if part.size:
                low[channel, number], high[channel, number] = part.min(), part.max()
    return low, high


@pytest.mark.parametrize(
    ("stretch", "bins"), [((0, 50), 100), ((777, 9000), 400), ((3000, LENGTH), 150), ((0, LENGTH), 7)]
)
def test_extremes_are_those_of_the_samples(values, tmp_path, monkeypatch, stretch, bins):
    monkeypatch.setattr(module, "WORK", 2**16)
    step = fitting_step(stretch[1] - stretch[0], bins)
    start = stretch[0] // step * step
    count = -(-(stretch[1] - start) // step)
    levels = CurveLevels(values, lambda: tmp_path)
    for _ in range(3):  # one piece for each request
        found = levels.read([2, 1], start, step, count)
    assert found.known.all()
    low, high = direct(values[[2, 1]], start, step, count)
    np.testing.assert_array_equal(found.low, low.astype(np.float32))
    np.testing.assert_array_equal(found.high, high.astype(np.float32))


def test_bins_are_as_many_as_were_asked_for_or_a_little_fewer():
    for length in (10, 1000, 12_345, 10**6, 10**9, 10**11):
        step = fitting_step(length, 1000)
        assert -(-length // step) <= 1000
        assert length < 1000 or length / step > 700


def test_a_request_reads_a_bounded_part_and_the_next_ones_the_rest(values, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORK", 2**16)
    source = Counting(values)
    levels = CurveLevels(source, lambda: tmp_path)
    step = fitting_step(LENGTH, 100)
    count = -(-LENGTH // step)
    known = []
    for number in range(1, 4):
        found = levels.read([0], 0, step, count)
        assert source.read <= 3 * PIECE * number
        known.append(found.known.mean())
        assert np.isnan(found.low[:, ~found.known]).all()
    assert known[0] < known[1] < known[2] == 1
    assert source.read == values.size
    levels.read([0, 2], 0, step, count)
    again = CurveLevels(source, lambda: tmp_path)
    np.testing.assert_array_equal(again.read([0], 0, step, count).low, found.low)
    assert source.read == values.size  # all of it lies on the disk
