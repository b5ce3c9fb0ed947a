"""Objects, boxes, counts and key points on every kind of grid: check, plan, train, evaluate, report, predict."""

import csv
import json

import numpy as np
import pytest

from atrous.prediction.predictor import load
from atrous.verbs.check import check_layout
from atrous.verbs.evaluate import evaluate
from atrous.verbs.opened import open_data
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.objects.scenes import scenes
from tests.objects.turned import turned_scenes
from tests.objects.worlds import random_discs

SHAPES = {1: (420,), 2: (72, 80), 3: (20, 36, 40)}
CROPS = {1: "[128]", 2: "[64, 64]", 3: "[16, 32, 32]"}
SMALL = (
    "model.name=fcn", "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8",
    "model.width=16", "train.validations=1", "train.precision=32-true", "train.batch_size=2",
)  # fmt: skip
METRICS = {
    "instances": ("ap50", "ap_mean", "pq", "f1", "seg", "count_mae"),
    "stars": ("ap50", "ap_mean", "pq", "f1", "seg", "count_mae"),
    "detection": ("map50", "map"),
    "rotated": ("map50", "map"),
    "counting": ("count_mae", "f1"),
    "keypoints": ("pck",),
}
TABLES = {
    "instances": "objects", "stars": "objects", "detection": "boxes", "rotated": "boxes", "counting": "points",
    "keypoints": "points",
}  # fmt: skip
CASES = [
    pytest.param(task, ndim, marks=[] if ndim == 2 else [pytest.mark.slow])
    for task in METRICS
    for ndim in SHAPES
    if ndim == 2 or (task, ndim) == ("stars", 3) or task not in ("stars", "rotated")
]


def made(task, ndim):
    """Images and targets in memory."""
    shape, images, targets = SHAPES[ndim], [], []
    if task == "detection":
        return scenes(6, shape, sides=(5, 12))
    if task == "rotated":
        return turned_scenes(6, shape, sides=(5, 14))
    for seed in range(6):
        numbers, centers, _ = random_discs(shape, 8, (3, 5), seed=seed)
        noise = np.random.default_rng(seed).normal(0, 8, shape)
        images.append((np.where(numbers > 0, 180, 40) + noise).clip(0, 255).astype(np.uint8))
        dots = np.zeros(shape, np.uint8)
        dots[tuple(centers.T)] = 1
        targets.append(numbers.astype(np.int64) if task in ("instances", "stars") else dots)
    return images, targets


@pytest.mark.parametrize(("task", "ndim"), CASES)
def test_every_verb(task, ndim, tmp_path):
    data, shape = made(task, ndim), ["task.options.shape=stars"] if task == "stars" else []
    table, metrics = TABLES[task], METRICS[task]
    task = {"stars": "instances", "rotated": "detection"}.get(task, task)
    opened = open_data(data, task=task)
    found = check_layout(opened.root, opened.description, opened.layout)
    assert found.ok, found.text()
    settings = [*SMALL, *shape, f"train.crop={CROPS[ndim]}"]
    trained = train(data, task=task, out=tmp_path / "run", epochs=2, settings=settings, progress=False)
    assert trained.run.recipe.model.ndim == ndim
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    values = evaluate(tmp_path / "run", data, split="all").scores.to_dict()
    assert set(metrics) <= set(json.loads(json.dumps(values)))
    assert ({"mask_map50", "mask_map"} <= set(values)) == (task == "instances" and ndim == 2)
    new = tmp_path / ("new.csv" if ndim == 1 else "new.npy")
    if ndim == 1:  # a column for each channel
        columns = np.atleast_2d(data[0][0])
        np.savetxt(new, columns.T, delimiter=",", header=",".join("abc"[: len(columns)]), comments="")
    else:
        np.save(new, data[0][0])
    done = predict(tmp_path / "run", [new], tmp_path / "out", PredictOptions(memory="60MB"))
    assert done.failed == ()
    with (tmp_path / "out" / f"new_{table}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    again = load(tmp_path / "run").predict(data[0][0])
    assert len(again) == len(rows)
    assert len(again.classes) == len(again.scores) == len(rows)
