"""What is done to a file's values before a network sees them: intensities to a scale, the grid to a spacing.

A recipe keeps it (section `input`), training and prediction do the same. After nnU-Net (Isensee et al. 2021,
"nnU-Net: a self-configuring method", supplementary note 2): z-score per case for MR, clipping at percentiles of the
foreground for CT, linear resampling to the median spacing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.moments import merge, moments
from atrous.data.source import Source
from atrous.data.views import Filled, Scaled

SLAB = 1 << 22
"""Values looked at together when a source is measured."""
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True)
class Preparation:
    """What is done to the values of every input.

    Attributes:
        intensity: per channel (or one for all) `keep`: as in the file; `zscore`: mean 0 and deviation 1 over the case;
            `clip`: between `low` and `high`.
        low: per channel, where `clip` cuts.
        high: per channel, where `clip` cuts.
        spacing: distance of positions along each axis of the grid on which the network works; empty: that of the file.
        fill: per channel (or one for all), what replaces NaN and infinite values after scaling. Their labels are void.

    >>> Preparation(("zscore",)).changes, Preparation().changes
    (True, False)
    """

    intensity: tuple[str, ...] = ("keep",)
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    spacing: tuple[float, ...] = ()
    fill: tuple[float, ...] = (0.0,)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.spacing) or set(self.intensity) != {"keep"}


@dataclass(frozen=True)
class Scaling:
    """A pointwise map of one case: clip to `low..high`, then `(x - shift) / spread`; each `(C,)` float64."""

    low: np.ndarray
    high: np.ndarray
    shift: np.ndarray
    spread: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values `(C, ...)` mapped, float32; any part of the case, so that it can run inside a stream."""
        shape = (-1, *[1] * (values.ndim - 1))
        low, high, shift, spread = (
            part.astype(np.float32).reshape(shape) for part in (self.low, self.high, self.shift, self.spread)
        )
        return (np.clip(values.astype(np.float32), low, high) - shift) / spread


def scaling_of(source: Source, preparation: Preparation) -> Scaling | None:
    """How the intensities of one case are mapped; None when they are kept.

    A z-score needs the mean and deviation of the whole case: the source `(C, *S)` is passed over once, slab by slab.

    >>> scaling = scaling_of(np.array([[1.0, 3.0]]), Preparation(("zscore",)))
    >>> scaling(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    channels = source.shape[0]
    kinds = preparation.intensity if len(preparation.intensity) == channels else preparation.intensity[:1] * channels
    if set(kinds) <= {"keep"}:
        return None
    low, high = np.full(channels, -np.inf), np.full(channels, np.inf)
    shift, spread = np.zeros(channels), np.ones(channels)
    for i, kind in enumerate(kinds):
        if kind == "clip":
            low[i], high[i] = preparation.low[i], preparation.high[i]
    if "zscore" in kinds:
        rows = max(1, SLAB // max(1, int(np.prod(source.shape)) // source.shape[1]))
        starts = range(0, source.shape[1], rows)
        found = reduce(merge, (moments(np.asarray(source[:, start : start + rows])) for start in starts))
        chosen = np.array([kind == "zscore" for kind in kinds])
        shift[chosen] = found.mean[chosen]
        spread[chosen] = np.where(found.std > 0, found.std, 1.0)[chosen]
    return Scaling(low, high, shift, spread)


def scaled(source: Source, preparation: Preparation) -> Source:
    """Return a source with the intensities that the network expects, scaled as it is sliced.

    The source itself is returned if its intensities are kept.
    """
    scaling = scaling_of(source, preparation)
    return source if scaling is None else Scaled(source, scaling)


def prepare(image: np.ndarray, preparation: Preparation, spacing: Sequence[float] | None) -> np.ndarray:
    """An image `(C, *S)` as the network expects it: intensities, then gaps, then grid.

    Args:
        image: values of the file.
        preparation: what to do.
        spacing: of the image, per axis; None where it is unknown: its grid is then kept.
    """
    scaling = scaling_of(image, preparation)
    image = image if scaling is None else scaling(image)
    if image.dtype.kind == "f" and missing(image) is not None:
        image = np.asarray(Filled(image, preparation.fill)[...])
    shape = working_shape(image.shape[1:], spacing, preparation)
    return image if shape == image.shape[1:] else resample(image, shape)


def missing(image: np.ndarray) -> np.ndarray | None:
    """Return where a channel of an image `(C, *S)` is NaN or infinite, `(*S)` bool; None if it is so nowhere.

    >>> missing(np.array([[1.0, np.nan]])).tolist(), missing(np.zeros((1, 2)))
    ([False, True], None)
    """
    if image.dtype.kind != "f":
        return None
    gaps = np.asarray(~np.isfinite(image).all(axis=0))
    return gaps if gaps.any() else None


def working_shape(shape: Sequence[int], spacing: Sequence[float] | None, preparation: Preparation) -> tuple[int, ...]:
    """Size of the grid on which the network works for an image of this size and spacing.

    >>> working_shape((10, 20), (3.0, 1.0), Preparation(spacing=(1.5, 1.0)))
    (20, 20)
    """
    target = preparation.spacing
    if not target or spacing is None or len(spacing) != len(target):
        return tuple(shape)
    return tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, target, strict=True))


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """An image `(C, *S)` on a grid of another size over the same extent, linear, float32."""
    values = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    return restore(values, shape).numpy()


def resample_label(label: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return labels `(*S)` on a grid of another size over the same extent: each position takes the nearest label."""
    if label.shape == tuple(shape):
        return label
    values = torch.from_numpy(label.astype(np.float32))[None, None]
    return F.interpolate(values, tuple(shape), mode="nearest-exact")[0, 0].numpy().astype(label.dtype)


def restore(values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Probabilities or other values `(K, *S)` on the grid of the file, linear; as they are when the size is right."""
    if tuple(values.shape[1:]) == tuple(shape):
        return values
    return F.interpolate(values[None].float(), tuple(shape), mode=_LINEAR[len(shape)], align_corners=False)[0]
