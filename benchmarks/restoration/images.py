"""The images that are measured, what is done to them, and PSNR: the same for all methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atrous.data.downscale import cubic
from atrous.data.formats import read_image
from atrous.data.preprocess import Wanted, to_channels
from atrous.data.restoration import Degradation, Restoration
from atrous.tasks.restoration import psnr

NOISE_SEED = 0
"""Of the noise in the images that are measured; with the name of an image it gives the same noise to all methods."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
Y_LOW, Y_RANGE = 16.0, 219.0
"""Y of BT.601 of gray values 0 to 255 begins at 16 and ends at 235."""


@dataclass(frozen=True)
class Picture:
    """One image that is measured.

    Attributes:
        name: of its file, without suffix.
        clean: gray values `(1, H, W)` uint8.
        given: what the methods are given `(1, H', W')` float32; its noise is neither clipped nor rounded.
    """

    name: str
    clean: np.ndarray
    given: np.ndarray


def files(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Return the images of a folder by name, or only those that are named, with or without suffix."""
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    missing = [name for name in names if Path(name).stem not in found]
    if missing or not found:
        raise SystemExit(f"{folder}: {'has no image ' + ', '.join(missing) if missing else 'has no images'}")
    return [found[Path(name).stem] for name in names] if names else list(found.values())


def gray(path: Path) -> np.ndarray:
    """Return an image as gray values `(1, H, W)` uint8: the luma of colors, rounded, as `task.gray` reads them."""
    return np.asarray(to_channels(read_image(path), Wanted(1), path)[...])


def pictures(paths: Sequence[Path], degradation: Degradation) -> list[Picture]:
    """Read the images that are measured and degrade them."""
    done, result = Restoration(degradation, seed=NOISE_SEED), []
    for path in paths:
        given, clean = done.measured(path.stem, gray(path))
        result.append(Picture(path.stem, clean, given))
    return result


def quality(values: np.ndarray, clean: np.ndarray, factor: int = 1) -> float:
    """Return the PSNR in dB of restored gray values `(1, H, W)`, cut off at 0 and 255 and not rounded.

    Of super-resolution (`factor` > 1) it is that of Y of BT.601, 16 to 235, without `factor` pixels at each border.
    """
    inside = (slice(None), slice(factor, -factor), slice(factor, -factor)) if factor > 1 else (slice(None),)
    found, truth = (np.clip(np.asarray(one[inside], np.float64), 0, 255) for one in (values, clean))
    if factor > 1:
        found, truth = (Y_LOW + Y_RANGE / 255 * one for one in (found, truth))
    return psnr(torch.from_numpy(found), torch.from_numpy(truth), 255.0)


def upscaled(values: np.ndarray, factor: int) -> np.ndarray:
    """Return values `(C, *S)` on a grid that is finer by `factor`, by bicubic interpolation as MATLAB's `imresize`.

    The kernel is Keys' with a = -1/2; at the borders the values are mirrored.
    """
    result = np.asarray(values, np.float64)
    for axis in range(1, result.ndim):
        length = result.shape[axis]
        middle = (np.arange(length * factor) + 0.5) / factor - 0.5
        places = np.floor(middle).astype(int)[:, None] + np.arange(-1, 3)
        weights = cubic(middle[:, None] - places)
        mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])[places % (2 * length)]
        moved = np.moveaxis(result, axis, -1)
        result = np.moveaxis((moved[..., mirrored] * weights).sum(-1), -1, axis)
    return result.astype(np.float32)
