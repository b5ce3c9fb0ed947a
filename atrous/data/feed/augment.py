"""Random changes of intensity: brightness, contrast, saturation, noise, gamma."""

from dataclasses import dataclass

import numpy as np
import torch


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
