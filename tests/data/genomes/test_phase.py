"""The reading frame of coding sequence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.genomes.phase import coding_phase, phased
from atrous.data.genomes.runs import ChannelInterval

LETTERS = "ACGT"
STOPS = ("TAA", "TAG", "TGA")
CODONS = [a + b + c for a in LETTERS for b in LETTERS for c in LETTERS if a + b + c not in STOPS]


def rows(text: str) -> np.ndarray:
    return np.stack([np.array([letter == one for letter in text], np.float32) for one in LETTERS])


def stops(text: str, frame: int) -> int:
    """By reading, codon for codon; a gene's own stop at the end does not count."""
    text = text[:-3]
    return sum(text[i : i + 3] in STOPS for i in range(frame, len(text) - 2, 3))


@given(st.lists(st.sampled_from(CODONS), min_size=1, max_size=60), st.integers(0, 2), st.sampled_from(STOPS))
def test_the_frame_is_the_one_without_stops(codons, phase, stop):
    text = "ACG"[:phase] + "".join(codons) + stop
    found = coding_phase(rows(text))
    assert stops(text, found) == min(stops(text, frame) for frame in range(3))


def test_genes_that_stop_in_other_frames():
    gene = "ATG" + "GCTAACCTAAGC" * 6 + "TAA"
    assert [stops(gene, frame) for frame in range(3)] == [0, 6, 6]
    for before in ("", "G", "GC"):
        assert coding_phase(rows(before + gene)) == len(before)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4])
def test_intervals_shorter_than_a_codon_begin_at_once(length):
    assert coding_phase(np.ones((4, length), np.float32)) == 0


def test_only_cds_have_a_phase_on_either_strand():
    gene = "C" + "GCTAACCTAAGC" * 6 + "TAA"
    other = gene[::-1].translate(str.maketrans("ACGT", "TGCA"))
    sequence = rows("AA" + gene + "AA" + other)
    begin = 4 + len(gene)
    found = [
        ChannelInterval(2, 2 + len(gene), 0, 0.9),
        ChannelInterval(begin, begin + len(other), 1, 0.9),
        ChannelInterval(2, 30, 2, 0.9),
    ]
    forward, backward, rna = phased(found, ["CDS+", "CDS-", "tRNA+"], sequence)
    assert forward.phase == backward.phase == 1
    assert rna.phase is None
