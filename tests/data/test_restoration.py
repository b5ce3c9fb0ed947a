"""What is done to clean images: the statistics of the noise, the blur, what is hidden, and which noise is for good."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, signal

from atrous.data.restoration import (
    BOX,
    Degradation,
    Restoration,
    gaussian_psf,
    hide,
    noise_level,
    read_psf,
    usual_noise,
)
from atrous.errors import UserError

FLAT = np.full((1, 200, 200), 80.0, np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_gaussian_noise_is_neither_clipped_nor_rounded():
    found = Degradation(noise=25.0)(np.zeros((3, 100, 100), np.uint8), rng())
    assert found.dtype == np.float32
    assert found.min() < -50
    assert abs(found.std() - 25) < 0.5
    assert abs(found.mean()) < 0.5


def test_the_noise_of_photons_grows_with_the_value():
    found = Degradation(noise=3.0, gain=2.0)(FLAT, rng())
    assert abs(found.var() - (9 + 2 * 80)) < 5


def test_impulses_read_the_limits():
    found = Degradation(impulse=0.2, limits=(0.0, 255.0))(FLAT, rng())
    assert abs((found == 0).mean() - 0.1) < 0.01
    assert abs((found == 255).mean() - 0.1) < 0.01
    assert ((found == 80) | (found == 0) | (found == 255)).all()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_blur_is_a_convolution_with_mirrored_borders(ndim):
    values = rng().uniform(0, 1, (2, *[21] * ndim)).astype(np.float32)
    wanted = np.stack([ndimage.gaussian_filter(one.astype(np.float64), 1.6, mode="reflect") for one in values])
    np.testing.assert_allclose(Degradation(blur=1.6)(values, rng()), wanted, atol=1e-5)
    by_kernel = Degradation(psf=gaussian_psf(1.6, ndim))(values, rng())
    np.testing.assert_allclose(by_kernel, wanted, atol=1e-4)


def test_an_uneven_psf_is_convolved_not_correlated():
    kernel = np.zeros((3, 3), np.float32)
    kernel[0, 1] = 1
    values = rng().uniform(0, 1, (1, 9, 9)).astype(np.float32)
    found = Degradation(psf=kernel)(values, rng())
    wanted = signal.convolve2d(values[0], kernel, mode="same")
    np.testing.assert_allclose(found[0, 1:-1], wanted[1:-1], atol=1e-6)


@given(st.lists(st.integers(1, 13), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 5))
def test_hidden_positions_read_a_neighbor_and_are_the_target(size, channels, seed):
    values = rng(seed).normal(0, 1, (channels, *size)).astype(np.float32)
    image, target = hide(values, rng(seed))
    hidden = ~np.isnan(target)
    assert (hidden == hidden[:1]).all()
    np.testing.assert_array_equal(target[hidden], values[hidden])
    np.testing.assert_array_equal(image[~hidden], values[~hidden])
    assert hidden[0].sum() <= np.prod([-(-n // BOX) for n in size])
    assert np.isin(image[0][hidden[0]], values[0]).all()


def test_every_position_is_hidden_at_some_time_and_never_reads_itself():
    values = np.arange(400, dtype=np.float32).reshape(1, 20, 20)
    seen = np.zeros((20, 20), bool)
    for seed in range(400):
        image, target = hide(values, rng(seed))
        hidden = ~np.isnan(target[0])
        seen |= hidden
        assert hidden.sum() == 16
        assert (image[0][hidden] != values[0][hidden]).all()
    assert seen.all()


def test_noise_for_good_depends_on_the_name_alone():
    one = Restoration(Degradation(noise=5.0))
    np.testing.assert_array_equal(one.measured("a", FLAT)[0], one.measured("a", FLAT)[0])
    assert (one.measured("a", FLAT)[0] != one.measured("b", FLAT)[0]).any()
    assert one.measured("a", FLAT)[1] is not None
    crops = one.pair(FLAT[:, :8, :8], rng(0))[0], one.pair(FLAT[:, :8, :8], rng(1))[0]
    assert (crops[0] != crops[1]).any()


def test_a_self_supervised_network_never_sees_a_clean_value():
    one = Restoration(Degradation(noise=5.0), hidden=True)
    kept = one.kept("a", FLAT)
    np.testing.assert_array_equal(kept, one.fixed("a", FLAT))
    for image, target in (one.pair(kept, rng()), one.watched("a", FLAT)):
        assert not (image == 80).any()
        assert not (target == 80).any()
        assert np.isnan(target).mean() > 0.9
    np.testing.assert_array_equal(one.measured("a", FLAT)[1], FLAT)


def test_images_that_are_noisy_themselves_are_measured_by_what_is_hidden():
    one = Restoration(Degradation(), hidden=True)
    image, target = one.measured("a", FLAT)
    assert one.kept("a", FLAT) is FLAT
    assert np.isnan(target).any()
    assert image.shape == target.shape


def test_super_resolution_cuts_off_what_is_left_over():
    image, target = Restoration(Degradation(scale=3)).measured("a", np.zeros((1, 20, 31), np.uint8))
    assert (image.shape, target.shape) == ((1, 6, 10), (1, 18, 30))


def test_training_and_evaluation_make_the_same_whole_numbers_of_a_coarser_grid():
    image = rng().integers(0, 2, (1, 24, 30)).repeat(2, axis=2).astype(np.uint8) * 255
    one = Restoration(Degradation(scale=2, greatest=255.0))
    evaluated, _ = one.measured("a", image)
    trained, _ = one.pair(image.astype(np.float32), rng())  # crops are float32, whatever the type of their file
    np.testing.assert_array_equal(trained, evaluated)
    np.testing.assert_array_equal(evaluated, np.rint(evaluated))
    assert (evaluated.min(), evaluated.max()) == (0, 255)
    plain = Degradation(scale=2)(image, rng())
    assert (plain.min() < 0, plain.max() > 255) == (True, True)
    noisy, _ = Restoration(Degradation(noise=5.0, scale=2, greatest=255.0)).measured("a", image)
    assert noisy.min() < 0  # noise comes later, and is not cut off


def test_a_psf_is_read_and_normalized(tmp_path):
    tifffile.imwrite(tmp_path / "psf.tif", np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32))
    found = read_psf(tmp_path / "psf.tif", 2)
    assert found[1, 1] == 0.5
    assert found.sum() == 1


@pytest.mark.parametrize(("values", "words"), [
    (np.ones((4, 5)), "odd sides"),
    (np.zeros((3, 3)), "not all of them 0"),
    (-np.ones((3, 3)), "at least 0"),
    (np.full((3, 3), np.nan), "at least 0"),
    (np.ones((131, 3)), "up to 129"),
])  # fmt: skip
def test_other_arrays_are_no_psf(tmp_path, values, words):
    tifffile.imwrite(tmp_path / "psf.tif", values.astype(np.float32))
    with pytest.raises(UserError, match=words):
        read_psf(tmp_path / "psf.tif", 2)


def test_a_psf_of_other_axes_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "psf.tif", np.ones((3, 3), np.float32))
    with pytest.raises(UserError, match="has one channel and 3 axes"):
        read_psf(tmp_path / "psf.tif", 3)


def test_the_usual_noise_is_a_tenth_of_the_range():
    assert noise_level((0.0, 65535.0)) == 6420
    assert usual_noise("denoise", "uint16", (0.0, 4095.0)) == 401
    assert usual_noise("denoise", "float32", (-1.0, 1.0)) == 0.196
    assert usual_noise("denoise", "uint8", (10.0, 30.0)) == 25
    assert usual_noise("deblur", "uint8", (0.0, 255.0)) == 2
    assert usual_noise("super-resolution", "uint8", (0.0, 255.0)) == 0


@pytest.mark.parametrize("hidden", [False, True])
def test_positions_without_data_are_filled_and_never_a_target(hidden):
    one = Restoration(Degradation(noise=5.0, blur=1.0), hidden, fill=(70.0,))
    image = FLAT.copy()
    image[0, 3, 4], image[0, 9, 9] = np.nan, np.inf
    kept = one.kept("a", image)
    for seen, target in (one.pair(kept, rng()), one.watched("a", image), one.measured("a", image)):
        assert np.isfinite(seen).all()
        assert abs(seen[0, 3, 4] - 79) < 30
        assert not np.isfinite(target[0, 3, 4])


def test_infinite_values_are_no_target():
    """They would make the loss infinite, and there is no PSNR of them."""
    image = np.random.default_rng(0).normal(size=(1, 12, 12)).astype(np.float32)
    image[0, 2, 3], image[0, 4, 5] = np.inf, np.nan
    restoration = Restoration(Degradation(noise=0.1), fill=(0.0,))
    for degraded, target in (restoration.measured("a", image), restoration.pair(image, np.random.default_rng(0))):
        assert np.isfinite(degraded).all()
        assert np.argwhere(np.isnan(target[0])).tolist() == [[2, 3], [4, 5]]
        assert not np.isinf(target).any()


def test_an_image_smaller_than_the_factor_is_named():
    """Its answer would be larger than itself, which ended a training at its first validation."""
    with pytest.raises(UserError, match=r"scan: 3 x 9: smaller than task\.scale = 4"):
        Restoration(Degradation(scale=4)).measured("scan", np.ones((1, 3, 9), np.uint8))
