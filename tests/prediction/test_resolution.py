"""At which resolution a slide is labeled."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.formats import open_level, read_header, read_image, read_level, read_pyramid, read_values
from atrous.data.resized import Resized
from atrous.prediction.jobs import find_jobs, run_jobs
from atrous.prediction.predictor import load
from atrous.prediction.resolution import open_slide
from tests.slides import write_svs

PIXELS = np.random.default_rng(0).integers(0, 255, (256, 320, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("wanted", "level", "line"),
    [
        (0.25, 0, "level 0 of 3 is read (0.25 µm per pixel)"),
        (1.0, 1, "level 1 of 3 is read (1 µm per pixel)"),
        (0.9, 1, "level 1 of 3 is read (1 µm per pixel); the training data have 0.9 µm"),
        (2.2, 2, "level 2 of 3 is read (2 µm per pixel); the training data have 2.2 µm"),
        (0.1, 0, "level 0 of 3 is read (0.25 µm per pixel); the training data have 0.1 µm"),
    ],
)
def test_the_level_that_fits_the_training_data(tmp_path, wanted, level, line):
    path = write_svs(tmp_path / "a.svs", PIXELS, factors=(1, 4, 8))
    source, header, said = open_slide(path, read_pyramid(path), (wanted, wanted))
    np.testing.assert_array_equal(source[...], open_level(path, level)[...])
    assert header.spacing == pytest.approx((0.25 * (1, 4, 8)[level],) * 2)
    assert said == line


def test_between_levels_the_finer_one_is_resampled(tmp_path):
    path = write_svs(tmp_path / "a.svs", PIXELS, factors=(1, 4))
    source, header, said = open_slide(path, read_pyramid(path), (0.5, 0.5))
    assert said == "level 0 of 2 (0.25 µm per pixel) is resampled to 0.5 µm, as the training data"
    np.testing.assert_array_equal(source[...], Resized(read_image(path), (128, 160))[...])
    assert header.size == (128, 160)
    assert header.spacing == pytest.approx((0.5, 0.5))


def test_without_a_resolution_the_finest_level_is_read_and_that_is_said(tmp_path):
    path = write_svs(tmp_path / "a.svs", PIXELS)
    _, header, said = open_slide(path, read_pyramid(path), ())
    assert header.size == (256, 320)
    assert said.startswith("its finest level is read: the training data do not say how far apart pixels are")
    path = write_svs(tmp_path / "b.svs", PIXELS, mpp=None)
    assert "the slide does not say" in open_slide(path, read_pyramid(path), (0.5, 0.5))[2]


def test_other_images_have_no_levels(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    assert read_pyramid(tmp_path / "a.npy") == ()


def test_a_slide_is_labeled_at_the_level_that_fits(trained, tmp_path):
    path = write_svs(tmp_path / "slide.svs", PIXELS, factors=(1, 4))
    predictor = load(trained)
    assert predictor.expected.spacing == ()
    expected = replace(predictor.expected, spacing=(1.0, 1.0))
    object.__setattr__(predictor, "expected", expected)
    out = tmp_path / "out"
    told = []
    done = run_jobs(predictor, find_jobs(predictor, [path], out), out, tell=told.append)
    assert done.written == (out / "slide.tif",)
    assert done.differences == ((path, "level 1 of 2 is read (1 µm per pixel)"),)
    assert told == [f"{path}: level 1 of 2 is read (1 µm per pixel)"]
    header = read_header(out / "slide.tif")
    assert header.size == (64, 80)
    assert header.spacing == pytest.approx((1.0, 1.0))
    np.testing.assert_array_equal(read_values(out / "slide.tif"), predictor.predict(read_level(path, 1)).labels)


def test_a_slide_is_streamed_from_its_tiles_and_gives_the_same_labels(trained, tmp_path):
    path = write_svs(tmp_path / "slide.svs", PIXELS, factors=(1, 4))
    whole = load(trained, dtype=torch.float32).predict(read_image(path)).labels
    predictor = load(trained, dtype=torch.float32, memory="24MB")
    assert predictor.plan((3, 256, 320)) is not None
    out = tmp_path / "out"
    done = run_jobs(predictor, find_jobs(predictor, [path], out), out)
    assert done.failed == ()
    assert (read_values(out / "slide.tif") == whole).mean() > 0.9999
