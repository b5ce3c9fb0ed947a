"""Boxes through every verb: check, train, evaluate, predict and the report."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from atrous.cli.main import app
from atrous.data.check.fingerprint import from_dict
from atrous.data.description import Description
from atrous.data.layouts.memory import LabelArray
from atrous.data.layouts.table import find_layout, for_task
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.labels import Labels
from atrous.errors import UserError
from atrous.labels import area_of
from atrous.objects.boxes import find_boxes
from atrous.prediction.predictor import load
from atrous.training.log import read_log
from atrous.verbs.check import check_layout
from atrous.verbs.evaluate import evaluate
from atrous.verbs.object_examples import judged_boxes
from atrous.verbs.opened import open_data
from atrous.verbs.predict import predict, predict_live
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.object_folders import write_voc
from tests.objects.scenes import scene, scenes

SHAPE = (64, 72)
SMALL = (
    "model.depth=10", "model.encoder_width=16", "model.width=16", "train.validations=3", "train.crop=[64, 64]",
    "train.precision=32-true", "train.batch_size=4", "augment.brightness=0", "augment.contrast=0", "augment.rotate=0",
    "train.learning_rate=0.004",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "dataset.toml").write_text('classes = ["left", "right"]\n')
    done = train(
        scenes(14, SHAPE), description=folder / "dataset.toml", task="detection", epochs=30, settings=SMALL,
        out=folder / "run", progress=False,
    )  # fmt: skip
    return folder / "run", done


def checked(data):
    opened = open_data(data, task="detection")
    return check_layout(opened.root, opened.description, opened.layout)


def test_check_counts_boxes():
    images, targets = scenes(6, SHAPE)
    found = checked((images, targets))
    assert found.ok, found.text()
    assert found.dataset.target is Boxes
    assert (found.dataset.task, found.dataset.classes) == ("detection", ("class 0", "class 1"))
    count = sum(len(boxes) for boxes, _ in targets)
    assert f"{count} boxes, sides of" in found.text()
    assert sum(row.frequency for row in found.classes) == pytest.approx(1)
    assert from_dict(json.loads(json.dumps(found.fingerprint.to_dict()))) == found.fingerprint
    small, typical, large = found.fingerprint.box_sides
    assert all(8 <= a <= b <= c <= 22 for a, b, c in zip(small, typical, large, strict=True))


def test_check_tells_of_boxes_without_extent_and_classes_without_boxes(tmp_path):
    images, targets = scenes(6, SHAPE)
    targets[0] = (np.concatenate([targets[0][0], [[5, 5, 5, 9], [200, 0, 220, 9]]]), np.append(targets[0][1], [0, 0]))
    (tmp_path / "dataset.toml").write_text('task = "detection"\nclasses = ["a", "b", "c"]\n')
    opened = open_data((images, targets), tmp_path / "dataset.toml")
    found = check_layout(opened.root, opened.description, opened.layout)
    assert found.ok
    assert "2 of 7 boxes have no extent, or their center lies outside" in found.text()
    assert "no training image has a box of the class c" in found.text()


def test_a_run_finds_the_boxes(run):
    folder, done = run
    assert done.scores.values["map50"] > 0.6
    assert done.run.recipe.task.classes == ["left", "right"]
    assert len(done.run.recipe.task.options["scale"]) == 2
    again = evaluate(folder, scenes(4, SHAPE, first=100)).scores
    assert again.values["map50"] > 0.6
    assert {"map", "map50", "map_small", "map50_left", "f1", "boxes"} <= set(again.to_dict())
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "map of this image" in report
    assert all(word in report for word in ("found", "missed", "invented"))
    validated = [row["map50"] for row in read_log(folder / "metrics.csv") if row["split"] == "val"]
    assert max(validated) == pytest.approx(done.scores.values["map50"], abs=0.02)


def test_python_results_have_the_boxes(run):
    folder, _ = run
    image, (boxes, _) = scene(SHAPE, 100)
    found = load(folder).predict(image)
    assert found.boxes.shape == (len(found), 4)
    assert len(found.classes) == len(found.scores) == len(found.table["number"]) == len(found)
    assert set(found.table["name"]) <= {"left", "right"}
    assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()
    assert found.boxes.min() >= 0
    assert (found.boxes <= np.tile(SHAPE, 2)).all()
    assert abs(len(found) - len(boxes)) <= 2
    assert found.picture().shape == (*SHAPE, 3)
    assert found._repr_html_().count("<tr>") == 1 + min(10, len(found))


def test_predict_writes_a_table_and_a_picture(run, tmp_path):
    folder, _ = run
    image, _ = scene(SHAPE, 100)
    np.save(tmp_path / "a.npy", image)
    done = predict(folder, [tmp_path / "a.npy"], tmp_path / "out", PredictOptions(overlay=True))
    assert not done.failed
    assert done.written[-1] == tmp_path / "out" / "a_boxes.csv"
    with (tmp_path / "out" / "a_boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = load(folder).predict(image)
    assert list(rows[0]) == ["number", "class", "name", "score", "start_y", "start_x", "stop_y", "stop_x"]
    assert [row["name"] for row in rows] == [("left", "right")[k] for k in found.classes]
    corners = [[float(row[name]) for name in ("start_y", "start_x", "stop_y", "stop_x")] for row in rows]
    np.testing.assert_allclose(corners, found.boxes, rtol=1e-9)
    with Image.open(tmp_path / "out" / "a_overlay.png") as picture:
        assert picture.size == (72, 64)
        shown = np.array(picture)
    assert any((shown == color).all(axis=-1).any() for color in load(folder).palette)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_boxes.csv", "a_overlay.png"]


def test_predict_writes_coco_that_is_read_again(run, tmp_path):
    folder, _ = run
    out = tmp_path / "out"
    for number in (100, 101):
        np.save(tmp_path / f"{number}.npy", scene(SHAPE, number)[0])
    done = predict(folder, [tmp_path / "100.npy", tmp_path / "101.npy"], out, PredictOptions(objects="coco"))
    assert not done.failed
    (out / "coco.json").rename(tmp_path / "coco.json")
    layout = find_layout(tmp_path, Description(task="detection"))
    assert layout.problems == ()
    assert layout.classes == ("left", "right")
    for sample in [sample for members in layout.splits.values() for sample in members]:
        found, again = load(folder).predict(np.load(sample.image.path)), sample.target.read()
        np.testing.assert_allclose(again.places, found.boxes, atol=1e-3)
        assert again.classes.tolist() == found.classes.tolist()


def test_a_streamed_image_has_the_boxes_of_the_whole(run):
    folder, _ = run
    image = np.concatenate([scene(SHAPE, 100 + number)[0] for number in range(10)], axis=1)
    whole, streamed = load(folder).predict(image), load(folder, memory="16MB").predict(image)
    assert load(folder, memory="16MB").plan(image.shape) is not None
    assert len(whole) == len(streamed) > 30
    np.testing.assert_allclose(whole.boxes, streamed.boxes, atol=0.01)
    assert np.array_equal(whole.classes, streamed.classes)


def test_no_box_has_its_middle_where_there_are_no_data(run):
    folder, _ = run
    image = scene(SHAPE, 100)[0].astype(np.float32)
    found = load(folder).predict(image)
    start, stop = found.boxes[0].reshape(2, 2).astype(int)
    middle = tuple(slice(max(0, m - 2), m + 2) for m in (start + stop) // 2)
    image[(slice(None), *middle)] = np.nan
    fewer = load(folder).predict(image)
    centers = (fewer.boxes[:, :2] + fewer.boxes[:, 2:]) / 2
    assert not any(all(p.start <= c < p.stop for c, p in zip(center, middle, strict=True)) for center in centers)


def test_metrics_of_an_evaluation_are_those_of_the_dense_maps(run):
    folder, _ = run
    images, targets = scenes(4, SHAPE, first=100)
    predictor = load(folder)
    metrics = predictor.task.metrics()
    for number, (image, (boxes, classes)) in enumerate(zip(images, targets, strict=True)):
        maps = predictor.task.probabilities(predictor.output(image.astype(np.float32)))[0]
        assert len(find_boxes(maps.numpy(), predictor.task.decoder)) == len(predictor.predict(image))
        metrics.update(str(number), maps, torch.from_numpy(np.column_stack([boxes, classes])).float())
    assert metrics.result(0.0).values["map"] == pytest.approx(
        evaluate(folder, (images, targets), split="all").scores.values["map"], abs=0.02
    )


@pytest.mark.parametrize(
    ("shape", "crop", "more"),
    [((400,), "[128]", []), ((24, 32, 32), "[24, 32, 32]", ["model.strides=[2, 2]", "augment.about=[0]"])],
)
def test_boxes_have_one_or_three_axes_too(tmp_path, shape, crop, more):
    """In signals they are intervals."""
    settings = [*SMALL, f"train.crop={crop}", "train.validations=1", *more]
    done = train(
        scenes(6, shape, sides=(8, 14)), task="detection", epochs=3, settings=settings, out=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    assert 0 <= done.scores.values["map50"] <= 1
    assert (tmp_path / "run" / "report.html").exists()
    image, _ = scene(shape, 100, sides=(8, 14))
    found = load(tmp_path / "run").predict(image)
    assert found.boxes.shape == (len(found), 2 * len(shape))
    assert found.picture().shape[-1] == 3
    file = tmp_path / ("a.csv" if len(shape) == 1 else "a.npy")
    if len(shape) == 1:
        np.savetxt(file, image.T, fmt="%d", delimiter=",", header="left,right", comments="")
    else:
        np.save(file, image)
    assert not predict(tmp_path / "run", [file], tmp_path / "out", PredictOptions(overlay=len(shape) == 3)).failed
    if len(shape) == 1:
        done = predict(tmp_path / "run", [file], tmp_path / "drawn", PredictOptions(overlay=True))
        assert "boxes of signals are not drawn" in done.failed[0][1]


class Items(TorchDataset):
    """Pairs of an image and its boxes."""

    def __init__(self, count):
        self.images, self.targets = scenes(count, SHAPE)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        boxes, classes = self.targets[number]
        return torch.from_numpy(self.images[number]), (torch.from_numpy(boxes), torch.from_numpy(classes))


def test_a_torch_data_set_of_boxes_is_trained_on(tmp_path):
    done = train(
        Items(6),
        val=Items(2),
        task="detection",
        epochs=1,
        settings=SMALL,
        out=tmp_path / "run",
        progress=False,
        report=False,
    )
    assert done.scores.images == 2
    with pytest.raises(UserError, match="no place for boxes"):
        open_data(DataLoader(Items(4)), val=Items(2), task="detection")


def test_files_of_boxes_go_through_the_command_line(tmp_path, capsys):
    data, run, picture = write_voc(tmp_path / "voc"), tmp_path / "run", tmp_path / "voc" / "JPEGImages" / "4.png"

    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            app([str(argument) for argument in arguments])
        assert not ended.value.code
        return json.loads(capsys.readouterr().out)

    assert called("check", data, "--json")["task"] == "detection"
    settings = [part for setting in SMALL for part in ("--set", setting)]
    trained = called("train", data, "--epochs", 2, "--out", run, *settings, "--json")
    measured = called("evaluate", run, data, "--json")
    assert {"map", "map50", "map50_cell", "map50_nucleus"} <= set(trained) & set(measured)
    assert measured["map50"] == trained["map50"]
    written = called("predict", run, picture, "-o", tmp_path / "out", "--overlay", "--objects", "coco", "--json")
    names = {Path(path).name for path in written["written"]}
    assert {"4_overlay.png", "4_objects.json", "4_boxes.csv"} <= names
    with (tmp_path / "out" / "4_boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    results = json.loads((tmp_path / "out" / "4_objects.json").read_text(encoding="utf-8"))
    assert len(results) == len(rows)
    for row, result in zip(rows, results, strict=True):
        start, stop = ([float(row[f"{end}_{axis}"]) for axis in "xy"] for end in ("start", "stop"))
        sides = [b - a for a, b in zip(start, stop, strict=True)]
        np.testing.assert_allclose(result["bbox"], [*start, *sides], atol=1e-3)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (np.zeros((3, 5)), "give boxes"),
        ((np.zeros((3, 4)), np.zeros(2, int)), "give boxes"),
        ((np.zeros((3, 4)), np.array([0.0, 1, 2])), "give boxes"),
        (np.full((1, 4), np.nan), "nan or infinite"),
        (np.zeros((1, 2)), "for boxes of 1 axes"),
    ],
)
def test_boxes_of_another_form_are_one_line(target, said):
    with pytest.raises(UserError, match=said):
        open_data(([np.zeros((2, 9, 9), np.uint8)], [target]), task="detection")


def test_what_boxes_do_not_have_is_refused(run, tmp_path):
    folder, _ = run
    np.save(tmp_path / "a.npy", scene(SHAPE, 100)[0])
    for options, said in (
        (PredictOptions(probabilities="zarr"), "their table"),
        (PredictOptions(polygons="gpkg"), "--polygons"),
        (PredictOptions(tta="flip"), "--tta flip"),
    ):
        with pytest.raises(UserError, match=said):
            predict(folder, [tmp_path / "a.npy"], tmp_path / "out", options)
    with pytest.raises(UserError, match="whole recordings"):
        predict_live(folder)


def test_labels_are_no_boxes_and_boxes_no_labels(squares, tmp_path):
    with pytest.raises(UserError, match="needs boxes"):
        train(squares, task="detection", epochs=1, out=tmp_path / "run", progress=False)
    layout = open_data(scenes(4, SHAPE), task="detection").layout
    with pytest.raises(UserError, match="not for videos"):
        for_task(replace(layout, kind="videos"), Description(task="detection"))
    with pytest.raises(UserError, match="needs labels of positions"):
        for_task(layout, Description(task="semantic"))
    images = [np.zeros((9, 9), np.uint8)] * 4
    with pytest.raises(UserError, match="no training image has a box"):
        train((images, [np.zeros((0, 4))] * 4), task="detection", epochs=1, out=tmp_path / "run", progress=False)
    assert isinstance(open_data((images, images)).layout.splits["train"][0].target, Labels)
    assert LabelArray("a", images[0]).header().size == (9, 9)


def test_the_report_tells_found_missed_and_invented_boxes():
    image = np.zeros((1, 40, 60), np.uint8)
    true = np.array([[2.0, 2, 12, 12], [20, 20, 36, 36], [2, 40, 12, 50]]), np.array([0, 1, -1])
    answer = np.array([[3.0, 2, 12, 12], [20, 20, 36, 36]]), np.array([0, 0]), np.array([0.9, 0.8])
    in_void = np.array([[3.0, 41, 11, 49]]), np.array([1]), np.array([0.9])
    *_, pictures = judged_boxes(image, true, answer)
    *_, with_void = judged_boxes(image, true, tuple(map(np.concatenate, zip(answer, in_void, strict=True))))
    np.testing.assert_array_equal(with_void["prediction"], pictures["prediction"])  # it is no error
    crowd = true[0], np.array([0, 1, area_of(0)])
    *_, shown = judged_boxes(image, crowd, tuple(map(np.concatenate, zip(answer, in_void, strict=True))))
    assert (shown["prediction"] != pictures["prediction"]).any()  # of another class than the crowd, it is one
    in_crowd = in_void[0], np.array([0]), in_void[2]
    *_, shown = judged_boxes(image, crowd, tuple(map(np.concatenate, zip(answer, in_crowd, strict=True))))
    np.testing.assert_array_equal(shown["prediction"], pictures["prediction"])
    assert list(pictures) == ["image", "truth", "prediction"]
    colors = {name: {tuple(c) for c in picture.reshape(-1, 3).tolist()} for name, picture in pictures.items()}
    found, missed, invented = (80, 180, 90), (220, 60, 50), (70, 120, 255)
    assert colors["truth"] == {(0, 0, 0), found, missed}
    assert colors["prediction"] == {(0, 0, 0), found, invented}
    signal = judged_boxes(
        np.zeros((1, 30)),
        (np.array([[2.0, 9]]), np.array([0])),
        (np.array([[20.0, 24]]), np.array([0]), np.ones(1)),
    )
    assert [np.unique(part).tolist() for part in signal[:2]] == [[0, 2], [0, 3]]
