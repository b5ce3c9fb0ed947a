"""`atrous evaluate --shifts`: the drop of the metric under each change."""

import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from atrous.cli.main import app
from atrous.data.grid import resample_label
from atrous.data.shifts import SHIFTS, applicable
from atrous.errors import UserError
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override, to_toml
from atrous.tasks.metrics import SegmentationMetrics
from atrous.verbs.evaluate import evaluate, measure
from atrous.verbs.shifts import _measured, evaluate_shifts
from tests.prediction.values_world import make_run, value_predictor, write_broken


@pytest.fixture(scope="module")
def shifted(trained, digits):
    return evaluate_shifts(trained, digits, split="test")


def test_without_a_change_it_is_the_metric_of_evaluate(shifted, trained, digits):
    assert shifted.metric == "miou"
    assert shifted.clean == evaluate(trained, digits, split="test").scores.miou
    assert shifted.samples == 2


def test_every_change_has_three_strengths_and_its_drop(shifted):
    facts = shifted.to_dict()
    assert list(facts["changes"]) == [shift.name for shift in SHIFTS]
    for shift in SHIFTS:
        rows = facts["changes"][shift.name]["rows"]
        assert [row["strength"] for row in rows] == list(shift.strengths)
        assert all(row["drop"] == pytest.approx(shifted.clean - row["miou"]) for row in rows)
    drops = [row.drop for row in shifted.rows]
    assert facts["mean_drop"] == pytest.approx(sum(drops) / len(drops))
    assert len({round(drop, 6) for drop in drops}) > 5
    text = shifted.text()
    assert all(shift.name in text for shift in SHIFTS)


def test_it_is_for_images_not_for_genomes(trained, digits):
    genomes = Run(trained, override(open_run(trained).recipe, ["data.kind=genomes"]))
    with pytest.raises(UserError, match="--shifts is for classes in images"):
        evaluate_shifts(genomes, digits)


def test_what_it_is_not_for_is_told_before_anything_is_measured(trained, digits, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "run")
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(to_toml(override(open_run(trained).recipe, ["data.kind=genomes"])))
    monkeypatch.setattr("atrous.verbs.evaluate.evaluate", lambda *_, **__: pytest.fail("it was measured first"))
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run"), str(digits), "--shifts"])
    assert "--shifts is for classes in images" in str(done.exception)


@pytest.mark.filterwarnings("ignore:.*it is resampled:UserWarning")
def test_intervals_of_signals_are_measured_as_they_are_predicted(tmp_path):
    """Where they have a least length: the signals as they are, and a signal after each change."""
    dataset = write_broken(tmp_path / "data")
    predictor = value_predictor(make_run(tmp_path / "run"))
    samples = [sample for members in dataset.splits.values() for sample in members]
    clean = measure(predictor, dataset, samples).watched()["miou"]
    assert _measured(predictor, dataset, samples, lambda done, total: None).clean == pytest.approx(clean, abs=1e-12)
    sample = next(sample for sample in samples if sample.name == "0")
    rows = _measured(predictor, dataset, [sample], lambda done, total: None).rows
    found = {(row.name, row.strength): row.value for row in rows}
    values, truth = np.asarray(sample.image.load()), torch.from_numpy(sample.target.read())
    for shift in applicable(values):
        for strength in shift.strengths:
            labels = predictor.predict(shift.apply(values, strength, "0", (0.01,))).labels
            labels = torch.from_numpy(resample_label(labels, truth.shape))
            metrics = SegmentationMetrics(predictor.classes)
            metrics.update("0", torch.eye(3)[labels.long()].T, truth)
            assert found[shift.name, strength] == pytest.approx(metrics.result(0.0).miou, abs=1e-12)
