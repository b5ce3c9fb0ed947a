from contextlib import closing

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.genomes.letters import encode, one_hot
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.genomes import write_fasta, write_genomes, write_gff


def test_one_sample_for_every_sequence(tmp_path):
    texts = {"chr": "ACGTACGTAC", "plasmid": "GGGTTTNNN"}
    write_fasta(tmp_path / "a.fna.gz", texts)
    write_gff(tmp_path / "a.gff", [("chr", "CDS", 2, 4, "+", "ID=1"), ("plasmid", "CDS", 7, 9, "-", "ID=2")])
    dataset = open_dataset(tmp_path)
    assert dataset.task == "stranded"
    assert dataset.classes == ("CDS+", "CDS-")
    assert sorted(sample.name for sample in dataset.samples) == ["a/chr", "a/plasmid"]
    for sample in dataset.samples:
        np.testing.assert_array_equal(sample.image.load()[...], one_hot(encode(texts[sample.image.sequence].encode())))
    labels = {sample.image.sequence: (sample.target.read() & 0xFF).tolist() for sample in dataset.samples}
    assert labels == {"chr": [0, 1, 1, 1, 0, 0, 0, 0, 0, 0], "plasmid": [0, 0, 0, 0, 0, 0, 2, 2, 2]}


def test_genomes_are_never_torn_between_splits(tmp_path):
    for name in "abcd":
        write_fasta(tmp_path / f"{name}.fa", {f"{name}{i}": "ACGT" * (5 + i) for i in range(3)})
        write_gff(tmp_path / f"{name}.gff", [(f"{name}0", "CDS", 1, 3, "+", "ID=1")])
    splits = open_dataset(tmp_path).splits
    homes = {split: {sample.image.path.name for sample in samples} for split, samples in splits.items()}
    assert not homes["train"] & homes["val"]
    (tmp_path / "dataset.toml").write_text('splits = { val = ["b"], test = ["c.fa", "d/d1"] }\n')
    splits = open_dataset(tmp_path).splits
    assert [sample.name for sample in splits["val"]] == ["b/b0", "b/b1", "b/b2"]
    assert [sample.name for sample in splits["test"]] == ["c/c0", "c/c1", "c/c2", "d/d1"]


def test_signals_in_bigwig_are_further_channels_or_labels(tmp_path):
    big_wig = pytest.importorskip("pyBigWig")
    for name in "ab":
        write_fasta(tmp_path / f"{name}.fa", {"s": "ACGTACGTAC"})
        write_gff(tmp_path / f"{name}.gff", [("s", "CDS", 1, 3, "+", "ID=1")])
        for track, start in (("methylation", 2), ("peak", 6)):
            with big_wig.open(str(tmp_path / f"{name}.{track}.bw"), "w") as file:
                file.addHeader([("s", 10)])
                file.addEntries(["s"], [start], ends=[start + 3], values=[0.75])
    dataset = open_dataset(tmp_path)
    assert dataset.channel_names == ("A", "C", "G", "T", "methylation", "peak")
    image = dataset.samples[0].image.load()
    assert image.shape == (6, 10)
    np.testing.assert_array_equal(image[4, :], [0, 0, 0.75, 0.75, 0.75, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(image[4:, 4:8], [[0.75, 0, 0, 0], [0, 0, 0.75, 0.75]])
    (tmp_path / "dataset.toml").write_text('classes = ["CDS", "peak"]\n')
    dataset = open_dataset(tmp_path)
    assert dataset.channel_names == ("A", "C", "G", "T", "methylation")
    assert (dataset.samples[0].target.read() & 0xFF).tolist() == [1, 1, 1, 0, 0, 0, 12, 12, 12, 0]
    (tmp_path / "b.methylation.bw").unlink()
    with pytest.raises(UserError, match=r"b\.methylation\.bw"):
        open_dataset(tmp_path)


def test_check_counts_letters_and_features(tmp_path):
    root = write_genomes(tmp_path / "g", count=3, length=2000)
    write_fasta(root / "n.fa", {"n": "ACGTNNRACGT"})
    write_gff(root / "n.gff", [("n", "CDS", 1, 3, "+", "ID=1"), ("n", "CDS", 4, 6, "+", "ID=2;pseudo=true")])
    found = check(root)
    assert found.ok
    text = found.text()
    assert "n.fa, n: letters other than A C G T" in text
    assert "R 1, N 2" in text
    assert "1 pseudogenes" in text
    assert found.fingerprint.channels == 4
    assert sum(found.fingerprint.positions.values()) == sum(
        sample.image.load().shape[1] for sample in found.dataset.samples
    )


@pytest.mark.parametrize(
    ("sequence", "rows", "said"),
    [
        ("ACGT" * 9, [("chr1", "CDS", 1, 3, "+", "ID=1")], "sequences that the FASTA file does not have"),
        ("ACGT" * 9, [("x", "CDS", 90, 99, "+", "ID=1")], "beyond the 36 bases"),
        ("ACGT" * 9, [("x", "CDS", 1, 4, "+", "ID=1")], "no multiple of three"),
        ("ACGT-" * 9, [("x", "CDS", 1, 3, "+", "ID=1")], "'-' at position 5"),
    ],
)
def test_check_names_faults_in_one_line(sequence, rows, said, tmp_path):
    root = write_genomes(tmp_path / "g", count=2, length=900)
    write_fasta(root / "x.fa.gz", {"x": sequence})
    write_gff(root / "x.gff", rows)
    lines = [fault.line() for fault in check(root).faults]
    assert any(said in line and "x." in line for line in lines), lines


def test_features_that_nobody_named_are_asked_for(tmp_path):
    write_fasta(tmp_path / "x.fa", {"x": "ACGT" * 9})
    write_gff(tmp_path / "x.gff", [("x", kind, 1, 3, "+", f"ID={kind}") for kind in "abcd"])
    with pytest.raises(UserError, match="4 kinds of features"):
        open_dataset(tmp_path)
    (tmp_path / "x.gff").unlink()
    with pytest.raises(UserError, match="no features"):
        open_dataset(tmp_path)


def write_signal(path, sizes):
    pyBigWig = pytest.importorskip("pyBigWig")
    with closing(pyBigWig.open(str(path), "w")) as file:
        file.addHeader(list(sizes.items()))
        for name, size in sizes.items():
            file.addEntries(name, 0, values=[1.0] * size, span=1, step=1)


@pytest.mark.parametrize("name", ["s.signal.bw", "s.CDS.bw"])  # a further channel, a label
def test_a_bigwig_that_names_no_sequence_alike_is_an_error_that_names_both(tmp_path, name):
    write_fasta(tmp_path / "s.fa", {"chr1": "ACGT" * 50, "chr2": "ACGT" * 50})
    write_gff(tmp_path / "s.gff", [("chr1", "CDS", 1, 9, "+", "ID=a"), ("chr2", "CDS", 1, 9, "-", "ID=b")])
    (tmp_path / "dataset.toml").write_text('classes = ["CDS"]\n')
    write_signal(tmp_path / name, {"1": 200, "2": 200})
    said = (
        "it has none of the sequences of the FASTA file: its names are 1, 2, those of FASTA chr1, chr2: name them alike"
    )
    try:
        lines = [fault.line() for fault in check(tmp_path).errors]
    except UserError as error:
        lines = [str(error)]
    assert any(name in line and said in line for line in lines)


@pytest.mark.parametrize("name", ["s.signal.bw", "s.CDS.bw"])
def test_a_bigwig_that_lacks_a_sequence_is_said(tmp_path, name):
    write_fasta(tmp_path / "s.fa", {"chr1": "ACGT" * 50, "chr2": "ACGT" * 50})
    write_gff(tmp_path / "s.gff", [("chr1", "CDS", 1, 9, "+", "ID=a"), ("chr2", "CDS", 1, 9, "-", "ID=b")])
    (tmp_path / "dataset.toml").write_text('classes = ["CDS"]\n')
    write_signal(tmp_path / name, {"chr1": 200})
    assert f"{name} lacks 1 of 2 sequences (chr2): they are read as 0" in check(tmp_path).notes


def test_of_a_feature_of_several_parts_the_one_beyond_the_end_is_named(tmp_path):
    write_fasta(tmp_path / "s.fa", {"x": "ACGT" * 50, "y": "ACGT" * 50})
    rows = [("x", "CDS", start, end, "+", "ID=c") for start, end in ((10, 18), (190, 204))]
    write_gff(tmp_path / "s.gff", [*rows, ("y", "CDS", 1, 9, "+", "ID=d")])
    assert any("the first at 190..204" in fault.line() for fault in check(tmp_path).errors)


def test_features_beyond_a_linear_sequence_are_errors_and_on_circles_go_on(tmp_path):
    for circular in (False, True):
        write_fasta(tmp_path / "s.fa", {"x": "ACGT" * 50, "y": "ACGT" * 50})
        more = ";Is_circular=true" if circular else ""
        rows = [(name, "region", 1, 200, "+", f"ID={name}{more}") for name in "xy"]
        rows += [(name, "CDS", 190, 204, "+", f"ID=c{name}") for name in "xy"]
        write_gff(tmp_path / "s.gff", rows)
        lines = [fault.line() for fault in check(tmp_path).errors]
        assert bool(lines) != circular
        assert circular or any("s.gff: 1 feature beyond the 200 bases of x, the first at 190..204" in o for o in lines)
        if circular:
            bits = open_dataset(tmp_path).samples[0].target.read() & 1
            assert np.flatnonzero(bits).tolist() == [0, 1, 2, 3, *range(189, 200)]


def test_features_that_no_genome_of_train_has_are_an_error(tmp_path):
    for name in "abcde":
        write_fasta(tmp_path / f"{name}.fa", {name: "ACGTACGTACGT"})
        write_gff(tmp_path / f"{name}.gff", [(name, "gene", 2, 7, "+", "ID=1")])
    (tmp_path / "dataset.toml").write_text('classes = ["CDS"]\n')
    said = [fault.line() for fault in check(tmp_path).errors]
    assert any("no genome of train has the features CDS: nothing can be learned" in line for line in said), said
    (tmp_path / "dataset.toml").write_text('classes = ["gene"]\n')
    assert not any("nothing can be learned" in fault.line() for fault in check(tmp_path).errors)
