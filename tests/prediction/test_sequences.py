"""Numbers along sequences: in Python, and as bigWig files that are those of the network at any strip."""

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import load
from atrous.prediction.sequences import open_only_sequence
from atrous.recipe.build import build_network
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.genomes import flipped, random_bases, write_fasta
from tests.toy_models import settled

pyBigWig = pytest.importorskip("pyBigWig")
OUTPUTS = {1: (["depth"], [0]), 3: (["depth", "rna+", "rna-"], [0, 2, 1])}


def make_run(folder, outputs):
    names, partners = OUTPUTS[outputs]
    recipe = validate(
        {
            "data": {"root": "genomes", "kind": "genomes"},
            "task": {
                "kind": "regression",
                "options": {"outputs": names, "offset": [3.0] * outputs, "scale": [2.0] * outputs},
            },
            "model": {
                "name": "codons", "ndim": 1, "in_channels": 4, "width": 8, "dilations": [1, 4],
                "reverse_complement": True, "partners": partners, "mean": [0.25] * 4, "std": [0.4] * 4,
            },
            "augment": {"flip": [False], "strands": True},
            "train": {"crop": [300]},
        },
        "test",
    )  # fmt: skip
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(1)
    write_tensors(run.weights, settled(build_network(recipe.model, outputs)).state_dict(), {})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "run", 3)


def values_in(path, name, length):
    with pyBigWig.open(str(path)) as file:
        return np.array(file.values(name, 0, length), np.float32)


def test_every_output_is_a_bigwig_of_the_values_that_python_is_given(run, tmp_path):
    rng = np.random.default_rng(0)
    texts = {"a": random_bases(rng, 900), "b": random_bases(rng, 301)}
    fasta = write_fasta(tmp_path / "x.fa", texts)
    done = predict(run, [fasta], tmp_path / "out")
    assert done.failed == ()
    assert [path.name for path in done.written] == ["x.depth.bw", "x.rna+.bw", "x.rna-.bw"]
    predictor = load(run)
    for name, text in texts.items():
        single = write_fasta(tmp_path / f"{name}.fa", {name: text})
        found = predictor.predict(single)
        assert found.names == ("depth", "rna+", "rna-")
        assert found.values.shape == (3, len(text))
        assert found.values.dtype == np.float32
        assert found.picture().ndim == 3
        for row, path in zip(found.values, done.written, strict=True):
            np.testing.assert_array_equal(values_in(path, name, len(text)), row)
    assert predict(run, [fasta], tmp_path / "out").skipped == done.written
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.depth.bw", "x.rna+.bw", "x.rna-.bw"]


def test_the_other_strand_has_the_same_values_and_those_of_two_strands_are_exchanged(run, tmp_path):
    text = random_bases(np.random.default_rng(1), 600)
    predictor = load(run)
    one, other = (
        predictor.predict(write_fasta(tmp_path / f"{name}.fa", {"s": bases})).values
        for name, bases in (("one", text), ("other", flipped(text)))
    )
    np.testing.assert_allclose(other[[0, 2, 1]][:, ::-1], one, atol=1e-4)


def test_a_streamed_chromosome_is_the_whole_one(run, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa", {"a": random_bases(np.random.default_rng(2), 30_001)})
    assert load(run, memory="8MB").plan((4, 30_001)) is not None
    predict(run, [fasta], tmp_path / "out", PredictOptions(memory="8MB"))
    whole = load(run).predict(fasta).values
    for row, name in zip(whole, OUTPUTS[3][0], strict=True):
        np.testing.assert_allclose(values_in(tmp_path / "out" / f"x.{name}.bw", "a", 30_001), row, atol=1e-4)


def test_a_single_output_has_the_name_that_is_given(run, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 50})
    single = make_run(tmp_path / "run", 1)
    assert predict(single, [fasta], tmp_path / "depth.bw").written == (tmp_path / "depth.bw",)
    assert predict(single, [fasta], tmp_path / "out").written == (tmp_path / "out" / "x.depth.bw",)
    several = predict(run, [fasta], tmp_path / "all.bw").written
    assert [path.name for path in several] == ["all.depth.bw", "all.rna+.bw", "all.rna-.bw"]


def test_an_interrupted_run_goes_on_after_its_last_sequence(run, tmp_path):
    rng = np.random.default_rng(3)
    fasta = write_fasta(tmp_path / "x.fa", {name: random_bases(rng, 300) for name in ("a", "b", "c")})

    def written(out, stop_after=None):
        predictor, computed = load(run), []
        write = type(predictor).write

        def counting(source, labels, probabilities, **options):
            if len(computed) == stop_after:
                raise KeyboardInterrupt
            computed.append(1)
            write(predictor, source, labels, probabilities, **options)

        object.__setattr__(predictor, "write", counting)
        run_jobs(predictor, find_jobs(predictor, [fasta], out), out)
        return len(computed)

    assert written(tmp_path / "whole") == 3
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "out", stop_after=2)
    assert all(path.name.startswith(".") for path in (tmp_path / "out").iterdir())
    assert written(tmp_path / "out") == 1
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "out")]
    assert files[0] == files[1]


def test_mistakes_are_named(run, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa", {"a": "ACGT" * 5, "b": "ACGT" * 5})
    with pytest.raises(UserError, match=r"x\.gff3: numbers are written as bigWig: give a folder, or a name that ends"):
        find_jobs(load(run), [fasta], tmp_path / "x.gff3")
    with pytest.raises(UserError, match=r"x\.fa: holds 2 sequences, and one is predicted at a time"):
        load(run).predict(fasta)
    with pytest.raises(UserError, match="of a regression only the signals"):
        predict(run, [fasta], tmp_path / "out", PredictOptions(overlay=True))
    assert open_only_sequence(write_fasta(tmp_path / "y.fa", {"a": "ACGT"})).source.shape == (4, 4)
