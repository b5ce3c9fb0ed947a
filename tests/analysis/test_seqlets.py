"""Seqlets of contributions that are known, and the motifs that they are gathered into."""

import numpy as np
import pytest

from atrous.analysis import seqlets as module
from atrous.analysis.motif import LETTERS
from atrous.analysis.seqlets import Seqlet, find_seqlets, gather

WORD, OTHER = "GATTACAG", "TGGCGCCC"


def one_hot(text: str) -> np.ndarray:
    return np.eye(4)[[LETTERS.index(base) for base in text]].T


def reverse(text: str) -> str:
    return "".join("TGCA"[LETTERS.index(base)] for base in reversed(text))


def seqlet(text: str, score: float = 8.0, values: np.ndarray | None = None) -> Seqlet:
    """A word in the middle of 4 flanking bases A that contribute nothing."""
    inside = np.ones(len(text)) if values is None else values
    return Seqlet(one_hot("AAAA" + text + "AAAA"), np.pad(inside, 4), score)


def test_the_largest_windows_are_found_in_order():
    bases = np.random.default_rng(0).integers(0, 4, (2, 60))
    sequences = [np.eye(4)[row].T for row in bases]
    contributed = [np.zeros(60), np.zeros(60)]
    contributed[0][20:24], contributed[1][40:44] = 1.0, 2.0
    first, second = find_seqlets(sequences, contributed, width=4, flank=3)
    assert (first.score, second.score) == (8.0, 4.0)
    np.testing.assert_array_equal(first.letters, sequences[1][:, 37:47])
    np.testing.assert_array_equal(second.letters, sequences[0][:, 17:27])
    np.testing.assert_array_equal(first.values, contributed[1][37:47])
    np.testing.assert_array_equal(first.pattern, first.letters * first.values)


def test_windows_that_overlap_a_stronger_one_or_its_flanks_are_skipped():
    """Width 4 and flank 3: windows at 20 and 20 + d do not touch if the flank of one ends where the other begins."""
    sequences = [np.eye(4)[np.zeros(80, int)].T]
    for distance, count in ((6, 1), (7, 2), (20, 2)):
        values = np.zeros(80)
        values[20:24] = 2.0
        values[20 + distance : 24 + distance] = 1.9
        found = find_seqlets(sequences, [values], width=4, flank=3)
        assert sum(s.score > 7 for s in found) == count, distance


def test_windows_whose_flanks_reach_beyond_the_sequence_are_left_out():
    for start, count in ((2, 0), (3, 1), (53, 1), (54, 0)):
        values = np.zeros(60)
        values[start : start + 4] = 1.0
        found = find_seqlets([one_hot("A" * 60)], [values], width=4, flank=3)
        assert sum(s.score == 4.0 for s in found) == count, start
    assert find_seqlets([one_hot("A" * 9)], [np.ones(9)], width=4, flank=3) == []


def test_noise_far_below_the_strongest_is_left_out():
    values = np.zeros(100)
    values[20:24], values[50:54], values[80:84] = 10.0, 10.0, 1.9
    assert [s.score for s in find_seqlets([one_hot("A" * 100)], [values], width=4, flank=3)] == [40, 40]
    values[80:84] = 2.1
    assert len(find_seqlets([one_hot("A" * 100)], [values], width=4, flank=3)) == 3
    assert find_seqlets([one_hot("A" * 100)], [np.zeros(100)], width=4, flank=3) == []


def test_at_most_so_many_are_taken(monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    values = np.zeros(100)
    for start, value in ((10, 3.0), (40, 2.0), (70, 1.0)):
        values[start : start + 4] = value
    assert [s.score for s in find_seqlets([one_hot("A" * 100)], [values], width=4, flank=3)] == [12, 8]


@pytest.mark.parametrize("strands", [(WORD,), (WORD, reverse(WORD))])
def test_one_word_becomes_one_motif_on_either_strand(strands):
    (motif,) = gather([seqlet(strands[i % len(strands)]) for i in range(12)], "word")
    assert (motif.name, motif.source, motif.sites) == ("word", "12_seqlets", 12)
    inside = {motif.consensus.upper(), motif.reverse().consensus.upper()}
    assert any(WORD in text for text in inside)
    assert motif.score == 8.0


def test_words_that_are_shifted_are_aligned():
    margins = [(2 + i % 5, 6 - i % 5) for i in range(15)]
    shifted = [Seqlet(one_hot("C" * a + WORD + "C" * b), np.pad(np.ones(8), (a, b)), 8.0) for a, b in margins]
    (motif,) = gather(shifted, "word")
    assert WORD in motif.consensus.upper()
    start = motif.consensus.upper().index(WORD)
    np.testing.assert_array_equal(motif.counts[:, start : start + 8], 15 * one_hot(WORD))


def test_two_words_become_two_motifs_the_commoner_first():
    mixed = [seqlet(OTHER if i % 3 else WORD, score=9.0 if i % 3 else 4.0) for i in range(36)]
    first, second = gather(mixed, "class 1")
    assert (first.name, second.name) == ("class 1", "class 1.2")
    assert (first.sites, second.sites) == (24, 12)
    assert (first.score, second.score) == (9.0, 4.0)
    assert OTHER in first.consensus.upper() or OTHER in first.reverse().consensus.upper()


def test_few_seqlets_make_no_motif():
    assert gather([seqlet(WORD)] * 9, "word") == []
    assert len(gather([seqlet(WORD)] * 9, "word", fewest=9)) == 1
    assert gather([], "word") == []


def test_bases_that_contribute_nothing_do_not_hide_a_word():
    rng = np.random.default_rng(0)
    flanks = ["".join(LETTERS[i] for i in rng.integers(0, 4, 8)) for _ in range(20)]
    around = [Seqlet(one_hot(f[:4] + WORD + f[4:]), np.pad(np.ones(8), 4), 8.0) for f in flanks]
    (motif,) = gather(around, "word")
    assert motif.consensus == WORD
