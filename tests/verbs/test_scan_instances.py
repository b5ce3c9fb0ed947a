"""Objects in scans: what evaluation counts is what prediction writes."""

import warnings

import nibabel
import numpy as np
import pytest

from atrous.data.formats import read_values
from atrous.prediction.predictor import load
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.found import found_objects
from atrous.verbs.opened import open_dataset_from
from atrous.verbs.predict import predict
from atrous.verbs.train import train
from tests.objects.worlds import random_discs
from tests.verbs.test_instances import SMALL

IDENTITY = np.eye(4)


def write_scans(root, count=6, shape=(14, 36, 32), affine=IDENTITY, step=1):
    """Volumes `(K, J, I)` of bright balls as NIfTI, every `step`-th row and column of them."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        numbers, _, _ = random_discs(shape, 6, (3, 5), seed=index)
        image = np.where(numbers > 0, 160, 30) + rng.normal(0, 5, shape)
        for folder, values in (("images", image.clip(0, 255).astype(np.uint8)), ("masks", numbers.astype(np.int16))):
            stored = np.ascontiguousarray(values[:, ::step, ::step].T)
            nibabel.save(nibabel.Nifti1Image(stored, affine), root / folder / f"{index}.nii.gz")
    return root


def renumbered(numbers):
    """The same objects, numbered by their first positions."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(np.unique(numbers) == 0, -1, first)))
    return order[inverse].reshape(numbers.shape)


@pytest.fixture(scope="module")
def scans_run(tmp_path_factory):
    data = write_scans(tmp_path_factory.mktemp("scans") / "data")
    run = tmp_path_factory.mktemp("run") / "run"
    small = [setting for setting in SMALL if "crop" not in setting]
    train(
        data,
        task="instances",
        out=run,
        epochs=12,
        settings=[*small, "train.crop=[16, 32, 32]"],
        progress=False,
        report=False,
    )
    return run


@pytest.mark.parametrize(
    ("affine", "step"),
    [(np.eye(4), 1), (np.diag([-1.0, 1, 1, 1]), 1), (np.diag([2.0, 2, 1, 1]), 2), (np.diag([2.0, -2, 1, 1]), 2)],
    ids=["as trained", "mirrored", "coarser", "mirrored and coarser"],
)
def test_evaluation_counts_the_objects_that_prediction_writes(scans_run, tmp_path, affine, step):
    data = write_scans(tmp_path / "data", 2, affine=affine, step=step)
    predictor = load(scans_run)
    dataset = open_dataset_from(data, None, "instances")
    done = predict(scans_run, [data / "images" / "0.nii.gz"], tmp_path / "out")
    assert not done.failed, done.failed
    written = read_values(tmp_path / "out" / "0.nii.gz")
    sample = next(s for s in dataset.samples if s.name.endswith("0"))
    _, image, truth = next(read_ahead(predictor, [sample]))
    spacing, affine = dataset.spacing_of(sample), sample.image.header().affine
    found = found_objects(predictor, predictor.task, image, spacing, affine).numbers
    assert written.shape == found.shape == truth.shape
    assert found.max() > 0
    assert np.array_equal(renumbered(written), renumbered(found))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the input is unlike the training data, which is told
        in_memory = load(scans_run).predict(data / "images" / "0.nii.gz")
    assert np.array_equal(in_memory.instances, written)
    for number in range(1, int(written.max()) + 1):
        places = np.argwhere(written == number)
        assert in_memory.boxes[number - 1].tolist() == [*places.min(axis=0), *(places.max(axis=0) + 1)]
