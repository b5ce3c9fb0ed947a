"""Methods that do not learn, each at the best of some parameters: what scikit-image has, and bicubic interpolation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from atrous.data.restoration import gaussian_psf
from benchmarks.restoration.images import Picture, quality, upscaled

Method = Callable[..., np.ndarray]
"""Given a degraded image `(H, W)` float32 and parameters, returns the restored one."""

Grid = Mapping[str, Sequence[Any]]
"""Values to try of each parameter."""

MEANS_GRID = {"h": (0.4, 0.6, 0.8, 1.0), "patch_size": (5, 7), "patch_distance": (7, 11)}
"""Of non-local means; `h` is in units of the noise."""
WAVELET_GRID = {"wavelet": ("db1", "db2", "sym8"), "mode": ("soft", "hard"), "shifts": (0, 3)}
"""Of wavelets; with `shifts` the result is the mean over all shifts of up to so many pixels along each axis."""
WIENER_GRID = {"balance": tuple(float(f"{10 ** (power / 3):.2g}") for power in range(-15, 1))}
LUCY_GRID = {"num_iter": (1, 2, 3, 4, 6, 8, 11, 15, 20, 30, 45, 70)}
MARGIN = 32
"""Pixels that are mirrored beyond each border before Fourier transforms, and cut off afterwards."""


def denoisers(sigma: float) -> dict[str, tuple[Method, Grid]]:
    """Return the methods for Gaussian noise of a known standard deviation, with the parameters to try."""
    return {
        "wavelets": (partial(wavelets, sigma=sigma), WAVELET_GRID),
        "nl-means": (partial(nl_means, sigma=sigma), MEANS_GRID),
    }


def deblurrers(blur: float) -> dict[str, tuple[Method, Grid]]:
    """Return the methods for a Gaussian blur of a known standard deviation, with the parameters to try."""
    psf = gaussian_psf(blur, 2)
    return {
        "wiener": (partial(wiener, psf=psf), WIENER_GRID),
        "richardson-lucy": (partial(richardson_lucy, psf=psf), LUCY_GRID),
    }


def unchanged(given: np.ndarray) -> np.ndarray:
    """Do nothing."""
    return given


def bicubic(given: np.ndarray, factor: int) -> np.ndarray:
    """Interpolate as MATLAB's `imresize` does."""
    return upscaled(given[None], factor)[0]


def nl_means(given: np.ndarray, *, sigma: float, h: float, patch_size: int, patch_distance: int) -> np.ndarray:
    """Non-local means (Buades et al. 2005) of scikit-image, its fast form (Darbon et al. 2008)."""
    from skimage.restoration import denoise_nl_means  # pyright: ignore[reportMissingImports]

    return denoise_nl_means(
        given, patch_size=patch_size, patch_distance=patch_distance, h=h * sigma, sigma=sigma, fast_mode=True
    )


def wavelets(given: np.ndarray, *, sigma: float, wavelet: str, mode: str, shifts: int) -> np.ndarray:
    """Wavelet coefficients shrunk by BayesShrink (Chang et al. 2000) of scikit-image."""
    from skimage.restoration import cycle_spin, denoise_wavelet  # pyright: ignore[reportMissingImports]

    how = {"sigma": sigma, "wavelet": wavelet, "mode": mode, "method": "BayesShrink"}
    return cycle_spin(given, denoise_wavelet, max_shifts=shifts, func_kw=how, workers=1)


def wiener(given: np.ndarray, *, psf: np.ndarray, balance: float) -> np.ndarray:
    """Wiener-Hunt deconvolution of scikit-image, with its Laplacian as the penalty."""
    from skimage.restoration import wiener  # pyright: ignore[reportMissingImports]

    wide = np.pad(given, MARGIN, mode="symmetric")
    return np.asarray(wiener(wide, psf, balance, clip=False))[MARGIN:-MARGIN, MARGIN:-MARGIN]


def richardson_lucy(given: np.ndarray, *, psf: np.ndarray, num_iter: int) -> np.ndarray:
    """Richardson-Lucy deconvolution of scikit-image; values below 0, which it does not know, are taken as 0."""
    from skimage.restoration import richardson_lucy  # pyright: ignore[reportMissingImports]

    wide = np.pad(given, MARGIN, mode="symmetric").clip(0) / 255
    return 255 * richardson_lucy(wide, psf, num_iter=num_iter, clip=False)[MARGIN:-MARGIN, MARGIN:-MARGIN]


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return all combinations of some parameters.

    >>> combinations({"a": (1, 2), "b": ("x",)})
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def best(method: Method, grid: Grid, pictures: Iterable[Picture], factor: int = 1) -> tuple[float, dict[str, Any]]:
    """Return the best mean PSNR over the pictures that a method reaches, and with which parameters.

    The parameters are chosen on the very images that are measured, in favor of the method.
    """
    tried, pictures = [], list(pictures)
    for parameters in combinations(grid):
        numbers = [quality(method(one.given[0], **parameters)[None], one.clean, factor) for one in pictures]
        tried.append((float(np.mean(numbers)), parameters))
    return max(tried, key=lambda pair: pair[0])
