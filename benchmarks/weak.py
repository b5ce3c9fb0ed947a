"""Learn "does it hold a 7?" from one label for each large scene, and from crops that carry the label of their scene.

A scene is black, with a few digits of scikit-learn's in random places, turned and of several heights. In half of the
scenes one digit or more, up to half of them, are sevens; in the others none is. Glyphs of the test scenes occur in no
training scene. Which digit is a 7, and where digits lie, is told to nobody.

Both trainings have the same network and minutes. One takes whole scenes in strips (`--whole`). It begins with smaller
whole scenes that have as many digits and labels of their own, in batches, for some of its minutes (`--first`, 0 for
none). The other takes random crops of the large scenes, with the label of their scene. Both are then measured on whole
scenes that were left out. Peak memory is that of a process of its own, with the decoded scenes in it.

    python -m benchmarks.weak
    python -m benchmarks.weak --size 1024 --minutes 4
"""

import argparse
import functools
import json
import multiprocessing
import platform
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from atrous.cli.output import quiet_libraries

SEVEN = 7
HEIGHTS = (30.0, 48.0)
"""Least and greatest height of a glyph's box in pixels."""
TURN = 12.0
"""Greatest turn in degrees."""
CELL = 64
"""Digits lie in different cells of this side."""
CROP, CROPS = 256, 16
"""Side of the crops, and how many a step has: as much work as a whole scene of 1024 x 1024."""
SMALL, SMALL_SCENES = 512, 400
"""Side of the smaller scenes to begin with, and how many there are."""
SHARES = {"train": (0.0, 0.6), "val": (0.6, 0.75), "test": (0.75, 1.0)}
"""Shares of the glyphs that the scenes of a split take theirs from."""
NETWORK = (
    "model.encoder=strided", "model.encoder_width=8", "model.strides=[4, 2, 2]", "model.pretrained=false",
    "model.mean=[0.0]", "model.std=[64.0]", "train.precision=32-true", "train.learning_rate=0.001",
    "train.validations=6", "augment.flip=[false, false]", "augment.brightness=0.0", "augment.contrast=0.0",
    "augment.noise=0.0", "augment.gamma=0.0", "augment.saturation=0.0",
)  # fmt: skip
"""Of both trainings. Black is 0 for the network, so that the background has no features until biases learn some."""
WAYS = {
    "whole": ("train.whole=true", "train.batch_size=1", "train.learning_rate=0.0003"),
    "crops": ("train.whole=false", f"train.crop=[{CROP}, {CROP}]", f"train.batch_size={CROPS}"),
}
"""Settings of each way. Steps of one scene refine what small scenes have taught."""
FIRST = ("train.whole=false", "train.batch_size=16")
"""Settings of the first minutes on small scenes, which are crops as large as the scenes."""


@dataclass(frozen=True)
class Scenes:
    """What scenes are made.

    Attributes:
        size: side in pixels.
        digits: digits in a scene.
        counts: scenes of each split.
    """

    size: int
    digits: int
    counts: dict[str, int]


@functools.cache
def glyphs(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the glyphs `(n, 8, 8)` from 0 to 1 of a split, and their digits."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    low, high = (round(share * len(order)) for share in SHARES[split])
    return bunch.images[order[low:high]] / 16.0, bunch.target[order[low:high]]


def scene(scenes: Scenes, split: str, seed: int, *, holds: bool) -> np.ndarray:
    """Make a scene, uint8 `(size, size)`, that holds a 7 or not."""
    images, digits = glyphs(split)
    rng = np.random.default_rng([seed, list(SHARES).index(split)])
    sevens = int(rng.integers(1, scenes.digits // 2 + 1)) if holds else 0
    picks = np.concatenate([
        rng.choice(np.flatnonzero(digits == SEVEN), sevens),
        rng.choice(np.flatnonzero(digits != SEVEN), scenes.digits - sevens),
    ])  # fmt: skip
    canvas = np.zeros((scenes.size, scenes.size), np.uint8)
    side = scenes.size // CELL
    for pick, cell in zip(picks, rng.choice(side * side, scenes.digits, replace=False), strict=True):
        glyph = ndimage.zoom(images[pick], rng.uniform(*HEIGHTS) / 8, order=1)
        glyph = ndimage.rotate(glyph, rng.uniform(-TURN, TURN), reshape=False, order=1) * rng.uniform(0.6, 1.0)
        y, x = (int(place) * CELL + int(rng.integers(0, CELL - glyph.shape[0])) for place in divmod(int(cell), side))
        canvas[y : y + glyph.shape[0], x : x + glyph.shape[1]] = np.rint(255 * glyph.clip(0, 1)).astype(np.uint8)
    return canvas


def write(folder: Path, scenes: Scenes) -> Path:
    """Write scenes and their table of labels: every second scene of a split holds a 7."""
    rows = ["file,seven"]
    for split, count in scenes.counts.items():
        (folder / split).mkdir(parents=True)
        for number in range(count):
            holds = number % 2 == 1
            Image.fromarray(scene(scenes, split, number, holds=holds)).save(
                folder / split / f"{number:04}.png", compress_level=1
            )
            rows.append(f"{split}/{number:04}.png,{int(holds)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def learn(way: str, data: Path, out: Path, options: argparse.Namespace, results: Any) -> None:
    """Train one way, measure it on the test scenes, and put what came out into the queue `results`."""
    import atrous

    quiet_libraries()
    torch.set_num_threads(options.threads)
    settings, minutes = [*NETWORK, *WAYS[way]], options.minutes
    if way == "crops":  # evidence begins so that a crop's probability is neither 0 nor 1, as that of a scene does
        settings.append(f"task.options.positions={float((CROP // 16) ** 2)}")
    shared: dict[str, Any] = {
        "task": "classification", "progress": False, "report": False,
        "say": lambda text: print(f"  {way}: {text}", file=sys.stderr, flush=True),
    }  # fmt: skip
    if way == "whole" and options.first > 0:
        first, minutes = out.with_name("first"), minutes - options.first
        atrous.train(data.with_name("small"), out=first, minutes=options.first, settings=[*NETWORK, *FIRST], **shared)
        settings.append(f"train.start={first}")
    outcome = atrous.train(data, out=out, minutes=minutes, settings=settings, **shared)
    trained = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    scores = atrous.evaluate(out, data, split="test").scores.to_dict()
    results.put({**scores, "peak_mib": round(trained), "steps": outcome.outcome.step})


def main(argv: list[str] | None = None) -> None:
    """Make scenes, train both ways one after the other, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=4096, help="side of a scene in pixels")
    parser.add_argument("--digits", type=int, default=8, help="digits in a scene")
    parser.add_argument("--scenes", type=int, default=96, help="scenes to train on")
    parser.add_argument("--test", type=int, default=60, help="scenes to measure on")
    parser.add_argument("--minutes", type=float, default=8.0, help="of each training")
    parser.add_argument("--first", type=float, default=3.0, help="minutes of these on small scenes, of whole scenes")
    parser.add_argument("--threads", type=int, default=2, help="threads of the processor")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="what is trained")
    options = parser.parse_args(argv)
    scenes = Scenes(options.size, options.digits, {"train": options.scenes, "val": 16, "test": options.test})
    table = {}
    with tempfile.TemporaryDirectory(prefix="weak-") as scratch:
        data = write(Path(scratch) / "scenes", scenes)
        if "whole" in options.ways and options.first > 0:
            small = {"train": SMALL_SCENES, "val": 32}
            write(Path(scratch) / "small", replace(scenes, size=SMALL, counts=small))
        for way in options.ways:
            context = multiprocessing.get_context("spawn")
            results = context.Queue()
            process = context.Process(target=learn, args=(way, data, Path(scratch) / way, options, results))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{way}: the training ended with exit code {process.exitcode}")
            table[way] = results.get()
    said = f"{options.size} x {options.size}, {options.digits} digits, {options.scenes} scenes"
    said = f"{said}, {options.minutes:g} minutes ({options.first:g} of whole ones on scenes of {SMALL} x {SMALL})"
    print(f"{said}, {options.threads} threads; torch {torch.__version__}, {platform.processor() or platform.machine()}")
    print(f"{'trained on':<14}{'accuracy':>10}{'AUROC':>8}{'log loss':>10}{'peak MiB':>10}{'steps':>8}")
    for way, row in table.items():
        print(
            f"{way:<14}{row['accuracy']:>10.3f}{row['auroc']:>8.3f}{row['log_loss']:>10.3f}{row['peak_mib']:>10}{row['steps']:>8}"
        )
    print(
        json.dumps(
            {
                "size": options.size,
                "digits": options.digits,
                "minutes": options.minutes,
                "first": options.first,
                "ways": table,
            }
        )
    )


if __name__ == "__main__":
    main()
