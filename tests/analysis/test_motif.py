"""Frequency matrices: bits, strands, and MEME files, which Biopython reads in the same way."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrous.analysis.motif import PSEUDO, Motif, read_meme, write_meme
from atrous.errors import UserError

COUNTS = arrays(float, st.tuples(st.just(4), st.integers(1, 12)), elements=st.integers(0, 500).map(float))


def test_bits_of_known_columns():
    many = 1e9
    columns = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.7, 0.1, 0.1, 0.1]]).T * many
    entropy = -(0.7 * np.log2(0.7) + 3 * 0.1 * np.log2(0.1))
    np.testing.assert_allclose(Motif("m", columns).information, [2, 1, 0, 2 - entropy], atol=1e-6)
    assert Motif("m", columns).consensus == "AAaA"


@given(COUNTS)
def test_strands_and_bounds(counts):
    motif = Motif("m", counts)
    np.testing.assert_array_equal(motif.reverse().reverse().counts, counts)
    np.testing.assert_allclose(motif.reverse().information[::-1], motif.information)
    assert motif.information.min() > -1e-9
    assert motif.information.max() <= 2
    np.testing.assert_allclose(motif.frequencies, (counts + PSEUDO) / (counts.sum(0) + 1))


def test_trimming_keeps_what_is_between():
    sharp, flat = np.array([90.0, 0, 0, 0]), np.full(4, 25.0)
    motif = Motif("m", np.array([flat, sharp, flat, sharp, flat]).T)
    assert motif.trimmed().counts.T.tolist() == [sharp.tolist(), flat.tolist(), sharp.tolist()]


def test_meme_files_come_back_and_biopython_reads_them(tmp_path):
    from Bio import motifs

    rng = np.random.default_rng(0)
    written = [Motif(f"class {i}", rng.multinomial(40, [0.1, 0.2, 0.3, 0.4], 5 + i).T * 1.0, "a b") for i in range(3)]
    path = write_meme(tmp_path / "found.meme", written)
    again = read_meme(path)
    assert [(m.name, m.source) for m in again] == [(f"class_{i}", "a_b") for i in range(3)]
    known = motifs.parse(io.StringIO(path.read_text()), "minimal")
    for mine, theirs, original in zip(again, known, written, strict=True):
        np.testing.assert_allclose(mine.counts, original.counts, atol=1e-3)
        np.testing.assert_allclose([theirs.counts[b] for b in "ACGT"], original.counts, atol=0.51)  # it rounds
        assert theirs.num_occurrences == 40
        assert theirs.name == mine.name


def test_a_file_of_the_meme_suite(tmp_path):
    text = """MEME version 4

ALPHABET= ACGT

MOTIF crp alternative name
letter-probability matrix: alength= 4 w= 2 nsites= 17 E= 4.1e-009
 0.000000  0.176471  0.000000  0.823529
 1.000000  0.000000  0.000000  0.000000

MOTIF lexA
letter-probability matrix: alength= 4 w= 1
 0.25 0.25 0.25 0.25
"""
    (tmp_path / "a.meme").write_text(text)
    first, second = read_meme(tmp_path / "a.meme")
    assert (first.name, first.source, first.sites) == ("crp", "alternative", 17)
    np.testing.assert_allclose(first.counts[:, 0], [0, 3, 0, 14], atol=1e-4)
    assert second.sites == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">MA0001.1 AGL3\nA [ 0 3 ]\n", "not in MEME format"),
        ("MEME version 4\n", "no `letter-probability matrix`"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: alength= 4 w= 3\n0 0 0 1\n", "3 rows of four"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0 0 1\n", "rows of four"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, message):
    (tmp_path / "a.meme").write_text(text)
    with pytest.raises(UserError, match=message):
        read_meme(tmp_path / "a.meme")
    with pytest.raises(UserError, match="no such file"):
        read_meme(tmp_path / "b.meme")
    with pytest.raises(UserError, match="no motifs"):
        write_meme(tmp_path / "c.meme", [])
