"""Seqlets: the short intervals of a sequence that contribute most to a class, clustered into motifs.

A small version of TF-MoDISco (Shrikumar et al. 2018, "Technical note on Transcription Factor Motif Discovery from
Importance Scores"):

1. `find_seqlets` takes the windows with the largest sums of contributions.
2. `gather` clusters them: each seqlet, the strongest first, joins the cluster whose center it resembles most at the
   best shift and strand, or begins a new one.
3. The centers of the clusters are then fixed, and every seqlet is assigned once more to the nearest center.
4. The letters of each cluster's aligned seqlets are counted: that is a motif.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from atrous.analysis.motif import Motif

MOST = 400
"""Largest number of seqlets per class; the strongest are used."""
ONE_STRAND = 0.75
"""Share of a motif's seqlets on one strand above which this is the strand that it is read on."""
ALIKE = 0.5
"""Least cosine similarity to a cluster's center at which a seqlet joins the cluster."""


@dataclass(frozen=True)
class Seqlet:
    """One interval of a sequence.

    Attributes:
        letters: `(4, W)`, one-hot, channels A, C, G, T.
        values: `(W,)`, contribution of each base.
        score: sum of the contributions in its window, without the flanks.
        turned: whether it was turned to the other strand.
    """

    letters: np.ndarray
    values: np.ndarray
    score: float
    turned: bool = False

    @property
    def pattern(self) -> np.ndarray:
        """The contributions of the bases, each in the channel of its letter, `(4, W)`."""
        return self.letters * self.values


def find_seqlets(
    sequences: Sequence[np.ndarray], contributed: Sequence[np.ndarray], *, width: int, flank: int
) -> list[Seqlet]:
    """Return the windows with the largest sums of contributions, each with its flanks, the strongest first.

    Windows are taken greedily, the largest sum first. A window that overlaps an earlier one or its flanks is skipped.
    Windows whose sum is at most a fifth of the median of the ten largest are left out, because noise contributes far
    less than a motif.

    Args:
        sequences: one-hot arrays `(4, L)`.
        contributed: contributions `(L,)` of each sequence, from `contributions`.
        width: number of bases of a window.
        flank: number of bases on either side that are kept with a window.
    """
    windows: list[tuple[float, int, int]] = []  # (sum, index of the sequence, first base)
    for index, values in enumerate(contributed):
        sums = np.convolve(values, np.ones(width), "valid") if len(values) >= width + 2 * flank else np.zeros(0)
        sums[:flank], sums[len(sums) - flank :] = -np.inf, -np.inf
        while len(sums) and (start := int(np.argmax(sums))) >= 0 and sums[start] > 0:
            windows.append((float(sums[start]), index, start))
            sums[max(0, start - width - flank + 1) : start + width + flank] = -np.inf
    windows = sorted(windows, reverse=True)[:MOST]
    if not windows:
        return []
    least = 0.2 * float(np.median([score for score, _, _ in windows[:10]]))
    return [
        Seqlet(sequences[i][:, part].astype(float), contributed[i][part], score)
        for score, i, start in windows
        if score > least and (part := slice(start - flank, start + width + flank))
    ]


def gather(seqlets: Sequence[Seqlet], name: str, *, fewest: int = 10) -> list[Motif]:
    """Cluster seqlets of one length, on either strand, and count the letters of each cluster.

    Args:
        seqlets: seqlets of one length, the strongest first.
        name: name of the first motif; the others are called `name.2`, `name.3` and so on.
        fewest: least number of seqlets that make a motif.

    Returns:
        The motifs, the one with the most seqlets first. The score of a motif is the mean score of its seqlets.
    """
    clusters: list[list[Seqlet]] = []
    for seqlet in seqlets:
        _join(clusters, seqlet)
    centers = [_center(cluster) for cluster in clusters if len(cluster) >= max(2, fewest // 2)]
    assigned: list[list[Seqlet]] = [[] for _ in centers]
    for seqlet in seqlets:
        ranked = [_aligned(center, seqlet) for center in centers]
        best = max(range(len(ranked)), key=lambda i: ranked[i][0], default=-1)
        if best >= 0 and ranked[best][0] >= ALIKE:
            assigned[best].append(ranked[best][1])
    large = sorted((cluster for cluster in assigned if len(cluster) >= fewest), key=len, reverse=True)
    return [
        _oriented(
            Motif(
                name if i == 0 else f"{name}.{i + 1}",
                _counts(cluster),
                f"{len(cluster)}_seqlets",
                float(np.mean([seqlet.score for seqlet in cluster])),
            ).trimmed(),
            float(np.mean([seqlet.turned for seqlet in cluster])),
        )
        for i, cluster in enumerate(large)
    ]


def _oriented(motif: Motif, turned: float) -> Motif:
    """Return a motif as most of its seqlets are read in their sequences; `turned` is the share that is not.

    A motif that occurs about as often on either strand has no direction of its own. It is written so that its consensus
    comes first in the alphabet, until it is compared with known ones.

    >>> word = Motif("word", np.eye(4)[[3, 2, 3, 0, 0, 3, 1]].T * 9)
    >>> [(_oriented(word, share).consensus, _oriented(word, share).both_strands) for share in (0.1, 0.5, 0.9)]
    [('TGTAATC', False), ('GATTACA', True), ('GATTACA', False)]
    """
    both = 1 - ONE_STRAND <= turned <= ONE_STRAND
    other = motif.reverse()
    turn = other.consensus.upper() < motif.consensus.upper() if both else turned > ONE_STRAND
    return replace(other if turn else motif, both_strands=both)


def _counts(cluster: Sequence[Seqlet]) -> np.ndarray:
    """Count the letters of aligned seqlets, `(4, width)`; cut off ends that fewer than half of them reach."""
    total = np.sum([seqlet.letters for seqlet in cluster], axis=0)
    reached = np.flatnonzero(total.sum(0) >= len(cluster) / 2)
    return total[:, reached[0] : reached[-1] + 1]


def _join(clusters: list[list[Seqlet]], seqlet: Seqlet) -> None:
    """Add a seqlet, aligned, to the cluster whose center it resembles most, or to a new one."""
    ranked = [_aligned(_center(cluster), seqlet) for cluster in clusters]
    best = max(range(len(ranked)), key=lambda i: ranked[i][0], default=-1)
    if best >= 0 and ranked[best][0] >= ALIKE:
        clusters[best].append(ranked[best][1])
    else:
        clusters.append([seqlet])


def _center(cluster: Sequence[Seqlet]) -> np.ndarray:
    """Return the mean pattern `(4, W)` of the first 60 seqlets of a cluster."""
    return np.mean([seqlet.pattern for seqlet in cluster[:60]], axis=0)


def _aligned(center: np.ndarray, seqlet: Seqlet) -> tuple[float, Seqlet]:
    """Align a seqlet with a center `(4, W)`: return the cosine similarity of its pattern, and the shifted seqlet.

    All shifts up to half the length are tried, on both strands. The overlap at shift d is
    `sum over c and l of center[c, l] * pattern[c, l - d]`.
    """
    length, most = center.shape[1], center.shape[1] // 2
    scale = max(float(np.linalg.norm(center) * np.linalg.norm(seqlet.pattern)), 1e-12)
    best = (-np.inf, 0, seqlet)
    other = Seqlet(seqlet.letters[::-1, ::-1], seqlet.values[::-1], seqlet.score, not seqlet.turned)
    for turned in (seqlet, other):
        overlaps = np.sum([np.correlate(x, y, "full") for x, y in zip(center, turned.pattern, strict=True)], axis=0)
        middle = overlaps[length - 1 - most : length + most]
        index = int(np.argmax(middle))
        if middle[index] > best[0]:
            best = (float(middle[index]), index - most, turned)
    overlap, shift, turned = best
    letters, values = _shifted(turned.letters, shift), _shifted(turned.values, shift)
    return overlap / scale, Seqlet(letters, values, turned.score, turned.turned)


def _shifted(values: np.ndarray, shift: int) -> np.ndarray:
    """Move values `(..., W)` right along the last axis, or left if `shift` is negative; fill the gap with zeros."""
    moved = np.zeros_like(values)
    length = values.shape[-1]
    moved[..., max(0, shift) : length + min(0, shift)] = values[..., max(0, -shift) : length - max(0, shift)]
    return moved
