from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.genomes.runs import ChannelIntervals


def brute(values, threshold, shortest):
    found = []
    for channel, row in enumerate(values):
        at = 0
        while at < len(row):
            end = at
            while end < len(row) and row[end] >= threshold:
                end += 1
            if end - at >= shortest[channel]:
                found.append((at, end, channel, float(row[at:end].mean())))
            at = max(end, at + 1)
    return sorted(found)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 40), max_size=5), st.sampled_from([(), (1, 2, 4)]))
def test_intervals_do_not_depend_on_the_strips(seed, cuts, shortest):
    values = np.random.default_rng(seed).random((3, 40)).round(1)
    places = sorted({0, *cuts, 40})
    sink = ChannelIntervals(3, 40, 0.5, shortest=shortest)
    for start, stop in pairwise(places):
        sink[:, start:stop] = values[:, start:stop]
    found = sink.finish()
    want = brute(values, 0.5, shortest or (1, 1, 1))
    assert [(s.start, s.end, s.channel) for s in found] == [row[:3] for row in want]
    np.testing.assert_allclose([s.score for s in found], [row[3] for row in want], atol=1e-9)


def test_strips_out_of_order_and_missing_ones_are_refused():
    sink = ChannelIntervals(1, 10, 0.5)
    with pytest.raises(ValueError, match="in order"):
        sink[:, 3:5] = np.zeros((1, 2))
    sink[:, 0:5] = np.zeros((1, 5))
    with pytest.raises(ValueError, match="5 of 10"):
        sink.finish()
