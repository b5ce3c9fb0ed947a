"""A view made into tensors: one interpolation for crop, zoom, turn and mirror; then color."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from atrous.data.feed.views import View
from atrous.labels import IGNORE


@dataclass(frozen=True)
class Color:
    """How intensities vary, each as the greatest deviation.

    Attributes:
        brightness: added, in standard deviations of the data.
        contrast: factor around the crop's mean, 0.2 means 0.8 to 1.2.
        saturation: factor around the gray value, for three channels.
        channel: factor of its own per channel.
        noise: standard deviation of noise added to a quarter of the crops, in standard deviations of the data.
        gamma: exponent on the crop's range, for a third of the crops: 0.5 means 1/1.5 to 1.5.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    channel: float = 0.05
    noise: float = 0.03
    gamma: float = 0.0


def _window(view: View, crop: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of the sample that the view can see, with a margin for interpolation; at least two positions wide."""
    reach = np.abs(view.matrix) @ (np.asarray(crop) / 2) + 2
    low = np.floor(view.center - reach).astype(int)
    high = np.ceil(view.center + reach).astype(int)
    return tuple(slice(max(0, min(a, n - 2)), min(n, max(b, 2))) for a, b, n in zip(low, high, shape, strict=True))


def _grid(view: View, crop: tuple[int, ...], window: tuple[slice, ...]) -> torch.Tensor:
    """Sampling grid `(1, *crop, ndim)` in torch's coordinates: -1..1 over the window, last axis first."""
    start = np.array([w.start for w in window], float)
    size = np.array([w.stop - w.start for w in window], float)
    linear, offset = 2 / size[:, None] * view.matrix, 2 / size * (view.center - start) - 1
    grid = torch.empty(1, *crop, len(crop))
    for axis in range(len(crop)):
        place = torch.tensor(offset[axis], dtype=torch.float32)
        for along, length in enumerate(crop):
            offsets = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
            place = place + (offsets * float(linear[axis, along])).view(
                [-1 if a == along else 1 for a in range(len(crop))]
            )
        grid[0, ..., len(crop) - 1 - axis] = place
    return grid


def cut(image: np.ndarray, label: np.ndarray, view: View, crop: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Image `(C, *S)` and label `(*S)` as seen by `view`: float32 `(C, *crop)` and uint8 `(*crop)`.

    The image is interpolated linearly and continued by its border; the label takes the nearest, `IGNORE` outside.
    """
    if label.ndim == 1:  # torch samples grids of two and three axes: give one axis a companion of length one
        flat = View(view.index, np.array([0.5, view.center[0]]), np.diag([1.0, view.matrix[0, 0]]))
        pixels, classes = cut(image[:, None], label[None], flat, (1, *crop))
        return pixels[:, 0], classes[0]
    window = _window(view, crop, label.shape) if min(label.shape) > 1 else tuple(slice(0, n) for n in label.shape)
    grid = _grid(view, crop, window)
    pixels = torch.from_numpy(np.ascontiguousarray(image[(slice(None), *window)]).astype(np.float32))[None]
    seen = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    # Shifted by one, so that the zero that torch puts outside is IGNORE.
    shifted = (label[window].astype(np.int16) + 1) % (IGNORE + 1)
    values = torch.from_numpy(shifted.astype(np.float32))[None, None]
    nearest = F.grid_sample(values, grid, mode="nearest", padding_mode="zeros", align_corners=False)[0, 0]
    return seen, ((nearest.to(torch.int16) + IGNORE) % (IGNORE + 1)).to(torch.uint8)


def recolor(rng: np.random.Generator, image: torch.Tensor, color: Color, spread: float) -> torch.Tensor:
    """Vary the intensities of `(C, *S)`; `spread` is the data's standard deviation."""
    if color.gamma > 0 and rng.random() < 1 / 3:
        image = _bent(image, float(np.exp(rng.uniform(-1, 1) * np.log1p(color.gamma))))
    channels = image.shape[0]
    shape = (channels, *[1] * (image.ndim - 1))
    gain = 1 + rng.uniform(-color.contrast, color.contrast)
    gains = torch.from_numpy((gain * (1 + rng.uniform(-color.channel, color.channel, channels))).astype(np.float32))
    shift = float(rng.uniform(-color.brightness, color.brightness)) * spread
    center = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
    if channels == 3 and color.saturation > 0:
        gray = image.mean(0, keepdim=True)
        image = torch.lerp(gray, image, 1 + float(rng.uniform(-color.saturation, color.saturation)))
    image = (image - center) * gains.view(shape) + (center + shift)
    if color.noise > 0 and rng.random() < 0.25:
        level = float(rng.uniform(0, color.noise)) * spread
        noise = rng.standard_normal(tuple(image.shape), dtype=np.float32)
        image = image + level * torch.from_numpy(noise)
    return image


def _bent(image: torch.Tensor, exponent: float) -> torch.Tensor:
    """Each channel's range `0..1` raised to a power, its ends kept."""
    axes = tuple(range(1, image.ndim))
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    width = (high - low).clamp_min(1e-6)
    return ((image - low) / width).pow(exponent) * width + low
