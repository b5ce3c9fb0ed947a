"""Mistakes in masks: values that are no class, colors, sizes, masks that say nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageFilter

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import (
    RNG,
    SIZE,
    THREE,
    TWO,
    Spoil,
    data_set,
    halves,
    put,
    replaced,
    spoiled,
    square,
)

COLORS = np.array([[0, 0, 0], [200, 60, 0], [0, 90, 255]], np.uint8)


def blurred(index: int) -> Image.Image:
    return Image.fromarray(255 * square(index)).filter(ImageFilter.GaussianBlur(4))


def as_jpeg(folder: Path, *, levels: int) -> None:
    """Write the masks as JPEG, which the suffix says too."""
    for path in sorted((folder / "masks").iterdir()):
        Image.fromarray(levels * square(int(path.stem))).save(path.with_suffix(".jpg"), quality=60)
        path.unlink()


def two_channels(folder: Path) -> None:
    (folder / "masks/3.png").unlink()
    pixels = np.stack([square(3), 3 * square(3)], -1)
    tifffile.imwrite(folder / "masks/3.tif", pixels, photometric="minisblack", planarconfig="contig")


def deep_colors(folder: Path) -> None:
    (folder / "masks/3.png").unlink()
    tifffile.imwrite(folder / "masks/3.tif", COLORS.astype(np.uint16)[halves(3)] * 256, photometric="rgb")


def white_is_zero(folder: Path) -> None:
    """Write the masks as bits in TIFF; in every other one 0 stands for white."""
    for path in sorted((folder / "masks").iterdir()):
        bits, white = square(int(path.stem)) > 0, int(path.stem) % 2 == 1
        kind = "miniswhite" if white else "minisblack"
        tifffile.imwrite(path.with_suffix(".tif"), ~bits if white else bits, photometric=kind)
        path.unlink()


def slices_as_colors(folder: Path) -> None:
    """Write volumes of three slices as arrays, whose axes nothing names."""
    for index in range(4):
        for name, pixels in (("images", RNG.integers(0, 255, (3, *SIZE))), ("masks", np.stack([square(index)] * 3))):
            (folder / name).mkdir(parents=True, exist_ok=True)
            values = pixels.astype(np.uint8)
            values[0] *= 0 if name == "masks" else 1
            np.save(folder / name / f"{index}.npy", values)


def indexed(mask: np.ndarray, colors: list[int]) -> Image.Image:
    image = Image.fromarray(mask)
    image.putpalette(colors)
    return image


def void_split(folder: Path) -> None:
    for index in (0, 1):
        put(folder / f"masks/{index}.png", np.full(SIZE, 255, np.uint8))


def with_missing(folder: Path) -> None:
    (folder / "masks/3.png").unlink()


def alone(folder: Path) -> None:
    (folder / "images/3.png").unlink()


def alpha(index: int) -> np.ndarray:
    """Return a black picture that is transparent where there is no square."""
    return np.stack([0 * square(index)] * 3 + [255 * square(index)], -1)


def hidden_jpeg(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        Image.fromarray(255 * square(int(path.stem))).save(path, "JPEG", quality=50)


def jpeg_in_tiff(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        mask = np.kron(100 * square(int(path.stem)), np.ones((2, 2), np.uint8))
        tifffile.imwrite(path.with_suffix(".tif"), mask[:48, :64], compression="jpeg", compressionargs={"level": 50})
        path.unlink()


def floats(change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    """Return what writes the masks as floats in TIFF, changed."""

    def write(folder: Path) -> None:
        for path in sorted((folder / "masks").iterdir()):
            tifffile.imwrite(path.with_suffix(".tif"), change(square(int(path.stem)).astype(np.float32)))
            path.unlink()

    return spoiled(write)


def with_nan(mask: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(mask))[:, None] < 3, np.float32(np.nan), mask)


def pages(folder: Path) -> None:
    """Write the masks with a page for each class."""
    for path in sorted((folder / "masks").iterdir()):
        mask = square(int(path.stem))
        tifffile.imwrite(path.with_suffix(".tif"), np.stack([1 - mask, mask]), photometric="minisblack")
        path.unlink()


def one_hot(folder: Path) -> None:
    for path in sorted((folder / "masks").iterdir()):
        mask = square(int(path.stem))
        np.save(path.with_suffix(".npy"), np.stack([1 - mask, mask]))
        path.unlink()


def swapped(folder: Path) -> None:
    (folder / "images").rename(folder / "other")
    (folder / "masks").rename(folder / "images")
    (folder / "other").rename(folder / "masks")


LISTED = '[splits]\nval = ["0", "1"]\n'
MISTAKES = (
    Mistake(
        "the numbers 0 and 1, but the masks contain 0 and 255", data_set(lambda i: 255 * square(i)), "error",
        ("masks/0.png", "values are 0 and 255", "write values = [0, 255] in dataset.toml"),
    ),
    Mistake(
        "because the masks count from 1", data_set(lambda i: square(i) + 1), "error",
        ("masks/0.png", "value 2 is no class", "counted from 1: write values = [1, 2] in dataset.toml"),
    ),
    Mistake(
        "it is one more than the last class", data_set(halves), "error",
        ("masks/0.png", "value 2 is no class", "add a name for 2 to `classes`, or ignore = [2]"),
    ),
    Mistake(
        "gray levels such as 75 and 150", data_set(lambda i: 75 * halves(i), THREE), "error",
        ("masks/0.png", "values [75, 150] are no class", "write values = [0, 75, 150] in dataset.toml"),
    ),
    Mistake(
        "Any other mask value", replaced("masks/3.png", 7 * square(3)), "error",
        ("masks/3.png", "value 7 is no class", "add them to `ignore`, or to `classes`", "or correct the mask"),
    ),
    Mistake(
        "Masks store colors", data_set(lambda i: COLORS[halves(i)], None), "error",
        ("masks/0.png", "masks store 3 colors, not class numbers",
         "write palette = [[0, 0, 0], [0, 90, 255], [200, 60,"),
    ),
    Mistake(
        "Masks store colors", data_set(lambda i: COLORS[halves(i)], THREE), "error",
        ("masks/0.png", "stores 3 colors", "write palette = [[0, 0, 0], [0, 90, 255], [200, 60, 0]] in dataset.toml"),
    ),
    Mistake(
        "colors that are not in the palette",
        data_set(lambda i: COLORS[halves(i)], "palette = [[0, 0, 0], [200, 60, 0]]"), "error",
        ("masks/0.png", "(0, 90, 255)", "not in `palette`", "add them to `palette` and `classes`, or to `ignore`"),
    ),
    Mistake(
        "very many different values", data_set(blurred, None), "error",
        ("masks/0.png", "different values between 0 and", "resized with interpolation or saved as JPEG",
         "export them again"),
    ),
    Mistake(
        "very many different values", data_set(blurred), "error",
        ("masks/0.png", "are no class", "resized with interpolation or saved as JPEG: export them again"),
    ),
    Mistake(
        "Masks are saved as JPEG", spoiled(lambda f: as_jpeg(f, levels=100), data_set(toml=None)), "error",
        ("masks/0.jpg", "saved as JPEG, which changes label values", "export the masks as PNG"),
    ),
    Mistake(
        "Masks are saved as JPEG", spoiled(hidden_jpeg, data_set(toml=None)), "error",
        ("masks/0.png", "saved as JPEG under the suffix .png", "export the masks as PNG"),
    ),
    Mistake(
        "Masks are saved as JPEG", spoiled(jpeg_in_tiff, data_set(toml=None)), "error",
        ("masks/0.tif", "saved as JPEG under the suffix .tif", "export the masks as PNG"),
    ),
    Mistake(
        "transparency of its file alone", data_set(alpha, None), "error",
        ("masks/0.png", "only its transparency differs, which is not read", "without alpha"),
    ),
    Mistake(
        "fractions, NaN or infinite values", floats(lambda mask: mask * 0.5), "error",
        ("masks/0.tif", "a label file with fractions, such as 0.5", "without scaling or interpolation"),
    ),
    Mistake(
        "fractions, NaN or infinite values", floats(with_nan), "error",
        ("masks/0.tif", "a label file with 192 values that are NaN or infinite", "and 255 where there is no label"),
    ),
    Mistake(
        "One class is named", data_set(toml='classes = ["cell"]\n'), "error",
        ("masks/0.png", "value 1 is no class", 'name the background too: write classes = ["background", "cell"]'),
    ),
    Mistake(
        "One class is named", data_set(lambda i: 255 * square(i), 'classes = ["cell"]\nignore = []\n'), "error",
        ("masks/0.png", "value 255 is no class", 'classes = ["background", "cell"] and values = [0, 255]'),
    ),
    Mistake(
        "a channel or a page for each class", spoiled(pages), "error",
        ("masks/0.tif", "the mask has 3 axes, its image 2 axes", "save class numbers in one page"),
    ),
    Mistake(
        "a channel or a page for each class", spoiled(one_hot), "error",
        ("masks/0.npy", "a mask of 2 channels", "save class numbers in one channel"),
    ),
    Mistake(
        "very many different values", spoiled(swapped, data_set(toml=None)), "error",
        ("masks/0.png", "different values between", "or are no masks"),
    ),
    Mistake(
        "A mask and its image differ in size", data_set(lambda i: np.pad(square(i), ((0, 1), (0, 0)))), "error",
        ("masks/0.png", "the mask is 49 x 64, its image 48 x 64", "at the image's size"),
    ),
    Mistake(
        "A mask and its image differ in size", data_set(lambda i: square(i)[::2, ::2]), "error",
        ("masks/0.png", "the mask is 24 x 32, its image 48 x 64", "without interpolation"),
    ),
    Mistake(
        "A mask and its image differ in size", replaced("masks/3.png", np.zeros((48, 63), np.uint8)), "error",
        ("masks/3.png", "the mask is 48 x 63, its image 48 x 64", "at the image's size, without interpolation"),
    ),
    Mistake(
        "width and height of its image exchanged", replaced("masks/3.png", np.ascontiguousarray(square(3).T)), "error",
        ("masks/3.png", "the mask is 64 x 48, its image 48 x 64", "turn"),
    ),
    Mistake(
        "A mask has 2 channels", spoiled(two_channels), "error",
        ("masks/3.tif", "a mask of 2 channels", "one channel, or colors as 8-bit RGB"),
    ),
    Mistake(
        "A mask has 2 channels", spoiled(deep_colors, data_set(halves, THREE)), "error",
        ("masks/3.tif", "more than 8 bits", "one channel, or colors as 8-bit RGB"),
    ),
    Mistake(
        "There is only one class", data_set(lambda i: 0 * square(i), None), "error",
        ("there is only one class", "label at least two"),
    ),
    Mistake(
        "validation split has no labeled pixels", spoiled(void_split, data_set(toml=TWO + LISTED)), "error",
        ("dataset.toml", "no", "val", "label some, or move a labeled image to val"),
    ),
    Mistake(
        "arrays with three slices", slices_as_colors, "error",
        ("masks/0.npy", 'write pages = "z" in dataset.toml'),
    ),
    Mistake(
        "Mask values are 0 and 255, and are read", data_set(lambda i: 255 * square(i), None), "warning",
        ("masks/0.png", "0 and 255: read as background and foreground", "values = [0, 255]", 'classes = ["background"'),
    ),
    Mistake(
        "Mask values start at 1", data_set(lambda i: square(i) + 1, None), "warning",
        ("masks/0.png", "1..2 and none is 0: read as 2 classes counted from one", "values = [1, 2]"),
    ),
    Mistake(
        "gray levels, and are read as classes", data_set(lambda i: 75 * halves(i), None), "warning",
        ("masks/0.png", "gray levels [0, 75, 150]", "write values = [0, 75, 150]"),
    ),
    Mistake("An image has no mask", spoiled(with_missing), "warning", ("images/3.png", "has no mask", "add its mask")),
    Mistake("A mask has no image", spoiled(alone), "warning", ("masks/3.png", "without image", "add its image")),
    Mistake(
        "A mask contains only class 0", replaced("masks/3.png", np.zeros(SIZE, np.uint8)), "warning",
        ("masks/3.png", 'every position is class 0, "ground"', "fine if the image shows nothing else"),
    ),
    Mistake(
        "All pixels of a mask are ignored", replaced("masks/3.png", np.full(SIZE, 255, np.uint8)), "warning",
        ("masks/3.png", "no position has a label that counts", "label it, or remove it"),
    ),
    Mistake(
        "A class never occurs", data_set(toml=THREE), "warning",
        ("dataset.toml", 'class "right" is in no mask of train', "move such an image to train, or remove the class"),
    ),
    Mistake(
        "Palette masks assign different colors",
        data_set(lambda i: indexed(square(i), [0, 0, 0, 255, 80, 0] if i else [255, 80, 0, 0, 0, 0])), "warning",
        ("masks/", "index 0 is the color", "one palette, or as class numbers"),
    ),
    Mistake(
        "0 stands for white", spoiled(white_is_zero, data_set(toml=None)), "warning",
        ("masks/1.tif, masks/3.tif", "0 stands for white in it (WhiteIsZero), in other masks", "save all alike"),
    ),
    Mistake(
        "palette masks (the indices count", data_set(lambda i: indexed(square(i), [0, 0, 0, 255, 80, 0])), "note",
        ("10 masks are palette", "their indices are the labels"),
    ),
    Mistake(
        "255 as void", data_set(lambda i: np.where(halves(i) == 2, 255, square(i)).astype(np.uint8)), "note",
        ("value 255 is void",),
    ),
    Mistake(
        "in the training split but not in the validation split",
        data_set(lambda i: square(i) if i < 2 else halves(i), THREE + LISTED), "note",
        ("no mask of val has right",),
    ),
)  # fmt: skip
