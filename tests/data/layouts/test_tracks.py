"""Folders of genomes whose signals are learned: what is a target, what an input, and what is unknown."""

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.data.targets.tracks import TrackValues
from atrous.errors import UserError
from atrous.verbs.check import check
from atrous.verbs.opened import open_data
from tests.genomes import write_fasta, write_gff, write_signal_tracks, write_track

TEXT = "ACGTACGTAC"


def write(root, names=("coverage",), toml='task = "regression"\n', count=2):
    for number in range(count):
        write_fasta(root / f"g{number}.fa", {f"s{number}": TEXT * 20})
        for place, name in enumerate(names):
            values = np.arange(200, dtype=np.float32) + place
            values[50:100] = np.nan
            write_track(root / f"g{number}.{name}.bw", {f"s{number}": values})
    (root / "dataset.toml").write_text(toml)
    return root


def test_every_signal_is_an_output_and_bases_without_a_value_are_unknown(tmp_path):
    dataset = open_dataset(write(tmp_path, ("coverage", "methylation")))
    assert (dataset.kind, dataset.task, dataset.target) == ("genomes", "regression", TrackValues)
    assert dataset.outputs == ("coverage", "methylation")
    assert dataset.channel_names == ("A", "C", "G", "T")
    sample = dataset.samples[0]
    values = sample.target.read()
    assert values.shape == (2, 200)
    assert values.dtype == np.float32
    assert np.isnan(values[:, 50:100]).all()
    np.testing.assert_array_equal(values[:, :50], np.stack([np.arange(50), np.arange(50) + 1]))
    assert sample.image.load().shape == (4, 200)


def test_the_task_may_be_given_beside_the_folder(tmp_path):
    root = write(tmp_path, toml="")
    assert open_data(root, task="regression").layout.outputs == ("coverage",)
    with pytest.raises(UserError, match="learn the values of the bigWig files with task"):
        open_data(root)


def test_dataset_toml_says_what_is_learned_what_is_given_and_what_zero_means(tmp_path):
    root = write(tmp_path, ("a", "b", "c"))
    for rule, outputs, inputs in (
        ('inputs = ["b"]', ("a", "c"), ("b",)),
        ('targets = ["c"]', ("c",), ("a", "b")),
        ('targets = ["c", "a"]\ninputs = []', ("c", "a"), ()),
    ):
        (root / "dataset.toml").write_text(f'task = "regression"\n[tracks]\n{rule}\n')
        dataset = open_dataset(root)
        assert dataset.outputs == outputs
        assert dataset.channel_names[4:] == inputs
        image = dataset.samples[0].image.load()
        assert image.shape[0] == 4 + len(inputs)
        if inputs == ("b",):
            np.testing.assert_array_equal(image[4, 49:51], [50, 0])
    (root / "dataset.toml").write_text('task = "regression"\n[tracks]\nmissing = { b = 0.5 }\n')
    values = open_dataset(root).samples[0].target.read()
    assert np.isnan(values[[0, 2], 50:100]).all()
    assert (values[1, 50:100] == 0.5).all()
    assert "read as 0.5" in check(root).text()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[tracks]\ntargets = ["coverrage"]', "did you mean 'coverage'"),
        ('[tracks]\ninputs = ["coverage"]', "leave at least one"),
        ('[tracks]\ninputs = ["a"]\ntargets = ["a"]', "take it out of one"),
        ('[tracks]\nmissing = "zero"', "such as 0 or"),
        ("[tracks]\nstrands = true", "pairs of signals"),
        ("[tracks]\ntarget = 1", "knows targets, inputs, missing, strands, not 'target'"),
        ('classes = ["CDS"]', "`classes` is for features"),
    ],
)
def test_mistakes_in_dataset_toml_are_named(tmp_path, toml, said):
    head, _, tables = toml.partition("[tracks]")
    root = write(tmp_path, toml=f'task = "regression"\n{head}' + (f"[tracks]{tables}\n" if tables else "\n"))
    with pytest.raises(UserError, match=said):
        open_dataset(root)


def test_tracks_are_not_for_features(tmp_path):
    root = write(tmp_path, toml="[tracks]\nmissing = 0\n")
    write_gff(root / "g0.gff", [("s0", "CDS", 1, 3, "+", "ID=1")])
    with pytest.raises(UserError, match=r"\[tracks\] is for task"):
        open_dataset(root)


def test_all_signals_of_a_folder_belong_to_its_only_genome(tmp_path):
    write_fasta(tmp_path / "hg.fa", {"chr1": TEXT, "chr2": TEXT + "A"})
    write_track(tmp_path / "phyloP.bw", {"chr1": np.ones(10), "chr2": np.arange(11.0)})
    dataset = open_data(tmp_path, task="regression").layout
    assert dataset.outputs == ("phyloP",)
    assert dataset.labels_alone == ()


def test_what_is_unknown_is_left_out_and_said(tmp_path):
    write_fasta(tmp_path / "x.fa", dict.fromkeys(("a", "b", "c"), TEXT))
    rows = {"a": np.arange(10.0), "b": np.arange(10.0)}
    write_track(tmp_path / "x.one.bw", rows)
    write_track(tmp_path / "x.two.bw", {"a": np.arange(10.0)})
    write_gff(tmp_path / "x.gff", [("a", "CDS", 1, 3, "+", "ID=1")])
    text = check(tmp_path, task="regression").text()
    assert "1 of 3 sequences (c) are in none of its bigWig files and are left out" in text
    assert "x.two.bw lacks 2 of 3 sequences (b, c): they are unknown" in text
    assert "x.gff: a regression learns signals (bigWig), not features" in text
    assert "one is learned: 100.00% of the bases" in text
    assert "two is learned: 50.00% of the bases" in text
    (tmp_path / "dataset.toml").write_text("[tracks]\nmissing = 0\n")
    assert len(open_data(tmp_path, task="regression").layout.splits["train"]) == 2  # of three sequences


def test_a_genome_may_lack_a_signal_that_is_learned_and_no_input(tmp_path):
    root = write(tmp_path, ("a", "b"), count=3)
    (root / "g2.b.bw").unlink()
    found = check(root)
    assert found.ok
    assert "g2.fa has no bigWig file of b, which is unknown there" in found.text()
    values = next(sample for sample in found.dataset.samples if sample.name == "g2/s2").target.read()
    assert np.isnan(values[1]).all()
    assert np.isfinite(values[0]).any()
    (root / "dataset.toml").write_text('task = "regression"\n[tracks]\ninputs = ["b"]\n')
    with pytest.raises(UserError, match=r"g2\.fa: has no g2\.b\.bw beside it, which is an input"):
        open_dataset(root)


def test_signals_that_teach_nothing_are_errors(tmp_path):
    root = write(tmp_path)
    for number in range(2):
        write_track(root / f"g{number}.flat.bw", {f"s{number}": np.ones(200)})
    found = check(root)
    assert [problem.line() for problem in found.errors] == [
        "g1.flat.bw: flat is 1 at every base that it covers: there is nothing to learn: if bases that it does not "
        "cover are 0, write missing = 0 under [tracks] in dataset.toml"
    ]


def test_other_names_and_lengths_of_sequences_are_errors(tmp_path):
    root = write(tmp_path)
    write_track(root / "g0.coverage.bw", {"chr": np.arange(200.0)})
    assert "it has none of the sequences of the FASTA file" in check(root).text()
    write_track(root / "g0.coverage.bw", {"s0": np.arange(150.0)})
    assert "its sequence s0 has 150 bases, that of the FASTA file 200" in check(root).text()


def test_the_fingerprint_says_what_planning_needs(tmp_path):
    found = check(write_signal_tracks(tmp_path, names=("a", "b")), task="regression")
    assert found.ok
    facts = found.fingerprint.values
    train = np.concatenate([sample.target.read() for sample in found.dataset.splits["train"]], axis=1)
    np.testing.assert_allclose(facts.mean, train.mean(axis=1, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(facts.std, train.std(axis=1, dtype=np.float64), rtol=1e-6)
    assert "learned: a, b" in found.dataset.layout


def test_no_signals_and_no_genomes(tmp_path):
    write_fasta(tmp_path / "x.fa", {"x": TEXT})
    with pytest.raises(UserError, match=r"no signals to learn: put X\.NAME\.bw beside each X\.fa"):
        open_data(tmp_path, task="regression")
