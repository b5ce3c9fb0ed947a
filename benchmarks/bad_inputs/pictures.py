"""A good data set of small pictures, and ways to spoil it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

TWO = 'classes = ["ground", "square"]\n'
THREE = 'classes = ["ground", "left", "right"]\n'
SIZE = (48, 64)
RNG = np.random.default_rng(1)
Spoil = Callable[[Path], object]


def square(index: int) -> np.ndarray:
    """Return a mask of one square, at another place for each number."""
    mask = np.zeros(SIZE, np.uint8)
    mask[8 + index : 24 + index, 16:40] = 1
    return mask


def halves(index: int) -> np.ndarray:
    """Return a mask in which the right half of the square is class 2."""
    mask = square(index)
    mask[:, 28:] *= 2
    return mask


def photo(index: int) -> np.ndarray:
    """Return the gray picture of a square."""
    noise = np.random.default_rng(index).normal(0, 8, SIZE)
    return (60 + 120 * square(index) + noise).clip(0, 255).astype(np.uint8)


def put(path: Path, pixels: np.ndarray | Image.Image) -> None:
    """Write pixels in the format of the suffix, with the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)


def data_set(
    mask: Callable[[int], np.ndarray | Image.Image] = square,
    toml: str | None = TWO,
    count: int = 10,
    suffix: str = ".png",
    image: Callable[[int], np.ndarray] = photo,
) -> Spoil:
    """Return what writes `images/0.png` ... and `masks/0.png` ... with these masks, and a dataset.toml."""

    def make(folder: Path) -> None:
        for index in range(count):
            put(folder / "images" / f"{index}.png", image(index))
            put(folder / "masks" / f"{index}{suffix}", mask(index))
        if toml is not None:
            (folder / "dataset.toml").write_text(toml)

    return make


def spoiled(change: Spoil, make: Spoil | None = None) -> Spoil:
    """Return what writes a good data set, then changes it."""

    def both(folder: Path) -> None:
        (make or data_set())(folder)
        change(folder)

    return both


def replaced(name: str, pixels: np.ndarray, make: Spoil | None = None) -> Spoil:
    """Return what writes a good data set, then another picture in the place of one of its files."""
    return spoiled(lambda folder: put(folder / name, pixels), make)
