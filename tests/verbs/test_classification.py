"""Classes of whole inputs from end to end: plan, train in batches and in strips, evaluate, predict, report."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from atrous.cli.main import app
from atrous.data.check.check import check_grids
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.tasks.classification import ClassificationTask
from atrous.verbs.calibrate import calibrate
from atrous.verbs.class_examples import WHERE, class_pictures
from atrous.verbs.evaluate import evaluate, measure, open_split
from atrous.verbs.opened import open_data
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train

SETTINGS = (
    "model.encoder=strided", "model.strides=[2, 2]", "model.encoder_width=8", "task.options.stride=[4, 4]",
    "train.learning_rate=0.01", "train.batch_size=1", "train.precision=32-true", "train.validations=1",
    "train.whole=true",
)  # fmt: skip
"""A step takes a whole input, in strips."""


def write(root: Path, size: tuple[int, int]) -> Path:
    """Bright squares mean yes, dark ones no."""
    rng = np.random.default_rng(0)
    for split, many in (("train", 4), ("val", 3)):
        for name, value in (("no", 20), ("yes", 220)):
            (root / split / name).mkdir(parents=True)
            for i in range(many):
                image = rng.normal(110, 10, size).clip(0, 255).astype(np.uint8)
                y, x = rng.integers(0, size[0] - 10), rng.integers(0, size[1] - 10)
                image[y : y + 10, x : x + 10] = value
                Image.fromarray(image).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("classes"), (36, 48))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "classes"
    train(data, out=folder, task="classification", epochs=6, settings=SETTINGS)
    return folder


def test_a_run_in_strips_learns_and_is_measured(run, data):
    scores = evaluate(run, data).scores.to_dict()
    assert scores["auroc"] == 1
    assert scores["images"] == 6
    assert {"accuracy", "f1", "log_loss", "auroc_yes"} <= scores.keys()
    page = (run / "report.html").read_text()
    assert "; is yes, found" in page
    assert re.findall(r'<li data-class="\d".*</span>(\w+)</li>', page) == ["no", "yes"]  # the legend of the colors
    seen = re.findall(r'<img [^>]*data-view="where classes were seen"[^>]*>', page)
    assert len(seen) == 6
    assert all(" data-drawn" in image for image in seen)  # its colors are no values


def test_a_class_that_is_there_or_not_is_calibrated(tmp_path):
    rng, rows = np.random.default_rng(0), ["file,bright,split"]
    for number in range(20):
        image = rng.normal(110, 10, (24, 24)).clip(0, 255).astype(np.uint8)
        image[4:14, 6:16] += np.uint8(100 * (number % 2))
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number % 2},{'val' if number > 9 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    train(tmp_path, out=tmp_path / "run", task="classification", epochs=1, settings=SETTINGS, report=False)
    found = load(tmp_path / "run")
    calibration = found.run.calibration()
    assert calibration is not None
    assert isinstance(found.task, ClassificationTask)
    assert found.task.offsets == calibration.offsets != (0.0,)
    raw = replace(found, task=replace(found.task, offsets=()))
    dataset, samples = open_split(found, tmp_path, None, "val")
    losses = [measure(each, dataset, samples).to_dict()["log_loss"] for each in (found, raw)]
    assert losses[0] < losses[1]
    assert found.identity() != raw.identity()  # what was begun with other offsets does not go on
    again = calibrate(tmp_path / "run", tmp_path).calibration  # not on top of the first ones
    assert again.offsets == pytest.approx(calibration.offsets, abs=1e-6)
    done = CliRunner().invoke(app, ["calibrate", str(tmp_path / "run"), str(tmp_path), "--json"])
    assert json.loads(done.stdout)["offsets"] == pytest.approx(calibration.offsets, abs=1e-6)
    with pytest.raises(UserError, match="the run has no temperature: leave it out"):
        calibrate(tmp_path / "run", tmp_path, keep_temperature=True)
    (tmp_path / "labels.csv").write_text("\n".join(rows[:1] + rows[-6:]) + "\n")
    with pytest.raises(UserError, match="no class is in 4 inputs of val and missing in 4: calibrate on more"):
        calibrate(tmp_path / "run", tmp_path)
    assert load(tmp_path / "run").task == found.task


def test_what_was_seen_in_a_signal_lies_behind_its_curve():
    evidence = np.zeros((2, 10), np.float32)
    evidence[1, 5:] = 1.0
    wave = np.sin(np.arange(100.0))[None]
    (picture,) = class_pictures(wave, evidence, ((0, 255, 0), (255, 0, 0))).values()
    plain = np.asarray(class_pictures(wave, 0 * evidence, ((0, 255, 0), (255, 0, 0)))[WHERE])
    assert picture.shape == (96, 100, 3)
    assert np.array_equal(picture[:, :50], plain[:, :50])
    paper = plain[:, 50:] == 250
    assert (picture[:, 50:, 0][paper[..., 0]] > 250).all()
    assert (picture[:, 50:, 1][paper[..., 1]] < 100).all()


def test_prediction_in_python_says_where(run, data):
    path = data / "val" / "yes" / "0.png"
    image = np.asarray(Image.open(path))
    answer = load(run).predict(image)
    assert answer.names == ("no", "yes")
    assert answer.scores.sum() == pytest.approx(1)
    assert answer.classes == (answer.names[int(answer.scores.argmax())],)
    assert answer.evidence.shape == (2, 9, 12)
    assert float(answer.evidence.max()) == 1
    bright = np.argwhere(image > 200).mean(0) / 4
    place = np.unravel_index(answer.evidence[1].argmax(), answer.evidence[1].shape)
    assert np.abs(np.array(place) + 0.5 - bright).max() < 3
    assert answer.picture().shape[2] == 3
    assert "2 classes" in answer._repr_html_()


def test_an_input_in_strips_has_the_answer_of_the_whole(run):
    image = np.random.default_rng(3).integers(0, 255, (700, 61), np.uint8)
    whole, strips = load(run).predict(image), load(run, memory="4MB").predict(image)
    assert strips.scores == pytest.approx(whole.scores, rel=1e-4)
    assert strips.evidence.shape == whole.evidence.shape == (2, 175, 16)


def test_files_of_a_prediction(run, data, tmp_path):
    predict(run, [str(data / "val" / "no" / "1.png")], tmp_path, PredictOptions(overlay=True, probabilities="tiff"))
    rows = list(csv.DictReader((tmp_path / "1_classes.csv").read_text().splitlines()))
    assert [row["class"] for row in rows] in (["no", "yes"], ["yes", "no"])
    assert float(rows[0]["probability"]) + float(rows[1]["probability"]) == pytest.approx(1)
    assert [row["present"] for row in rows] == ["1", "0"]
    with Image.open(tmp_path / "1_overlay.png") as picture:
        assert picture.size == (48, 36)
    assert tifffile.imread(tmp_path / "1_evidence.tif").shape == (2, 9, 12)
    with pytest.raises(UserError, match="not for classes of whole inputs"):
        predict(run, [str(data / "val" / "no" / "2.png")], tmp_path, PredictOptions(polygons="geojson"))


def planned(root):
    from atrous.recipe.classification import plan_classes
    from atrous.recipe.plan import Request

    opened = open_data(root, task="classification")
    found = check_grids(opened.root, opened.description, opened.layout)
    return plan_classes(found.dataset, found.fingerprint, Request(epochs=1))


def test_small_inputs_are_learned_in_batches_and_large_ones_whole(data, tmp_path):
    small = planned(data).recipe
    assert not small.train.whole
    assert small.train.batch_size > 1
    assert all(crop >= size for crop, size in zip(small.train.crop, (36, 48), strict=True))
    large = planned(write(tmp_path, (520, 520)))
    assert large.recipe.train.whole
    assert large.recipe.train.batch_size == 1
    assert large.recipe.model.encoder == "strided"
    assert large.recipe.task.options == {"exclusive": True, "stride": [16, 16], "positions": 33.0 * 33}
    assert "whole input, in strips" in large.reasons["train.whole"]


def test_another_grid_than_that_of_the_task_is_refused(data, tmp_path):
    wrong = [*SETTINGS, "task.options.stride=[8, 8]"]
    with pytest.raises(UserError, match=r"set task.options.stride=\[4, 4\]"):
        train(data, out=tmp_path / "run", task="classification", epochs=1, settings=wrong)
    assert not (tmp_path / "run").exists()
