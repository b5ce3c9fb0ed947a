"""Prediction of arrays and files."""

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

from atrous.errors import UserError
from atrous.prediction import Wanted, find_jobs, load, predict_files


def test_an_array_of_any_size(trained):
    predictor = load(trained)
    image = np.random.default_rng(0).integers(0, 256, (3, 45, 37)).astype(np.uint8)
    found = predictor.predict(image, probabilities=True)
    assert found.labels.shape == (45, 37)
    assert found.labels.dtype == np.uint8
    assert found.classes[0] == "background"
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-4)
    np.testing.assert_array_equal(found.probabilities.argmax(0), found.labels)
    assert predictor.predict(image).probabilities is None


def test_the_output_is_the_networks(trained):
    predictor = load(trained, dtype=torch.float32)
    image = np.random.default_rng(0).integers(0, 256, (3, 45, 37)).astype(np.uint8)
    with torch.no_grad():
        want = predictor.run.network()(torch.from_numpy(image)[None].float())
    torch.testing.assert_close(predictor.output(image), want, rtol=1e-4, atol=1e-4)


def test_flipping_averages_mirror_images(trained):
    predictor = load(trained, dtype=torch.float32, flip=True)
    assert predictor.flips == (1,)
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 40)).astype(np.uint8)
    plain, both = load(trained, dtype=torch.float32), predictor.predict(image, probabilities=True).probabilities
    mirror = plain.predict(image[..., ::-1].copy(), probabilities=True).probabilities[..., ::-1]
    want = (plain.predict(image, probabilities=True).probabilities + mirror) / 2
    np.testing.assert_allclose(both, want, atol=1e-5)


def test_gray_becomes_color_and_other_channels_are_refused(trained):
    predictor = load(trained)
    assert predictor.predict(np.zeros((33, 20), np.uint8)).labels.shape == (33, 20)
    with pytest.raises(UserError, match="channels"):
        predictor.predict(np.zeros((5, 33, 20), np.uint8))


@pytest.fixture
def scenes(tmp_path, digits):
    folder = tmp_path / "scenes"
    (folder / "deep").mkdir(parents=True)
    sources = sorted((digits / "images" / "test").iterdir())
    Image.open(sources[0]).save(folder / "a.png")
    Image.open(sources[1]).save(folder / "deep" / "b.jpg")
    tifffile.imwrite(folder / "c.tif", np.asarray(Image.open(sources[0])))
    return folder


def test_files_folders_and_globs(trained, scenes, tmp_path):
    predictor, out = load(trained), tmp_path / "out"
    (scenes / "broken.png").write_bytes(b"no picture")
    wanted = Wanted(overlay=True, probabilities="zarr", palette=predictor.palette)
    done = predict_files(predictor, find_jobs([scenes], out), wanted)
    assert {p.relative_to(out).as_posix() for p in done.written} == {"a.png", "deep/b.png", "c.tif"}
    assert [source.name for source, why in done.failed] == ["broken.png"]
    assert "broken.png" in done.failed[0][1]
    labels = np.asarray(Image.open(out / "a.png"))
    np.testing.assert_array_equal(labels, tifffile.imread(out / "c.tif"))
    np.testing.assert_array_equal(labels, predictor.predict(scenes / "a.png").labels)
    stored = zarr.open_array(out / "a_probabilities.zarr", mode="r")
    np.testing.assert_array_equal(stored[:].argmax(0), labels)
    assert list(stored.attrs["classes"])[:2] == ["background", "digit 0"]
    with Image.open(out / "a_overlay.png") as picture:
        assert picture.mode == "RGB"
    assert not list(out.rglob("*.part"))
    again = predict_files(predictor, find_jobs([scenes], out), wanted)
    assert len(again.skipped) == 3
    assert again.written == ()


def test_probabilities_as_tiff(trained, scenes, tmp_path):
    predictor = load(trained)
    jobs = find_jobs([str(scenes / "*.png")], tmp_path)
    predict_files(predictor, jobs, Wanted(probabilities="tiff"))
    stored = tifffile.imread(tmp_path / "a_probabilities.tif")
    np.testing.assert_allclose(stored, predictor.predict(scenes / "a.png", probabilities=True).probabilities)


def test_inputs_that_are_not_there_or_collide(scenes, tmp_path):
    with pytest.raises(UserError, match="no such file"):
        find_jobs(["nowhere/*.png"], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images in it"):
        find_jobs([tmp_path / "empty"], tmp_path)
    (scenes / "a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="would both be written"):
        find_jobs([scenes], tmp_path)
