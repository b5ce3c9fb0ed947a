"""Star-convex objects through check, plan, train, evaluate, predict and the report."""

import csv
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.data.check.fingerprint import from_dict
from atrous.data.formats import read_values
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.tasks.stars import StarTask
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.found import found_objects
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.object_folders import CLASSES, picture, write_coco
from tests.objects.worlds import random_discs
from tests.verbs.test_instances import SMALL, write_cells
from tests.verbs.test_scan_instances import write_scans

STARS = "task.options.shape=stars"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("cells") / "data")


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    return run, train(cells, out=run, epochs=70, settings=[*SMALL, STARS], progress=False)


def test_check_says_how_well_stars_reproduce_the_objects(cells):
    found = check(cells)
    assert "star-convex polygons of 32 rays reproduce 40 of them with a mean IoU of 0.9" in found.text()
    assert found.fingerprint.star_iou > 0.9
    assert from_dict(found.fingerprint.to_dict()) == found.fingerprint


def test_a_run_finds_star_convex_objects(cells, trained):
    run, result = trained
    assert isinstance(load(run).task, StarTask)
    assert set(result.run.recipe.task.options) == {"shape", "rays", "ndim", "scale", "smallest"}
    assert "mean IoU of 0.9" in (run / "recipe.toml").read_text(encoding="utf-8")
    assert result.scores.values["ap50"] > 0.2
    again = evaluate(run, cells)
    assert again.scores.to_dict()["ap50"] == result.scores.to_dict()["ap50"]
    report = (run / "report.html").read_text(encoding="utf-8")
    assert all(word in report for word in ("ap_mean", "found", "missed", "invented"))


def test_files_and_python_results_are_the_same(cells, trained, tmp_path):
    run, _ = trained
    done = predict(run, [cells / "images" / "0.png"], tmp_path, PredictOptions(overlay=True, objects="coco,geojson"))
    assert not done.failed
    numbers = tifffile.imread(tmp_path / "0.tif")
    with (tmp_path / "0_objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, numbers.max() + 1))
    assert [float(row["area"]) for row in rows] == np.bincount(numbers.ravel())[1:].tolist()
    again = load(run).predict(np.array(Image.open(cells / "images" / "0.png")))
    assert np.array_equal(again.instances, numbers)
    assert np.allclose(again.scores, [float(row["score"]) for row in rows])


def test_a_streamed_image_has_the_objects_of_the_whole(cells, trained):
    run, _ = trained
    image = np.concatenate([np.array(Image.open(path)) for path in sorted((cells / "images").iterdir())], axis=0)
    whole, streamed = load(run).predict(image), load(run, memory="16MB").predict(image)
    assert load(run, memory="16MB").plan((1, *image.shape)) is not None
    assert len(whole) == len(streamed) > 40
    assert (whole.instances != streamed.instances).mean() < 1e-3
    assert np.allclose(whole.points, streamed.points, atol=0.5)


def test_no_polygon_covers_positions_without_data(trained, tmp_path):
    run, _ = trained
    numbers, _, _ = random_discs((80, 96), 12, (4, 9), seed=30)
    image = np.where(numbers > 0, 180.0, 40.0).astype(np.float32)
    image[:, 40:48] = np.nan
    np.save(tmp_path / "new.npy", image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the input is unlike the training data, which is told
        predictor = load(run)
        found = predictor.predict(image)
        counted = found_objects(predictor, predictor.task, image[None], None)
        done = predict(run, [tmp_path / "new.npy"], tmp_path / "out")
    assert not done.failed
    assert len(found) > 3
    assert not found.instances[:, 40:48].any()
    assert np.array_equal(counted.numbers, found.instances)
    assert np.array_equal(np.load(tmp_path / "out" / "new.npy"), found.instances)


def test_classes_are_learned_too(tmp_path):
    data = write_coco(tmp_path / "data")
    settings = [*SMALL[:3], STARS, "train.crop=[32, 32]", "train.precision=32-true", "train.learning_rate=0.004"]
    result = train(
        data, task="instances", out=tmp_path / "run", epochs=2, settings=settings, progress=False, report=False
    )
    assert {f"ap50_{name}" for name in CLASSES} <= set(result.scores.values)
    task = load(tmp_path / "run").task
    assert task.names == CLASSES
    assert task.out_channels == 1 + len(CLASSES) + 32
    found = load(tmp_path / "run").predict(picture(0))
    assert len(found.classes) == len(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("task.options.shape=circles", "choose one of votes, stars, auto"),
        ("task.options.rays=16", "no key 'rays'"),  # of votes
        ("task.options={ndim=1, shape='stars'}", "ndim must be 2 or 3"),
    ],
)
def test_wrong_settings_are_one_line(cells, tmp_path, settings, words):
    with pytest.raises(UserError, match=words) as told:
        train(cells, epochs=1, out=tmp_path / "run", settings=[*SMALL, settings], progress=False)
    assert "\n" not in str(told.value)


def test_balls_in_volumes_are_found(tmp_path):
    data, run = write_scans(tmp_path / "data"), tmp_path / "run"
    settings = [
        *SMALL, STARS, "train.crop=[16, 32, 32]", "model.width=8", "train.learning_rate=0.01", "train.validations=1",
        "augment.rotate=0", "augment.gamma=0", "augment.noise=0",
    ]  # fmt: skip
    result = train(data, task="instances", out=run, epochs=70, settings=settings, progress=False)
    options = result.run.recipe.task.options
    assert (options["shape"], options["rays"], options["ndim"]) == ("stars", 96, 3)
    recipe = (run / "recipe.toml").read_text(encoding="utf-8")
    assert "star-convex polyhedra reproduce the objects with a mean IoU of 0." in recipe
    assert "star-convex polyhedra of 96 rays reproduce" in check(data, task="instances").text()
    assert result.scores.values["ap50"] > 0.5
    assert evaluate(run, data).scores.to_dict()["ap50"] == result.scores.values["ap50"]
    report = (run / "report.html").read_text(encoding="utf-8")
    assert all(word in report for word in ("ap_mean", "found", "missed", "invented"))
    polyhedra_are_written(data, run, tmp_path / "out")
    streams_have_the_polyhedra_of_the_whole(data, run)


def polyhedra_are_written(data, run, out):
    scan = data / "images" / "0.nii.gz"
    done = predict(run, [scan], out, PredictOptions(overlay=True))
    assert not done.failed
    numbers = read_values(out / "0.nii.gz")
    with (out / "0_objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, numbers.max() + 1))
    assert [float(row["volume"]) for row in rows] == np.bincount(numbers.ravel())[1:].tolist()
    assert (out / "0_overlay.png").exists()
    again = load(run).predict(scan)
    assert np.array_equal(again.instances, numbers)
    assert np.allclose(again.scores, [float(row["score"]) for row in rows])


def streams_have_the_polyhedra_of_the_whole(data, run):
    volume = np.concatenate([read_values(path) for path in sorted((data / "images").iterdir())], axis=0)
    whole, streamed = load(run).predict(volume), load(run, memory="16MB").predict(volume)
    assert load(run, memory="16MB").plan((1, *volume.shape)) is not None
    assert len(whole) == len(streamed) > 15
    assert (whole.instances != streamed.instances).mean() < 1e-3
    assert np.allclose(whole.points, streamed.points, atol=0.5)


def test_signals_and_other_tasks_are_refused(tmp_path):
    volumes = [random_discs((14, 32, 32), 4, (3, 5), seed=seed)[0] for seed in range(4)]
    lines = [numbers[7, 16] for numbers in volumes]
    with pytest.raises(UserError, match="have one axis: write votes"):
        train(
            ([np.where(line > 0, 9.0, 1.0) for line in lines], lines),
            task="instances", epochs=1, settings=STARS, out=tmp_path / "run", progress=False,
        )  # fmt: skip
    flat = [numbers[7] > 0 for numbers in volumes], [(numbers[7] > 0).astype(np.uint8) for numbers in volumes]
    with pytest.raises(UserError, match="for instances"):
        train(flat, epochs=1, settings=STARS, out=tmp_path / "run", progress=False)
