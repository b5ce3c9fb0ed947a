"""`atrous predict` from end to end: options, files, and live signals on standard input."""

import io
import os

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.failures import LOG_NAME
from atrous.prediction.predictor import load
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override
from atrous.verbs import predict as verb
from atrous.verbs.predict import load_predictor, predict, predict_live
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.volumes import write_signals


def test_files_are_labeled(trained, digits, tmp_path):
    source, out = sorted((digits / "images" / "test").iterdir())[0], tmp_path / "out"
    counts, shares = [], []
    result = predict(trained, [source], out, PredictOptions(overlay=True), begin=counts.append, progress=shares.append)
    assert result.written == (out / source.name,)
    assert (counts, shares[-1]) == ([1], 1)
    labels = np.asarray(Image.open(out / source.name))
    np.testing.assert_array_equal(labels, load(trained).predict(source).labels)
    assert (out / f"{source.stem}_overlay.png").exists()
    assert predict(trained, [str(source)], str(out), PredictOptions(overlay=True)).skipped == result.written


@pytest.mark.parametrize(
    ("settings", "options", "live", "said"),
    [
        ((), {"tta": "rotate"}, False, "--tta rotate: choose none or flip"),
        ((), {"probabilities": "csv"}, False, "--probabilities csv: choose zarr or tiff or bigwig"),
        ((), {"probabilities": "zarr"}, True, "--probabilities zarr: choose csv"),
        ((), {"probabilities": "bigwig"}, False, "bigwig is for genomes"),
        ((), {"genetic_code": 4}, False, "--genetic-code is for runs that find genes"),
        ((), {"variants": "x.vcf"}, False, "--variants is for genomes"),
        (("data.kind=videos",), {"probabilities": "zarr"}, False, "not for videos"),
        (("data.kind=videos",), {"tta": "flip"}, False, "not for videos"),
        (("data.kind=genomes",), {"overlay": True}, False, "for genomes only the features"),
        (("data.kind=genomes",), {"tta": "flip"}, False, "for genomes only the features"),
        (("data.kind=genomes",), {"probabilities": "tiff"}, False, "for genomes only the features"),
        (("data.kind=genomes",), {"probabilities": "csv"}, True, "for genomes only the features"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(trained, tmp_path, monkeypatch, settings, options, live, said):
    def never(*args, **kwargs):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(verb, "load", never)
    run = Run(trained, override(open_run(trained).recipe, settings))
    inputs = () if live else ([tmp_path], tmp_path / "out")
    with pytest.raises(UserError, match=said):
        (predict_live if live else predict)(run, *inputs, PredictOptions(**options))
    assert not (tmp_path / "out").exists()


def test_where_all_is_done_no_network_is_loaded(trained, digits, tmp_path, monkeypatch):
    """Importing timm and reading the weights take seconds."""
    source, options = digits / "images" / "test", PredictOptions(overlay=True, uncertainty=True)
    done = predict(trained, [source], tmp_path, options)
    (tmp_path / "kept").write_bytes(
        (path := done.written[0].with_name(f"{done.written[0].stem}_overlay.png")).read_bytes()
    )

    def never(*args, **kwargs):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(verb, "load", never)
    again = predict(trained, [source], tmp_path, options)
    assert (again.written, again.skipped) == ((), done.written)
    with pytest.raises(UserError, match="engine 'steam': choose torch"):
        predict(trained, [source], tmp_path, PredictOptions(engine="steam"))
    path.unlink()
    with pytest.raises(AssertionError, match="the network was loaded"):
        predict(trained, [source], tmp_path, options)
    monkeypatch.undo()
    assert predict(trained, [source], tmp_path, options).written == (done.written[0],)
    assert path.read_bytes() == (tmp_path / "kept").read_bytes()


def test_the_log_of_errors_lies_in_the_output_folder(trained, digits, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("atrous.prediction.predictor.Predictor.write", fail)
    result = predict(trained, [digits / "images" / "test"], tmp_path / "out")
    assert len(result.failed) == 2
    assert result.log == tmp_path / "out" / LOG_NAME
    assert result.log.read_text().count("ZeroDivisionError") >= 2


@pytest.fixture(scope="module")
def signal_run(tmp_path_factory):
    """A run on signals of one channel."""
    folder = tmp_path_factory.mktemp("signals")
    small = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=1")
    train(write_signals(folder / "data", count=4), out=folder / "run", epochs=1, settings=small, report=False)
    return folder / "run"


def test_a_live_signal_goes_from_standard_input_to_standard_output(signal_run):
    signal, told = np.sin(np.arange(120) / 9).astype(np.float32), []
    stdin = io.BufferedReader(io.BytesIO("\n".join(map(str, signal.tolist())).encode()))
    stdout = io.StringIO()
    predict_live(signal_run, tell=told.append, stdin=stdin, stdout=stdout)
    header, *rows = stdout.getvalue().splitlines()
    predictor = load(signal_run)
    assert header == "index,label"
    assert len(rows) == 120
    assert "latency" in told[0]
    labels = predictor.predict(signal[None]).labels
    agreeing = [row.split(",")[1] == predictor.classes[k] for row, k in zip(rows, labels, strict=True)]
    assert np.mean(agreeing) > 0.95  # bfloat16: labels may differ where two logits are close


def test_it_ends_quietly_when_nobody_reads_the_labels(signal_run):
    reading, writing = os.pipe()
    os.close(reading)
    stdin = io.BufferedReader(io.BytesIO(b"1\n" * 500))
    with os.fdopen(writing, "w") as stdout:
        predict_live(signal_run, stdin=stdin, stdout=stdout)


def test_float32_is_computed_in_whatever_the_training_used(trained):
    run = open_run(trained)
    lower = Run(trained, override(run.recipe, ["train.precision=bf16-mixed"]))
    assert load_predictor(lower, PredictOptions()).dtype == torch.bfloat16
    assert load_predictor(lower, PredictOptions(float32=True)).dtype == torch.float32
