"""What changed between two images of a place, learned from pairs with pasted patches, beside image differencing.

    PYTHONPATH=. python benchmarks/change.py PATH/TO/earth --minutes 10

Pairs are made of tiles of the images in `PATH/TO/earth/images`. The second image is the tile with one to four patches
of other places; the first is the tile shifted by up to two pixels along each axis, without them. Brightness, contrast
and noise are drawn for each. A patch that looks like what it covers is drawn anew: nobody could see it. Tiles of
the training, validation and test splits are different ones, drawn with a seed. F is that of the test split, whose pairs
neither trained the network nor chose its weights.

The peers are differences of images, each with the threshold that has the largest F on the training split: of colors, of
smoothed colors, and the least of the differences over all shifts by up to two pixels.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from atrous.tasks.change import change_figures
from atrous.verbs.evaluate import evaluate
from atrous.verbs.train import train

Image.MAX_IMAGE_PIXELS = None
SIZE = 256
SHIFT = 2
SPLITS = {"train": 240, "val": 40, "test": 80}
SEEN = 24.0
"""Mean difference, of 255, from which on a patch can be seen."""
BLANK = 6.0
"""Deviation below which a tile shows nothing."""
THRESHOLDS = np.arange(2, 120, 2)


def make_pairs(images: list[np.ndarray], folder: Path, seed: int) -> None:
    """Write `SPLIT/A/N.png SPLIT/B/N.png SPLIT/label/N.png`."""
    rng = np.random.default_rng(seed)
    places = [
        (index, row, column)
        for index, image in enumerate(images)
        for row in range(SHIFT, image.shape[0] - SIZE - SHIFT, SIZE + 2 * SHIFT)
        for column in range(SHIFT, image.shape[1] - SIZE - SHIFT, SIZE + 2 * SHIFT)
        if image[row : row + SIZE, column : column + SIZE].std(axis=(0, 1)).max() > BLANK
    ]
    rng.shuffle(places)
    waiting = iter(places)
    for split, count in SPLITS.items():
        for name in ("A", "B", "label"):
            (folder / split / name).mkdir(parents=True)
        for number in range(count):
            index, row, column = next(waiting)
            for name, picture in zip(("A", "B", "label"), _pair(rng, images, index, (row, column)), strict=True):
                Image.fromarray(picture).save(folder / split / name / f"{number:04d}.png")


def _pair(
    rng: np.random.Generator, images: list[np.ndarray], index: int, place: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Before, after and what changed, on the grid of the image after."""
    row, column = place
    down, right = rng.integers(-SHIFT, SHIFT + 1, 2)
    after = _tile(images[index], row, column).copy()
    before = _tile(images[index], row + down, column + right)
    changed = np.zeros((SIZE, SIZE), bool)
    for _ in range(int(rng.integers(1, 5))):
        for _ in range(20):  # where all that is drawn looks alike, nothing is pasted
            shape, other = _shape(rng), images[int(rng.integers(len(images)))]
            patch = _tile(other, *(int(rng.integers(0, n - SIZE)) for n in other.shape[:2]))
            if np.abs(patch[shape].astype(float) - after[shape]).mean() > SEEN:
                after[shape] = patch[shape]
                changed |= shape
                break
    return _lit(rng, before), _lit(rng, after), np.where(changed, 255, 0).astype(np.uint8)


def _tile(image: np.ndarray, row: int, column: int) -> np.ndarray:
    return image[row : row + SIZE, column : column + SIZE]


def _shape(rng: np.random.Generator) -> np.ndarray:
    """A rectangle, an ellipse or a polygon, 12 to 64 pixels wide and high."""
    height, width = (int(n) for n in rng.integers(12, 65, 2))
    top, left = (int(rng.integers(0, SIZE - n)) for n in (height, width))
    canvas = Image.new("1", (SIZE, SIZE))
    pen, box = ImageDraw.Draw(canvas), (left, top, left + width - 1, top + height - 1)
    kind = rng.integers(3)
    if kind == 0:
        pen.rectangle(box, fill=1)
    elif kind == 1:
        pen.ellipse(box, fill=1)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        points = [(left + width / 2 * (1 + np.cos(a)), top + height / 2 * (1 + np.sin(a))) for a in angles]
        pen.polygon(points, fill=1)
    return np.asarray(canvas)


def _lit(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture in another light, with noise."""
    values = picture.astype(float) * rng.uniform(0.9, 1.1) + rng.uniform(-8, 8) + rng.normal(0, 2, picture.shape)
    return values.clip(0, 255).round().astype(np.uint8)


def read_pairs(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for path in sorted((folder / "A").iterdir()):
        before, after = (np.asarray(Image.open(folder / date / path.name)).astype(np.float32) for date in "AB")
        yield before, after, np.asarray(Image.open(folder / "label" / path.name)) > 0


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after - before).mean(-1)


def smooth_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return difference(*(ndimage.gaussian_filter(one, (2, 2, 0)) for one in (before, after)))


def shifted_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The least difference over all shifts, of colors without the means of the images, smoothed."""
    first, second = (one - one.mean((0, 1)) for one in (before, after))
    padded, n = np.pad(first, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge"), 2 * SHIFT + 1
    moved = (padded[i : i + len(after), j : j + after.shape[1]] for i in range(n) for j in range(n))
    return min((ndimage.uniform_filter(difference(one, second), 5) for one in moved), key=lambda found: found.sum())


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "differencing": difference,
    "differencing, smoothed": smooth_difference,
    "differencing, best shift": shifted_difference,
}


def peer_f(measure: Callable[[np.ndarray, np.ndarray], np.ndarray], data: Path) -> float:
    """F on the test split at the threshold that is best on the training split."""
    counts = {split: np.zeros((len(THRESHOLDS), 2, 2), np.int64) for split in ("train", "test")}
    for split, count in counts.items():
        for before, after, changed in read_pairs(data / split):
            found = measure(before, after)
            for number, threshold in enumerate(THRESHOLDS):
                pairs = 2 * changed.ravel() + (found > threshold).ravel()
                count[number] += np.bincount(pairs, minlength=4).reshape(2, 2)
    best = int(np.nanargmax([change_figures(one)["f1"] for one in counts["train"]]))
    return change_figures(counts["test"][best])["f1"]


def main(earth: Path, minutes: float, seed: int, out: Path, settings: list[str]) -> dict[str, Any]:
    images = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((earth / "images").iterdir())]
    data = out / "pairs"
    make_pairs(images, data, seed)
    peers = {name: round(peer_f(measure, data), 4) for name, measure in PEERS.items()}
    trained = train(data, task="change", out=out / "run", minutes=minutes, settings=settings, seed=seed, say=print)
    scores = evaluate(trained.run, data, split="test").scores
    print(scores.text())
    facts = scores.to_dict()
    return {
        "f1": facts["f1"], "precision": facts["precision"], "recall": facts["recall"], "peers": peers,
        "minutes": minutes, "steps": trained.outcome.step, "pairs": SPLITS, "seed": seed,
        "python": platform.python_version(), "torch": torch.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earth", type=Path, help="folder with large pictures in images/")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the pairs and the run; a temporary one by default")
    parser.add_argument("--set", action="append", dest="settings", default=[], help="section.key=value of the recipe")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = main(chosen.earth, chosen.minutes, chosen.seed, chosen.out or Path(scratch), chosen.settings)
    print(f"{'':<28}{'F':>8}")
    for name, value in {"atrous": result["f1"], **result["peers"]}.items():
        print(f"{name:<28}{value:>8.3f}")
    print(json.dumps(result))
