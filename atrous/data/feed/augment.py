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


@dataclass(frozen=True)
class Recoloring:
    """What was drawn for one crop.

    Attributes:
        exponent: on the crop's range, or None.
        gains: `(C,)` float32, factor of each channel.
        shift: added, in standard deviations of the data.
        saturation: factor around the gray value, or None.
        noise: `(C, *S)` float32 of deviation 1, added; or None.
        level: deviation of the noise, in standard deviations of the data.
    """

    exponent: float | None
    gains: np.ndarray
    shift: float
    saturation: float | None
    noise: np.ndarray | None
    level: float


def draw_recoloring(rng: np.random.Generator, shape: tuple[int, ...], color: Color) -> Recoloring:
    """Draw how the intensities of a crop of shape `(C, *S)` vary."""
    exponent, saturation, noise, level = None, None, None, 0.0
    if color.gamma > 0 and rng.random() < 1 / 3:
        exponent = float(np.exp(rng.uniform(-1, 1) * np.log1p(color.gamma)))
    channels = shape[0]
    gain = 1 + rng.uniform(-color.contrast, color.contrast)
    gains = (gain * (1 + rng.uniform(-color.channel, color.channel, channels))).astype(np.float32)
    shift = float(rng.uniform(-color.brightness, color.brightness))
    if channels == 3 and color.saturation > 0:
        saturation = 1 + float(rng.uniform(-color.saturation, color.saturation))
    if color.noise > 0 and rng.random() < 0.25:
        level = float(rng.uniform(0, color.noise))
        noise = rng.standard_normal(shape, dtype=np.float32)
    return Recoloring(exponent, gains, shift, saturation, noise, level)


def recolored(image: torch.Tensor, drawn: Recoloring, spread: float) -> torch.Tensor:
    """Vary the intensities of `(C, *S)` as drawn; `spread` is the data's standard deviation."""
    if drawn.exponent is not None:
        image = with_gamma(image, drawn.exponent)
    gains = torch.from_numpy(drawn.gains).view(-1, *[1] * (image.ndim - 1))
    center = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
    if drawn.saturation is not None:
        image = torch.lerp(image.mean(0, keepdim=True), image, drawn.saturation)
    image = (image - center).mul_(gains).add_(center + drawn.shift * spread)
    return image if drawn.noise is None else image.add_(torch.from_numpy(drawn.noise), alpha=drawn.level * spread)


def recolor(rng: np.random.Generator, image: torch.Tensor, color: Color, spread: float) -> torch.Tensor:
    """Vary the intensities of `(C, *S)` at random; `spread` is the data's standard deviation."""
    return recolored(image, draw_recoloring(rng, tuple(image.shape), color), spread)


def with_gamma(image: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return `(C, *S)` with each channel's range taken as 0 to 1 and raised to a power; its ends are kept.

    >>> with_gamma(torch.tensor([[2.0, 3.0, 6.0]]), 2.0).tolist()
    [[2.0, 2.25, 6.0]]
    """
    axes = tuple(range(1, image.ndim))
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    width = (high - low).clamp_min(1e-6)
    return (image - low).div_(width).pow_(exponent).mul_(width).add_(low)  # a large image is copied once
