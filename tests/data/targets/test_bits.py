"""Any number of classes at every position: what is kept of them, against counting class by class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.targets.bits import Bits
from atrous.labels import IGNORE

CLASSES = ("CDS+", "CDS-", "tRNA+", "tRNA-")


@dataclass(frozen=True)
class Known:
    bits: tuple[int, ...]
    classes: tuple[str, ...] = CLASSES
    path: Path = Path("known")

    def values(self):
        return np.array(self.bits, np.uint16)


def run_lengths(present):
    """The lengths of runs of true, found one position at a time."""
    lengths, run = [], 0
    for here in [*present, False]:
        if here:
            run += 1
        elif run:
            lengths.append(run)
            run = 0
    return lengths


@given(st.lists(st.one_of(st.integers(0, 15), st.just(IGNORE)), min_size=1, max_size=40))
def test_positions_and_lengths_of_each_class(values):
    # The high byte says the reading frame, which is no class.
    scanned = Bits(Known(tuple(value | 0x0700 for value in values))).scan(None)
    assert scanned.size == (len(values),)
    assert scanned.outside == values.count(IGNORE)
    for k in range(4):
        present = [value != IGNORE and bool(value & 1 << k) for value in values]
        assert scanned.counts[k] == sum(present)
        assert list(scanned.intervals[k]) == run_lengths(present)
