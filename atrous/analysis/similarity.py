"""How similar two motifs are, and the known motifs of the JASPAR database."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from atrous.analysis.motif import LETTERS, Motif
from atrous.errors import UserError

RELEASE = "JASPAR2024"


@dataclass(frozen=True)
class Match:
    """The best alignment of a target motif with a query motif.

    Attributes:
        target: the target motif.
        similarity: correlation of the two motifs, 1 if they are equal.
        offset: position of the query at which the target begins; negative if the target begins before the query.
        strand: "+" or "-": the strand of the target that fits best.
    """

    target: Motif
    similarity: float
    offset: int
    strand: str


def similarity(query: Motif, target: Motif) -> Match:
    """Compare two motifs at every offset, on both strands of the target, and return the best match.

    With a `(4, W)` and b `(4, V)` the frequencies of the two motifs minus 1/4, and b shifted by the offset d, the
    similarity is

        sum_cl a[c, l] b[c, l - d] / (|a| |b|)

    This is Pearson's correlation of all entries of the two frequency matrices, if a motif is continued by the
    background (1/4 for each base) beyond its ends. Columns without a partner therefore lower the similarity, and the
    more so, the more informative they are. It weights the correlations of single columns (Pietrokovski 1996) by their
    information. Offsets and strands are searched as in Tomtom (Gupta et al. 2007), but there are no p-values.

    >>> motif = Motif("ATG", np.array([[9, 0, 0], [0, 0, 0], [0, 0, 9], [0, 9, 0]]))
    >>> match = similarity(motif, motif.reverse())
    >>> round(match.similarity, 6), match.offset, match.strand
    (1.0, 0, '-')
    """
    a = query.frequencies - 0.25
    matches = []
    for strand, other in (("+", target), ("-", target.reverse())):
        b = other.frequencies - 0.25
        # in entry i of the "full" correlation, b begins at position i - (V - 1) of a
        overlaps = np.sum([np.correlate(x, y, "full") for x, y in zip(a, b, strict=True)], axis=0)
        best = int(np.argmax(overlaps))
        scale = float(np.linalg.norm(a) * np.linalg.norm(b))
        matches.append(Match(target, float(overlaps[best]) / max(scale, 1e-12), best - target.width + 1, strand))
    return max(matches, key=lambda match: match.similarity)


def nearest(query: Motif, targets: Sequence[Motif], most: int = 3) -> list[Match]:
    """Return the `most` targets that are most similar to a motif, the best one first.

    >>> a, c = (Motif(x, np.eye(4)[["ACGT".index(x)] * 5].T * 9) for x in "AC")
    >>> nearest(a, [c, a], 1)[0].target.name
    'A'
    """
    return sorted((similarity(query, target) for target in targets), key=lambda match: -match.similarity)[:most]


@cache
def jaspar(release: str = RELEASE, group: str | None = None) -> tuple[Motif, ...]:
    """Return the motifs of JASPAR's CORE collection, the newest version of each.

    The database comes with the package pyjaspar, so nothing is downloaded.

    Args:
        release: name of the release, such as "JASPAR2024".
        group: taxonomic group, such as "vertebrates", "plants" or "insects"; all by default.

    Raises:
        UserError: pyjaspar is not installed, or it does not contain this release.
    """
    try:
        from pyjaspar import jaspar_releases, jaspardb
    except ImportError as error:
        raise UserError('JASPAR motifs need the package pyjaspar: pip install "atrous[motifs]"') from error
    if release not in jaspar_releases:
        raise UserError(f"{release}: pyjaspar has no such release: choose from {', '.join(jaspar_releases)}")
    matrices = jaspardb(release=release).fetch_motifs(collection="CORE", tax_group=None if group is None else [group])
    return tuple(
        Motif(m.name, np.array([m.counts[letter] for letter in LETTERS], dtype=float), m.matrix_id) for m in matrices
    )
