"""A live session whose labels are intervals of a least length: those of the whole, as soon as they are certain."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.prediction.intervals import interval_labels
from atrous.prediction.live_intervals import IntervalSession
from atrous.stream.session import Session
from tests.prediction.values_world import LEAST, broken_signal, value_network

VALUES, TRUTH = broken_signal(1500, 2)


def session():
    return IntervalSession(Session(value_network(), (1, None), post="softmax"), LEAST)


@pytest.mark.parametrize("size", [1, 13, 400])
def test_all_labels_together_are_those_of_the_whole(size):
    live, labels, maps = session(), [], []
    valid = np.ones(VALUES.shape[1], bool)
    valid[[0, 700]] = False
    for start in range(0, VALUES.shape[1], size):
        labels.append(live.push(VALUES[:, start : start + size], valid[start : start + size]))
        maps.append(live.probabilities)
        assert maps[-1].shape[1] == len(labels[-1])
    labels.append(live.close())
    maps.append(live.probabilities)
    np.testing.assert_array_equal(np.concatenate(labels), interval_labels(np.concatenate(maps, 1), LEAST, valid))


def test_labels_come_soon_after_they_can_be_certain():
    live, waits, given = session(), [], 0
    assert live.latency == 1 + max(LEAST) - 1  # of the network, and of the longest of the shortest intervals
    for start in range(VALUES.shape[1]):
        given += len(live.push(VALUES[:, start : start + 1]))
        waits.append(start + 1 - given)
    assert min(waits[20:]) >= live.latency
    assert np.median(waits) <= 2 * live.latency
    assert max(waits) < 100


def test_what_is_not_finite_is_refused():
    live = session()
    with pytest.raises(UserError, match="not finite"):
        live.push(np.full((1, 20), np.inf, np.float32))
