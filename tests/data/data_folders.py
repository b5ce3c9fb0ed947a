"""Small images and masks for tests of data sets."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (24, 30)


def stripes() -> np.ndarray:
    """A mask of the classes 0, 1, 2 in three bands."""
    return np.repeat(np.arange(3, dtype=np.uint8), 8)[:, None].repeat(SIZE[1], 1)


def picture(seed: int, channels: int = 3) -> np.ndarray:
    shape = SIZE if channels == 1 else (*SIZE, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path)
