"""Deconvolution against the formulas in float64, in whatever unit, and at borders."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, signal

from atrous.data.restoration import Degradation, Restoration, gaussian_psf
from atrous.prediction.deconvolution import Blur, Deconvolution, Deconvolver, memory_needed, richardson_lucy, wiener


def scene(shape=(2, 20, 26), seed=0):
    """Smooth values between 0 and 200."""
    values = np.random.default_rng(seed).uniform(0, 1, shape)
    values = np.stack([ndimage.gaussian_filter(one, 1.0) for one in values])
    return ((values - values.min()) / (values.max() - values.min()) * 200).astype(np.float32)


def uneven(ndim):
    """A point spread function that is not symmetric."""
    psf = np.random.default_rng(1).uniform(0, 1, (5, 3, 3)[:ndim]).astype(np.float32)
    return psf / psf.sum()


def filtered(values, psf, balance):
    """The filter of `wiener` from its formula, with an FFT of all frequencies."""
    margin = [(n, n) for n in psf.shape]
    padded = np.pad(values.astype(np.float64), margin, mode="symmetric")
    blur, laplacian = np.zeros_like(padded), np.zeros_like(padded)
    for place in np.ndindex(psf.shape):
        blur[tuple(i - n // 2 for i, n in zip(place, psf.shape, strict=True))] = psf[place]
    laplacian[(0,) * padded.ndim] = 2 * padded.ndim
    for axis in range(padded.ndim):
        for step in (1, -1):
            laplacian[tuple(step if a == axis else 0 for a in range(padded.ndim))] = -1
    h, d = np.fft.fftn(blur), np.fft.fftn(laplacian)
    found = np.fft.ifftn(np.conj(h) * np.fft.fftn(padded) / (abs(h) ** 2 + balance * abs(d) ** 2)).real
    return found[tuple(slice(n, -n) for n in psf.shape)]


@pytest.mark.parametrize("shape", [(1, 40), (2, 20, 26), (1, 9, 12, 10)])
def test_wiener_is_its_formula(shape):
    values, psf = scene(shape), uneven(len(shape) - 1)
    wanted = np.stack([filtered(one, psf, 0.02) for one in values])
    found = wiener(values, psf, 0.02)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 20, 26), (1, 9, 12, 10)])
def test_richardson_and_lucy_are_their_formula(shape):
    values, psf = scene(shape), uneven(len(shape) - 1)

    def iterated(one):
        padded = np.pad(one.astype(np.float64), [(2 * n, 2 * n) for n in psf.shape], mode="symmetric")
        estimate = np.full_like(padded, padded.max() / 2)
        for _ in range(3):
            ratio = padded / signal.fftconvolve(estimate, psf, "same")
            estimate = estimate * signal.fftconvolve(ratio, np.flip(psf), "same")
        return estimate[tuple(slice(2 * n, -2 * n) for n in psf.shape)]

    found = richardson_lucy(values, psf, 3)
    np.testing.assert_allclose(found, np.stack([iterated(one) for one in values]), atol=1e-2)


@pytest.mark.parametrize("method", ["wiener", "richardson-lucy"])
def test_the_unit_of_the_values_does_not_matter(method):
    values, psf = scene(), gaussian_psf(1.2, 2)
    made = Deconvolution(method, {"wiener": 0.01, "richardson-lucy": 5}[method])
    np.testing.assert_allclose(made(values * 1e-6, psf), made(values, psf) * 1e-6, atol=1e-10)
    values -= values.min(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(made(values - 250, psf), made(values, psf) - 250, atol=1e-3)


@pytest.mark.parametrize("method", ["wiener", "richardson-lucy"])
def test_a_blur_is_undone_up_to_the_borders(method):
    clean, psf = scene((1, 24, 30)), gaussian_psf(1.0, 2)
    blurred = Degradation(psf=psf)(clean, np.random.default_rng(0))
    found = Deconvolution(method, {"wiener": 1e-4, "richardson-lucy": 100}[method])(blurred, psf)
    for part in (slice(None), np.s_[:, :3], np.s_[:, :, -3:]):
        assert abs(found - clean)[part].mean() < 0.4 * abs(blurred - clean)[part].mean()


def test_a_psf_may_be_larger_than_the_image_and_half_as_wide_as_the_transform():
    """scikit-image takes a psf of the shape of a half transform for a transfer function."""
    values = scene((1, 7, 5))
    np.testing.assert_allclose(
        wiener(values, gaussian_psf(1.6, 2), 0.1)[0], filtered(values[0], gaussian_psf(1.6, 2), 0.1), atol=1e-3
    )
    flat = np.full((1, 5, 8), 7.0)
    np.testing.assert_allclose(wiener(flat, gaussian_psf(0.5, 2), 0.1), flat, atol=1e-6)
    np.testing.assert_array_equal(richardson_lucy(np.zeros((1, 5, 8)), gaussian_psf(0.5, 2), 2), 0)


def test_clean_images_are_degraded_as_evaluate_does():
    clean = scene((1, 12, 14))
    wanted, _ = Restoration(Degradation(noise=2.0, blur=1.6)).measured("a/b", clean)
    np.testing.assert_array_equal(Blur(1.6, 2.0).degraded("a/b", clean), wanted)


@pytest.mark.parametrize("shape", [(3, 256, 301), (1, 24, 60, 50)])
@pytest.mark.parametrize("method", ["wiener", "richardson-lucy"])
def test_no_more_memory_is_taken_than_is_said(method, shape):
    worker = Deconvolver(Deconvolution(method, 2), Blur(1.0))
    psf, values = worker.blur.kernel(len(shape) - 1), np.random.default_rng(0).uniform(0, 200, shape).astype(np.float32)
    worker.restored(values, (0.0, 255.0))  # what is imported, and plans of transforms, are held in any case
    tracemalloc.start()
    try:
        worker.restored(values, (0.0, 255.0))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = memory_needed(method, shape, psf.shape)
    assert most + values.nbytes <= said <= 2.5 * most


@pytest.mark.parametrize(("method", "amount"), [("wiener", 0.01), ("richardson-lucy", 50), ("richardson-lucy", 400)])
def test_a_flat_image_stays_flat_at_its_borders(method, amount):
    found = Deconvolver(Deconvolution(method, amount), Blur(1.6)).restored(np.full((1, 20, 24), 100, np.uint8), None)
    np.testing.assert_allclose(found, 100, atol=0.5)
