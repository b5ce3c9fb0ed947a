"""Rotated boxes through every verb: check, train, evaluate, predict and the report."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.data.targets.rotated import RotatedBoxes
from atrous.errors import UserError
from atrous.objects.rotated import boxes_of, rotated_iou
from atrous.prediction.predictor import load
from atrous.recipe.agree import agree_with_data
from atrous.tasks.rotated_detection import RotatedDetectionTask
from atrous.verbs.check import check_layout
from atrous.verbs.evaluate import evaluate
from atrous.verbs.opened import open_data
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.objects.scenes import scenes
from tests.objects.turned import turned_scene, turned_scenes

SHAPE = (64, 72)
SMALL = (
    "model.depth=10", "model.encoder_width=16", "model.width=16", "train.validations=1", "train.crop=[64, 64]",
    "train.precision=32-true", "train.batch_size=4", "augment.brightness=0", "augment.contrast=0",
    "augment.scale=[1, 1]", "train.learning_rate=0.004",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotated")
    done = train(
        turned_scenes(14, SHAPE), task="detection", epochs=25, settings=SMALL, out=folder / "run", progress=False
    )
    return folder / "run", done


def test_the_plan_is_that_of_rotated_boxes(run):
    folder, done = run
    recipe = done.run.recipe
    assert recipe.task.options["rotated"] is True
    assert recipe.augment.rotate == 180
    assert "turn with them exactly" in (folder / "recipe.toml").read_text(encoding="utf-8")
    assert isinstance(load(folder).task, RotatedDetectionTask)
    opened = open_data(turned_scenes(6, SHAPE), task="detection")
    found = check_layout(opened.root, opened.description, opened.layout)
    assert found.ok, found.text()
    assert found.dataset.target is RotatedBoxes
    assert "rotated boxes of 2 classes" in found.text()


def test_a_run_finds_the_boxes(run):
    folder, _ = run
    again = evaluate(folder, turned_scenes(8, SHAPE, first=100), split="all").scores
    assert again.values["map50"] > 0.7
    assert {"map", "map50", "map_small", "f1", "boxes"} <= set(again.to_dict())
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert all(word in report for word in ("found", "missed", "invented"))


def test_python_results_have_corners_and_the_upright_boxes_around_them(run):
    folder, _ = run
    found = load(folder).predict(turned_scene(SHAPE, 100)[0])
    assert len(found) > 0
    assert found.polygons.shape == (len(found), 4, 2)
    np.testing.assert_array_equal(found.boxes[:, :2], found.polygons.min(axis=1))
    np.testing.assert_array_equal(found.boxes[:, 2:], found.polygons.max(axis=1))
    table = found.table
    assert list(table)[3:] == ["score", "center_y", "center_x", "width", "height", "angle"]
    rows = np.column_stack([table[name] for name in ("center_y", "center_x", "width", "height", "angle")])
    rows[:, 4] = np.radians(rows[:, 4])
    np.testing.assert_allclose(rotated_iou(rows, boxes_of(found.polygons)), 1, atol=1e-9)
    assert found.picture().shape == (*SHAPE, 3)
    empty = load(folder).predict(np.zeros((2, *SHAPE), np.uint8))
    assert empty.polygons.shape[1:] == (4, 2)


def test_predict_writes_files_that_are_read_again(run, tmp_path):
    folder, _ = run
    for number in (100, 101, 102):
        np.save(tmp_path / f"{number}.npy", turned_scene(SHAPE, number)[0])
    out = tmp_path / "out"
    inputs = [tmp_path / f"{number}.npy" for number in (100, 101, 102)]
    done = predict(folder, inputs, out, PredictOptions(overlay=True, objects="dota,geojson,coco"))
    assert not done.failed
    found = load(folder).predict(np.load(inputs[0]))
    with (out / "100_boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["angle"]) for row in rows], found.table["angle"], rtol=1e-9)
    features = json.loads((out / "100_objects.geojson").read_text(encoding="utf-8"))["features"]
    rings = np.array([feature["geometry"]["coordinates"][0] for feature in features])
    np.testing.assert_allclose(rings[:, :4, ::-1], found.polygons)
    with Image.open(out / "100_overlay.png") as picture:
        shown = np.array(picture)
    assert any((shown == color).all(axis=-1).any() for color in load(folder).palette)
    again = tmp_path / "again"
    again.mkdir()
    for number in (100, 101, 102):
        (out / f"{number}_objects.txt").rename(again / f"{number}.txt")
        (tmp_path / f"{number}.npy").rename(again / f"{number}.npy")
    layout = find_layout(again, Description())
    assert layout.problems == ()
    samples = {sample.name: sample for members in layout.splits.values() for sample in members}
    assert rotated_iou(boxes_of(samples["100"].target.read().places), boxes_of(found.polygons)).min() > 0.98


def test_a_streamed_image_has_the_boxes_of_the_whole(run):
    folder, _ = run
    image = np.concatenate([turned_scene(SHAPE, 100 + number)[0] for number in range(10)], axis=1)
    whole, streamed = load(folder).predict(image), load(folder, memory="16MB").predict(image)
    assert load(folder, memory="16MB").plan(image.shape) is not None
    assert len(whole) == len(streamed) > 10
    np.testing.assert_allclose(whole.polygons, streamed.polygons, atol=0.02)
    assert np.array_equal(whole.classes, streamed.classes)


def test_no_box_has_its_middle_where_there_are_no_data(run):
    folder, _ = run
    image = turned_scene(SHAPE, 100)[0].astype(np.float32)
    y, x = load(folder).predict(image).polygons[0].mean(axis=0).astype(int)
    image[:, max(0, y - 2) : y + 2, max(0, x - 2) : x + 2] = np.nan
    for ring in load(folder).predict(image).polygons:
        row, column = ring.mean(axis=0).astype(int)
        assert not np.isnan(image[0, row.clip(0, 63), column.clip(0, 71)])


def test_what_does_not_fit_is_one_line(run, tmp_path):
    _, done = run
    for data, setting, said in (
        (scenes(3, (24, 24, 24)), "true", "for images of two axes"),
        (scenes(3, SHAPE), "often", "give true or false"),
    ):
        settings = [*SMALL, f"task.options.rotated={setting}"]
        with pytest.raises(UserError, match=said):
            train(data, task="detection", epochs=1, settings=settings, out=tmp_path / "a", progress=False)
    opened = open_data(scenes(3, SHAPE), task="detection", settings={"options.rotated": False})
    check = check_layout(opened.root, opened.description, opened.layout)
    with pytest.raises(UserError, match=r"task\.options\.rotated is true, but .* with upright boxes"):
        agree_with_data(done.run.recipe, check.dataset, check.fingerprint)
    assert not (tmp_path / "a").exists()
