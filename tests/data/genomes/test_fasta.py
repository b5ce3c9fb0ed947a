import gzip

import numpy as np
import pytest

from atrous.data.genomes.fasta import clear, open_sequence, sequence_lengths
from atrous.data.genomes.letters import encode, one_hot
from atrous.errors import UserError
from tests.genomes import random_bases, write_fasta

TEXTS = {"chr1": random_bases(np.random.default_rng(1), 200_003), "p.2": "acgtnRYKM"}


def write_bgzip(path, plain):
    bgzf = pytest.importorskip("Bio.bgzf")
    with bgzf.BgzfWriter(str(path)) as file:
        file.write(plain.read_bytes())
    return path


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_any_slice_of_any_kind_of_file(kind, tmp_path):
    path = write_fasta(tmp_path / ("x.fa.gz" if kind == "gzip" else "x.fa"), TEXTS)
    if kind == "bgzip":
        path = write_bgzip(tmp_path / "x.fna.gz", path)
    assert sequence_lengths(path) == {name: len(text) for name, text in TEXTS.items()}
    for name, text in TEXTS.items():
        source = open_sequence(path, name)
        assert source.shape == (4, len(text))
        for start, stop in ((0, 9), (3, 3), (len(text) - 5, len(text)), (59, min(70_000, len(text)))):
            np.testing.assert_array_equal(source[:, start:stop], one_hot(encode(text[start:stop].encode())))
    assert {p.name for p in tmp_path.iterdir()} <= {"x.fa", "x.fa.gz", "x.fna.gz"}  # nothing is left beside the data


def test_it_agrees_with_pyfaidx(tmp_path):
    pyfaidx = pytest.importorskip("pyfaidx")
    path = write_fasta(tmp_path / "x.fa.gz", TEXTS)
    plain = write_fasta(tmp_path / "y.fa", TEXTS)
    with pyfaidx.Fasta(str(plain)) as peer:
        for name in TEXTS:
            np.testing.assert_array_equal(open_sequence(path, name)[...], one_hot(encode(str(peer[name]).encode())))


@pytest.mark.parametrize("suffix", [".fa", ".fa.gz"])
def test_a_wrong_letter_is_named_with_its_place(suffix, tmp_path):
    path = write_fasta(tmp_path / f"x{suffix}", {"a": "ACGT", "b": "A" * 70 + "*CGT"})
    with pytest.raises(UserError, match=r"x\.fa.*sequence b has '\*' at position 71"):
        _ = open_sequence(path, "b")[:, 60:74]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.fa", b"", "empty"),
        ("a.fa", b"ACGT\n", "begin with"),
        ("a.fa.gz", gzip.compress(b"ACGT\n", mtime=0), "begin with"),
        ("a.fa.gz", gzip.compress(b">\nACGT\n", mtime=0), "without a name"),
        ("a.fa.gz", gzip.compress(b">a\nAC\n>a\nGT\n", mtime=0), "two sequences are named a"),
        ("a.fa.gz", gzip.compress(b">a\n" + b"ACGT" * 99, mtime=0)[:-9], "cannot be read"),
    ],
)
def test_files_that_are_no_fasta_are_faults(name, data, said, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        sequence_lengths(tmp_path / name)


def test_lengths_are_listed_once_however_many_samples_ask(tmp_path):
    path = write_fasta(tmp_path / "x.fa", TEXTS)
    assert sequence_lengths(path) is sequence_lengths(path)


def test_unknown_sequences_and_missing_files_are_named(tmp_path):
    path = write_fasta(tmp_path / "x.fa.gz", TEXTS)
    with pytest.raises(UserError, match="no sequence chrX"):
        open_sequence(path, "chrX")
    with pytest.raises(UserError, match="no such file"):
        sequence_lengths(tmp_path / "none.fa")


@pytest.mark.parametrize("pack", [lambda text: text, gzip.compress], ids=["plain", "gzip"])
def test_records_without_bases_and_lines_that_end_in_cr_are_named(tmp_path, pack):
    path = tmp_path / ("a.fa" if pack(b"") == b"" else "a.fa.gz")
    for text in (b">c1\nACGT\n>c2\n\n>c3\nAC\n", b">c2\n", b">c1\nACGT\n>c2\n", b">c2\n>c3\nACGT\n"):
        path.write_bytes(pack(text))
        clear()
        with pytest.raises(
            UserError, match=r"a.fa.*: (sequence c2 has no bases: remove the name|.*no sequence|cannot)"
        ):
            sequence_lengths(path)
    path.write_bytes(pack(b">c1 x\rACGT\rACGT\r>c2\rAC\r"))
    clear()
    with pytest.raises(UserError, match=r"its lines end in CR alone \(old Mac\)"):
        sequence_lengths(path)
    path.write_bytes(pack(b">c1 x\r\nACGT\r\nACGT\r\n>c2\r\nAC\r\n"))
    clear()
    assert sequence_lengths(path) == {"c1": 8, "c2": 2}
    assert open_sequence(path, "c1")[:, 3:6].argmax(0).tolist() == [3, 0, 1]
