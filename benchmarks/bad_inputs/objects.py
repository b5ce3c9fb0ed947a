"""Mistakes in masks that number objects, and in several masks of one image."""

from pathlib import Path

import numpy as np

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import RNG, THREE, data_set, halves, photo, put, spoiled, square


def numbered(index: int) -> np.ndarray:
    """Return a mask of 5 to 9 small objects, each with a number of its own."""
    mask = np.zeros((48, 64), np.uint8)
    for number in range(5 + index % 5):
        row, column = 3 + 16 * (number // 4), 3 + 15 * (number % 4)
        mask[row : row + 9, column : column + 9] = number + 1
    return mask


def packed(index: int) -> np.ndarray:
    """Return class * 256 + number: two objects of class 1 and one of class 2."""
    mask = halves(index).astype(np.uint16)
    numbers = np.where(np.arange(64) < 22, 1, 2)
    return np.where(mask == 1, 256 + numbers, np.where(mask == 2, 2 * 256 + 1, 0)).astype(np.uint16)


def mixed(index: int) -> np.ndarray:
    return square(index) * np.uint8(255 if index % 2 else 1)


def parts(folder: Path, *, clash: bool = False, size: bool = False) -> None:
    """Write a folder of masks for each image, one mask for each half of its square."""
    for index in range(6):
        put(folder / f"images/{index}.png", photo(index))
        for half in (1, 2):
            mask = (halves(index) == half).astype(np.uint8) * half
            put(folder / f"masks/{index}/{half}.png", mask)
    if clash:
        put(folder / "masks/3/2.png", square(3) * np.uint8(2))
    if size:
        put(folder / "masks/3/2.png", np.zeros((48, 63), np.uint8))


def kinds(folder: Path) -> None:
    """Write two masks for each image, whose names end in different words."""
    for index in range(6):
        put(folder / f"images/{index}.png", photo(index))
        for half, word in ((1, "EX"), (2, "HE")):
            put(folder / f"masks/{index}_{word}.png", (halves(index) == half).astype(np.uint8) * np.uint8(255))


def kinds_named(folder: Path) -> None:
    kinds(folder)
    (folder / "dataset.toml").write_text('mask_suffix = ["_EX", "_HE"]\n')


def nothing(folder: Path) -> None:
    put(folder / "masks/3.png", np.zeros((48, 64), np.uint8))


def cellpose(folder: Path) -> None:
    np.save(folder / "images/3_seg.npy", np.array({"masks": square(3)}, object), allow_pickle=True)


def drive(folder: Path) -> None:
    """Write the folders of DRIVE: photographs, vessels drawn by hand, and the field of view."""
    for number in range(21, 27):
        put(folder / f"training/images/{number}_training.tif", RNG.integers(0, 255, (40, 44, 3)).astype(np.uint8))
        vessels, view = np.zeros((40, 44), np.uint8), np.zeros((40, 44), np.uint8)
        vessels[18:22], view[4:36, 4:40] = 255, 255
        put(folder / f"training/1st_manual/{number}_manual1.gif", vessels)
        put(folder / f"training/mask/{number}_training_mask.gif", view)


MISTAKES = (
    Mistake(
        "Mask values number objects", data_set(numbered, None), "error",
        ("masks/", "is one blob", "they number objects", 'task = "instances" in dataset.toml', "or objects = true"),
    ),
    Mistake(
        "Mask values number objects", data_set(packed, None), "error",
        ("masks/0.png", "class * 256 + number of an object", "write objects = 256 in dataset.toml"),
    ),
    Mistake(
        "0 and 1 in some files, 0 and 255 in others", data_set(mixed, None), "error",
        ("masks/0.png", "255 may be void", "ignore = [255]", "objects = true if every value but 0 is foreground"),
    ),
    Mistake(
        "Two masks of one image", lambda folder: parts(folder, clash=True), "error",
        ("masks/3/2.png", "it has the value 2 where another mask of the same image has 1", "`mask_suffix`"),
    ),
    Mistake(
        "Two masks of one image", lambda folder: parts(folder, size=True), "error",
        ("masks/3/2.png", "it is 48 x 63, another mask of the same image 48 x 64", "at the size of the image"),
    ),
    Mistake(
        "all objects of a mask have one number", data_set(lambda i: np.uint8(255) * (numbered(i) > 0), None), "error",
        ("masks/0.png", "its only number, 255, is on several pieces", "give every object a number of its own"),
        task="instances",
    ),
    Mistake(
        "has no object, where objects", spoiled(nothing, data_set(numbered, None)), "warning",
        ("masks/3.png", "it has no object", "fine if the image shows none"), task="instances",
    ),
    Mistake(
        "among data of another kind", spoiled(cellpose), "warning",
        ("images/3_seg.npy", "Cellpose", "fine as its mask is there"),
    ),
    Mistake("one mask file per object", parts, "note", ("6 images have a mask file for each object", "instances")),
    Mistake("one mask file per object", kinds_named, "note", ("one mask file per class", "the later class counts")),
    Mistake("255 as void", drive, "note", ("6 masks come with a region (field of view)",)),
    Mistake(
        "several kinds of masks fit", kinds, "refused",
        ("masks/0_EX.png and masks/0_HE.png both fit images/0.png", 'mask_suffix = "_EX"', "in dataset.toml"),
    ),
    Mistake(
        "the labels say classes", data_set(lambda i: 255 * square(i), THREE + 'values = [0, 127, 255]\n'), "refused",
        ("dataset.toml", "`values` is for classes", "take it out"), task="instances",
    ),
)  # fmt: skip
