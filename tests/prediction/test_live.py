"""A live signal: lines in, lines out, the same as the prediction for the whole."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.prediction.live import latency_text, live_labels, open_session
from atrous.prediction.predictor import load
from atrous.tasks.restoration import RestorationTask
from atrous.tasks.values import RegressionTask
from atrous.verbs.train import train
from tests.command import atrous
from tests.volumes import write_signals

SMALL = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.validations=1")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    train(write_signals(folder / "data", count=4), out=folder / "run", epochs=4, settings=SMALL, report=False)
    return folder / "run"


@pytest.fixture(scope="module")
def predictor(run):
    return load(run, dtype=torch.float32)


SIGNAL = np.cumsum(np.random.default_rng(0).normal(0, 0.3, 437)).astype(np.float32)


class Trickle(io.RawIOBase):
    """A stream that gives what comes in pieces of one to 40 bytes, lines cut anywhere."""

    def __init__(self, text: str) -> None:
        self.rest, self.rng = text.encode(), np.random.default_rng(1)

    def read1(self, size: int) -> bytes:
        count = int(self.rng.integers(1, 40))
        piece, self.rest = self.rest[:count], self.rest[count:]
        return piece


def lived(predictor, text, stream=Trickle, **options):
    written: list[str] = []
    count = live_labels(predictor, stream(text), written.append, **options)
    header, *rows = "".join(written).splitlines()
    assert count == len(rows)
    return header, [row.split(",") for row in rows]


def plain(values) -> str:
    return "\n".join(repr(float(v)) for v in values)


@pytest.mark.parametrize(("form", "length"), [("plain", 437), ("header", 90), ("spaces", 90)])
def test_live_is_the_whole(predictor, form, length):
    signal = SIGNAL[:length]
    rows = plain(signal)
    if form == "header":
        rows = "time;wave;label\n" + "\n".join(f"{i / 100};{float(v)!r};x" for i, v in enumerate(signal)) + "\n\n"
    elif form == "spaces":
        rows = "  " + rows.replace("\n", " \r\n\n ")
    header, found = lived(predictor, rows)
    whole = predictor.predict(signal[None])
    assert header == "index,label"
    assert [int(row[0]) for row in found] == list(range(length))
    assert [row[1] for row in found] == [predictor.classes[k] for k in whole.labels]


def test_probabilities_are_those_of_the_whole(predictor):
    header, found = lived(predictor, plain(SIGNAL[:200]), probabilities=True)
    whole = predictor.predict(SIGNAL[None, :200], probabilities=True).probabilities
    assert header == "index,label,na,p,qrs"
    np.testing.assert_allclose(np.array([row[2:] for row in found], float).T, whole, atol=2e-5)


@pytest.mark.parametrize("probabilities", [False, True])
def test_samples_that_mean_no_data_are_those_of_a_file(predictor, probabilities):
    signal = SIGNAL[:90].copy()
    signal[[0, 40, 41, 89]] = -9999
    gaps = signal == -9999
    told = replace(predictor)
    object.__setattr__(told, "preparation", replace(predictor.preparation, nodata=(-9999.0,)))
    _, found = lived(told, plain(signal), probabilities=probabilities)
    whole = told.predict(signal[None])
    np.testing.assert_array_equal(whole.labels == 255, gaps)
    words = [*told.classes, ""]
    assert [row[1] for row in found] == [words[-1 if gap else k] for k, gap in zip(whole.labels, gaps, strict=True)]
    assert all(row[2:] == [""] * (3 * probabilities) for row, gap in zip(found, gaps, strict=True) if gap)


def test_numbers_come_in_place_of_labels(predictor):
    task = RegressionTask(("a", "b", "c"), (1.0, 2.0, 3.0), (0.5, 1.0, 2.0))
    numbers = replace(predictor, task=task)
    header, found = lived(numbers, plain(SIGNAL[:200]))
    assert header == "index,a,b,c"
    whole = numbers.predict(SIGNAL[None, :200]).values
    np.testing.assert_allclose(np.array([row[1:] for row in found], float).T, whole, atol=1e-4)
    finer = RestorationTask(task.names, task.offset, task.scale, factor=2)
    with pytest.raises(UserError, match="makes 2 samples of one"):
        open_session(replace(predictor, task=finer))


def test_labels_come_before_the_end_within_the_latency(predictor):
    session = open_session(predictor)
    stride = 16
    given = 0
    for i in range(0, len(SIGNAL), 3):
        given += session.push(SIGNAL[None, i : i + 3]).shape[-1]
        assert given >= min(i + 3, len(SIGNAL)) - session.latency - stride
    assert given > 0
    told: list[str] = []
    live_labels(predictor, Trickle(plain(SIGNAL[:50])), lambda text: None, tell=told.append)
    assert told == [latency_text(session, 100.0)]
    assert f"latency {session.latency} samples ({10 * session.latency} ms at 100 Hz)" in told[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\nx\n", r"line 3: 'x' is not a finite number"),
        ("1\n\nnan\n", r"line 3: 'nan' is not a finite number"),
        ("1\n2,3\n", r"line 2: 2 fields, the first line has 1"),
        ("1,2\n", r"line 1: 2 numbers, but the network reads 1"),
        ("a,b\n1,2\n", r"line 1: 2 channels \(a, b\), but the network reads wave_form"),
        ("", "no samples"),
        ("time,i\n", "no samples"),
    ],
)
def test_bad_lines_are_named(predictor, text, message):
    with pytest.raises(UserError, match=message):
        lived(predictor, text)


def test_what_cannot_be_live_is_refused(predictor):
    with pytest.raises(UserError, match="--tta flip needs the whole"):
        open_session(replace(predictor, flips=(0,)))
    recipe = predictor.run.recipe
    scaled = recipe.model_copy(update={"input": recipe.input.model_copy(update={"intensity": ["zscore"]})})
    with pytest.raises(UserError, match="mean and deviation"):
        open_session(replace(predictor, run=replace(predictor.run, recipe=scaled)))
    barred = replace(predictor)
    object.__setattr__(barred, "inner", nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.InstanceNorm1d(4)))
    with pytest.raises(UserError, match=r"^1 .*before the end"):
        open_session(barred)


def test_labels_of_a_live_signal_are_no_files(run, tmp_path):
    ended = atrous("predict", run, "-", "-o", tmp_path / "out")
    assert ended.returncode == 2
    assert ended.stderr.startswith("atrous: labels of `-` go to standard output, one per line: leave -o, ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_ends_at_the_end_and_names_bad_lines(run, monkeypatch):
    command = [sys.executable, "-m", "atrous", "predict", str(run), "-"]
    given = {"capture_output": True, "text": True, "cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    done = subprocess.run(command, check=False, input=plain(SIGNAL), **given)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(SIGNAL) + 1
    assert "latency" in done.stderr.splitlines()[0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\noops\n")))
    bad = atrous("predict", run, "-")
    assert bad.returncode == 2
    assert (
        bad.stderr.splitlines()[-1]
        == "atrous: standard input, line 2: 'oops' is not a finite number: correct or leave out that line"
    )
