"""Files of uncertainty and of sizes of sets, and the picture."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from atrous.color import VOID
from atrous.errors import UserError
from atrous.prediction.confidence import ReducedFile, UncertaintyPicture, draw_uncertainty, sets_of
from atrous.prediction.inputs import Opened
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.tasks.uncertainty import entropy_of

VALUES = np.random.default_rng(0).dirichlet([1, 1, 1], (6, 8)).astype(np.float32).transpose(2, 0, 1)  # (3, 6, 8)


def read(path):
    return zarr.open_array(path, mode="r")[:] if path.suffix == ".zarr" else tifffile.imread(path)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_it_is_the_entropy_of_what_is_assigned_and_nan_without_data(tmp_path, suffix, streamed):
    valid = np.ones((6, 8), bool)
    valid[2, 3] = False
    file = ReducedFile(tmp_path / f"a{suffix}", tmp_path / "in.npy", 3, "uncertainty", entropy_of)
    picture = UncertaintyPicture(tmp_path / "a.png", file)
    for output in (picture, file):
        output.begin(Opened(np.zeros((1, 6, 8), np.uint8), (6, 8), None, valid), streamed)
    for row in (0, 3):
        file.sink[:, row : row + 3] = VALUES[:, row : row + 3]
    picture.finish()
    file.finish()
    want = np.where(valid, entropy_of(VALUES), np.nan)
    np.testing.assert_allclose(np.squeeze(read(tmp_path / f"a{suffix}")), want, atol=1e-6)
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    assert pixels[2, 3].tolist() == list(VOID)
    np.testing.assert_allclose(pixels[0, 0], want[0, 0] * np.array([255, 214, 10]), atol=0.51)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", f"a{suffix}"]


def test_probabilities_are_resampled_before_they_are_reduced(tmp_path):
    opened = Opened(np.zeros((1, 6, 8), np.uint8), (12, 8))
    file = ReducedFile(tmp_path / "a.tif", tmp_path / "in.npy", 3, "uncertainty", entropy_of)
    file.begin(opened, streamed=False)
    file.sink[...] = VALUES
    np.testing.assert_allclose(file.on_file_grid()[0], entropy_of(opened.maps_on_file(VALUES)), atol=1e-6)
    file.finish()
    assert np.squeeze(read(tmp_path / "a.tif")).shape == (12, 8)


@pytest.mark.parametrize("size", [(90,), (20, 30), (6, 10, 12)])
def test_the_picture_is_drawn_on_every_grid(size):
    image = np.full((1, *size), 200, np.uint8)
    sure = draw_uncertainty(Opened(image, size), np.zeros((1, *size), np.float32))
    assert sure.shape[-1] == 3
    assert 100 in sure  # half the brightness
    nothing = draw_uncertainty(Opened(image, size), np.full((1, *size), np.nan, np.float32))
    assert (nothing == VOID[0]).any()
    assert draw_uncertainty(Opened(image, size), np.ones((1, *size), np.float32), 50).max() == 255


def test_streamed_files_are_those_of_the_whole_input(trained, digits, tmp_path):
    source = min((digits / "images" / "test").iterdir())
    companions, found = Companions(probabilities="zarr", uncertainty=True, coverage=0.7), []
    for memory in (None, "100MB"):
        out, predictor = tmp_path / str(memory), load(trained, memory=memory, dtype=torch.float32)
        jobs = find_jobs(predictor, [source], out, companions)
        assert not run_jobs(predictor, jobs, out).failed
        names = {path.name for path in out.iterdir()}
        endings = (".png", "_probabilities.zarr", "_uncertainty.png", "_uncertainty.zarr", "_sets.zarr")
        assert names == {source.stem + ending for ending in endings}
        p, u, sets = (read(out / f"{source.stem}_{kind}.zarr") for kind in ("probabilities", "uncertainty", "sets"))
        np.testing.assert_allclose(u[0], entropy_of(p), atol=1e-6)
        threshold = sets_of(predictor, 0.7).threshold
        np.testing.assert_array_equal(sets[0], (p >= np.float32(threshold)).sum(0))
        found.append(u)
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)
    whole = load(trained, dtype=torch.float32).predict(source, probabilities=True)
    np.testing.assert_allclose(whole.uncertainty(), found[0][0], atol=1e-5)
    with pytest.raises(ValueError, match="no probabilities"):
        load(trained).predict(source).uncertainty()


def test_a_missing_picture_is_drawn_again_and_the_file_stays(trained, digits, tmp_path):
    source, predictor = min((digits / "images" / "test").iterdir()), load(trained)
    jobs = find_jobs(predictor, [source], tmp_path, Companions(uncertainty=True))
    run_jobs(predictor, jobs, tmp_path)
    picture, file = tmp_path / f"{source.stem}_uncertainty.png", tmp_path / f"{source.stem}_uncertainty.tif"
    before, time = picture.read_bytes(), file.stat().st_mtime_ns
    picture.unlink()
    run_jobs(predictor, find_jobs(predictor, [source], tmp_path, Companions(uncertainty=True)), tmp_path)
    assert picture.read_bytes() == before
    assert file.stat().st_mtime_ns == time


def test_what_a_run_cannot_promise_is_refused(trained):
    with pytest.raises(UserError, match=r"--coverage 0\.9 needs at least 9 labelled samples, and 3 calibrated it"):
        sets_of(load(trained), 0.9)
    with pytest.raises(UserError, match="--coverage is calibrated for inputs that are not mirrored: leave --tta flip"):
        sets_of(replace(load(trained), flips=(1,)), 0.9)
