"""Objects of several classes through check, train, evaluate and predict."""

import csv
import json

import numpy as np
import pytest
import tifffile

from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.object_folders import CLASSES, picture, write_coco

SETTINGS = (
    "model.depth=10", "model.encoder_width=8", "model.width=16", "train.validations=2", "train.crop=[32, 32]",
    "train.precision=32-true", "augment.brightness=0", "augment.contrast=0", "train.learning_rate=0.004",
    "augment.scale=[1, 1]", "augment.rotate=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("classed")
    data = write_coco(root / "data")
    return (
        data,
        root / "run",
        train(data, task="instances", out=root / "run", epochs=60, settings=SETTINGS, progress=False, report=False),
    )


def test_check_counts_the_objects_of_each_class(tmp_path):
    found = check(write_coco(tmp_path), task="instances")
    assert found.ok, found.text()
    assert found.dataset.classes == CLASSES
    assert [round(row.frequency, 3) for row in found.classes] == [0.667, 0.333]
    assert "objects of 2 classes" in found.text()


def test_a_run_tells_the_classes_apart(trained):
    data, run, result = trained
    values = evaluate(run, data, split="all").scores.values
    assert {f"ap50_{name}" for name in CLASSES} <= set(values)
    assert values["ap50"] > 0.6, values
    predicted = load(run).predict(picture(0))
    assert sorted(predicted.classes.tolist()) == [0, 0, 1]
    assert predicted.table["name"].tolist() == [CLASSES[k] for k in predicted.classes]
    assert "ap50" in result.scores.values


@pytest.mark.slow
def test_files_name_the_classes(trained, tmp_path):
    data, run, _ = trained
    images = sorted(data.rglob("*.png"))[:2]
    predict(run, images, tmp_path, PredictOptions(objects="coco,geojson"))
    with (tmp_path / "0_objects.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} <= set(CLASSES)
    numbers = tifffile.imread(tmp_path / "0.tif")
    assert numbers.max() == len(rows)
    merged = json.loads((tmp_path / "coco.json").read_text())
    assert [one["name"] for one in merged["categories"]] == list(CLASSES)
    shown = json.loads((tmp_path / "0_objects.geojson").read_text())["features"]
    assert [one["properties"]["class"] for one in shown] == [row["name"] for row in rows]
    assert np.unique(numbers).tolist() == [0, *(int(row["number"]) for row in rows)]


def test_classes_may_be_learned_as_one(tmp_path):
    data = write_coco(tmp_path / "data")
    settings = (*SETTINGS, "task.classes=[]")
    result = train(
        data, task="instances", out=tmp_path / "run", epochs=1, settings=settings, progress=False, report=False
    )
    values = evaluate(result.run, data, split="all").scores.values
    assert not any(name.endswith(CLASSES) for name in values)
    assert load(tmp_path / "run").task.out_channels == 4
