"""What `atrous check` reports for every fault of points: each is made in a temporary folder, and the report printed.

python benchmarks/bad_points.py
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.errors import UserError
from atrous.verbs.check import check

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


def described(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "dataset.toml").write_text(text)


BAD: dict[str, Callable[[Path], object]] = {
    "dots of another size than the image": dots(lambda d: d[:-1]),
    "no dot in one image": dots(lambda d: 0 * d),
    "no dots at all": dots(lambda d: 0 * d, None),
    "masks instead of dots": dots(lambda d: 255 - d),
    "blobs that touch": dots(grown),
    "dots saved as JPEG": as_jpeg,
    "dots missing": lambda folder: (folder / "dots" / "3.png").unlink(),
    "a dot of no class": described('task = "counting"\nclasses = ["a", "b"]\nvalues = [1, 2]\n'),
    "names for other values": described('task = "counting"\nclasses = ["a"]\nvalues = [1, 2]\n'),
    "keys of masks": described('task = "counting"\nignore = [255]\n'),
    "a class without a dot": described('task = "counting"\nclasses = ["spot", "rare"]\nvalues = [255, 7]\n'),
}
"""Faults of images of dots."""

TABLES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x and y swapped": lambda p: p[:, ::-1],
    "points outside of the image": lambda p: np.vstack([p, [[300.0, 20.0]]]),
    "coordinates of another image size": lambda p: p * 4,
    "a coordinate that is no number": lambda p: np.vstack([p, [[np.nan, 3.0]]]),
    "points that are there twice": lambda p: np.vstack([p, p[:3]]),
}
"""Faults of tables: each changes the x and y of the points of every image."""


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


def report_of(name: str) -> tuple[str, list[str]]:
    """Make a fault in a healthy data set and check it: return "accepted" or "refused", and the lines of the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        healthy(folder)
        (BAD[name] if name in BAD else table_of(TABLES[name]))(folder)
        try:
            report = check(folder)
        except UserError as error:
            return "refused", [str(error).replace(scratch + "/", "")]
    return ("accepted" if report.ok else "refused"), [fault.line() for fault in report.faults]


def main() -> None:
    found = {name: report_of(name) for name in (*BAD, *TABLES)}
    for name, (verdict, lines) in found.items():
        print(f"{name}: {verdict}")
        for line in lines:
            print(f"    {line}")
    print(json.dumps({name: verdict for name, (verdict, _) in found.items()}))


if __name__ == "__main__":
    main()
