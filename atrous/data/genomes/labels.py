"""Per-base labels of a sequence: which features lie on which strand, as bits; where codons and genes begin; the base.

The low byte of a label is a set of channels (bit k: channel k), or `IGNORE` where nothing counts. The next four bits
keep the reading frame: two per strand, 0 outside coding sequence, else 1, 2 or 3 for the position within the codon.
Then come four bits for the first base of a gene on `+` and `-`, and the last base on both. Where genes are learned,
three more bits hold the base itself: whether it may be the first of a start codon hangs on it and its neighbors.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from atrous.data.genomes.annotation import STRANDS, Feature
from atrous.labels import BASE_BIT, FRAME_BITS, IGNORE, MOST_BITS, START_BIT, STOP_BIT

CODING = "CDS"
"""The feature that has a reading frame (Sequence Ontology)."""
PSEUDOGENE = "pseudogene"
"""The feature that may look like any other, and is none."""


def channels(features: Sequence[str]) -> tuple[str, ...]:
    """Names of the output channels: each feature on either strand.

    >>> channels(("CDS", "tRNA"))
    ('CDS+', 'CDS-', 'tRNA+', 'tRNA-')
    """
    return tuple(f"{feature}{strand}" for feature in features for strand in STRANDS)


def features_of(names: Sequence[str]) -> tuple[str, ...]:
    """The features of channels, each once.

    >>> features_of(("CDS+", "CDS-", "tRNA+", "tRNA-"))
    ('CDS', 'tRNA')
    """
    return tuple(dict.fromkeys(name[:-1] for name in names))


def label(features: Iterable[Feature], names: Sequence[str], length: int) -> np.ndarray:
    """Labels `(L,)` uint16 of one sequence.

    A feature on strand `.` is on both. Bases of a pseudogene count for nothing if its kind is among the channels, or
    nothing more is said of it than that it is one.

    Args:
        features: the features of this sequence.
        names: the channels.
        length: of the sequence; on a circular one a feature that ends beyond it goes on at its origin.
    """
    if len(names) > MOST_BITS:
        raise ValueError(f"{len(names)} channels: at most {MOST_BITS} fit a byte with {IGNORE} for void")
    low, high = np.zeros(length, np.uint8), np.zeros(length, np.uint8)
    void = np.zeros(length, bool)
    for feature in features:
        if feature.kind == PSEUDOGENE and feature.pseudo:  # in BED it may be what is learned
            for start, end in feature.parts:
                for piece in _wrapped(start, end, length, feature.circular):
                    void[piece] = True
            continue
        on = [strand for strand in STRANDS if feature.strand in (strand, ".") and f"{feature.kind}{strand}" in names]
        for strand in on:
            for start, end in feature.parts:
                for piece in _wrapped(start, end, length, feature.circular):
                    void[piece] |= feature.pseudo
                    low[piece] |= 0 if feature.pseudo else 1 << names.index(f"{feature.kind}{strand}")
            if feature.kind == CODING and feature.strand == strand and not feature.pseudo:
                _frame(high, feature, length)
                _ends(high, feature, length)
    low[void] = IGNORE
    return low.astype(np.uint16) | high.astype(np.uint16) << 8


def _wrapped(start: int, end: int, length: int, circular: bool) -> list[slice]:
    """The interval as slices of a sequence; what is beyond a linear one is cut off."""
    if end <= length or not circular:
        return [slice(min(start, length), min(end, length))]
    return [slice(min(start, length), length), slice(0, min(end - length, length))]


def _frame(high: np.ndarray, feature: Feature, length: int) -> None:
    """Write 1, 2, 3, 1, ... along a coding sequence, from its first codon on, in the bits of its strand.

    Each part begins with its own phase, where the file says it; else codons go on from part to part.
    """
    shift = FRAME_BITS * STRANDS.index(feature.strand)
    parts, read = in_order(feature, length), 0
    own = dict(zip(feature.parts, feature.phases, strict=True)) if _are_phases(feature, parts) else {}
    for start, end in parts:
        before = -own[start, end] if own else read - feature.phase
        read += end - start
        # what is beyond a sequence is an error elsewhere
        stop = max(start, min(end, start + 2 * length if feature.circular else length))
        upward = feature.strand == "+"
        bases = np.arange(start, stop) if upward else np.arange(start, stop)[::-1]
        skipped = 0 if upward else end - stop  # bases that are read before those that are kept
        position = (np.arange(len(bases)) + before + skipped) % 3 + 1
        bases = bases % length
        high[bases] = high[bases] & ~np.uint8(3 << shift) | (position << shift).astype(np.uint8)


def _ends(high: np.ndarray, feature: Feature, length: int) -> None:
    """Mark the first and the last base of a coding sequence, in the direction of reading.

    A gene that is cut by the end of its sequence ends there. Of trans-spliced genes nothing is marked.
    """
    if feature.bases:
        return
    parts, number = in_order(feature, length), STRANDS.index(feature.strand)
    upward = feature.strand == "+"
    for bit, (start, end), low in ((START_BIT, parts[0], upward), (STOP_BIT, parts[-1], not upward)):
        base = start if low else end - 1
        if base < length or feature.circular:
            high[base % length] |= np.uint8(1 << bit - 8 + number)


def with_bases(labels: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return labels `(L,)` uint32 that hold the bases too.

    Args:
        labels: `(L,)` uint16.
        codes: of the letters (`letters.py`), `(L,)`. One that stands for several bases is an unknown base.

    >>> (with_bases(np.zeros(5, np.uint16), np.array([1, 2, 4, 8, 15])) >> BASE_BIT).tolist()
    [1, 2, 3, 4, 0]
    """
    numbers = np.zeros(16, np.uint32)
    numbers[[1, 2, 4, 8]] = 1, 2, 3, 4
    return labels.astype(np.uint32) | numbers[codes] << np.uint32(BASE_BIT)


def _are_phases(feature: Feature, parts: list[tuple[int, int]]) -> bool:
    """Whether the phases of the parts are to be believed: some writers fill all with 0, which no codons go on from."""
    if not feature.phases or any(feature.phases):
        return bool(feature.phases)
    return all((end - start) % 3 == 0 for start, end in parts[:-1])


def in_order(feature: Feature, length: int) -> list[tuple[int, int]]:
    """Parts in the order in which they are read: upward on `+`, downward on `-`; across the origin of a circle.

    >>> in_order(Feature("s", "CDS", ((0, 5), (90, 100)), "+", circular=True), 100)
    [(90, 100), (0, 5)]
    >>> in_order(Feature("s", "CDS", ((10, 20), (30, 40)), "-"), 100)
    [(30, 40), (10, 20)]
    """
    parts = sorted(feature.parts)
    joined = feature.circular and len(parts) > 1 and parts[0][0] == 0 and parts[-1][1] == length
    if joined:  # the gap that is widest lies outside the feature
        gaps = [after[0] - before[1] for before, after in pairwise(parts)]
        cut = gaps.index(max(gaps)) + 1
        parts = parts[cut:] + parts[:cut]
    return parts if feature.strand == "+" else parts[::-1]
