"""Mistakes in points: images of dots, and tables of coordinates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import Spoil, spoiled

SIZE = (48, 64)


def healthy(folder: Path) -> None:
    """Write ten gray images of bright spots, an image with a dot for each spot, and a dataset.toml."""
    for name in ("images", "dots"):
        (folder / name).mkdir(parents=True)
    for index in range(10):
        rng = np.random.default_rng(index)
        dots, image = np.zeros(SIZE, np.uint8), rng.normal(50, 6, SIZE)
        for row in range(6, 48, 12):
            for column in range(6, 64, 12):
                y, x = row + rng.integers(-2, 3), column + rng.integers(-2, 3)
                dots[y, x] = 255
                image[y - 2 : y + 3, x - 2 : x + 3] += 120
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        Image.fromarray(dots).save(folder / "dots" / f"{index}.png")
    (folder / "dataset.toml").write_text('task = "counting"\nclasses = ["spot"]\n')


def dots(change: Callable[[np.ndarray], np.ndarray], only: int | None = 3) -> Callable[[Path], None]:
    """Return a function that changes the dots of one image, or of all of them."""

    def spoil(folder: Path) -> None:
        for path in sorted((folder / "dots").iterdir()):
            if only is None or path.stem == str(only):
                with Image.open(path) as file:
                    changed = change(np.array(file))
                Image.fromarray(changed).save(path)

    return spoil


def grown(marked: np.ndarray) -> np.ndarray:
    """Each dot as a square of three pixels a side, and one of them twice as wide."""
    wide = np.zeros_like(marked)
    for y, x in np.argwhere(marked):
        wide[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 255
    y, x = np.argwhere(marked)[8]
    wide[y - 1 : y + 2, x - 1 : x + 5] = 255
    return wide


def as_jpeg(folder: Path) -> None:
    path = folder / "dots" / "3.png"
    with Image.open(path) as file:
        file.convert("L").save(path.with_suffix(".jpg"))
    path.unlink()


def described(text: str) -> Spoil:
    return lambda folder: (folder / "dataset.toml").write_text(text)


def table_of(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Return a function that writes the changed points into a table, and removes the dots."""

    def spoil(folder: Path) -> None:
        lines = ["image,x,y,class"]
        for path in sorted((folder / "dots").iterdir()):
            with Image.open(path) as file:
                points = change(np.argwhere(np.array(file))[:, ::-1] + 0.5)
            lines += [f"{path.name},{x},{y},spot" for x, y in points]
            path.unlink()
        (folder / "dots").rmdir()
        (folder / "points.csv").write_text("\n".join(lines) + "\n")

    return spoil


def bad(row: str, change: Spoil, level: str, *says: str) -> Mistake:
    """Return the mistake that `change` makes in good images of dots; see `Mistake` for the rest."""
    return Mistake(row, spoiled(change, healthy), level, says)


DOTS, FEW = "Dots or points: ", "Dots: "
TOML = 'task = "counting"\n'

MISTAKES = (
    bad(DOTS, dots(lambda d: d[:-1]), "error", "dots/3.png: it is 47 x 64, its image 48 x 64", "at the size of the"),
    bad(DOTS, dots(lambda d: 0 * d, None), "error", "no image has a point", "mark the objects with a dot each"),
    bad(DOTS, dots(lambda d: 255 - d), "error", "dots/3.png: 99% of it is not 0", 'task = "instances" for masks'),
    bad(DOTS, as_jpeg, "error", "dots/3.jpg: its dots are smeared", "save dots as PNG"),
    bad(
        DOTS, described(TOML + 'classes = ["a", "b"]\nvalues = [1, 2]\n'), "error",
        "a dot has the value 255, which is that of no class", "add it to `values`",
    ),
    bad(DOTS, table_of(lambda p: p[:, ::-1]), "error", "points.csv, 0.png: x and y are exchanged"),
    bad(DOTS, table_of(lambda p: p * 4), "error", "points.csv, 0.png", "annotate the images as they are"),
    bad(
        "An object has no class name", table_of(lambda p: np.vstack([p, [[np.nan, 3.0]]])), "error",
        "points.csv: line 22: '3.0, nan' are not numbers", "write y, x as numbers",
    ),
    bad(
        "An object has no width or height", table_of(lambda p: np.vstack([p, [[300.0, 20.0]]])), "warning",
        "has its center outside of the image", "correct or remove it",
    ),
    bad("An object reaches out", table_of(lambda p: np.vstack([p, p[:3]])), "warning", "are there twice", "the copy"),
    bad(FEW, dots(lambda d: 0 * d), "warning", "dots/3.png: it has no point", "fine if the image shows none"),
    bad(FEW, dots(grown), "warning", "1 of 20 dots is much larger than the others", "draw dots that touch apart"),
    bad(
        FEW, described(TOML + 'classes = ["spot", "rare"]\nvalues = [255, 7]\n'), "warning",
        "dataset.toml: no point is of class 'rare'", "mark some, or take the class out",
    ),
    bad("An image has no mask and is left out", lambda folder: (folder / "dots/3.png").unlink(), "warning", "3.png"),
    bad(
        "A mistake in `dataset.toml`", described(TOML + 'classes = ["a"]\nvalues = [1, 2]\n'), "refused",
        "2 `values` for 1 `classes`", "give one for each class",
    ),
    bad("the labels say classes", described(TOML + "ignore = [255]\n"), "refused", "`ignore` is for classes"),
)  # fmt: skip
