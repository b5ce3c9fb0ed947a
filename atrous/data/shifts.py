"""Changes of an image that a camera, a scanner or a format makes, at three strengths each.

After ImageNet-C (Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", arXiv:1903.12261), whose strengths 1, 3 and 5 are taken where there is the same change, and written
once for signals, images and volumes. ImageNet-C's values are shares of the range of 8 bits; of other types the range is
taken to be four standard deviations of the image, channel by channel.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
import torch
from torch.nn import functional as F

__all__ = ["SHIFTS", "Shift", "applicable"]

Change = Callable[[np.ndarray, float, "ShiftFacts"], np.ndarray]
"""Given float32 values `(C, *S)` without gaps, a strength, and `ShiftFacts`, returns the changed values."""
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class ShiftFacts:
    """What a change knows of an image beside its values.

    Attributes:
        spread: per channel, the range of the values `(C, 1, ...)`.
        axes: spatial axes that are blurred and resampled: all but the time of videos.
        steps: distance of neighbors along each axis, 1 along the finest one.
        seed: of what is drawn at random.
    """

    spread: np.ndarray
    axes: tuple[int, ...]
    steps: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Shift:
    """One kind of change.

    Attributes:
        name: of it.
        meaning: of its strengths.
        strengths: three, the weakest first.
        change: makes it.
    """

    name: str
    meaning: str
    strengths: tuple[float, float, float]
    change: Change

    def apply(
        self,
        image: np.ndarray,
        strength: float,
        name: str,
        spacing: Sequence[float] | None = None,
        *,
        video: bool = False,
    ) -> np.ndarray:
        """Return a changed image `(C, *S')` of the same type; S' differs from S for a change of scale alone.

        Args:
            image: `(C, *S)`, any real type. Values that are no finite numbers take the channel's mean, and have it in
                the result.
            strength: one of `strengths`.
            name: of the image, on which the random numbers depend.
            spacing: distance of neighbors along each axis.
            video: whether the first axis is time.

        >>> shift = next(shift for shift in SHIFTS if shift.name == "brightness")
        >>> shift.apply(np.uint8([[[100, 250]]]), 0.1, "a").tolist()
        [[[126, 255]]]
        """
        ndim = image.ndim - 1
        values, every = image.astype(np.float32), tuple(range(1, image.ndim))
        known = np.isfinite(values)
        total = np.where(known, values, 0).sum(every, keepdims=True, dtype=np.float64)
        mean = total / np.maximum(known.sum(every, keepdims=True), 1)
        values = np.where(known, values, mean).astype(np.float32)
        spread = np.float32(255) if image.dtype == np.uint8 else 4 * values.std(every, keepdims=True)
        steps = (1.0,) * ndim if spacing is None else tuple(step / min(spacing) for step in spacing)
        facts = ShiftFacts(
            np.broadcast_to(spread, (len(values), *[1] * ndim)), tuple(range(1 if video else 0, ndim)), steps,
            int.from_bytes(sha256(f"{self.name} {strength} {name}".encode()).digest()[:8], "big"),
        )  # fmt: skip
        changed = self.change(values, strength, facts)
        if image.dtype.kind in "iu":
            limits = np.iinfo(image.dtype)
            changed = changed.astype(np.float64).round().clip(limits.min, limits.max)
        return changed.astype(image.dtype)


def applicable(image: np.ndarray) -> tuple[Shift, ...]:
    """Return the changes that make sense for an image `(C, *S)`: JPEG is for pictures of 8 bits.

    >>> [shift.name for shift in applicable(np.zeros((1, 5), np.float32))]
    ['noise', 'blur', 'brightness', 'contrast', 'scale', 'resampling']
    """
    picture = image.dtype == np.uint8 and image.ndim == 3 and len(image) in (1, 3)
    return tuple(shift for shift in SHIFTS if shift.name != "jpeg" or picture)


def _noise(values: np.ndarray, strength: float, facts: ShiftFacts) -> np.ndarray:
    drawn = np.random.default_rng(facts.seed).standard_normal(values.shape, np.float32)
    return values + strength * facts.spread * drawn


def _blur(values: np.ndarray, strength: float, facts: ShiftFacts) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # heavy

    sigmas = [strength / step if axis in facts.axes else 0.0 for axis, step in enumerate(facts.steps)]
    return gaussian_filter(values, [0.0, *sigmas], mode="nearest")


def _brightness(values: np.ndarray, strength: float, facts: ShiftFacts) -> np.ndarray:
    return values + strength * facts.spread


def _contrast(values: np.ndarray, strength: float, facts: ShiftFacts) -> np.ndarray:
    mean = values.mean(tuple(range(1, values.ndim)), keepdims=True)
    return mean + strength * (values - mean)


def _jpeg(values: np.ndarray, strength: float, facts: ShiftFacts) -> np.ndarray:
    from PIL import Image

    picture = np.moveaxis(values.round().clip(0, 255).astype(np.uint8), 0, -1)
    file = io.BytesIO()
    Image.fromarray(picture if len(values) == 3 else picture[..., 0]).save(file, "JPEG", quality=int(strength))
    with Image.open(file) as read:
        return np.moveaxis(np.atleast_3d(np.asarray(read)), -1, 0).astype(np.float32)


def _resampling(values: np.ndarray, strength: float, facts: ShiftFacts, *, back: bool) -> np.ndarray:
    """Fewer positions: means of neighbors; `back` on the grid of the image, by linear interpolation."""
    size = tuple(values.shape[1:])
    fewer = [max(1, round(n * strength)) if axis in facts.axes else n for axis, n in enumerate(size)]
    found = F.interpolate(torch.from_numpy(np.ascontiguousarray(values))[None], tuple(fewer), mode="area")
    if back:
        found = F.interpolate(found, size, mode=LINEAR[len(size)], align_corners=False)
    return found[0].numpy()


SHIFTS: tuple[Shift, ...] = (
    Shift("noise", "deviation of Gaussian noise, as a share of the range", (0.08, 0.18, 0.38), _noise),
    Shift("blur", "deviation of a Gaussian, in positions of the finest axis", (1.0, 3.0, 6.0), _blur),
    Shift("brightness", "share of the range that is added", (0.1, 0.3, 0.5), _brightness),
    Shift("contrast", "factor on the distance from the mean", (0.4, 0.2, 0.05), _contrast),
    Shift("jpeg", "quality of the file", (25.0, 15.0, 7.0), _jpeg),
    Shift("scale", "size of the image that the network sees", (0.8, 0.65, 0.5), partial(_resampling, back=False)),
    Shift("resampling", "share of the positions that are kept", (0.6, 0.4, 0.25), partial(_resampling, back=True)),
)
"""All changes."""
