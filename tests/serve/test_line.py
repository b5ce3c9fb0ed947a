"""Recordings and genomes are opened for display: names, times, curves, letters and annotated features."""

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.prediction.inputs import Input
from atrous.serve.cache import CacheFolder
from atrous.serve.found import ServedFile, find_files
from atrous.serve.levels import NoTile
from atrous.serve.line import LETTERS, is_line, open_line
from tests.genomes import write_fasta, write_gff


def opened(path, cache, root=None):
    return open_line(ServedFile(path.name, Input((path,), path), root), CacheFolder(cache))


def test_a_table_of_a_recording(tmp_path):
    rows = [f"{0.01 * n:.2f},{n},{-n if n != 3 else ''}" for n in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["seconds,ecg,resp", *rows]) + "\n")
    line = opened(tmp_path / "a.csv", tmp_path / "cache")
    assert (line.kind, line.names, line.unit) == ("signal", ("ecg", "resp"), "s")
    assert line.spacing == pytest.approx(0.01)
    assert [one.length for one in line.sequences] == [20]
    found = line.curves(0, [1, 0], 2, 2, 3)
    np.testing.assert_array_equal(found.low, [[-2, -5, -7], [2, 4, 6]])
    np.testing.assert_array_equal(found.high, [[-2, -4, -6], [3, 5, 7]])
    assert line.nbytes == 2 * 20 * 4
    assert (line.letters(0, 0, 5), line.annotation(0, 0, 5), line.annotated) == ("", [], False)
    with pytest.raises(UserError, match="channels: 2 of them: there are 2"):
        line.curves(0, [0, 2], 0, 1, 3)
    with pytest.raises(NoTile, match="sequence 1: this file has 1"):
        line.curves(1, [0], 0, 1, 3)


def test_an_array_of_one_axis_is_a_recording(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(50, dtype=np.float32))
    np.save(tmp_path / "b.npy", np.zeros((5, 6), np.float32))
    assert is_line(tmp_path / "a.npy")
    assert not is_line(tmp_path / "b.npy")
    line = opened(tmp_path / "a.npy", tmp_path / "cache")
    assert (line.names, line.spacing) == (("",), None)
    np.testing.assert_array_equal(line.curves(0, [0], 10, 1, 3).low, [[10, 11, 12]])


@pytest.fixture
def genome(tmp_path):
    path = write_fasta(tmp_path / "x.fa.gz", {"chr1": "ACGTNRY" * 10, "chr2": "TTTT"})
    rows = [
        ("chr1", "CDS", 11, 20, "+", "ID=a"),
        ("chr1", "CDS", 31, 40, "-", "ID=b"),
        ("chr1", "CDS", 51, 60, "-", "ID=b"),
    ]
    write_gff(tmp_path / "x.gff", rows)
    return path


def test_the_letters_and_features_of_a_genome(genome, tmp_path):
    line = opened(genome, tmp_path / "cache")
    assert [(one.number, one.name, one.length) for one in line.sequences] == [(0, "chr1", 70), (1, "chr2", 4)]
    assert line.letters(0, 2, 9) == "GTNRYAC"
    assert line.letters(1, 2, 100) == "TT"
    assert line.annotated
    assert [one.parts for one in line.annotation(0, 15, 35)] == [((10, 20),), ((30, 40), (50, 60))]
    assert [one.strand for one in line.annotation(0, 45, 48)] == ["-"]  # between the parts of one
    assert line.annotation(0, 20, 30) == []
    assert line.annotation(1, 0, 4) == []
    with pytest.raises(UserError, match="channels: none of them"):
        line.curves(0, [], 0, 1, 5)


def test_more_letters_than_can_be_read_are_refused(tmp_path):
    line = opened(write_fasta(tmp_path / "y.fa", {"a": "ACGT" * (LETTERS // 2)}), tmp_path / "cache")
    with pytest.raises(UserError, match="ask for 20,000 at most"):
        line.letters(0, 0, LETTERS + 1)


def test_another_annotation_is_another_identity_only_for_signals_of_the_network(genome, tmp_path):
    before = opened(genome, tmp_path / "cache").identity
    (tmp_path / "x.gff").unlink()
    assert opened(genome, tmp_path / "cache").identity == before
    (tmp_path / "x.cover.bw").write_bytes(b"not read here")
    assert opened(genome, tmp_path / "cache").identity != before


@pytest.mark.parametrize("named", ["folder", "file"])
def test_annotations_that_are_links_out_of_the_folder_are_left_out(genome, tmp_path, named):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.fa.gz").write_bytes(genome.read_bytes())
    (tmp_path / "in" / "x.gff").symlink_to(tmp_path / "x.gff")
    root = tmp_path / "in" if named == "folder" else None
    line = opened(tmp_path / "in" / "x.fa.gz", tmp_path / "cache", root)
    assert not line.annotated
    assert line.annotation(0, 0, 70) == []
    (tmp_path / "in" / "x.gff").unlink()
    (tmp_path / "in" / "x.gff").write_bytes((tmp_path / "x.gff").read_bytes())
    assert opened(tmp_path / "in" / "x.fa.gz", tmp_path / "cache", root).annotated


def test_recordings_and_genomes_are_found_and_tables_beside_them_are_not(genome, tmp_path):
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n3,4\n")
    assert [file.name for file in find_files([tmp_path], None, print)] == ["x.fa.gz"]
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("a,b\n1,2\n3,4\n")
    assert [file.name for file in find_files([tmp_path / "tables"], None, print)] == ["a.csv"]
    assert find_files([genome], None, print)[0].label_name(".gff3") == "x_labels.gff3"
