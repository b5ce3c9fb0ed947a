"""Genes of a network as files: those that its probabilities say, at any strip."""

import numpy as np
import pytest
import torch

from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import open_sequence
from atrous.data.genomes.letters import encode, one_hot
from atrous.errors import UserError
from atrous.objects.genes import GeneFinder, GeneRules
from atrous.prediction.genes import GeneStrips
from atrous.prediction.inputs import Opened
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.recipe.build import build_network
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.genomes import evidence_for, flipped, genome, numbers, random_bases, write_fasta
from tests.toy_models import settled

CLASSES = ("CDS+", "CDS-", "tRNA+", "tRNA-")


def make_run(folder):
    recipe = validate(
        {
            "data": {"root": "genomes", "kind": "genomes"},
            "task": {
                "kind": "stranded", "classes": list(CLASSES), "frames": True, "genetic_codes": [11, 4],
                "shortest": [30, 30, 1, 1],
            },
            "model": {
                "name": "codons", "ndim": 1, "in_channels": 4, "width": 8, "dilations": [1, 4], "local": 4,
                "reverse_complement": True, "mean": [0.25] * 4, "std": [0.4] * 4,
            },
            "augment": {"flip": [False]},
            "train": {"crop": [300]},
        },
        "test",
    )  # fmt: skip
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(1)
    network = settled(build_network(recipe.model, 14))
    with torch.no_grad():  # some genes in random sequence
        bias = next(value for name, value in network.head.named_parameters() if name.endswith("bias.original"))
        bias[4:] += 1.0
    write_tensors(run.weights, network.state_dict(), {})
    return run


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return load(make_run(tmp_path_factory.mktemp("run") / "run"))


def annotated(predictor, inputs, out, folder, probabilities=None):
    return run_jobs(predictor, find_jobs(predictor, inputs, out, Companions(probabilities=probabilities)), folder)


def genes_of(predictor, path, name, text):
    values = predictor.task.probabilities(predictor.output(open_sequence(path, name)[...]))[0].numpy()
    finder = GeneFinder(predictor.task.gene_rules)
    finder.add(numbers(text), values[4:])
    return finder.finish()


def test_genes_in_files_are_those_of_the_network(predictor, tmp_path):
    rng = np.random.default_rng(0)
    texts = {"a": random_bases(rng, 3000), "b": random_bases(rng, 901)}
    fasta = write_fasta(tmp_path / "x.fa.gz", texts)
    for name in ("genes.gff3", "genes.tsv"):
        assert annotated(predictor, [fasta], tmp_path / name, tmp_path).failed == ()
    want = [(name, gene) for name, text in texts.items() for gene in genes_of(predictor, fasta, name, text)]
    assert len(want) > 4
    features = [f for f in read_features(tmp_path / "genes.gff3") if f.kind == "CDS"]
    assert [(f.sequence, *f.parts[0], f.strand, f.phase) for f in features] == [
        (name, gene.start, gene.end, gene.strand, gene.phase) for name, gene in want
    ]
    rows = [row.split("\t") for row in (tmp_path / "genes.tsv").read_text().splitlines()]
    rows = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    rows = [row for row in rows if row["feature"] == "CDS"]
    for row, (name, gene) in zip(rows, want, strict=True):
        codon = texts[name][gene.start : gene.start + 3]
        codon = codon if gene.strand == "+" else flipped(texts[name][gene.end - 3 : gene.end])
        assert row["start_type"] == ("Edge" if gene.cut_start else codon)
        left, right = (gene.cut_start, gene.cut_stop) if gene.strand == "+" else (gene.cut_stop, gene.cut_start)
        assert row["partial"] == f"{left:d}{right:d}"
        assert (row["sequence"], row["transl_table"], row["log_odds"]) == (name, str(gene.code), f"{gene.score:.1f}")


def test_streamed_genes_are_those_of_the_whole_and_resumed_ones_too(predictor, tmp_path, monkeypatch):
    text = random_bases(np.random.default_rng(2), 20_001)
    fasta = write_fasta(tmp_path / "x.fa.gz", {"a": text, "b": text[:900]})
    whole = annotated(predictor, [fasta], tmp_path / "whole.gff3", tmp_path).written[0].read_text()
    assert whole.count("\tCDS\t") > 20
    streaming = load(predictor.run, memory="8MB")
    assert streaming.plan((4, 20_001)) is not None
    assert annotated(streaming, [fasta], tmp_path / "s.gff3", tmp_path).written[0].read_text() == whole
    write, calls = type(predictor).write, []

    def stopping(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(self, *arguments, **options)

    monkeypatch.setattr(type(predictor), "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        annotated(predictor, [fasta], tmp_path / "again.gff3", tmp_path)
    assert annotated(predictor, [fasta], tmp_path / "again.gff3", tmp_path).written[0].read_text() == whole
    assert len(calls) == 3


def test_probabilities_beside_genes_are_those_of_the_classes(predictor, tmp_path):
    peer = pytest.importorskip("pyBigWig")
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(0), 900)})
    values = open_sequence(fasta, "a")[...]
    want = predictor.task.probabilities(predictor.output(values))[0, :4].numpy()
    assert len(annotated(predictor, [fasta], tmp_path / "out", tmp_path, "bigwig").written) == 5
    assert len(annotated(predictor, [fasta], tmp_path / "alone.bw", tmp_path).written) == 4
    for row, name in zip(want, CLASSES, strict=True):
        for path in (tmp_path / f"out/x.{name}.bw", tmp_path / f"alone.{name}.bw"):
            with peer.open(str(path)) as file:
                np.testing.assert_allclose(file.values("a", 0, 900), row, atol=6e-4)
    both = predictor.predict(values, probabilities=True)
    assert both.probabilities.shape == (4, 900)
    np.testing.assert_allclose(both.probabilities, want, atol=1e-6)


def test_the_code_may_be_given(predictor, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(0), 3000)})
    for code in (11, 4):
        out = tmp_path / f"{code}.gff3"
        predict(predictor.run, [fasta], out, PredictOptions(genetic_code=code))
        assert f"transl_table={code}" in out.read_text()
    assert (tmp_path / "11.gff3").read_text() != (tmp_path / "4.gff3").read_text()
    with pytest.raises(UserError, match="7 is no genetic code"):
        predict(predictor.run, [fasta], tmp_path / "7.gff3", PredictOptions(genetic_code=7))


@pytest.mark.parametrize("strip", [1000, 37])
def test_genes_and_intervals_come_together_by_start(strip):
    text, genes = genome(np.random.default_rng(0), 2000)
    opened = Opened(one_hot(encode(text.encode())), (len(text),), name="s")
    values = np.zeros((14, len(text)), np.float32)
    values[2, 5:20], values[4:] = 0.75, evidence_for(len(text), genes)
    sink = GeneStrips(opened, CLASSES, GeneRules((11,)), 0.5, (1, 1, 1, 1))
    for start in range(0, len(text), strip):
        sink[:, start : start + strip] = values[:, start : start + strip]
    found = sink.finish()
    assert [(s.start, s.end, CLASSES[s.channel]) for s in found] == sorted(
        [(5, 20, "tRNA+"), *((start, end, f"CDS{strand}") for start, end, strand in genes)]
    )
    assert dict(found[1].notes)["start_type"] == "ATG"
    assert found[0].notes == ()


def test_an_output_that_is_not_finite_is_named():
    opened = Opened(one_hot(encode(b"ACGT")), (4,), name="s")
    sink = GeneStrips(opened, ("CDS+", "CDS-"), GeneRules((11,)), 0.5)
    with pytest.raises(UserError, match="s: the network's output is not finite"):
        sink[:, :] = np.full((12, 4), np.nan)
