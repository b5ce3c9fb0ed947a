"""Label files of streamed inputs: on disk as they come, and resumed by the next run."""

import json

import numpy as np
import pytest
import tifffile
import torch
import zarr

from atrous.data.formats import open_labels
from atrous.errors import UserError
from atrous.prediction.inputs import Opened
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.labels import LabelFile
from atrous.prediction.predictor import load


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_an_unfinished_file_that_is_damaged_is_begun_again(tmp_path, suffix):
    part = tmp_path / f".a{suffix}.part"
    part.mkdir() if suffix == ".zarr" else part.touch()
    sink = open_labels(tmp_path / f"a{suffix}", (4, 5), on_disk=True)
    assert not sink.begun
    sink.array[...] = np.ones((4, 5), np.uint8)
    assert open_labels(tmp_path / f"a{suffix}", (4, 5), on_disk=True).begun
    assert not open_labels(tmp_path / f"a{suffix}", (4, 6), on_disk=True).begun


class Killed(BaseException):
    """What a test raises in the middle of a stream, as a kill would end it."""


@pytest.mark.parametrize("suffix", [".zarr", ".npy", ".tif"])
def test_a_streamed_file_goes_to_disk_and_resumes(trained, tmp_path, suffix, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (3, 1600, 80)).astype(np.uint8)
    source = tmp_path / f"scene{suffix}"
    if suffix == ".zarr":
        zarr.create_array(source, data=image, chunks=(3, 64, 64))
    elif suffix == ".npy":
        np.save(source, image)
    else:
        tifffile.imwrite(source, image.transpose(1, 2, 0), tile=(64, 64))
    predictor, out = load(trained, memory="30MB", dtype=torch.float32), tmp_path / "out"
    jobs = find_jobs(predictor, [source], out)
    (target,) = jobs[0].paths
    assert target.name == source.name
    monkeypatch.setattr("atrous.stream.resume.EVERY", 0.0)
    plans = []

    def stop(at):
        if at > 0.4:
            raise Killed

    with pytest.raises(Killed):
        run_jobs(predictor, jobs, out, stop, plans.append)
    assert "about" in plans[0]
    assert not target.exists()
    record = np.load(next(out.glob(".*.progress.npz")))
    assert json.loads(str(record["head"]))["rows"] > 50  # where the next run goes on
    assert run_jobs(predictor, find_jobs(predictor, [source], out), out).failed == ()
    reader = {".zarr": lambda p: zarr.open_array(p, mode="r")[:], ".npy": np.load, ".tif": tifffile.imread}[suffix]
    np.testing.assert_array_equal(reader(target), load(trained, dtype=torch.float32).predict(image).labels)
    assert [p.name for p in out.iterdir()] == [source.name]


@pytest.mark.parametrize("error", [UserError("the network was refused"), RuntimeError("the disk was pulled")])
def test_what_a_failed_stream_has_written_is_kept_for_the_next_run(trained, tmp_path, monkeypatch, error):
    np.save(tmp_path / "scene.npy", np.zeros((3, 1600, 80), np.uint8))
    predictor, out = load(trained, memory="30MB", dtype=torch.float32), tmp_path / "out"
    monkeypatch.setattr("atrous.stream.resume.EVERY", 0.0)

    def stop(done):
        if 0.1 < done < 1:
            raise error

    failed = run_jobs(predictor, find_jobs(predictor, [tmp_path / "scene.npy"], out), out, stop).failed
    assert str(error) in failed[0][1]
    assert (out / ".scene.npy.part").exists()
    assert run_jobs(predictor, find_jobs(predictor, [tmp_path / "scene.npy"], out), out).failed == ()
    assert (out / "scene.npy").exists()
    assert not list(out.glob(".*"))


def test_labels_on_another_grid_come_back_to_that_of_the_file(tmp_path):
    valid = np.ones((6, 4), bool)
    valid[0, 0] = False
    labels = LabelFile(tmp_path / "a.npy", tmp_path / "a.npy", ("no", "yes"), ((0, 0, 0), (9, 9, 9)))
    labels.begin(Opened(np.zeros((1, 3, 4), np.float32), (6, 4), None, valid), streamed=False)
    labels.sink[...] = np.repeat(np.array([[0], [1], [1]], np.uint8), 4, 1)
    labels.finish()
    written = np.load(tmp_path / "a.npy")
    assert written[:, 1].tolist() == [0, 0, 1, 1, 1, 1]
    assert written[0, 0] == 255


def test_discard_leaves_nothing(tmp_path):
    labels = LabelFile(tmp_path / "a.npy", tmp_path / "in.npy", ("no", "yes"), ((0, 0, 0), (9, 9, 9)))
    labels.begin(Opened(np.zeros((1, 3, 4), np.float32), (3, 4)), streamed=True)
    assert labels.resumes
    assert [path.name for path in tmp_path.iterdir()] == [".a.npy.part"]
    labels.discard()
    labels.discard()
    assert not list(tmp_path.iterdir())
