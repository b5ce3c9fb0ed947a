"""Counting through every verb: check, train, evaluate, predict and the report."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.cli.main import app
from atrous.data.formats import read_image
from atrous.data.targets.dots import Dots
from atrous.data.targets.places import Places
from atrous.errors import UserError
from atrous.prediction.inputs import Input
from atrous.prediction.point_files import PointFiles
from atrous.prediction.predictor import load
from atrous.recipe.points import plan_point_augment
from atrous.tasks.counting import CountingTask
from atrous.tasks.points import PointAnswer
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate, read_ahead
from atrous.verbs.found import found_points
from atrous.verbs.opened import open_dataset_from
from atrous.verbs.point_examples import judged_points
from atrous.verbs.predict import predict, predict_live
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.maps import map_transform, write_map

SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "train.validations=2", "train.crop=[64, 64]", "train.precision=32-true", "augment.brightness=0",
    "augment.contrast=0", "augment.rotate=0", "train.learning_rate=0.004", "train.batch_size=2",
)  # fmt: skip


def spots(size, seed, least=7):
    """An image of bright spots, and their places (whole positions)."""
    rng, places = np.random.default_rng(seed), []
    for _ in range(400):
        place = np.array([rng.integers(3, n - 3) for n in size])
        if all(np.linalg.norm(place - other) > least for other in places):
            places.append(place)
    places = places[: int(rng.integers(8, 20))]
    image = rng.normal(40, 6, size)
    grid = np.stack(np.indices(size), axis=-1)
    for place in places:
        image += 150 * np.exp(-((grid - place) ** 2).sum(-1) / 6)
    return image.clip(0, 255).astype(np.uint8), np.array(places)


def write_spots(root, count=10, size=(80, 96)):
    for folder in ("images", "dots"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        image, places = spots(size, index)
        dots = np.zeros((*size, 3), np.uint8)
        dots[tuple(places.T)] = (255, 0, 0)
        Image.fromarray(image).save(root / "images" / f"{index:03}cell.png")
        Image.fromarray(dots).save(root / "dots" / f"{index:03}dots.png")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_spots(tmp_path_factory.mktemp("spots") / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    return run, train(data, out=run, epochs=20, settings=SMALL, progress=False)


def test_check_knows_dots_without_being_told(data, capsys):
    found = check(data)
    assert found.ok, found.text()
    assert (found.dataset.task, found.dataset.target, found.dataset.classes) == ("counting", Dots, ("object",))
    assert "points, " in found.text()
    assert found.fingerprint.points.count > 50
    with pytest.raises(SystemExit):
        app(["check", str(data), "--json"])
    assert json.loads(capsys.readouterr().out)["task"] == "counting"


def test_images_and_dots_in_one_folder(tmp_path):
    write_spots(tmp_path / "two", 4)
    (tmp_path / "one").mkdir()
    for path in (tmp_path / "two").rglob("*.png"):
        path.rename(tmp_path / "one" / path.name)
    found = check(tmp_path / "one")
    assert found.ok, found.text()
    assert found.dataset.task == "counting"
    assert len(found.dataset.samples) == 4
    for sample in found.dataset.samples:
        number = int(sample.name[:3])
        assert sorted(map(tuple, sample.target.read().places - 0.5)) == sorted(map(tuple, spots((80, 96), number)[1]))


def test_a_run_counts(data, trained):
    run, result = trained
    assert result.scores.values["count_mae"] < 4
    assert result.scores.values["f1"] > 0.7
    assert evaluate(run, data).scores.to_dict()["count_mae"] == result.scores.values["count_mae"]
    recipe = result.run.recipe
    assert recipe.task.kind == "counting"
    assert recipe.task.options["sigma"] > 1
    assert recipe.augment.foreground == 0
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "count_mae of this image" in report
    assert all(word in report for word in ("found", "missed", "invented"))


def test_evaluate_prints_the_metrics_as_json(data, trained, capsys):
    with pytest.raises(SystemExit) as ended:
        app(["evaluate", str(trained[0]), str(data), "--split", "all", "--json"])
    assert not ended.value.code
    values = json.loads(capsys.readouterr().out)
    text = json.dumps(values)
    assert all(f'"{name}"' in text for name in ("count_mae", "count_rmse", "count_relative", "f1"))


def test_predict_writes_points_counts_a_picture_and_the_density(data, trained, tmp_path):
    image = data / "images" / "001cell.png"
    done = predict(trained[0], [image], tmp_path, PredictOptions(overlay=True, probabilities="tiff"))
    assert not done.failed, done.failed
    with (tmp_path / "001cell_points.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "001cell_counts.csv").open(encoding="utf-8") as file:
        counts = list(csv.DictReader(file))
    found = load(trained[0]).predict(image)
    assert [int(row["number"]) for row in rows] == list(range(1, len(found) + 1))
    np.testing.assert_allclose([(float(row["y"]), float(row["x"])) for row in rows], found.points)
    assert {(row["class"], row["name"]) for row in rows} == {("0", "object")}
    assert float(counts[0]["count"]) == pytest.approx(found.count)
    assert int(counts[0]["points"]) == len(found)
    density = read_image(tmp_path / "001cell_density.tif")
    assert density.sum() == pytest.approx(found.count, abs=1e-3)
    with Image.open(tmp_path / "001cell_overlay.png") as picture:
        assert picture.size == (96, 80)
    assert not list(tmp_path.glob(".*"))


def test_python_results_have_points_counts_and_density(data, trained):
    image, places = spots((80, 96), 50)
    found = load(trained[0]).predict(image)
    assert found.points.shape == (len(found), 2)
    assert len(found.classes) == len(found.scores) == len(found.table["x"]) == len(found)
    assert found.counts.shape == (1,)
    assert abs(found.count - len(places)) < 6
    assert found.probabilities.shape == (2, *image.shape)
    assert found.count == pytest.approx(float(found.probabilities[0].sum()), abs=1e-3)
    assert "count" in found._repr_html_()
    assert found.picture().shape[-1] == 3


def test_a_streamed_image_has_the_points_of_the_whole(data, trained):
    image = np.concatenate([spots((80, 96), seed)[0] for seed in range(10)])
    whole, streamed = load(trained[0]).predict(image), load(trained[0], memory="16MB").predict(image)
    assert load(trained[0], memory="16MB").plan((1, *image.shape)) is not None
    assert len(whole) == len(streamed) > 40
    np.testing.assert_allclose(whole.points, streamed.points, atol=0.05)
    assert whole.count == pytest.approx(streamed.count, abs=0.01)


def test_evaluation_finds_the_points_that_prediction_writes(data, trained):
    predictor = load(trained[0])
    sample = open_dataset_from(data, None, "counting").samples[0]
    _, image, truth = next(read_ahead(predictor, [sample]))
    answer = found_points(predictor, predictor.task, image, None)
    assert isinstance(truth, Places)
    np.testing.assert_array_equal(answer.places, predictor.predict(sample.image.path).points)


@pytest.mark.parametrize("suffix", ["geojson", "gpkg"])
def test_points_of_maps_lie_in_their_projection(data, trained, tmp_path, suffix):
    from atrous.data.formats.polygons import raw, shapely

    image, scene = spots((80, 96), 1)[0], tmp_path / "scene.tif"
    write_map(scene, image[None], map_transform(0))
    done = predict(trained[0], [scene], tmp_path / "out", PredictOptions(polygons=suffix))
    assert not done.failed, done.failed
    meta, _, geometry, fields = raw.read(tmp_path / "out" / f"scene_points.{suffix}")
    points = load(trained[0]).predict(scene).points
    transform = map_transform(0)
    want = [(transform.a * x + transform.c, transform.e * y + transform.f) for y, x in points]
    got = [(point.x, point.y) for point in shapely.from_wkb(geometry)]
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert meta["crs"]
    assert fields[list(meta["fields"]).index("score")].min() > 0


def test_options_that_points_do_not_have_are_refused(data, trained, tmp_path):
    image = data / "images" / "000cell.png"
    with pytest.raises(UserError, match="--dicom-seg is for"):
        predict(trained[0], [image], tmp_path, PredictOptions(dicom_seg=True))
    with pytest.raises(UserError, match="mirror images"):
        load(trained[0], flip=True)
    with pytest.raises(UserError, match="not in a live signal"):
        predict_live(trained[0])
    done = predict(trained[0], [image], tmp_path, PredictOptions(polygons="geojson"))
    assert "no place on Earth" in done.failed[0][1]
    assert not list(tmp_path.glob("*.csv"))


def test_output_that_is_not_finite_is_one_line(data, trained, tmp_path):
    import torch

    predictor = load(trained[0])
    for weight in predictor.inner.parameters():
        weight.data.fill_(torch.nan)
    with pytest.raises(UserError, match="not finite"):
        predictor.predict(data / "images" / "000cell.png")


def test_without_dots_no_training_begins(data, tmp_path):
    write_spots(tmp_path / "data", 3)
    for path in (tmp_path / "data" / "dots").iterdir():
        Image.fromarray(np.zeros((80, 96), np.uint8)).save(path)
    with pytest.raises(UserError, match="no image has a point"):
        train(tmp_path / "data", epochs=1, out=tmp_path / "run", settings=SMALL, progress=False)


@pytest.mark.parametrize(("shape", "crop"), [((400,), "[64]"), ((12, 32, 36), "[8, 32, 32]")])
def test_signals_and_volumes_in_memory_are_counted_too(tmp_path, shape, crop):
    made = [spots(shape, index) for index in range(4)]
    images, dots = [image for image, _ in made], [np.zeros(shape, np.uint8) for _ in made]
    for (_, places), array in zip(made, dots, strict=True):
        array[tuple(places.T)] = 1
    small = [s for s in SMALL if "crop" not in s and "rotate" not in s]
    options = {"epochs": 1, "settings": [*small, f"train.crop={crop}"], "progress": False}
    result = train((images, dots), task="counting", out=tmp_path / "run", **options)
    assert result.scores.values["count_mae"] >= 0
    found = load(tmp_path / "run").predict(images[0])
    assert found.points.shape[1] == len(shape)
    assert found.counts.shape == (1,)


def test_the_report_tells_found_missed_and_invented_points():
    truth = Places((20, 30), np.array([[5.5, 5.5], [15.5, 25.5]]), np.array([0, 0]))
    found = PointAnswer(np.array([[6.0, 6.0], [10.0, 15.0]]), np.array([0, 0]), np.ones(2, np.float32), np.ones(1))
    true, answer = judged_points(truth, found, CountingTask(ndim=2, distance=3.0))
    assert (true[5, 5], true[15, 25], answer[6, 6], answer[10, 15]) == (1, 2, 1, 3)
    assert true.shape == answer.shape == (20, 30)
    assert true[5, 20] == 0


def test_the_counts_lie_beside_the_points(tmp_path):
    item = Input((tmp_path / "a.png",), Path("a.png"))
    files = PointFiles(tmp_path / "a_points.csv", item, CountingTask(ndim=2))
    assert [path.name for path in files.paths] == ["a_points.csv", "a_counts.csv"]


def test_counting_turns_images_and_key_points_are_not_mirrored(data):
    found, reasons = check(data), {}
    assert plan_point_augment(found.dataset, found.fingerprint, 2, reasons)["rotate"] == 0
    assert "augment.rotate" in reasons


def test_an_own_loss_counts_and_own_metrics_are_refused(data, tmp_path):
    own = {"loss": lambda output, points: (output**2).mean() + 0 * len(points), "epochs": 1, "settings": SMALL}
    done = train(data, out=tmp_path / "run", progress=False, **own)
    assert "count_mae" in done.scores.values
    with pytest.raises(UserError, match="leave them out"):
        train(data, out=tmp_path / "other", metrics={"mine": lambda p, t: 0.0}, progress=False, **own)


def test_points_of_a_table_are_counted(data, tmp_path):
    (tmp_path / "images").mkdir()
    lines = ["image,x,y,class"]
    for index in range(4):
        image, places = spots((80, 96), index)
        Image.fromarray(image).save(tmp_path / "images" / f"{index}.png")
        lines += [f"{index}.png,{x + 0.5},{y + 0.5},cell" for y, x in places]
    (tmp_path / "points.csv").write_text("\n".join(lines) + "\n")
    result = train(
        tmp_path, task="counting", out=tmp_path / "run", epochs=1, settings=SMALL, progress=False, report=False
    )
    assert result.run.recipe.task.classes == ["cell"]
    assert result.scores.values["points"] > 5


def test_the_vgg_cells_are_known(shared_data):
    found = check(shared_data / "vggcells")
    assert found.ok, found.text()
    assert found.dataset.task == "counting"
    assert found.fingerprint.points.count > 10_000
    assert "18,045 points, 78 to 315 in an image" in found.text()
