import numpy as np
import pytest

from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import open_sequence
from atrous.data.genomes.runs import ChannelInterval, ChannelIntervals, FirstRows
from atrous.data.genomes.writers import open_writer
from tests.genomes import flipped, write_fasta

CHANNELS = ("CDS+", "CDS-")
LENGTHS = {"s1": 30, "s 2": 12}


def written(path, strip=7):
    """Probabilities of two sequences, written in strips."""
    rng = np.random.default_rng(3)
    writer, truth = open_writer(path, LENGTHS, CHANNELS), {}
    for name, length in LENGTHS.items():
        values = np.zeros((2, length), np.float32)
        values[0, 3:9], values[1, 5:12] = rng.uniform(0.6, 1, 6), 0.75
        sink = ChannelIntervals(2, length, 0.5, [writer])
        for start in range(0, length, strip):
            sink[:, start : start + strip] = values[:, start : start + strip]
        writer.sequence(name, sink.finish())
        truth[name] = values
    return writer.finish(), truth


@pytest.mark.parametrize("name", ["x.gff3", "x.bed"])
def test_features_come_back_where_they_were(name, tmp_path):
    paths, _ = written(tmp_path / name)
    assert paths == [tmp_path / name]
    assert [p.name for p in tmp_path.iterdir()] == [name]
    found = [(f.sequence, f.kind, f.parts, f.strand) for f in read_features(paths[0])]
    assert found == [
        (sequence, "CDS", parts, strand)
        for sequence in LENGTHS
        for parts, strand in ((((3, 9),), "+"), (((5, 12),), "-"))
    ]


def test_the_lines_are_those_of_the_formats(tmp_path):
    (gff,), truth = written(tmp_path / "x.gff3")
    lines = gff.read_text().splitlines()
    assert lines[:3] == ["##gff-version 3", "##sequence-region s1 1 30", "##sequence-region s%202 1 12"]
    score = truth["s1"][0, 3:9].mean()
    assert lines[3] == f"s1\tatrous\tCDS\t4\t9\t{score:.3f}\t+\t.\tID=CDS-1"
    (bed,), _ = written(tmp_path / "x.bed")
    assert bed.read_text().splitlines()[1] == "s1\t5\t12\tCDS\t750\t-"


def test_coordinates_are_those_of_pyfaidx(tmp_path):
    pyfaidx = pytest.importorskip("pyfaidx")
    gene = "ATGGCGCTGTAA"
    text = "CCCCC" + gene + "TTTT" + flipped(gene) + "GG"
    fasta = write_fasta(tmp_path / "x.fa", {"s": text})
    writer = open_writer(tmp_path / "x.bed", {"s": len(text)}, CHANNELS)
    values = np.zeros((2, len(text)), np.float32)
    values[0, 5:17], values[1, 21:33] = 1, 1
    sink = ChannelIntervals(2, len(text), 0.5, [writer])
    sink[...] = values
    writer.sequence("s", sink.finish())
    writer.finish()
    with pyfaidx.Fasta(str(fasta)) as peer:
        for feature in read_features(tmp_path / "x.bed"):
            (start, end), strand = feature.parts[0], feature.strand
            found = peer["s"][start:end]
            assert str(found if strand == "+" else found.reverse.complement) == gene
    assert open_sequence(fasta, "s").shape == (4, len(text))


def test_probabilities_come_back_from_pybigwig(tmp_path):
    peer = pytest.importorskip("pyBigWig")
    paths, truth = written(tmp_path / "x.bw")
    assert [path.name for path in paths] == ["x.CDS+.bw", "x.CDS-.bw"]
    for channel, path in enumerate(paths):
        with peer.open(str(path)) as file:
            assert file.chroms() == LENGTHS
            for name, values in truth.items():
                np.testing.assert_allclose(file.values(name, 0, LENGTHS[name]), values[channel], atol=6e-4)
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_left_of_what_is_abandoned(tmp_path):
    for name in ("x.gff3", "x.bw"):
        open_writer(tmp_path / name, LENGTHS, CHANNELS).abandon()
    assert not list(tmp_path.iterdir())


def test_what_is_noted_of_a_gene_stands_in_gff_and_in_a_table(tmp_path):
    notes = (("partial", "10"), ("start_type", "Edge"), ("transl_table", "4"), ("log_odds", "12.3"))
    intervals = [ChannelInterval(0, 8, 1, 0.9, 2, notes), ChannelInterval(3, 9, 0, 0.8)]
    for name in ("x.gff3", "x.tsv"):
        writer = open_writer(tmp_path / name, {"s 1": 30}, CHANNELS)
        writer.sequence("s 1", intervals)
        writer.finish()
    line = "s%201\tatrous\tCDS\t1\t8\t0.900\t-\t2\tID=CDS-1;partial=10;start_type=Edge;transl_table=4;log_odds=12.3"
    assert (tmp_path / "x.gff3").read_text().splitlines()[2] == line
    assert [row.split("\t") for row in (tmp_path / "x.tsv").read_text().splitlines()] == [
        ["sequence", "feature", "start", "end", "strand", "score", "phase", *(name for name, _ in notes)],
        ["s 1", "CDS", "1", "8", "-", "0.900", "2", "10", "Edge", "4", "12.3"],
        ["s 1", "CDS", "4", "9", "+", "0.800", "", "", "", "", ""],
    ]


def test_the_first_rows_are_passed_on():
    sink = ChannelIntervals(3, 4, 0.5, [FirstRows(taker := Taker(), 2)])
    sink[:, :] = np.arange(12).reshape(3, 4)
    assert taker.given == [(0, [[0, 1, 2, 3], [4, 5, 6, 7]])]


class Taker:
    def __init__(self):
        self.given = []

    def add(self, start, values):
        self.given.append((start, values.tolist()))
