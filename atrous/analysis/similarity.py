"""How alike two motifs are, and the nearest ones of JASPAR."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from atrous.analysis.motif import LETTERS, Motif
from atrous.errors import UserError

RELEASE = "JASPAR2024"


@dataclass(frozen=True)
class Match:
    """A motif's likeness to another one.

    Attributes:
        target: the other motif.
        similarity: of `similarity`, 1 for the same.
        offset: position of the query at which the target begins, negative where it begins before.
        strand: "+", or "-" where the target's other strand fits.
    """

    target: Motif
    similarity: float
    offset: int
    strand: str


def similarity(query: Motif, target: Motif) -> Match:
    """Compare two motifs at every offset, on both strands of the target.

    The measure is Pearson's correlation of all entries of the two frequency matrices, columns beyond the end of one of
    them being background (a quarter each): what does not overlap counts against the match, the more the sharper it is.
    As every column has the mean 1/4, it is the columns' correlations (Pietrokovski 1996), weighted by how sharp they
    are. Offsets and strands are searched as Tomtom does (Gupta et al. 2007); there are no p-values here.

    >>> motif = Motif("ATG", np.array([[9, 0, 0], [0, 0, 0], [0, 0, 9], [0, 9, 0]]))
    >>> found = similarity(motif, motif.reverse())
    >>> round(found.similarity, 6), found.offset, found.strand
    (1.0, 0, '-')
    """
    a = query.frequencies - 0.25
    found = []
    for strand, other in (("+", target), ("-", target.reverse())):
        b = other.frequencies - 0.25
        # entry i of `full` has b beginning at position i - (width of b - 1) of a
        overlaps = np.sum([np.correlate(x, y, "full") for x, y in zip(a, b, strict=True)], axis=0)
        best = int(np.argmax(overlaps))
        scale = float(np.linalg.norm(a) * np.linalg.norm(b))
        found.append(Match(target, float(overlaps[best]) / max(scale, 1e-12), best - target.width + 1, strand))
    return max(found, key=lambda match: match.similarity)


def nearest(query: Motif, targets: Sequence[Motif], most: int = 3) -> list[Match]:
    """The targets most like a motif, the best one first.

    >>> a, c = (Motif(x, np.eye(4)[["ACGT".index(x)] * 5].T * 9) for x in "AC")
    >>> nearest(a, [c, a], 1)[0].target.name
    'A'
    """
    return sorted((similarity(query, target) for target in targets), key=lambda match: -match.similarity)[:most]


@cache
def jaspar(release: str = RELEASE, group: str | None = None) -> tuple[Motif, ...]:
    """The CORE matrices of JASPAR, newest versions, from the database that the package pyjaspar carries.

    Args:
        release: "JASPAR2024", say.
        group: "vertebrates", "plants", "insects", ...; all when None.

    Raises:
        UserError: pyjaspar is not installed, or does not carry that release.
    """
    try:
        from pyjaspar import jaspar_releases, jaspardb
    except ImportError as error:
        raise UserError('JASPAR is read by pyjaspar: pip install "atrous[motifs]"') from error
    if release not in jaspar_releases:
        raise UserError(f"{release}: no release that pyjaspar carries: choose of {', '.join(jaspar_releases)}")
    found = jaspardb(release=release).fetch_motifs(collection="CORE", tax_group=None if group is None else [group])
    return tuple(
        Motif(m.name, np.array([m.counts[letter] for letter in LETTERS], dtype=float), m.matrix_id) for m in found
    )
