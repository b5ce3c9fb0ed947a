"""Files of points: of turned and coarser volumes, of streamed inputs, and of inputs without data."""

import csv
import warnings
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import tifffile

from atrous.data.formats import read_image
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import found_points
from atrous.verbs.opened import open_dataset_from
from atrous.verbs.train import train

IDENTITY = np.eye(4)
SMALL = (
    "model.depth=10", "model.encoder_width=8", "model.width=16", "train.validations=1", "train.precision=32-true",
    "train.crop=[8, 16, 16]", "train.batch_size=2",
)  # fmt: skip


def write_volumes(root, count=4, shape=(12, 24, 20), affine=IDENTITY, step=1):
    """Volumes `(K, J, I)` with bright spots, and their dots, every `step`-th row and column of them."""
    for folder in ("images", "dots"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        image, dots = rng.normal(40, 4, shape), np.zeros(shape)
        for place in rng.integers(2, np.array(shape) - 2, (6, 3)) // 2 * 2:
            image[tuple(slice(p - 1, p + 2) for p in place)] += 120
            dots[tuple(place)] = 1
        for folder, values in (("images", image), ("dots", dots)):
            stored = np.ascontiguousarray(values.clip(0, 255).astype(np.uint8)[:, ::step, ::step].T)
            nibabel.save(nibabel.Nifti1Image(stored, affine), root / folder / f"{index}.nii.gz")
    return root


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    data = write_volumes(tmp_path_factory.mktemp("volumes") / "data")
    run = tmp_path_factory.mktemp("run") / "run"
    train(data, out=run, epochs=2, settings=SMALL, progress=False, report=False)
    found = load(run)
    return replace(found, task=replace(found.task, threshold=0.01))  # a network of few steps has little heat


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("affine", "step"),
    [(np.eye(4), 1), (np.diag([-1.0, 1, 1, 1]), 1), (np.diag([2.0, 2, 1, 1]), 2), (np.diag([2.0, -2, 1, 1]), 2)],
    ids=["as trained", "mirrored", "coarser", "mirrored and coarser"],
)
def test_evaluation_finds_the_points_that_are_written(predictor, tmp_path, affine, step):
    data = write_volumes(tmp_path / "data", 2, affine=affine, step=step)
    image = data / "images" / "0.nii.gz"
    jobs = find_jobs(predictor, [image], tmp_path / "out", Companions(overlay=True, probabilities="zarr"))
    done = run_jobs(predictor, jobs, tmp_path / "out")
    assert not done.failed, done.failed
    rows = rows_of(tmp_path / "out" / "0_points.csv")
    written = np.array([[float(row[axis]) for axis in "zyx"] for row in rows])
    dataset = open_dataset_from(data, None, "counting")
    sample = next(s for s in dataset.samples if s.name.endswith("0"))
    _, values, truth = next(read_ahead(predictor, [sample]))
    answer = found_points(predictor, predictor.task, values, dataset.spacing_of(sample), sample.image.header().affine)
    assert len(written) > 0
    np.testing.assert_allclose(written, answer.places, rtol=1e-6)
    assert ((written >= 0) & (written <= truth.size)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the input is unlike the training data, which is told
        in_memory = predictor.predict(image)
    np.testing.assert_allclose(in_memory.points, written, rtol=1e-6)
    count = float(rows_of(tmp_path / "out" / "0_counts.csv")[0]["count"])
    assert count == pytest.approx(answer.counts[0])
    density = read_image(tmp_path / "out" / "0_density.zarr")
    assert density.sum() == pytest.approx(count, rel=0.25 if step > 1 else 1e-4, abs=0.5 if step > 1 else 1e-4)
    spacing = [abs(affine[2 - axis, 2 - axis]) for axis in range(3)]
    assert float(rows[0]["physical_x"]) == pytest.approx(written[0, 2] * spacing[2])


def test_strips_give_the_same_bytes(predictor, tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 255, (96, 40, 40)).astype(np.uint8)
    np.save(tmp_path / "v.npy", volume[None])
    maps = np.empty((2, *volume.shape), np.float32)
    predictor.write(predictor.open(tmp_path / "v.npy").source, probabilities=maps)
    whole, strips = (predictor.task.answer(maps, rows=rows) for rows in (96, 5))
    for name in ("places", "classes", "scores", "counts"):
        assert getattr(whole, name).tobytes() == getattr(strips, name).tobytes()


def test_where_there_are_no_data_nothing_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "dots"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        image, dots = rng.normal(40, 4, (32, 40)).astype(np.float32), np.zeros((32, 40), np.uint8)
        for y, x in rng.integers(3, 29, (4, 2)):
            image[y - 1 : y + 2, x - 1 : x + 2] += 100
            dots[y, x] = 1
        tifffile.imwrite(tmp_path / "images" / f"{index}.tif", image)
        tifffile.imwrite(tmp_path / "dots" / f"{index}.tif", dots)
    settings = [setting for setting in SMALL if "crop" not in setting]
    train(tmp_path, out=tmp_path / "run", epochs=1, settings=settings, progress=False, report=False)
    found = load(tmp_path / "run")
    found = replace(found, task=replace(found.task, threshold=0.01))
    image = tifffile.imread(tmp_path / "images" / "0.tif")
    image[:, :20] = np.nan
    tifffile.imwrite(tmp_path / "gaps.tif", image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = found.predict(tmp_path / "gaps.tif")
    assert not points.probabilities[:, :, :20].any()
    assert (points.points[:, 1] >= 20).all()
    assert points.count == pytest.approx(float(points.probabilities[0].sum()), abs=1e-3)
