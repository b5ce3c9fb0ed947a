"""Changes of images: what each does, on every grid, and what it leaves alone."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from atrous.data.shifts import SHIFTS, applicable

BY_NAME = {shift.name: shift for shift in SHIFTS}
SIZES = {1: (200,), 2: (40, 50), 3: (6, 20, 24)}


def image(ndim, dtype=np.float32, channels=2):
    rng = np.random.default_rng(ndim)
    return (100 + 20 * rng.standard_normal((channels, *SIZES[ndim]))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_every_change_keeps_type_and_size_and_grows_with_its_strength(ndim, dtype):
    before = image(ndim, dtype)
    for shift in applicable(before):
        changed = [shift.apply(before, strength, "a") for strength in shift.strengths]
        assert all(each.dtype == dtype for each in changed)
        if shift.name == "scale":
            assert [each.shape[1] for each in changed] == [round(before.shape[1] * s) for s in shift.strengths]
            continue
        assert all(each.shape == before.shape for each in changed)
        errors = [np.abs(each.astype(float) - before).mean() for each in changed]
        assert 0 < errors[0] < errors[1] < errors[2], shift.name
        np.testing.assert_array_equal(changed[1], shift.apply(before, shift.strengths[1], "a"))


def test_jpeg_is_for_pictures_of_8_bits_and_is_that_of_pillow():
    picture = np.random.default_rng(0).integers(0, 256, (3, 32, 40), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(file, "JPEG", quality=15)
    np.testing.assert_array_equal(
        BY_NAME["jpeg"].apply(picture, 15, "a"), np.moveaxis(np.asarray(Image.open(file)), -1, 0)
    )
    assert BY_NAME["jpeg"] in applicable(picture[:1])
    assert BY_NAME["jpeg"].apply(picture[:1], 7, "a").shape == (1, 32, 40)
    for other in (picture[:2], picture.astype(np.float32), picture[:, 0]):
        assert BY_NAME["jpeg"] not in applicable(other)


def test_blur_knows_the_spacing_and_leaves_the_time_of_a_video_alone():
    volume = image(3)
    found = BY_NAME["blur"].apply(volume, 3, "a", (3.0, 1.0, 1.5))
    np.testing.assert_allclose(found, gaussian_filter(volume, (0, 1, 3, 2), mode="nearest"), rtol=1e-5)
    video = BY_NAME["blur"].apply(volume, 3, "a", video=True)
    np.testing.assert_allclose(video[:, 2], gaussian_filter(volume[:, 2], (0, 3, 3), mode="nearest"), rtol=1e-5)
    assert BY_NAME["scale"].apply(volume, 0.5, "a", video=True).shape == (2, 6, 10, 12)


def test_noise_has_the_deviation_that_was_asked_for_and_another_for_every_image():
    flat = np.full((1, 100, 100), 128, np.uint8)
    first, second = (BY_NAME["noise"].apply(flat, 0.08, name).astype(float) for name in ("a", "b"))
    assert first.std() == pytest.approx(0.08 * 255, rel=0.03)
    assert np.abs(first - second).mean() > 10
    wide = (1000 * np.random.default_rng(0).standard_normal((1, 5000))).astype(np.float32)
    assert (BY_NAME["noise"].apply(wide, 0.08, "a") - wide).std() == pytest.approx(0.32 * wide.std(), rel=0.05)


def test_gaps_have_the_mean_and_spread_nowhere():
    values = np.float32([[1, np.nan, 3, np.inf, 5]])
    assert np.isfinite(BY_NAME["blur"].apply(values, 1.0, "a")).all()
    np.testing.assert_allclose(BY_NAME["contrast"].apply(values, 0.2, "a"), [[2.6, 3, 3, 3, 3.4]], rtol=1e-6)
    nothing = np.full((1, 4), np.nan, np.float32)
    assert (BY_NAME["contrast"].apply(nothing, 0.2, "a") == 0).all()
