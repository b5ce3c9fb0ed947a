"""How the inputs of a restoration are made from clean images: blur, a coarser grid, noise, hidden positions.

An image that is its own target is trained on as pairs of what is made of it and itself. The arithmetic is that of the
measurements: blur first, then sampling, then noise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from atrous.data.downscale import downscaled
from atrous.errors import UserError

RESTORATIONS = ("denoise", "deblur", "super-resolution")
"""Tasks that make images of images."""
STYLE = "style"
"""The task that paints images in the style of a picture."""
PICTURES = (*RESTORATIONS, STYLE)
"""Tasks that make images of images, and can learn from images that are their own targets."""
TYPES = {"uint8": 255.0, "uint16": 65535.0}
"""Greatest value of the types that have one."""
BOX = 5
"""In every box of so many positions along each axis one is hidden."""
NEAR = 2
"""What a hidden position reads instead is at most so far away along each axis."""
BLUR = 1.6
"""Standard deviation of the blur where nobody says one."""
LARGEST_PSF = 129
"""Positions along each side of a point spread function."""


@dataclass(frozen=True)
class Degradation:
    """What is done to a clean image.

    Attributes:
        noise: standard deviation of Gaussian noise, on the scale of the values; the result is neither clipped nor
            rounded.
        gain: variance that is added for each unit of the value, as counting photons does (Poisson-Gaussian noise:
            Foi et al. 2008). 0 for none.
        impulse: share of the positions that read the least or the greatest value.
        limits: least and greatest value.
        blur: standard deviation of a Gaussian point spread function, in positions; 0 for none.
        psf: a point spread function `(*S)` of its own, with the sum 1; None for none.
        scale: the grid of the result is coarser by this factor along each axis.
        greatest: of images of whole numbers, the greatest that their type holds (`TYPES`): on a coarser grid they stay
            whole numbers up to it, before noise is added. None for others.

    >>> Degradation(scale=2)(np.ones((1, 8, 6), np.uint8), np.random.default_rng(0)).shape
    (1, 4, 3)
    """

    noise: float = 0.0
    gain: float = 0.0
    impulse: float = 0.0
    limits: tuple[float, float] = (0.0, 255.0)
    blur: float = 0.0
    psf: np.ndarray | None = None
    scale: int = 1
    greatest: float | None = None

    def __call__(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what is measured of a clean image `(C, *S)`, `(C, *S')` float32."""
        from scipy import ndimage  # the data doctor must not wait for it

        values = np.asarray(clean, np.float32)
        if self.blur > 0:
            values = np.stack([ndimage.gaussian_filter(one, self.blur, mode="reflect") for one in values])
        if self.psf is not None:
            values = np.stack([ndimage.convolve(one, self._kernel, mode="reflect") for one in values])
        if self.scale > 1:
            values = downscaled(values, self.scale, self.greatest)
        if self.noise > 0 or self.gain > 0:
            deviation = self.noise
            if self.gain > 0:
                deviation = np.sqrt(self.noise**2 + self.gain * np.maximum(values, 0)).astype(np.float32)
            values = values + deviation * rng.standard_normal(values.shape, dtype=np.float32)
        if self.impulse > 0:
            struck = rng.random(values.shape, dtype=np.float32) < self.impulse
            values = np.where(struck, rng.choice(np.array(self.limits, np.float32), values.shape), values)
        return np.ascontiguousarray(values, np.float32)

    @property
    def changes(self) -> bool:
        """Whether the result differs from the clean image."""
        return self.scale > 1 or self.psf is not None or max(self.noise, self.gain, self.impulse, self.blur) > 0

    @cached_property
    def _kernel(self) -> np.ndarray:
        assert self.psf is not None
        return np.asarray(self.psf, np.float32)


def hide(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return an image in which some positions read another value, and what they are to be restored to.

    In every box of `BOX` positions along each axis one position, of all channels, reads the value of a random neighbor.
    A network that is taught to restore these cannot copy them, so it learns what the neighbors say of a position: of
    independent noise they say nothing, so it learns the clean value (Krull, Buchholz & Jug, "Noise2Void", CVPR 2019).

    Args:
        values: the noisy image `(C, *S)` float32.
        rng: draws the positions and neighbors.

    Returns:
        The image, and the target `(C, *S)`: the values of the hidden positions, NaN elsewhere.
    """
    size, ndim = np.array(values.shape[1:]), values.ndim - 1
    corners = np.stack(np.meshgrid(*[np.arange(0, n, BOX) for n in size], indexing="ij"), -1).reshape(-1, ndim)
    places = corners + rng.integers(0, BOX, corners.shape)
    places = places[(places < size).all(axis=1)]
    window = (2 * NEAR + 1) ** ndim
    drawn = rng.integers(0, window - 1, len(places))
    drawn += drawn >= window // 2  # the middle of the window is the position itself
    offsets = np.stack(np.unravel_index(drawn, (2 * NEAR + 1,) * ndim), -1) - NEAR
    others = places + offsets
    outside = (others < 0) | (others >= size)
    others = np.where(outside, np.clip(places - offsets, 0, size - 1), others)
    here, there = (slice(None), *places.T), (slice(None), *others.T)
    image, target = values.copy(), np.full_like(values, np.nan)
    image[here], target[here] = values[there], values[here]
    return image, target


@dataclass(frozen=True)
class Restoration:
    """How images that are their own targets are made into pairs of input and target.

    Attributes:
        degradation: what is done to the images.
        hidden: whether the network learns from hidden positions of the degraded images alone, and never sees a clean
            one (self-supervised).
        seed: of the noise that an image has for good: in evaluation, and in a self-supervised training.
        fill: what values without data (NaN, infinite) are taken for, per channel; they are never a target.
    """

    degradation: Degradation
    hidden: bool = False
    seed: int = 0
    fill: tuple[float, ...] = ()

    def fixed(self, name: str, image: np.ndarray) -> np.ndarray:
        """Return an image `(C, *S)` as it is measured: by its name the noise is always the same."""
        return self.degradation(self._filled(image), self._rng(name, "noise"))

    def _filled(self, image: np.ndarray) -> np.ndarray:
        """The image without gaps."""
        if image.dtype.kind != "f" or np.isfinite(image).all():
            return image
        fill = np.asarray(self.fill or (0.0,) * len(image), np.float32).reshape(-1, *[1] * (image.ndim - 1))
        return np.where(np.isfinite(image), image, fill).astype(np.float32)

    def measured(self, name: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return input and target of an image in evaluation: degraded and clean.

        Where nothing is done to the images, they are noisy themselves, and some positions are hidden.

        Raises:
            UserError: an image has no whole position of the coarser grid.
        """
        if self.hidden and not self.degradation.changes:
            return self._hide(image, self._rng(name, "hidden"))
        factor, size = self.degradation.scale, image.shape[1:]
        if min(size) < factor:
            raise UserError(
                f"{name}: {' x '.join(map(str, size))}: smaller than task.scale = {factor}: remove this image, or set "
                "a smaller task.scale"
            )
        # what is left over of a coarser grid is cut off at the far side
        whole = image[(slice(None), *(slice(0, n // factor * factor) for n in size))]
        return self.fixed(name, whole), _known(whole)

    def watched(self, name: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return input and target of an image in the validations of a training, which may not see more than that."""
        if not self.hidden:
            return self.measured(name, image)
        return self._hide(self.kept(name, image), self._rng(name, "hidden"))

    def kept(self, name: str, image: np.ndarray) -> np.ndarray:
        """Return the image from which crops are cut: degraded for good in a self-supervised training, else as it is."""
        if not (self.hidden and self.degradation.changes):
            return image
        gaps = ~np.isfinite(image)
        return np.where(gaps, np.float32(np.nan), self.fixed(name, image)) if gaps.any() else self.fixed(name, image)

    def pair(self, crop: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return input `(C, *S')` and target `(C, *S)` of a crop of a kept image."""
        values = np.asarray(crop, np.float32)
        return self._hide(values, rng) if self.hidden else (self.degradation(self._filled(values), rng), _known(values))

    def _hide(self, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Hide positions of an image; those without data are no target."""
        values = np.asarray(image, np.float32)
        given, target = hide(self._filled(values), rng)
        return given, np.where(np.isfinite(values), target, np.float32(np.nan))

    def _rng(self, name: str, what: str) -> np.random.Generator:
        digest = hashlib.blake2b(f"{self.seed} {what} {name}".encode(errors="backslashreplace"), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "little"))


def _known(clean: np.ndarray) -> np.ndarray:
    """A clean image as a target: infinite values become NaN, which means that nothing is known."""
    if clean.dtype.kind != "f" or not np.isinf(clean).any():
        return clean
    return np.where(np.isinf(clean), np.float32(np.nan), clean).astype(np.float32)


def read_psf(path: Path, ndim: int) -> np.ndarray:
    """Return a point spread function `(*S)` float32 of an image file, with the sum 1; channels are read as slices.

    Raises:
        UserError: the file cannot be read, has several channels or other axes, even sides, more than `LARGEST_PSF`
            positions along one, or values that are negative, not finite or all zero.
    """
    from atrous.data.formats import read_image

    image = read_image(path).astype(np.float64)
    if image.ndim == ndim and len(image) > 1:
        image = image[None]
    if image.shape[0] != 1 or image.ndim != ndim + 1:
        raise UserError(f"{path}: shape {image.shape}: a point spread function has one channel and {ndim} axes")
    kernel = image[0]
    if any(n % 2 == 0 for n in kernel.shape) or max(kernel.shape) > LARGEST_PSF:
        raise UserError(
            f"{path}: {' x '.join(map(str, kernel.shape))}: a point spread function has odd sides up to {LARGEST_PSF}: "
            "crop it around its middle"
        )
    if not np.isfinite(kernel).all() or kernel.min() < 0 or kernel.sum() <= 0:
        raise UserError(f"{path}: a point spread function has values of at least 0, not all of them 0")
    return (kernel / kernel.sum()).astype(np.float32)


def gaussian_psf(sigma: float, ndim: int) -> np.ndarray:
    """Return a Gaussian point spread function `(*S)` float32 with the sum 1, cut off at four deviations."""
    reach = int(4 * sigma + 0.5)
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = line
    for _ in range(ndim - 1):
        kernel = np.multiply.outer(kernel, line)
    return (kernel / kernel.sum()).astype(np.float32)


def noise_level(limits: Sequence[float]) -> float:
    """Return the noise that is added where nobody says how much: a tenth of the range of the values, as 25 of 8 bits.

    >>> noise_level((0, 255))
    25.0
    """
    return float(f"{(limits[1] - limits[0]) * 25 / 255:.3g}")


def usual_noise(task: str, dtype: str, span: Sequence[float]) -> float:
    """Return the standard deviation of the noise that a task adds to clean images where nobody says it.

    Args:
        task: `denoise` adds `noise_level`, `deblur` 2 / 25 of it, `super-resolution` none.
        dtype: type of the images. Of 8 bits the range is 255; of all others it is that of the training images, since
            16-bit files often hold 12 bits.
        span: least and greatest value of the training images.

    >>> usual_noise("denoise", "uint8", (3, 90)), usual_noise("denoise", "uint16", (0, 4095))
    (25.0, 401.0)
    """
    level = noise_level((0.0, 255.0) if dtype == "uint8" else span)
    return {"denoise": level, "deblur": level * 2 / 25}.get(task, 0.0)
