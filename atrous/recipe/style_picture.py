"""The picture whose style is learned: how it is read, and how a run keeps it."""

import shutil
from pathlib import Path

import numpy as np
import torch

from atrous.data.formats import read_header, read_image, suffix_of
from atrous.data.restoration import STYLE, TYPES
from atrous.encoders.activations import Activations
from atrous.errors import UserError
from atrous.recipe.schema import Recipe
from atrous.tasks.perceptual import PerceptualLoss
from atrous.tasks.style import LEAST, SIDE

KEPT = "style"
"""Name, without suffix, of the style's picture in the folder of a run."""


def read_style(path: str | Path | None, side: int = SIDE) -> np.ndarray:
    """Return the style's picture `(3, H, W)` float32 with values of 0 to 255; a gray one has three equal channels.

    Args:
        path: of the file; None where nobody named one.
        side: the longer side is reduced to so many pixels, with antialiasing.

    Raises:
        UserError: there is no such file, it is damaged, or is no picture of at least `LEAST` pixels along each side.
    """
    if path is None:
        raise UserError('task = "style" needs a picture of the style: give --set task.style=FILE')
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise UserError(f"{file}: {what}: task.style is a picture whose style is learned")
    header = read_header(file)
    if len(header.size) != 2 or header.channels not in (1, 3) or header.dtype not in TYPES:
        raise UserError(
            f"{file}: shape {tuple(header.shape)} of {header.dtype}: task.style is a color or gray picture of 8 or 16 "
            "bits"
        )
    if min(header.size) < LEAST:
        size = " x ".join(map(str, header.size))
        raise UserError(f"{file}: {size}: a style needs a picture of at least {LEAST} x {LEAST} pixels")
    values = torch.from_numpy(read_image(file).astype(np.float32)) * (255 / TYPES[header.dtype])
    values = values.expand(3, -1, -1)
    share = side / max(header.size)
    if share < 1:
        size = [max(1, round(length * share)) for length in header.size]
        values = torch.nn.functional.interpolate(
            values[None], size=size, mode="bicubic", antialias=True, align_corners=False
        )[0].clamp(0, 255)
    return values.contiguous().numpy()


def is_gray(picture: np.ndarray) -> bool:
    """Return whether a picture `(3, H, W)` has no color."""
    return bool((picture == picture[:1]).all())


def perceptual_loss(path: str | Path | None, side: int = SIDE) -> PerceptualLoss:
    """Return the loss for the style of a picture, by EfficientNet-Lite0 with ImageNet weights.

    Raises:
        UserError: as `read_style`; or the weights are not installed.
    """
    encoder = Activations()
    style = torch.from_numpy(read_style(path, side))
    return PerceptualLoss(encoder, style, encoder.content_maps, encoder.style_maps)


def located(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe of a folder in which the style's picture has its absolute path.

    A relative path in a recipe is meant from the recipe's own folder, so that a moved run finds the copy it keeps.
    """
    style = recipe.task.style
    if recipe.task.kind != STYLE or style is None or Path(style).is_absolute():
        return recipe
    return recipe.model_copy(update={"task": recipe.task.model_copy(update={"style": str(folder.absolute() / style)})})


def keep_style(recipe: Recipe, folder: Path) -> Recipe:
    """Copy the style's picture into the folder of a run, and return the recipe that names the copy.

    Raises:
        OSError: it cannot be copied.
    """
    style = recipe.task.style
    if recipe.task.kind != STYLE or style is None:
        return recipe
    name = f"{KEPT}{suffix_of(Path(style))}"
    shutil.copyfile(style, folder / name)
    return recipe.model_copy(update={"task": recipe.task.model_copy(update={"style": name})})
