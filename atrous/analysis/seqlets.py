"""Seqlets: the short stretches that a network's contributions point at, gathered into motifs.

After TF-MoDISco (Shrikumar et al. 2018, "Technical note on Transcription Factor Motif Discovery from Importance
Scores"), in small: one round of windows, greedy clusters by the best alignment, one round of putting right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.analysis.motif import Motif

MOST = 400
"""Seqlets of a class that are looked at, the strongest."""
ALIKE = 0.5
"""Least correlation at which a seqlet joins a cluster."""


@dataclass(frozen=True)
class Seqlet:
    """One stretch: letters `(4, W)` and contributions `(W,)`, and how much it contributes in all."""

    letters: np.ndarray
    values: np.ndarray
    score: float

    @property
    def pattern(self) -> np.ndarray:
        """Contributions of the letters that stand there, `(4, W)`."""
        return self.letters * self.values


def find_seqlets(
    sequences: Sequence[np.ndarray], contributed: Sequence[np.ndarray], *, width: int, flank: int
) -> list[Seqlet]:
    """Windows of `width` with the greatest sums of contributions, and `flank` positions either side.

    A window keeps others out that overlap it or its flanks. It counts if its sum is more than a fifth of the median of
    the ten greatest: noise contributes far less.

    Args:
        sequences: one-hot `(4, L)` each.
        contributed: `(L,)` each, as `contributions` gives them.
        width: of a window.
        flank: positions on either side.
    """
    found: list[tuple[float, int, int]] = []
    for index, values in enumerate(contributed):
        sums = np.convolve(values, np.ones(width), "valid") if len(values) >= width + 2 * flank else np.zeros(0)
        sums[:flank], sums[len(sums) - flank :] = -np.inf, -np.inf
        while len(sums) and (at := int(np.argmax(sums))) >= 0 and sums[at] > 0:
            found.append((float(sums[at]), index, at))
            sums[max(0, at - width - flank + 1) : at + width + flank] = -np.inf
    found = sorted(found, reverse=True)[:MOST]
    if not found:
        return []
    least = 0.2 * float(np.median([score for score, _, _ in found[:10]]))
    return [
        Seqlet(sequences[i][:, part].astype(float), contributed[i][part], score)
        for score, i, at in found
        if score > least and (part := slice(at - flank, at + width + flank))
    ]


def gather(seqlets: Sequence[Seqlet], name: str, *, fewest: int = 10) -> list[Motif]:
    """Cluster seqlets of one length, on either strand, and count the letters of each cluster.

    Args:
        seqlets: the strongest first.
        name: of the motifs, to which a number is added from the second on.
        fewest: seqlets of which a motif is made.

    Returns:
        Motifs, the one with the most seqlets first; its score is the mean contribution of a seqlet.
    """
    clusters: list[list[Seqlet]] = []
    for seqlet in seqlets:
        _join(clusters, seqlet)
    centers = [_center(cluster) for cluster in clusters if len(cluster) >= max(2, fewest // 2)]
    settled: list[list[Seqlet]] = [[] for _ in centers]
    for seqlet in seqlets:
        ranked = [_aligned(center, seqlet) for center in centers]
        best = max(range(len(ranked)), key=lambda i: ranked[i][0], default=-1)
        if best >= 0 and ranked[best][0] >= ALIKE:
            settled[best].append(ranked[best][1])
    kept = sorted((cluster for cluster in settled if len(cluster) >= fewest), key=len, reverse=True)
    return [
        Motif(
            name if i == 0 else f"{name}.{i + 1}",
            _counts(cluster),
            f"{len(cluster)}_seqlets",
            float(np.mean([seqlet.score for seqlet in cluster])),
        ).trimmed()
        for i, cluster in enumerate(kept)
    ]


def _counts(cluster: Sequence[Seqlet]) -> np.ndarray:
    """Letters of aligned seqlets `(4, width)`, without the ends that fewer than half of them reach."""
    total = np.sum([seqlet.letters for seqlet in cluster], axis=0)
    reached = np.flatnonzero(total.sum(0) >= len(cluster) / 2)
    return total[:, reached[0] : reached[-1] + 1]


def _join(clusters: list[list[Seqlet]], seqlet: Seqlet) -> None:
    """Put a seqlet, aligned, into the cluster that it is most like, or begin one."""
    ranked = [_aligned(_center(cluster), seqlet) for cluster in clusters]
    best = max(range(len(ranked)), key=lambda i: ranked[i][0], default=-1)
    if best >= 0 and ranked[best][0] >= ALIKE:
        clusters[best].append(ranked[best][1])
    else:
        clusters.append([seqlet])


def _center(cluster: Sequence[Seqlet]) -> np.ndarray:
    return np.mean([seqlet.pattern for seqlet in cluster[:60]], axis=0)


def _aligned(center: np.ndarray, seqlet: Seqlet) -> tuple[float, Seqlet]:
    """Cosine of a seqlet's pattern to a center at the best shift and strand, and the seqlet so shifted."""
    length, most = center.shape[1], center.shape[1] // 2
    scale = max(float(np.linalg.norm(center) * np.linalg.norm(seqlet.pattern)), 1e-12)
    best = (-np.inf, 0, seqlet)
    for turned in (seqlet, Seqlet(seqlet.letters[::-1, ::-1], seqlet.values[::-1], seqlet.score)):
        overlaps = np.sum([np.correlate(x, y, "full") for x, y in zip(center, turned.pattern, strict=True)], axis=0)
        middle = overlaps[length - 1 - most : length + most]
        at = int(np.argmax(middle))
        if middle[at] > best[0]:
            best = (float(middle[at]), at - most, turned)
    overlap, shift, turned = best
    return overlap / scale, Seqlet(_shifted(turned.letters, shift), _shifted(turned.values, shift), turned.score)


def _shifted(values: np.ndarray, shift: int) -> np.ndarray:
    """Values moved right along the last axis (left where negative); zeros come in."""
    out = np.zeros_like(values)
    length = values.shape[-1]
    out[..., max(0, shift) : length + min(0, shift)] = values[..., max(0, -shift) : length - max(0, shift)]
    return out
