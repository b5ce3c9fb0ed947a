"""The reading frame of an interval of coding sequence: the one of three in which the fewest codons stop it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from atrous.data.genomes.labels import CODING
from atrous.data.genomes.runs import ChannelInterval

END = 3  # bases at the end that do not count: the gene's own stop


def coding_phase(bases: np.ndarray) -> int:
    """How many bases come before the first whole codon: column 8 of GFF3.

    Args:
        bases: `(4, n)`, rows A, C, G, T, in the direction of reading. Bases that are no letter for sure are in no stop.

    >>> letters = np.eye(4)[["ACGT".index(letter) for letter in "CATGAAATGAGCTAA"]].T  # C ATG AAA TGA ...
    >>> coding_phase(letters)  # TGA stands in the frame that begins at 1, ATG AAA TGA
    0
    """
    a, _, g, t = np.asarray(bases)[:, : max(0, bases.shape[1] - END)] >= 1
    stops = t[:-2] & ((a[1:-1] & (a[2:] | g[2:])) | (g[1:-1] & a[2:]))
    return int(np.argmin([np.count_nonzero(stops[frame::3]) for frame in range(3)]))


def phased(intervals: Sequence[ChannelInterval], channels: Sequence[str], sequence: Any) -> list[ChannelInterval]:
    """Return the intervals, those of coding sequence with their phase; a known phase is kept.

    Args:
        intervals: intervals of one sequence.
        channels: names, each a feature and a strand.
        sequence: `(C, L)`, rows A, C, G, T first; read interval by interval.
    """
    phases = []
    for interval in intervals:
        name = channels[interval.channel]
        if name[:-1] != CODING or interval.phase is not None:
            phases.append(interval)
            continue
        bases = np.asarray(sequence[0:4, interval.start : interval.end])
        phases.append(replace(interval, phase=coding_phase(bases[::-1, ::-1] if name[-1] == "-" else bases)))
    return phases
