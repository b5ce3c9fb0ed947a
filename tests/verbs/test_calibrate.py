"""Calibration at the end of a training, and again on other samples; what evaluation says of it."""

import json
import shutil
from typing import Any

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.recipe.calibration import FILE, Calibration
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override
from atrous.tasks.temperature import temperatures
from atrous.tasks.thresholds import thresholds_of
from atrous.verbs.calibrate import calibrate
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.conftest import SMALL
from tests.test_every_found import SMALL as SMALL_FOUND
from tests.test_every_found import made


@pytest.fixture
def copied(trained, tmp_path):
    """A run that may be changed."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_training_calibrates_on_its_validation_split(trained, digits):
    found = open_run(trained).calibration()
    scores = json.loads((trained / "scores.json").read_text())
    assert found is not None
    assert found.measured_on == f"val of {digits}"
    assert found.samples == found.misses[0].count == 3
    assert scores["temperature"] == found.temperature
    assert scores["ece"] == found.ece
    assert scores["ece_before"] == found.ece_before != found.ece
    assert {"nll", "brier", "auroc_error", "coverage"} <= set(scores)
    assert "Review these first" in (trained / "report.html").read_text()


def test_evaluation_agrees_with_training_and_labels_stay_the_same(trained, copied, digits):
    measured = evaluate(trained, digits).scores.to_dict()
    scores = json.loads((trained / "scores.json").read_text())
    for name in ("ece", "ece_before", "nll", "brier", "auroc_error"):
        assert measured[name] == pytest.approx(scores[name], rel=1e-6)
    (copied / FILE).unlink()  # as a run of an earlier version
    before = evaluate(copied, digits).scores
    np.testing.assert_array_equal(before.confusion, evaluate(trained, digits).scores.confusion)
    assert before.ece == pytest.approx(scores["ece_before"], abs=1e-3)
    assert before.to_dict()["temperature"] == 1
    assert before.to_dict()["nll"] > measured["nll"]


def test_a_run_is_calibrated_again_on_other_samples(copied, digits):
    (copied / FILE).unlink()
    done = calibrate(copied, digits, split="train")
    assert done.calibration.samples == 8
    assert done.calibration.measured_on == f"train of {digits}"
    assert temperatures(load(copied).task) == (done.calibration.temperature,)
    assert done.scores.confidence.temperature == done.calibration.temperature
    again = calibrate(copied, digits, split="train").calibration  # not on top of the first temperature
    assert again.temperature == pytest.approx(done.calibration.temperature)
    kept = calibrate(copied, digits, split="test", keep_temperature=True).calibration
    assert kept.temperature == again.temperature
    assert (kept.samples, kept.misses[0].count) == (2, 2)


def test_coverage_is_measured_on_new_samples(copied, digits):
    calibrate(copied, digits, split="all")
    found = evaluate(copied, digits, split="test", coverage=0.8)
    assert found.note == ""
    facts = found.scores.to_dict()
    assert facts["coverage_asked"] == 0.8
    assert 0.6 < facts["coverage"] <= 1
    assert 0 < facts["set_size"] <= 11
    assert "0.8 asked, mean over images" in found.scores.text()
    higher = evaluate(copied, digits, split="test", coverage=0.9).scores.to_dict()
    assert higher["coverage"] > facts["coverage"]
    assert higher["set_size"] > facts["set_size"]
    usual = evaluate(copied, digits, split="test").scores.to_dict()
    assert (usual["coverage"], usual["coverage_asked"]) == (higher["coverage"], 0.9)


def test_samples_that_calibrated_are_told(trained, digits):
    assert "these samples calibrated the run" in evaluate(trained, digits, coverage=0.7).note
    assert evaluate(trained, digits).scores.to_dict()["coverage"] is None  # 0.9 takes 9 samples


def test_resuming_a_run_forgets_its_calibration_until_its_end(copied, digits, monkeypatch):
    stopped = RuntimeError("stopped before the first step")

    def fail(*args, **kwargs):
        raise stopped

    monkeypatch.setattr("atrous.verbs.train.fit", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        train(resume=copied)
    assert not (copied / FILE).exists()


def test_what_cannot_be_calibrated_is_named(trained, copied, digits, squares):
    run = open_run(copied)
    (copied / FILE).unlink()
    with pytest.raises(UserError, match="was not calibrated"):
        evaluate(copied, digits, coverage=0.7)
    with pytest.raises(UserError, match="the run learned background, digit 0"):
        calibrate(copied, squares)
    video = Run(copied, override(run.recipe, ["data.kind=videos"]))
    for option in ("coverage", "uncertainty"):
        with pytest.raises(UserError, match=f"--{option} is for classes in files"):
            predict(video, [digits], copied / "out", PredictOptions(**{option: 0.9 if option == "coverage" else True}))


def test_objects_get_the_thresholds_that_find_most_of_them(tmp_path):
    """The thresholds of the training are those of `calibrate`, and no other combination finds more."""
    data, settings = made("instances", 2), [*SMALL_FOUND, "train.crop=[64, 64]", "train.learning_rate=3e-3"]
    options: dict[str, Any] = {"task": "instances", "epochs": 4, "progress": False, "report": False}
    done = train(data, out=tmp_path / "run", settings=settings, **options)
    found = open_run(tmp_path / "run").calibration()
    assert found is not None
    assert set(found.thresholds) == {"threshold", "foreground"}
    assert thresholds_of(load(tmp_path / "run").task) == found.thresholds
    assert calibrate(tmp_path / "run", data).calibration == found
    best = done.scores.values["ap50"] + done.scores.values["ap_mean"]
    for threshold, foreground in ((0.4, 0.5), (0.2, 0.3), (0.6, 0.6)):
        other = {"threshold": threshold, "foreground": foreground}
        Calibration(1.0, "", 1, thresholds=other).write(tmp_path / "run")
        values = evaluate(tmp_path / "run", data).scores.values
        assert values["ap50"] + values["ap_mean"] <= best
    changed = Run(tmp_path / "run", override(open_run(tmp_path / "run").recipe, ["task.options.threshold=0.35"]))
    assert thresholds_of(changed.task()) == {"threshold": 0.35, "foreground": 0.6}  # the recipe has the last word
    given = [*settings, "task.options.threshold=0.35", "task.options.foreground=0.55"]
    train(data, out=tmp_path / "given", settings=given, **{**options, "epochs": 1})
    assert open_run(tmp_path / "given").calibration() is None
    assert thresholds_of(load(tmp_path / "given").task) == {"threshold": 0.35, "foreground": 0.55}
    with pytest.raises(UserError, match="has no thresholds that its recipe leaves open"):
        calibrate(tmp_path / "given", data)
    train(data, out=tmp_path / "last", settings=[*settings, "train.choose=false"], **{**options, "epochs": 1})
    assert open_run(tmp_path / "last").calibration() is None


def test_boxes_are_shown_from_the_score_with_the_best_f1(tmp_path):
    data, settings = made("detection", 2), [*SMALL_FOUND, "train.crop=[64, 64]", "train.learning_rate=3e-3"]
    options: dict[str, Any] = {"task": "detection", "epochs": 8, "progress": False, "report": False}
    done = train(data, out=tmp_path / "run", settings=settings, **options)
    threshold = thresholds_of(load(tmp_path / "run").task)["threshold"]
    assert threshold == pytest.approx(max(0.05, done.scores.values["f1_score"]), abs=1.001e-3)
    assert threshold <= max(0.05, done.scores.values["f1_score"])
    assert evaluate(tmp_path / "run", data).scores.values["map"] == done.scores.values["map"]
    given = [*settings, "task.options.threshold=0.35"]
    train(data, out=tmp_path / "given", settings=given, **{**options, "epochs": 1})
    assert open_run(tmp_path / "given").calibration() is None


def test_own_loss_and_data_in_memory_are_calibrated_too(tmp_path):
    rng = np.random.default_rng(0)
    labels = (rng.random((6, 32, 32)) < 0.5).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    images = (100 * labels + rng.normal(80, 40, labels.shape)).clip(0, 255).astype(np.uint8)
    done = train(
        (images, labels), out=tmp_path / "run", epochs=2, settings=SMALL, progress=False, report=False,
        loss=lambda output, target: 3 * ((output.softmax(1)[:, 1] - target) ** 2).mean(),
        metrics={"ones": lambda probabilities, target: float(probabilities.sum(0).mean())},
    )  # fmt: skip
    found = open_run(tmp_path / "run").calibration()
    assert found is not None
    assert done.scores.confidence.temperature == found.temperature != 1
    assert done.scores.own["ones"] == pytest.approx(1, abs=1e-5)
