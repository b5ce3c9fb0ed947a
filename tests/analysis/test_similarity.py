"""Similarity of motifs: offsets, strands and bounds, and that motifs of JASPAR are found in JASPAR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.analysis.motif import Motif
from atrous.analysis.similarity import jaspar, nearest, similarity
from atrous.errors import UserError


def random_motif(seed: int, width: int) -> Motif:
    return Motif(str(seed), np.random.default_rng(seed).dirichlet([0.3] * 4, width).T * 50)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(3, 12), st.integers(3, 12))
def test_symmetric_and_bounded(a, b, width, other):
    first, second = random_motif(a, width), random_motif(b, other)
    there, back = similarity(first, second).similarity, similarity(second, first).similarity
    assert there == pytest.approx(back)
    assert there <= 1 + 1e-9
    assert similarity(first, first.reverse()).similarity == pytest.approx(1)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_offset_and_strand(strand):
    whole = random_motif(3, 14)
    part = Motif("part", whole.counts[:, 4:11])
    result = similarity(whole, part if strand == "+" else part.reverse())
    assert (result.offset, result.strand) == (4, strand)
    a, b = whole.frequencies - 0.25, part.frequencies - 0.25
    padded = np.zeros_like(a)
    padded[:, 4:11] = b
    assert result.similarity == pytest.approx(np.corrcoef(a.ravel(), padded.ravel())[0, 1])


def test_jaspar_finds_its_own():
    known = jaspar(group="vertebrates")
    rest = next(m for m in known if m.source == "MA0138.3")
    assert (rest.name, rest.width) == ("REST", 20)
    noisy = Motif("result", rest.reverse().counts[:, 2:] + 40)
    best = nearest(noisy, known, 2)
    assert best[0].target.source == "MA0138.3"
    assert best[0].strand == "-"
    assert best[0].similarity > 0.95 > best[1].similarity


def test_a_release_that_is_not_there():
    with pytest.raises(UserError, match="JASPAR1066: pyjaspar has no such release"):
        jaspar("JASPAR1066")
