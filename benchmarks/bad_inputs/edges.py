"""Mistakes in edges: those of several annotators, in folders of images, and masks that are no edges."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import Spoil, spoiled

SIZE = (48, 64)
TASK = "edges"
Change = Callable[[np.ndarray], np.ndarray]


def inside(number: int) -> np.ndarray:
    """Return where the box of an image is, bool `(H, W)`."""
    box = np.zeros(SIZE, bool)
    box[6 + number : 40, 10:50] = True
    return box


def outline(number: int) -> np.ndarray:
    """Return the border of the box, one pixel wide, bool `(H, W)`."""
    box = inside(number)
    box[7 + number : 39, 11:49] = False
    return box


def healthy(folder: Path) -> None:
    """Write ten images of a box, and what two annotators marked of each."""
    (folder / "images").mkdir(parents=True)
    for number in range(10):
        noise = np.random.default_rng(number).normal(60, 6, SIZE)
        image = (noise + 120 * inside(number)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        marks = folder / "groundTruth" / str(number)
        marks.mkdir(parents=True)
        for person in ("anna", "bert"):
            Image.fromarray(outline(number)).save(marks / f"{person}.png")


def marked(change: Change, people: tuple[str, ...] = ("anna", "bert")) -> Spoil:
    """Return a function that changes what people marked in an image."""

    def spoil(folder: Path) -> None:
        for person in people:
            Image.fromarray(change(outline(3))).save(folder / "groundTruth" / "3" / f"{person}.png")

    return spoil


def masks(values: Callable[[int], np.ndarray], toml: str) -> Spoil:
    """Return a function that puts masks in place of the annotators, and writes a dataset.toml."""

    def spoil(folder: Path) -> None:
        (folder / "groundTruth").rename(folder.parent / "unused")
        (folder / "masks").mkdir()
        for number in range(10):
            Image.fromarray(values(number)).save(folder / "masks" / f"{number}.png")
        (folder / "dataset.toml").write_text(toml)

    return spoil


def no_annotator(folder: Path) -> None:
    for path in (folder / "groundTruth" / "3").iterdir():
        path.unlink()
    (folder / "groundTruth" / "3").rmdir()
    savemat(folder / "groundTruth" / "3.mat", {"groundTruth": np.empty((1, 0), object)})


def bad(row: str, change: Spoil, level: str, *says: str) -> Mistake:
    """Return the mistake that `change` makes in good edges; see `Mistake` for the rest."""
    return Mistake(row, spoiled(change, healthy), level, says, TASK)


WRONG, ODD = "Edges: another size", "Edges: nobody marked one"
MISTAKES = (
    bad(WRONG, marked(lambda edges: edges[:-1]), "error", "groundTruth/3: it is 47 x 64, its image 48 x 64"),
    bad(WRONG, marked(lambda edges: edges[:-1], ("bert",)), "error", "annotator 2 has the size 47 x 64", "in one size"),
    bad(WRONG, no_annotator, "error", "groundTruth/3.mat: it has no annotator", "annotate it"),
    bad(WRONG, marked(lambda edges: inside(3)), "error", "it shows regions, not boundaries", "boundaries = true"),
    bad(
        WRONG, marked(lambda edges: (edges * np.arange(64)).astype(np.uint8)), "error",
        "values, and boundaries have two", "boundaries = true",
    ),
    bad(WRONG, masks(inside, "boundaries = false\n"), "error", "masks/0.png", "it shows regions, not boundaries"),
    bad(ODD, marked(lambda edges: edges & False), "warning", "groundTruth/3: nobody marked an edge", "fine if"),
    bad(ODD, marked(lambda edges: edges & False, ("bert",)), "warning", "annotator 2 of 2 marked nothing", "leave"),
    bad(
        ODD, marked(lambda edges: edges | (np.arange(64) % 4 == 0)), "warning", "of its pixels are edges",
        "one pixel wide",
    ),
    bad(ODD, masks(outline, "boundaries = true\n"), "warning", "its regions are lines", "write boundaries = false"),
)  # fmt: skip
