"""Mistakes in images: channels, types, values, orientation; the same image twice."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import RNG, SIZE, TWO, data_set, photo, put, replaced, spoiled, square


def as_tiff(index: int, pixels: np.ndarray, folder: Path, **tags: Any) -> None:
    """Write a TIFF in the place of an image."""
    (folder / f"images/{index}.png").unlink()
    tifffile.imwrite(folder / f"images/{index}.tif", pixels, **tags)


def not_finite(folder: Path, *, everywhere: bool) -> None:
    """Write all images as floats, one of them with NaN."""
    for index in range(10):
        pixels = photo(index).astype(np.float32)
        if index == 3:
            pixels[: None if everywhere else 5] = np.nan
        as_tiff(index, pixels, folder)


def no_measurement(folder: Path) -> None:
    """Write all images as floats; a corner of one is -9999."""
    for index in range(10):
        pixels = photo(index).astype(np.float32)
        if index == 3:
            pixels[:10, :10] = -9999
        as_tiff(index, pixels, folder)


def other_axes(folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name / "3.png").unlink()
        tifffile.imwrite(folder / name / "3.tif", np.stack([photo(3) if name == "images" else photo(3) // 255] * 9))


def twice(folder: Path) -> None:
    """Write two splits with one image in both, in another format."""
    for split, suffix, numbers in (("train", ".png", range(8)), ("val", ".bmp", (8, 9, 2))):
        for number in numbers:
            put(folder / "images" / split / f"{split}{number}{suffix}", photo(number))
            put(folder / "masks" / split / f"{split}{number}.png", square(number))
    (folder / "dataset.toml").write_text(TWO)


def turned(folder: Path) -> None:
    """Write the images as photographs that the camera stored upside down."""
    exif = Image.Exif()
    exif[0x0112] = 3
    for path in sorted((folder / "images").iterdir()):
        Image.fromarray(photo(int(path.stem))[::-1, ::-1]).save(path.with_suffix(".jpg"), exif=exif, quality=95)
        path.unlink()


def inverted(folder: Path) -> None:
    for index in range(10):
        as_tiff(index, 255 - photo(index), folder, photometric="miniswhite")


def cmyk(folder: Path) -> None:
    for path in sorted((folder / "images").iterdir()):
        Image.fromarray(np.stack([photo(int(path.stem))] * 3, -1)).convert("CMYK").save(path.with_suffix(".jpg"))
        path.unlink()


def palette(folder: Path) -> None:
    for path in sorted((folder / "images").iterdir()):
        colors = RNG.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        put(path, Image.fromarray(colors).quantize(16))


def more_pages(folder: Path) -> None:
    (folder / "images/3.png").unlink()
    with tifffile.TiffWriter(folder / "images/3.tif") as file:
        file.write(photo(3), metadata=None)
        file.write(photo(3)[:20, :20], metadata=None)


def rgba(index: int) -> np.ndarray:
    return np.stack([photo(index)] * 3 + [np.full(SIZE, 255, np.uint8)], -1)


COLOR = RNG.integers(0, 255, (*SIZE, 3)).astype(np.uint8)
MISTAKES = (
    Mistake(
        "another number of channels", replaced("images/3.png", COLOR), "error",
        ("images/3.png", "it has 3 channels, most images have 1", "write channels = 1 in dataset.toml"),
    ),
    Mistake(
        "another number of axes", spoiled(other_axes), "error",
        ("images/3.tif", "it has 3 axes, most images 2", "keep images of one kind"),
    ),
    Mistake(
        "`spacing` has a wrong number", data_set(toml=TWO + "spacing = [1.0, 1.0, 2.0]\n"), "error",
        ("dataset.toml", "`spacing` has 3 values, but the images have 2 axes", "one distance for each axis"),
    ),
    Mistake(
        "`spacing` has a wrong number", data_set(toml=TWO + "sampling_rate = 100\n"), "error",
        ("dataset.toml", "`sampling_rate` is for signals", "write `spacing`"),
    ),
    Mistake(
        "All values of an image are NaN", spoiled(lambda folder: not_finite(folder, everywhere=True)), "error",
        ("images/3.tif", "all 3072 values are NaN or infinite", "look at it, or remove it"),
    ),
    Mistake(
        "Some values of an image are NaN", spoiled(lambda folder: not_finite(folder, everywhere=False)), "warning",
        ("images/3.tif", "320 values are NaN or infinite", "fine if nothing was measured there"),
    ),
    Mistake(
        "far outside of the rest", spoiled(no_measurement), "warning",
        ("images/3.tif", "value -9999 covers 3.3% of it", "write nodata = -9999 in dataset.toml"),
    ),
    Mistake(
        "The same image", twice, "warning",
        ("the same image as images/", "in val and train", "metrics on val will be too good", "remove one of the two"),
    ),
    Mistake(
        "An image has another type", replaced("images/3.png", photo(3).astype(np.uint16) * 200), "warning",
        ("images/3.png", "its values are uint16, those of most images uint8", "save all images in one type"),
    ),
    Mistake(
        "An image is blank", replaced("images/3.png", np.full(SIZE, 9, np.uint8)), "warning",
        ("images/3.png", "the image is blank (all 9)", "look at it"),
    ),
    Mistake("RGBA images", data_set(image=rgba), "note", ("10 images (images/0.png, ...)", "alpha is dropped")),
    Mistake("RGBA images", data_set(image=lambda i: photo(i).astype(np.uint16) * 200), "note", ("16-bit: accepted",)),
    Mistake("RGBA images", spoiled(palette), "note", ("palette colors: looked up, read as RGB",)),
    Mistake("RGBA images", spoiled(cmyk), "note", ("CMYK: read as RGB",)),
    Mistake("EXIF or TIFF orientation", spoiled(turned), "note", ("turned by its EXIF orientation, as viewers do",)),
    Mistake("EXIF or TIFF orientation", spoiled(inverted), "note", ("0 stands for white in it (WhiteIsZero)",)),
    Mistake("pages of other sizes", spoiled(more_pages), "note", ("images/3.tif", "left out")),
)  # fmt: skip
