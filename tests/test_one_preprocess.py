"""Training, evaluation and prediction see the same values of the same file; so does a live session."""

import nibabel
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from atrous.data.dataset import open_dataset
from atrous.data.feed.decode import decode
from atrous.data.formats import read_image, read_values
from atrous.data.formats.orient import turn_to
from atrous.data.grid import shrink
from atrous.data.preprocess import prepare
from atrous.errors import UserError
from atrous.prediction.live import open_session
from atrous.prediction.predictor import load
from atrous.recipe.build import build_network, build_preparation, build_restoration, build_task
from atrous.recipe.plan import Request
from atrous.recipe.run import create_run
from atrous.recipe.schema import override
from atrous.training.checkpoint import write_tensors
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate, measure, read_ahead
from atrous.verbs.kinds import KINDS
from atrous.verbs.predict import predict
from tests.data.test_outliers import write as write_outliers
from tests.maps import NODATA, map_transform, write_map
from tests.volumes import write_signals, write_volumes

SMALL = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.precision=32-true")


def run_of(data, folder, *settings):
    found = check(data)
    planned = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))
    recipe = override(planned.recipe, [*SMALL, *settings])
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(0)
    write_tensors(run.weights, build_network(recipe.model, build_task(recipe).out_channels).state_dict(), {})
    return run, found.dataset


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (write_volumes, ("input.spacing=[1.0, 1.0, 1.0]", 'input.intensity=["zscore"]')),
        (write_volumes, ('input.intensity=["clip"]', "input.low=[10]", "input.high=[90]")),
        (write_signals, ('input.intensity=["zscore"]',)),
        (write_signals, ('input.intensity=["keep"]',)),
    ],
)
def test_training_evaluation_and_prediction_see_the_same_values(write, settings, tmp_path):
    run, dataset = run_of(write(tmp_path / "data"), tmp_path / "run", *settings)
    predictor, preparation = load(run), build_preparation(run.recipe)
    samples = dataset.splits["train"][:2]
    (tmp_path / "scratch").mkdir()
    trained = decode(dataset, samples, limit=1 << 30, scratch=tmp_path / "scratch", preparation=preparation)
    for sample, image in zip(samples, trained.images, strict=True):
        evaluated = prepare(sample.image.load(), preparation, dataset.spacing_of(sample))
        predicted = np.asarray(predictor.open(sample.image.path).source[...])
        np.testing.assert_array_equal(image, evaluated)
        np.testing.assert_allclose(predicted, evaluated, rtol=1e-6, atol=1e-6)


def test_a_live_session_answers_as_the_whole_signal(tmp_path):
    run, dataset = run_of(write_signals(tmp_path / "data"), tmp_path / "run", 'input.intensity=["keep"]')
    predictor = load(run)
    signal = dataset.samples[0].image.load()
    whole = predictor.predict(dataset.samples[0].image.path, probabilities=True)
    session = open_session(predictor, probabilities=True)
    ready = predictor.standardized(signal)
    parts = [session.push(ready[:, start : start + 50]) for start in range(0, signal.shape[1], 50)]
    live = np.concatenate([*parts, session.close()], axis=1)
    np.testing.assert_allclose(live, whole.probabilities, atol=1e-4)
    assert open_dataset(tmp_path / "data").classes == predictor.classes


def csv(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def two_channels(tmp_path):
    """A run for recordings of two channels, and the columns of a new one."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    for case in range(4):
        left, right, label = rng.normal(0, 1, 300), rng.normal(5, 3, 300), rng.integers(0, 2, 300)
        columns = {"label": label, "left": left, "right": right}
        order = ("label", "left", "right") if case % 2 == 0 else ("right", "label", "left")
        csv(data / f"p{case}.csv", {name: columns[name] for name in order})
    run, dataset = run_of(data, tmp_path / "run")
    return run, dataset, {"left": rng.normal(0, 1, 300), "right": rng.normal(5, 3, 300)}


def test_channels_of_recordings_are_found_by_name(two_channels, tmp_path):
    run, dataset, columns = two_channels
    assert run.recipe.input.channels == ["left", "right"]
    for sample in dataset.samples:  # the mean of `right` is 5, wherever its column stands
        assert sample.image.load().mean(1).round().tolist() == [0, 5]
    predictor = load(run)
    expected = predictor.predict(csv(tmp_path / "same.csv", columns), probabilities=True).probabilities
    for names in (("right", "left"), ("extra", "right", "left")):
        other = csv(tmp_path / f"{len(names)}.csv", {name: columns.get(name, columns["left"]) for name in names})
        np.testing.assert_array_equal(predictor.predict(other, probabilities=True).probabilities, expected)
    for names in (("left",), ("spo2", "pleth"), ("left", "pleth")):
        other = csv(tmp_path / "other.csv", {name: columns.get(name, columns["left"]) for name in names})
        with pytest.raises(UserError, match="but the network reads left, right"):
            predictor.predict(other)


def test_evaluation_finds_channels_by_name(two_channels, tmp_path):
    run, dataset, _ = two_channels
    swapped = tmp_path / "swapped"
    for sample in dataset.splits["val"]:
        left, right = sample.image.load()
        csv(swapped / sample.image.path.name, {"right": right, "left": left, "label": sample.target.read()})
    scores = evaluate(run, split="val").scores
    again = measure(load(run), open_dataset(swapped), open_dataset(swapped).samples)
    np.testing.assert_array_equal(scores.confusion, again.confusion)


def test_a_scan_of_another_spacing_is_resampled_to_that_of_the_training(tmp_path):
    run, _ = run_of(write_volumes(tmp_path / "data"), tmp_path / "run")
    assert run.recipe.input.spacing == []
    assert run.recipe.input.grid == [2.0, 1.0, 1.0]
    fine = write_volumes(tmp_path / "fine", count=1, spacings=((0.5, 0.5, 1.0),)) / "imagesTr" / "case0_0000.nii.gz"
    predictor = load(run)
    opened = predictor.open(fine)
    shape = tuple(round(n / 2) for n in opened.size)
    assert opened.source.shape[1:] == shape
    assert opened.differences == (
        "its positions are 1 x 0.5 x 0.5 apart, those of the training data 2 x 1 x 1: it is resampled",
    )
    with pytest.warns(UserWarning, match="it is resampled"):
        labels = predictor.predict(fine).labels
    assert labels.shape == opened.size
    scaled = prepare(read_image(fine), build_preparation(run.recipe), None)
    np.testing.assert_allclose(np.asarray(opened.source[...]), shrink(scaled, shape), atol=1e-4)


def test_gaps_are_void_in_training_evaluation_and_prediction(tmp_path):
    data = write_signals(tmp_path / "data")
    path = data / "patient0.csv"
    lines = path.read_text().splitlines()
    lines[50:60] = [f"{line.rpartition(',')[0]}," for line in lines[50:60]]
    run, dataset = run_of(data, tmp_path / "run", 'input.intensity=["keep"]')
    path.write_text("\n".join(lines) + "\n")
    predictor, sample = load(run), next(s for s in dataset.samples if s.image.path == path)
    gaps = slice(49, 59)
    assert np.isnan(sample.image.load()[0, gaps]).all()
    (tmp_path / "scratch").mkdir()
    preparation = build_preparation(run.recipe)
    trained = decode(dataset, [sample], limit=1 << 30, scratch=tmp_path / "scratch", preparation=preparation)
    assert (trained.values[0][gaps] == 255).all()
    np.testing.assert_array_equal(trained.images[0][0, gaps], np.float32(run.recipe.model.mean[0]))
    opened = predictor.open(path)
    np.testing.assert_array_equal(np.asarray(opened.source[...]), trained.images[0])
    assert (predictor.predict(path).labels[gaps] == 255).all()
    assert measure(predictor, dataset, [sample]).confusion.sum() == 390


def test_declared_gaps_are_void_for_evaluation_and_prediction_too(tmp_path):
    data = write_outliers(tmp_path / "data", -9999, np.float32)
    (data / "dataset.toml").write_text("nodata = -9999\n")
    run, dataset = run_of(data, tmp_path / "run")
    predictor, sample = load(run), dataset.samples[0]
    assert run.recipe.input.nodata == [-9999]
    assert 0.5 < run.recipe.model.mean[0] < 2.5
    labels = predictor.predict(sample.image.path).labels
    assert (labels[:, :15] == 255).all()
    assert (labels[:, 15:] != 255).all()
    (data / "dataset.toml").write_text("")  # the run remembers it
    assert evaluate(run, split="val").scores.confusion.sum() == 35 * 40 * len(dataset.splits["val"])


def stored_otherwise(path, folder, codes):
    """A file with the same voxels of the world, whose axes point elsewhere; its affine says so."""
    image = nibabel.load(path)
    ours, wanted = io_orientation(image.affine), axcodes2ornt(codes)
    folder.mkdir(parents=True, exist_ok=True)
    turned = image.as_reoriented(ornt_transform(ours, wanted))
    nibabel.save(turned, folder / path.name)
    return folder / path.name


@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_a_volume_stored_in_other_directions_gets_the_same_labels_there(codes, tmp_path):
    run, dataset = run_of(write_volumes(tmp_path / "data"), tmp_path / "run", "input.spacing=[1.5, 1.0, 1.0]")
    assert run.recipe.input.orientation == "RAS"
    path = dataset.splits["val"][0].image.path
    predictor, other = load(run), stored_otherwise(path, tmp_path / "other", codes)
    usual = predictor.predict(path, probabilities=True)
    with pytest.warns(UserWarning, match=f"its axes point to {codes}, those of the training data to RAS: it is turned"):
        found = predictor.predict(other, probabilities=True)
    turn = turn_to(codes, "RAS")
    np.testing.assert_array_equal(turn(found.labels), usual.labels)
    assert np.ptp(usual.labels) > 0
    np.testing.assert_allclose(np.stack([turn(one) for one in found.probabilities]), usual.probabilities, atol=1e-5)


def test_predicted_files_and_evaluations_of_turned_volumes_are_right(tmp_path):
    run, dataset = run_of(write_volumes(tmp_path / "data"), tmp_path / "run")
    turned = tmp_path / "turned"
    for sample in dataset.samples:
        stored_otherwise(sample.image.path, turned / "imagesTr", "ALS")
        stored_otherwise(sample.target.path, turned / "labelsTr", "ALS")
    (turned / "dataset.json").write_text((tmp_path / "data" / "dataset.json").read_text())
    np.testing.assert_array_equal(
        evaluate(run, turned, split="all").scores.confusion, evaluate(run, split="all").scores.confusion
    )
    assert len(predict(run, [turned / "imagesTr"], tmp_path / "out").differences) == len(dataset.samples)
    usual = load(run).predict(dataset.samples[0].image.path).labels
    written = read_values(tmp_path / "out" / f"{dataset.samples[0].target.path.name}")
    np.testing.assert_array_equal(turn_to("ALS", "RAS")(written), usual)


def test_volumes_of_several_orientations_are_told_and_fix_none(tmp_path):
    root = write_volumes(tmp_path / "data")
    stored_otherwise(root / "imagesTr/case0_0000.nii.gz", root / "imagesTr", "LAS")
    found = check(root)
    assert found.fingerprint.orientation == ""
    (fault,) = [fault for fault in found.faults if fault.kind == "orientation"]
    assert "its axes point to LAS, those of most volumes to RAS" in fault.line()


def test_evaluations_of_scans_count_lesions_and_milliliters(tmp_path):
    run, dataset = run_of(write_volumes(tmp_path / "data"), tmp_path / "run")
    scores = evaluate(run, split="all").scores
    voxels = np.mean([np.count_nonzero(sample.target.read() == 2) for sample in dataset.samples])
    found = scores.to_dict()["lesions"]
    assert found["cube"]["true_ml"] == pytest.approx(voxels * 2.0 / 1000)
    assert found["cube"]["found"] + found["cube"]["missed"] == len(dataset.samples)
    assert set(found) == set(scores.to_dict()["lesion_f1"]) - {"background"}
    assert "cube pieces" in scores.text()
    assert {"lesion F1", "ml", "ml off"} <= set(scores.columns())


def test_where_a_map_has_no_data_nothing_is_restored(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        values = rng.integers(100, 200, (1, 30, 28)).astype(np.int16)
        values[:, :6, :7] = NODATA
        write_map(tmp_path / "data" / f"{number}.tif", values, map_transform(number), nodata=NODATA)
    (tmp_path / "data" / "dataset.toml").write_text('task = "denoise"\n')
    run, dataset = run_of(tmp_path / "data", tmp_path / "run", "model.width=4", "task.noise=2")
    (tmp_path / "scratch").mkdir()
    options = {"limit": 1 << 30, "scratch": tmp_path / "scratch", "restoration": build_restoration(run.recipe)}
    cut, watched = (decode(dataset, dataset.samples[:1], need_places=places, **options) for places in (True, False))
    predictor = load(run)
    _, image, truth = next(read_ahead(predictor, dataset.samples[:1]))
    for values in (cut.values[0], watched.values[0], truth):
        assert np.isnan(values[:, :6, :7]).all()
        assert np.isnan(values).sum() == 42
    for values in (watched.images[0], image):
        assert np.isfinite(values).all()
    found = evaluate(run, split="all").scores.values
    assert found["psnr"] == pytest.approx(20 * np.log10(run.recipe.task.options["peak"] / 2), abs=0.5)


def test_volumes_of_another_spacing_are_restored_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for number, apart in enumerate((1.0, 1.0, 1.0, 3.0)):
        values = rng.normal(100, 10, (12, 16, 14)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, apart, 1])), tmp_path / "data" / f"{number}.nii.gz")
    (tmp_path / "data" / "dataset.toml").write_text('task = "denoise"\n')
    run, _ = run_of(tmp_path / "data", tmp_path / "run", "model.width=4")
    predictor = load(run)
    opened = predictor.open(tmp_path / "data" / "3.nii.gz")
    np.testing.assert_array_equal(opened.source[...], read_image(tmp_path / "data" / "3.nii.gz"))
