"""Style transfer: a network trained for some minutes beside the optimization of pixels, and strips beside the whole.

    python -m benchmarks.style PHOTOS STYLE.png [--minutes 30] [--images 8] [--steps 500] [--out runs/style]
    python -m benchmarks.style PHOTOS --run runs/style/run ...       # of a run that is trained already

1. Trains a network on the folder PHOTOS for the style of the picture, unless a run is given.
2. Paints the first validation images by the network, and by optimizing their pixels (Gatys, Ecker & Bethge 2016), and
   prints the terms of the loss of both and of the photograph as it is: means over the images. The pictures are saved
   side by side: photograph, network, optimization.
3. Paints a mosaic of mirrored photographs of WHOLE x WHOLE pixels whole and in strips, and one of LARGE x LARGE in
   strips of two heights, and prints the greatest difference, in gray levels. The whole picture of 4096 x 4096 takes
   about 9 GB. `--whole 0` and `--large 0` leave these out.
"""

import argparse
import json
import math
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from atrous.data.formats import read_image
from atrous.prediction.predictor import Predictor, load
from atrous.stream import prepare, stream
from atrous.tasks.style import TERMS
from atrous.verbs.opened import open_dataset_from
from atrous.verbs.style import optimize_style
from atrous.verbs.train import train

STRIPS = (64, 256)
"""Rows of the strips that are compared."""


def painted(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """Return the network's picture `(3, H, W)` float32 of an image `(3, H, W)` uint8."""
    return np.asarray(predictor.predict(image).values)


def terms_of(predictor: Predictor, picture: np.ndarray, image: np.ndarray) -> dict[str, float]:
    """Return the loss of a picture against the image it was made of, and its terms."""
    task: Any = predictor.task
    with torch.no_grad():
        terms = task.terms(*(torch.from_numpy(np.asarray(part, np.float32))[None] for part in (picture, image)))
        values = (task.weighed(terms), terms.content, terms.style)
    return {name: float(value) for name, value in zip(TERMS, values, strict=True)}


def photographs(files: list[Path], side: int) -> list[np.ndarray]:
    """Return photographs as colors `(3, H, W)` uint8, reduced to a longer side."""
    found = []
    for file in files:
        values = read_image(file)
        image = Image.fromarray(np.moveaxis(np.broadcast_to(values, (3, *values.shape[1:])), 0, -1).copy())
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        found.append(np.ascontiguousarray(np.moveaxis(np.asarray(image), -1, 0)))
    return found


def compare(predictor: Predictor, images: list[np.ndarray], steps: int, out: Path) -> dict[str, dict[str, float]]:
    """Return the mean terms of the photographs, of the network's pictures and of the optimized ones; save all three."""
    rows: dict[str, list[dict[str, float]]] = {"photograph": [], "network": [], "optimization": []}
    seconds = dict.fromkeys(rows, 0.0)
    out.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        start = time.perf_counter()
        network = painted(predictor, image)
        middle = time.perf_counter()
        optimized = optimize_style(image, steps=steps, task=predictor.task)  # type: ignore[arg-type]
        seconds["network"] += middle - start
        seconds["optimization"] += time.perf_counter() - middle
        three = {"photograph": image, "network": network, "optimization": optimized.picture}
        for name, picture in three.items():
            rows[name].append(terms_of(predictor, picture, image))
        beside = np.concatenate([np.rint(np.asarray(picture, np.float32)) for picture in three.values()], axis=2)
        Image.fromarray(np.moveaxis(beside, 0, -1).astype(np.uint8)).save(out / f"{number}.png")
        print(f"image {number + 1} of {len(images)}: {out / f'{number}.png'}", flush=True)
    return {
        name: {term: float(np.mean([row[term] for row in of])) for term in TERMS}
        | {"seconds": seconds[name] / len(images)}
        for name, of in rows.items()
    }


def mosaic(images: list[np.ndarray], size: int) -> np.ndarray:
    """Return a picture `(3, size, size)` uint8 of photographs, each mirrored to and fro."""
    side = min(min(image.shape[1:]) for image in images)
    cells = [np.pad(image[:, :side, :side], ((0, 0), (0, side), (0, side)), mode="symmetric") for image in images]
    count = math.ceil(size / (2 * side))
    rows = [
        np.concatenate([cells[(row * count + column) % len(cells)] for column in range(count)], axis=2)
        for row in range(count)
    ]
    return np.ascontiguousarray(np.concatenate(rows, axis=1)[:, :size, :size])


def streamed(predictor: Predictor, image: np.ndarray, strip: int, path: Path) -> tuple[np.ndarray, float]:
    """Return the picture `(3, H, W)` of an image painted in strips, in a file, and the seconds that it took."""
    sink = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(3, *image.shape[1:]))
    prepared = prepare(predictor.inner, tuple(image.shape))
    start = time.perf_counter()
    stream(prepared, predictor.standardized(image), sink, strip=strip, post=predictor.task.probabilities)
    return sink, time.perf_counter() - start


def whole(predictor: Predictor, image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the picture `(3, H, W)` of an image that goes through the network in one piece, and the seconds."""
    start = time.perf_counter()
    with torch.inference_mode():
        x = torch.from_numpy(np.asarray(predictor.standardized(image)[...], np.float32))[None]
        picture = predictor.task.probabilities(predictor.inner(x))[0].numpy()
    return picture, time.perf_counter() - start


def furthest(one: np.ndarray, other: np.ndarray) -> float:
    """Return the greatest difference of two pictures, a thousand rows at a time."""
    return max(float(np.abs(one[:, a : a + 1000] - other[:, a : a + 1000]).max()) for a in range(0, one.shape[1], 1000))


def exactness(predictor: Predictor, images: list[np.ndarray], at_once: int, large: int) -> dict[str, Any]:
    """Compare whole and strips, and strips of two heights; return differences in gray levels, and seconds."""
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / f"{strip}.npy" for strip in STRIPS]
        if at_once:
            image = mosaic(images, at_once)
            expected, seconds = whole(predictor, image)
            found, in_strips = streamed(predictor, image, STRIPS[0], paths[0])
            facts["whole"] = {
                "size": at_once, "difference": furthest(expected, found), "whole_seconds": seconds,
                "strip_seconds": in_strips,
            }  # fmt: skip
            del expected, found
        if large:
            image = mosaic(images, large)
            pictures = [streamed(predictor, image, strip, path) for strip, path in zip(STRIPS, paths, strict=True)]
            facts["strips"] = {
                "size": large, "rows": list(STRIPS), "difference": furthest(pictures[0][0], pictures[1][0]),
                "seconds": [seconds for _, seconds in pictures],
            }  # fmt: skip
    return facts


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path)
    parser.add_argument("style", type=Path, nargs="?")
    parser.add_argument("--run", type=Path, help="a run that is trained already")
    parser.add_argument("--val", type=Path, help="folder of the photographs that are compared, in place of the split")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--side", type=int, default=384, help="longer side of the photographs that are compared")
    parser.add_argument("--whole", type=int, default=4096)
    parser.add_argument("--large", type=int, default=8192)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="of the training")
    parser.add_argument("--out", type=Path, default=Path("runs/style"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    run = options.run
    if run is None:
        settings = [*options.settings, f"task.style={options.style}"]
        done = train(options.photos, task="style", minutes=options.minutes, settings=settings, out=options.out / "run")
        run = done.run.folder
    predictor = load(run)
    dataset = open_dataset_from(options.val or options.photos, None, "style")
    samples = dataset.samples if options.val else dataset.splits["val"]
    images = photographs([sample.image.path for sample in samples[: options.images]], options.side)
    table = compare(predictor, images, options.steps, options.out / "pictures")
    print(f"\n{'mean of ' + str(len(images)):<16}" + "".join(f"{name:>16}" for name in (*TERMS, "seconds")))
    for name, row in table.items():
        print(f"{name:<16}" + "".join(f"{value:>16.5g}" for value in row.values()))
    ratios = {term: table["network"][term] / table["optimization"][term] for term in TERMS}
    print(f"{'network / opt.':<16}" + "".join(f"{ratio:>16.3f}" for ratio in ratios.values()))
    exact = exactness(predictor, images, options.whole, options.large)
    for name, row in exact.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in row.items()))
    facts = {
        "minutes": None if options.run else options.minutes,
        "steps": options.steps,
        "images": len(images),
        **table,
        "ratios": ratios,
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"benchmark": "style", **facts, **exact, "peak": peak, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
