"""Features of genomes as files: those of the network, at any strip."""

import numpy as np
import pytest
import torch

from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import open_sequence
from atrous.errors import UserError
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.prediction.sequences import open_sequences
from atrous.recipe.build import build_network
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors
from tests.genomes import random_bases, write_fasta
from tests.toy_models import settled


def make_run(folder, tracks=()):
    channels = 4 + len(tracks)
    recipe = validate(
        {
            "data": {"root": "genomes"},
            "task": {"kind": "stranded", "classes": ["CDS+", "CDS-"], "frames": True, "shortest": [1, 2]},
            "input": {"tracks": list(tracks)},
            "model": {
                "name": "codons", "ndim": 1, "in_channels": channels, "width": 8, "dilations": [1, 4],
                "reverse_complement": True, "mean": [0.25] * channels, "std": [0.4] * channels,
            },
            "augment": {"flip": [False]},
            "train": {"crop": [300]},
        },
        "test",
    )  # fmt: skip
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(1)
    write_tensors(run.weights, settled(build_network(recipe.model, 8)).state_dict(), {})
    return run


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return load(make_run(tmp_path_factory.mktemp("run") / "run"))


def truth(predictor, path, name):
    return predictor.task.probabilities(predictor.output(open_sequence(path, name)[...]))[0].numpy()


def runs(row):
    inside = np.concatenate([[False], row >= 0.5, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def annotated(predictor, inputs, out, folder, probabilities=None):
    return run_jobs(predictor, find_jobs(predictor, inputs, out, Companions(probabilities=probabilities)), folder)


@pytest.mark.parametrize("suffix", [".gff3", ".bed"])
def test_features_in_files_are_those_of_the_network(predictor, suffix, tmp_path):
    rng = np.random.default_rng(0)
    fasta = write_fasta(tmp_path / "x.fa.gz", {"a": random_bases(rng, 2000), "b": random_bases(rng, 301)})
    target = tmp_path / f"out/genes{suffix}"
    done = annotated(predictor, [fasta], target, tmp_path)
    assert done.failed == ()
    assert done.written == (target,)
    features = {(f.sequence, f.strand, *f.parts[0]) for f in read_features(target)}
    expected = {
        (name, strand, start, end)
        for name in ("a", "b")
        for strand, row in zip("+-", truth(predictor, fasta, name), strict=True)
        for start, end in runs(row)
        if strand == "+" or end - start > 1
    }
    assert features == expected
    assert len(features) > 4
    assert annotated(predictor, [fasta], target, tmp_path).skipped == (target,)


def test_probabilities_in_bigwig_are_those_of_the_network(predictor, tmp_path):
    peer = pytest.importorskip("pyBigWig")
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(0), 900)})
    done = annotated(predictor, [tmp_path], tmp_path / "out", tmp_path, "bigwig")
    assert [path.name for path in done.written] == ["x.gff3", "x.CDS+.bw", "x.CDS-.bw"]
    for row, path in zip(truth(predictor, fasta, "a"), done.written[1:], strict=True):
        with peer.open(str(path)) as file:
            np.testing.assert_allclose(file.values("a", 0, 900), row, atol=6e-4)
    alone = annotated(predictor, [fasta], tmp_path / "alone.bw", tmp_path, "bigwig")
    assert [path.name for path in alone.written] == ["alone.CDS+.bw", "alone.CDS-.bw"]


def test_features_that_exist_stay_and_missing_companions_are_made(predictor, tmp_path):
    pytest.importorskip("pyBigWig")
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(0), 900)})
    (tmp_path / "x.gff3").write_text("by hand")
    done = annotated(predictor, [fasta], tmp_path, tmp_path, "bigwig")
    assert [path.name for path in done.written] == ["x.CDS+.bw", "x.CDS-.bw"]
    assert (tmp_path / "x.gff3").read_text() == "by hand"


def test_a_streamed_genome_is_the_whole_one(predictor, tmp_path):
    """With a bound on memory every input is streamed."""
    fasta = write_fasta(tmp_path / "x.fa.gz", {"a": random_bases(np.random.default_rng(2), 30_001)})
    streaming = load(predictor.run, memory="8MB")
    assert streaming.plan((4, 30_001)) is not None
    texts = [
        annotated(each, [fasta], tmp_path / f"{number}.bed", tmp_path).written[0].read_text()
        for number, each in enumerate((predictor, streaming))
    ]
    assert texts[0] == texts[1]


def test_a_broken_file_does_not_stop_the_others_and_leaves_nothing(predictor, tmp_path):
    write_fasta(tmp_path / "in/a.fa.gz", {"a": "ACGT-" * 9})
    write_fasta(tmp_path / "in/b.fa.gz", {"b": "ACGT" * 9})
    done = annotated(predictor, [tmp_path / "in"], tmp_path / "out", tmp_path, "bigwig")
    assert [path.name for path, _ in done.failed] == ["a.fa.gz"]
    assert "position 5" in done.failed[0][1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.gff3", "b.CDS+.bw", "b.CDS-.bw"}


def test_mistakes_are_named(predictor, tmp_path):
    for folder in "ab":
        write_fasta(tmp_path / folder / "x.fa", {"x": "ACGT"})
    write_fasta(tmp_path / "a" / "y.fa", {"x": "ACGT"})
    with pytest.raises(UserError, match=r"x\.fa and .*y\.fa would both write .*x\.bed"):
        find_jobs(predictor, [tmp_path / "a"], tmp_path / "x.bed")
    with pytest.raises(UserError, match=r"both be written to x\.gff3: predict them into different folders"):
        find_jobs(predictor, [tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(UserError, match="no FASTA"):
        find_jobs(predictor, [tmp_path / "c"], tmp_path / "out")


def test_files_of_signals_beside_the_bases_must_exist(tmp_path):
    peer = pytest.importorskip("pyBigWig")
    predictor = load(make_run(tmp_path / "run", tracks=("methylation",)))
    fasta = write_fasta(tmp_path / "x.fa", {"x": "ACGTACGTA"})
    with pytest.raises(UserError, match=r"x\.methylation\.bw is missing"):
        next(open_sequences(fasta, ["methylation"]))
    with peer.open(str(tmp_path / "x.methylation.bw"), "w") as file:
        file.addHeader([("x", 9)])
        file.addEntries(["x"], [2], ends=[4], values=[0.5])
    source = next(open_sequences(fasta, ["methylation"])).source
    assert source[4, :].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0]
    done = annotated(predictor, [fasta], tmp_path / "out", tmp_path)
    assert [path.name for path in done.written] == ["x.gff3"]


@pytest.mark.parametrize("streamed", [False, True])
def test_labels_beside_probabilities_are_the_sets_of_the_task(predictor, streamed, tmp_path, monkeypatch):
    bases = random_bases(np.random.default_rng(1), 5000)
    values = open_sequence(write_fasta(tmp_path / "x.fa", {"a": bases}), "a")[...]
    if streamed:
        monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 1000)
    both = predictor.predict(values, probabilities=True)
    np.testing.assert_array_equal(both.labels, predictor.predict(values).labels)
    bits = ((both.probabilities >= predictor.task.threshold) * np.array([[1], [2]])).sum(0)
    np.testing.assert_array_equal(both.labels, bits)
    assert len(np.unique(both.labels)) > 2
