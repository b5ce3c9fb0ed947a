"""Evaluation: the same figures as counting by hand."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.tasks.events import event_counts
from atrous.verbs.evaluate import evaluate, measure
from atrous.verbs.summary import grid_examples
from atrous.verbs.train import train
from tests.conftest import SMALL
from tests.prediction.values_world import make_run, value_predictor, write_broken
from tests.volumes import write_volumes


def test_figures_are_those_of_the_predicted_labels(trained, digits):
    found = evaluate(trained, digits, split="test").scores
    predictor, confusion = load(trained), np.zeros((11, 11), int)
    for image in sorted((digits / "images" / "test").iterdir()):
        truth = np.asarray(Image.open(digits / "masks" / "test" / image.name))
        np.add.at(confusion, (truth.ravel(), predictor.predict(image).labels.ravel()), 1)
    np.testing.assert_array_equal(found.confusion, confusion)
    keys = {"miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice", "dice_per_class", "iou", "ece", "miou_ci95"}
    assert keys | {"images", "seconds"} <= set(found.to_dict())
    assert found.images == 2


def test_test_time_augmentation_is_reported(trained, digits):
    assert evaluate(trained, digits, tta="flip").scores.to_dict()["tta"] == "flip"


def test_data_of_other_axes_and_devices_that_are_not_there_are_named(trained, digits, tmp_path, monkeypatch):
    volumes = open_dataset(write_volumes(tmp_path, count=2))
    with pytest.raises(UserError, match=r"\.nii\.gz: has 3 axes, but the run labels data of 2"):
        measure(load(trained), volumes, volumes.samples)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: None)
    with pytest.raises(UserError, match="--device cuda: torch finds no cuda"):
        evaluate(trained, digits, device="cuda")


def test_the_arithmetic_is_chosen_as_in_load(trained, digits):
    precise = evaluate(trained, digits, dtype=torch.float64).scores
    predictor, dataset = load(trained, dtype=torch.float64), open_dataset(digits)
    expected = measure(predictor, dataset, dataset.splits["val"])
    np.testing.assert_array_equal(precise.confusion, expected.confusion)
    assert precise.ece == expected.ece
    assert precise.ece != evaluate(trained, digits, dtype=torch.bfloat16).scores.ece


def test_mistakes_are_named(trained, digits, squares):
    with pytest.raises(UserError, match="no split 'holdout': it has train, val, test"):
        evaluate(trained, digits, split="holdout")
    with pytest.raises(UserError, match="none or flip"):
        evaluate(trained, digits, tta="rotate")
    with pytest.raises(UserError, match="the run learned background, digit 0"):
        evaluate(trained, squares)


def test_a_run_trained_with_relative_paths_is_evaluated_from_elsewhere(digits, tmp_path, monkeypatch):
    """The data, a dataset.toml that lies elsewhere, and the run: all relative to the folder of the training."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copytree(digits, tmp_path / "here" / "scenes")
    (tmp_path / "here" / "scenes" / "dataset.toml").rename(tmp_path / "here" / "described.toml")
    monkeypatch.chdir(tmp_path / "here")
    done = train("scenes", out="run", epochs=1, settings=SMALL, description="described.toml", report=False)
    monkeypatch.chdir(tmp_path / "there")
    assert evaluate("../here/run").scores.miou == done.scores.miou
    train(resume=tmp_path / "here" / "run", report=False)  # it opens the data again, and finds nothing left to do


def test_a_separate_test_folder_is_measured_whole(trained, digits, tmp_path):
    """Its samples lie in no split folders: a fifth of them would be `val`; `all` takes every one that has labels."""
    for kind in ("images", "masks"):
        (tmp_path / "other" / kind).mkdir(parents=True)
        for split in ("train", "test"):
            for path in (digits / kind / split).iterdir():
                shutil.copy(path, tmp_path / "other" / kind / f"{split}_{path.name}")
    shutil.copy(digits / "dataset.toml", tmp_path / "other")
    names = {f"images/{path.stem}" for path in (tmp_path / "other" / "images").iterdir()}
    Image.new("RGB", (64, 64)).save(tmp_path / "other" / "images" / "unlabelled.png")
    whole = evaluate(trained, tmp_path / "other", split="all")
    assert set(whole.scores.per_image) == names
    assert whole.note == ""
    parts = [evaluate(trained, tmp_path / "other", split=split) for split in ("train", "val")]
    np.testing.assert_array_equal(whole.scores.confusion, sum(part.scores.confusion for part in parts))
    assert "measured on 2 of 10 samples" in parts[1].note
    assert "--split all takes every labelled sample" in parts[1].note


def test_a_folder_of_one_image_has_no_val_and_is_measured_by_all(trained, digits, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        path = min((digits / kind / "test").iterdir())
        shutil.copy(path, tmp_path / kind / path.name)
    shutil.copy(digits / "dataset.toml", tmp_path)
    with pytest.raises(UserError, match="no split 'val': it has train; --split all takes every labelled sample"):
        evaluate(trained, tmp_path)
    assert evaluate(trained, tmp_path, split="all").scores.images == 1


def test_all_of_the_training_data_is_said_to_be_too_good(trained, digits):
    found = evaluate(trained, digits, split="all")
    assert found.scores.images == 13
    assert "include those that the run was trained on" in found.note
    assert evaluate(trained, digits, split="test").note == ""


@pytest.mark.filterwarnings("ignore:.*it is resampled:UserWarning")
def test_labels_of_signals_are_measured_as_they_are_predicted(tmp_path):
    """Where intervals have a least length; figures of probabilities are those of the most probable classes."""
    dataset = write_broken(tmp_path / "data")
    predictor = value_predictor(make_run(tmp_path / "run"))
    plain = value_predictor(make_run(tmp_path / "plain", (1, 1, 1)))
    samples = [sample for members in dataset.splits.values() for sample in members]
    found, before = (measure(one, dataset, samples) for one in (predictor, plain))
    confusion, events = np.zeros((3, 3), np.int64), np.zeros((2, 3, 3), np.int64)
    for sample in samples:
        truth, labels = sample.target.read(), predictor.predict(sample.image.path).labels
        known = (truth != 255) & (labels != 255)
        assert (known == (labels != 255)).all()
        np.add.at(confusion, (truth[known], labels[known]), 1)
        tolerance = 0.05 / dataset.spacing_of(sample)[0] + 1e-6
        events += event_counts(np.where(known, truth, 255), labels, 3, tolerance)
    np.testing.assert_array_equal(found.confusion, confusion)
    np.testing.assert_array_equal(found.events.counts, events)
    assert found.events.onset_f1.min() > before.events.onset_f1.max()
    assert found.ece == before.ece
    assert found.confidence.to_dict() == before.confidence.to_dict()


@pytest.mark.filterwarnings("ignore:.*it is resampled:UserWarning")
def test_the_report_draws_the_labels_that_are_predicted(tmp_path):
    dataset = write_broken(tmp_path / "data")
    predictor = value_predictor(make_run(tmp_path / "run"))
    scores = measure(predictor, dataset, dataset.splits["train"])
    examples = grid_examples(predictor, dataset, "train", scores)
    paths = {sample.name: sample.image.path for sample in dataset.splits["train"]}
    for example in examples:
        labels = predictor.predict(paths[example.name]).labels
        known = labels != 255
        np.testing.assert_array_equal(example.prediction[known], labels[known])
    assert examples
