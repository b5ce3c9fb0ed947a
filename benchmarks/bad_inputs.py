"""What `atrous check` reports for every kind of bad input: each is made in a temporary folder, and the report printed.

python benchmarks/bad_inputs.py
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.errors import UserError
from atrous.verbs.check import check

DESCRIPTION = 'classes = ["ground", "square"]\n'


def healthy(folder: Path) -> None:
    """Write ten gray images, a mask of one square for each, and a dataset.toml that names two classes."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(10):
        mask = np.zeros((48, 64), np.uint8)
        mask[8 + index : 24 + index, 16:40] = 1
        image = (60 + 120 * mask + rng.normal(0, 8, mask.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    (folder / "dataset.toml").write_text(DESCRIPTION)


def masks(change: Callable[[np.ndarray], np.ndarray], description: str | None = DESCRIPTION) -> Callable[[Path], None]:
    """Return a function that changes every mask of a data set and, without a description, removes its dataset.toml."""

    def spoil(folder: Path) -> None:
        for path in (folder / "masks").iterdir():
            with Image.open(path) as mask:
                changed = change(np.array(mask))
            Image.fromarray(changed).save(path)
        if description is None:
            (folder / "dataset.toml").unlink()

    return spoil


def palette_masks(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        with Image.open(path) as mask:
            indexed = Image.fromarray(np.array(mask))
        indexed.putpalette([0, 0, 0, 255, 80, 0] + [0] * 762)
        indexed.save(path)


def two_splits(folder: Path) -> None:
    for name in ("images", "masks"):
        for split in ("train", "val"):
            (folder / name / split).mkdir()
        for path in sorted((folder / name).glob("*.png")):
            data = path.read_bytes()
            path.rename(folder / name / "train" / path.name)
            if path.stem in ("0", "1"):
                (folder / name / "val" / f"v{path.stem}.png").write_bytes(data)


def few(folder: Path) -> None:
    for name in ("images", "masks"):
        for path in sorted((folder / name).glob("*.png"))[1:]:
            path.unlink()


def replace(name: str, pixels: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: Image.fromarray(pixels).save(folder / name)


def truncate(folder: Path) -> None:
    path = folder / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:300])


RNG = np.random.default_rng(1)
BAD: dict[str, Callable[[Path], object]] = {
    "0/255 masks, two classes named": masks(lambda m: 255 * m),
    "0/255 masks, no dataset.toml": masks(lambda m: 255 * m, None),
    "color masks": masks(lambda m: np.stack([200 * m, 60 * m, 0 * m], -1)),
    "palette PNG masks": palette_masks,
    "labels 1..K instead of 0..K-1": masks(lambda m: m + 1),
    "a value that is no class": masks(lambda m: 7 * m),
    "image and mask of different size": replace("masks/3.png", np.zeros((48, 63), np.uint8)),
    "mask missing": lambda folder: (folder / "masks" / "3.png").unlink(),
    "image missing": lambda folder: (folder / "images" / "3.png").unlink(),
    "truncated image": truncate,
    "not an image": lambda folder: (folder / "images" / "3.png").write_bytes(b"hello"),
    "RGBA image": replace("images/3.png", RNG.integers(0, 255, (48, 64, 4)).astype(np.uint8)),
    "16-bit image": replace("images/3.png", RNG.integers(0, 60_000, (48, 64)).astype(np.uint16)),
    "empty mask": replace("masks/3.png", np.zeros((48, 64), np.uint8)),
    "class never seen": masks(lambda m: 0 * m),
    "same image in two splits": two_splits,
    "fewer images than splits": few,
    "unknown key in dataset.toml": lambda folder: (folder / "dataset.toml").write_text('clases = ["a", "b"]'),
    "no such folder": lambda folder: folder.rename(folder.with_name("elsewhere")),
}


def report_of(spoil: Callable[[Path], object]) -> tuple[str, list[str]]:
    """Spoil a healthy data set and check it: return "accepted" or "refused", and the lines of the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        healthy(folder)
        spoil(folder)
        try:
            report = check(folder)
        except UserError as error:
            return "refused", [str(error).replace(scratch + "/", "")]
    lines = [fault.line() for fault in report.faults] + [f"note: {note}" for note in report.notes]
    return ("accepted" if report.ok else "refused"), [line.replace(scratch + "/", "") for line in lines]


def main() -> None:
    table = {name: report_of(spoil) for name, spoil in BAD.items()}
    for name, (verdict, lines) in table.items():
        print(f"{name} [{verdict}]")
        for line in lines or ["(nothing reported)"]:
            print(f"    {line}")
    print(json.dumps({name: {"verdict": verdict, "lines": lines} for name, (verdict, lines) in table.items()}))


if __name__ == "__main__":
    main()
