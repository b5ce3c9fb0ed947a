import numpy as np
import pytest
import torch

from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import open_sequence
from atrous.errors import UserError
from atrous.prediction.genomes import annotate_files, find_genome_jobs, open_input_sequence
from atrous.prediction.predictor import load
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


@pytest.mark.parametrize("suffix", [".gff3", ".bed"])
def test_features_in_files_are_those_of_the_network(predictor, suffix, tmp_path):
    rng = np.random.default_rng(0)
    fasta = write_fasta(tmp_path / "x.fa.gz", {"a": random_bases(rng, 2000), "b": random_bases(rng, 301)})
    done = annotate_files(predictor, find_genome_jobs([fasta], tmp_path / f"out/genes{suffix}"))
    assert done.failed == ()
    found = {(f.sequence, f.strand, *f.parts[0]) for f in read_features(done.written[0])}
    want = {
        (name, strand, start, end)
        for name in ("a", "b")
        for strand, row in zip("+-", truth(predictor, fasta, name), strict=True)
        for start, end in runs(row)
        if strand == "+" or end - start > 1
    }
    assert found == want
    assert len(found) > 4
    assert annotate_files(predictor, find_genome_jobs([fasta], tmp_path / f"out/genes{suffix}")).skipped


def test_probabilities_in_bigwig_are_those_of_the_network(predictor, tmp_path):
    peer = pytest.importorskip("pyBigWig")
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(0), 900)})
    done = annotate_files(predictor, find_genome_jobs([tmp_path], tmp_path / "out", signals=True))
    assert [path.name for path in done.written] == ["x.gff3", "x.CDS+.bw", "x.CDS-.bw"]
    for row, path in zip(truth(predictor, fasta, "a"), done.written[1:], strict=True):
        with peer.open(str(path)) as file:
            np.testing.assert_allclose(file.values("a", 0, 900), row, atol=6e-4)
    (tmp_path / "x.gff3").write_text("by hand")
    again = annotate_files(predictor, find_genome_jobs([fasta], tmp_path, signals=True))
    assert [path.name for path in again.written] == ["x.CDS+.bw", "x.CDS-.bw"]
    assert (tmp_path / "x.gff3").read_text() == "by hand"


def test_a_streamed_genome_is_the_whole_one(predictor, tmp_path):
    """With a bound on memory every input is streamed."""
    fasta = write_fasta(tmp_path / "x.fa.gz", {"a": random_bases(np.random.default_rng(2), 30_001)})
    streaming = load(predictor.run, memory="8MB")
    assert streaming.plan((4, 30_001)) is not None
    files = []
    for number, one in enumerate((predictor, streaming)):
        done = annotate_files(one, find_genome_jobs([fasta], tmp_path / f"{number}.bed"))
        files.append(done.written[0].read_text())
    assert files[0] == files[1]


def test_a_broken_file_does_not_stop_the_others_and_leaves_nothing(predictor, tmp_path):
    write_fasta(tmp_path / "in/a.fa.gz", {"a": "ACGT-" * 9})
    write_fasta(tmp_path / "in/b.fa.gz", {"b": "ACGT" * 9})
    done = annotate_files(predictor, find_genome_jobs([tmp_path / "in"], tmp_path / "out", signals=True))
    assert [path.name for path, _ in done.failed] == ["a.fa.gz"]
    assert "position 5" in done.failed[0][1]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.gff3", "b.CDS+.bw", "b.CDS-.bw"}


def test_mistakes_are_named(predictor, tmp_path):
    for folder in "ab":
        write_fasta(tmp_path / folder / "x.fa", {"x": "ACGT"})
    with pytest.raises(UserError, match="one file for 2 inputs"):
        find_genome_jobs([tmp_path / "a", tmp_path / "b"], tmp_path / "x.bed")
    with pytest.raises(UserError, match="predict them apart"):
        find_genome_jobs([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(UserError, match="no FASTA"):
        find_genome_jobs([tmp_path / "c"], tmp_path / "out")


def test_signals_beside_the_bases_are_asked_for(tmp_path):
    peer = pytest.importorskip("pyBigWig")
    predictor = load(make_run(tmp_path / "run", tracks=("methylation",)))
    fasta = write_fasta(tmp_path / "x.fa", {"x": "ACGTACGTA"})
    with pytest.raises(UserError, match=r"x\.methylation\.bw is not there"):
        open_input_sequence(predictor, fasta, "x")
    with peer.open(str(tmp_path / "x.methylation.bw"), "w") as file:
        file.addHeader([("x", 9)])
        file.addEntries(["x"], [2], ends=[4], values=[0.5])
    assert open_input_sequence(predictor, fasta, "x")[4, :].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0]
