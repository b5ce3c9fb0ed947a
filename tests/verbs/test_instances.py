"""Objects through every verb: check, train, evaluate, predict and the report."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.cli.main import app
from atrous.data.formats import read_header, read_values
from atrous.data.formats.polygons import burn, read_polygons
from atrous.data.targets.instances import Instances
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.object_examples import judged
from atrous.verbs.predict import PredictOptions, predict
from atrous.verbs.train import train
from tests.maps import map_transform, write_map
from tests.objects.worlds import random_discs

SMALL = (
    "model.depth=10", "model.encoder_width=8", "model.width=16", "train.validations=3", "train.crop=[64, 64]",
    "train.precision=32-true", "augment.brightness=0", "augment.contrast=0", "train.learning_rate=0.004",
)  # fmt: skip


def write_cells(root, count=10, size=(80, 96), named=True):
    """Bright discs on dark ground, with their numbers as 16-bit PNG."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        numbers, _, _ = random_discs(size, 12, (4, 9), seed=index)
        image = np.where(numbers > 0, 180, 40) + rng.normal(0, 8, size)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{index}.png")
        Image.fromarray(numbers.astype(np.uint16)).save(root / "masks" / f"{index}.png")
    if named:
        (root / "dataset.toml").write_text('task = "instances"\n')
    return root


def test_several_files_of_one_image_are_objects(tmp_path):
    numbers, _, _ = random_discs((64, 64), 6, (4, 8))
    for index in range(3):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks" / str(index)).mkdir(parents=True)
        Image.fromarray((numbers > 0).astype(np.uint8) * 200).save(tmp_path / "images" / f"{index}.png")
        for number in range(1, numbers.max() + 1):
            mask = Image.fromarray((numbers == number).astype(np.uint8) * 255)
            mask.save(tmp_path / "masks" / str(index) / f"{number}.png")
    found = check(tmp_path, task="instances")
    assert found.ok, found.text()
    assert f"{3 * numbers.max()} objects of" in found.text()
    target = found.dataset.samples[0].target
    assert isinstance(target, Instances)
    assert np.array_equal(target.read(), numbers)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("cells") / "data")


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    return run, train(cells, out=run, epochs=30, settings=SMALL, progress=False)


def test_check_reads_numbers_of_objects(cells):
    found = check(cells)
    assert found.ok, found.text()
    assert found.dataset.target is Instances
    assert found.dataset.task == "instances"
    assert "objects of" in found.text()
    assert len(found.fingerprint.object_sizes) == 3


def test_a_run_finds_the_objects(cells, trained):
    run, result = trained
    assert result.scores.values["ap50"] > 0.2
    assert result.run.recipe.task.kind == "instances"
    again = evaluate(run, cells)
    assert again.scores.to_dict()["ap50"] == result.scores.to_dict()["ap50"]
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "ap_mean" in report
    assert "ap50 of this image" in report
    assert all(word in report for word in ("found", "missed", "invented"))


def test_evaluate_takes_the_task_from_the_run(trained, tmp_path):
    run, _ = trained
    others = write_cells(tmp_path / "others", 3, named=False)
    assert evaluate(run, others, split="all").scores.values["ap50"] > 0.2


def test_predict_writes_numbers_a_table_and_outlines(cells, trained, tmp_path):
    run, _ = trained
    done = predict(run, [cells / "images" / "0.png"], tmp_path, PredictOptions(overlay=True))
    assert not done.failed
    numbers = tifffile.imread(tmp_path / "0.tif")
    assert numbers.dtype == np.uint32
    with (tmp_path / "0_objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, numbers.max() + 1))
    image = np.array(Image.open(cells / "images" / "0.png"))
    for row in rows:
        mine = numbers == int(row["number"])
        assert float(row["area"]) == mine.sum()
        assert float(row["centroid_y"]) == pytest.approx(np.nonzero(mine)[0].mean() + 0.5, rel=1e-5)
        assert float(row["stop_x"]) == np.nonzero(mine)[1].max() + 1
        assert float(row["mean_intensity"]) == pytest.approx(image[mine].mean(), rel=1e-5)
    with Image.open(tmp_path / "0_overlay.png") as picture:
        assert picture.size == (96, 80)


def test_python_results_have_the_objects(cells, trained):
    run, _ = trained
    image = np.array(Image.open(cells / "images" / "1.png"))
    found = load(run).predict(image)
    assert found.instances.shape == image.shape
    assert found.instances.dtype == np.uint32
    count = int(found.instances.max())
    assert len(found) == count == len(found.scores) == len(found.classes) == len(found.table["number"])
    assert found.boxes.shape == (count, 4)
    for number in range(1, count + 1):
        rows, columns = np.nonzero(found.instances == number)
        assert found.boxes[number - 1].tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert np.allclose(found.points[number - 1], [rows.mean() + 0.5, columns.mean() + 0.5])
    assert found._repr_html_().count("<tr>") == 1 + min(10, count)


def test_a_streamed_image_has_the_objects_of_the_whole(cells, trained):
    run, _ = trained
    tiles = [np.array(Image.open(path)) for path in sorted((cells / "images").iterdir())]
    image = np.concatenate(tiles, axis=0)
    whole, streamed = load(run).predict(image), load(run, memory="16MB").predict(image)
    assert load(run, memory="16MB").plan((1, *image.shape)) is not None
    assert len(whole) == len(streamed) > 40
    assert (whole.instances != streamed.instances).mean() < 1e-3
    assert np.allclose(whole.points, streamed.points, atol=0.5)


def test_the_task_is_named_on_the_command_line(tmp_path, capsys):
    data = write_cells(tmp_path / "data", 4, named=False)
    with pytest.raises(SystemExit) as ended:
        app(["check", str(data), "--task", "instances", "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["task"] == "instances"
    with pytest.raises(UserError, match="--task: `task` must be"):
        check(data, task="instance")


def test_probabilities_of_objects_are_refused(cells, trained, tmp_path):
    with pytest.raises(UserError, match="their table"):
        predict(trained[0], [cells / "images" / "0.png"], tmp_path, PredictOptions(probabilities="zarr"))


def test_the_report_tells_found_missed_and_invented_objects():
    truth, answer = np.zeros((8, 20), int), np.zeros((8, 20), int)
    truth[1:5, 1:5], truth[1:5, 5:9], truth[1:5, 12:16] = 4, 7, 9
    answer[1:5, 1:5], answer[1:4, 5:9], answer[6:8, 15:19] = 2, 3, 8
    true, found = judged(truth, answer)
    assert true[2, 2] == found[2, 2] == 1
    assert true[2, 4] == 0  # where two objects touch
    assert true[2, 13] == 2
    assert found[7, 17] == 3
    assert set(np.unique(true)) == {0, 1, 2}
    assert set(np.unique(found)) == {0, 1, 3}


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_objects_of_maps_are_written_as_polygons(cells, trained, tmp_path, suffix):
    image, scene = np.array(Image.open(cells / "images" / "0.png")), tmp_path / "scene.tif"
    write_map(scene, image[None], map_transform(0))
    done = predict(trained[0], [scene], tmp_path / "out", PredictOptions(polygons=suffix))
    assert not done.failed
    numbers = read_values(tmp_path / "out" / "scene.tif")
    polygons = read_polygons(tmp_path / "out" / f"scene.{suffix}")
    assert set(polygons.attributes["number"]) == set(np.unique(numbers)) - {0}
    assert ((polygons.attributes["score"] > 0) & (polygons.attributes["score"] <= 1)).all()
    burned = burn(polygons, polygons.attributes["number"], scene, read_header(scene), alone=True, ground=0)
    assert np.array_equal(burned, numbers)


def test_outputs_that_objects_do_not_have_are_refused(cells, trained, tmp_path):
    image = cells / "images" / "0.png"
    for option, words in (
        ({"dicom_seg": True}, "--dicom-seg is for labels"),
        ({"polygons": "gpkg"}, "written for maps"),
    ):
        try:
            done = predict(
                trained[0], [image], tmp_path, PredictOptions(**{option: "gpkg" if option == "polygons" else True})
            )
            told = done.failed[0][1]
        except UserError as error:
            told = str(error)
        assert words in told
    assert not list(tmp_path.glob("*.csv"))
