"""Objects through every verb: check, train, evaluate, predict and the report."""

import csv
import json
import shutil
from functools import partial

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.cli.main import app
from atrous.data.formats import read_header, read_values
from atrous.data.formats.polygons import burn, read_polygons
from atrous.data.targets.instances import Instances
from atrous.errors import UserError
from atrous.prediction.cluster import predict_on_cluster
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import load
from atrous.stream import Cluster
from atrous.stream.units import cut_units
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.object_examples import judged
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
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


def test_predict_writes_coco_that_is_read_again(cells, trained, tmp_path):
    run, _ = trained
    inputs = [cells / "images" / f"{index}.png" for index in range(3)]
    done = predict(run, inputs, tmp_path, PredictOptions(objects="coco"))
    assert not done.failed
    labels = {path.stem: tifffile.imread(tmp_path / f"{path.stem}.tif") for path in inputs}
    for name in labels:
        (tmp_path / f"{name}.tif").unlink()
        shutil.copy(cells / "images" / f"{name}.png", tmp_path)
    again = check(tmp_path, task="instances")
    assert again.ok, again.text()
    for sample in again.dataset.samples:
        np.testing.assert_array_equal(sample.target.read(), labels[sample.name])


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


@pytest.mark.slow
def test_a_cluster_finds_the_objects_of_one_process(cells, trained, tmp_path, monkeypatch, client):
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 0)
    monkeypatch.setattr("atrous.prediction.regions.cut_units", partial(cut_units, side=64))
    predictor = load(trained[0])
    one, many = (find_jobs(predictor, [cells / "images" / "0.png"], tmp_path / name) for name in ("one", "many"))
    run_jobs(predictor, one, tmp_path / "one")
    done = predict_on_cluster(predictor, many, Cluster(client), tmp_path / "many")
    assert not done.failed
    assert {path.name for path in (tmp_path / "many").iterdir()} == {"0.tif", "0_objects.csv"}
    numbers = [tifffile.imread(tmp_path / name / "0.tif") for name in ("one", "many")]
    assert numbers[0].max() == numbers[1].max() > 2
    assert (numbers[0] != numbers[1]).mean() < 1e-3


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
    with pytest.raises(UserError, match="--dicom-seg is for"):
        predict(trained[0], [image], tmp_path, PredictOptions(dicom_seg=True))
    done = predict(trained[0], [image], tmp_path, PredictOptions(polygons="gpkg"))
    assert "written for maps" in done.failed[0][1]
    assert not list(tmp_path.glob("*.csv"))


def test_arrays_in_memory_are_objects_too(tmp_path):
    pairs = [random_discs((64, 64), 8, (4, 8), seed=seed)[0] for seed in range(6)]
    images = [np.where(numbers > 0, 180, 40).astype(np.uint8) for numbers in pairs]
    trained = train(
        (images, pairs), task="instances", out=tmp_path / "run", epochs=1, settings=SMALL, progress=False, report=False
    )
    assert trained.run.recipe.task.kind == "instances"
    assert trained.run.recipe.task.options["scale"] > 3


def test_an_own_loss_trains_objects_and_own_metrics_are_refused(cells, tmp_path):
    own = {
        "loss": lambda output, target: (output**2).mean(),
        "epochs": 1,
        "settings": SMALL,
        "progress": False,
        "report": False,
    }
    done = train(cells, out=tmp_path / "run", **own)
    assert "ap50" in done.scores.values
    with pytest.raises(UserError, match="leave them out"):
        train(cells, out=tmp_path / "other", metrics={"mine": lambda p, t: 0.0}, **own)


def test_mirror_images_are_not_averaged(cells, trained, tmp_path):
    for call in (lambda: evaluate(trained[0], cells, tta="flip"), lambda: load(trained[0], flip=True)):
        with pytest.raises(UserError, match="mirror images"):
            call()


def test_labels_of_classes_are_no_objects(tmp_path):
    data = write_cells(tmp_path / "data", 3, named=False)
    (data / "dataset.toml").write_text('task = "instances"\nmask_suffix = ["_a", "_b"]\n')
    for path in sorted((data / "masks").iterdir()):
        for end in ("_a", "_b"):
            path.with_name(f"{path.stem}{end}.png").write_bytes(path.read_bytes())
        path.unlink()
    with pytest.raises(UserError, match="values here are classes"):
        check(data)


def test_masks_without_objects_stop_a_training(tmp_path):
    data = write_cells(tmp_path / "data", 3)
    for path in (data / "masks").iterdir():
        Image.fromarray(np.zeros((80, 96), np.uint16)).save(path)
    with pytest.raises(UserError, match="no training image has an object"):
        train(data, epochs=1, settings=SMALL, out=tmp_path / "run", progress=False)


def test_a_mask_of_another_size_is_one_line(cells, trained, tmp_path):
    data = write_cells(tmp_path / "data", 3, named=False)
    Image.fromarray(np.ones((40, 40), np.uint16)).save(data / "masks" / "1.png")
    with pytest.raises(UserError, match="size"):
        evaluate(trained[0], data, split="all")


@pytest.mark.parametrize("setting", ["thresold=0.3", "apart=0.0", "apart=5000.0"])
def test_wrong_options_of_the_task_are_one_line(cells, tmp_path, setting):
    options = {"ndim": 2, "scale": 6.0, "apart": 4.0, "astray": 9.0}
    key, value = setting.split("=")
    text = ", ".join(f"{name}={number}" for name, number in {**options, key: float(value)}.items())
    with pytest.raises(UserError, match="task"):
        train(cells, epochs=1, out=tmp_path / "run", settings=[*SMALL, f"task.options={{{text}}}"], progress=False)


@pytest.mark.parametrize("line", ["ignore = [255]", 'values = [0, 1]\nclasses = ["a", "b"]', "objects = 256"])
def test_keys_of_classes_are_refused_for_objects(tmp_path, line):
    data = write_cells(tmp_path / "data", 3)
    (data / "dataset.toml").write_text(f'task = "instances"\n{line}\n')
    with pytest.raises(UserError, match=r"dataset\.toml"):
        check(data)


def test_videos_are_refused_for_objects(tmp_path):
    data = write_cells(tmp_path / "data", 3)
    for folder in ("images", "masks"):
        clip = data / folder / "clip"
        clip.mkdir()
        for path in sorted((data / folder).glob("*.png")):
            path.rename(clip / f"0000{path.name}")
    (data / "dataset.toml").write_text('task = "instances"\nvideo = true\n')
    with pytest.raises(UserError, match="not for videos"):
        check(data)


class Killed(BaseException):
    """What a test raises in the middle of a stream, as a kill would end it."""


def test_an_interrupted_prediction_of_objects_resumes(trained, tmp_path, monkeypatch):
    run, _ = trained
    numbers, _, _ = random_discs((1200, 96), 90, (4, 9), seed=3)
    np.save(tmp_path / "scene.npy", np.where(numbers > 0, 180, 40).astype(np.uint8))
    monkeypatch.setattr("atrous.stream.resume.EVERY", 0.0)
    predictor, seen = load(run, memory="30MB"), []

    def stop(at):
        if at > 0.5:
            raise Killed

    with pytest.raises(Killed):
        run_jobs(predictor, find_jobs(predictor, [tmp_path / "scene.npy"], tmp_path / "out"), tmp_path / "out", stop)
    assert not (tmp_path / "out" / "scene.npy").exists()
    jobs = find_jobs(predictor, [tmp_path / "scene.npy"], tmp_path / "out")
    assert run_jobs(predictor, jobs, tmp_path / "out", seen.append).failed == ()
    assert seen[0] > 0.4  # it goes on where it was
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scene.npy", "scene_objects.csv"]
    whole = tmp_path / "whole"
    run_jobs(predictor, find_jobs(predictor, [tmp_path / "scene.npy"], whole), whole)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "scene.npy"), np.load(whole / "scene.npy"))
