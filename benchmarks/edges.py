"""Edges of a trained run beside Canny's on the same images of BSDS500, and its edges streamed beside the whole image.

    python -m benchmarks.edges runs/edges BSDS500 --split val --workers 2

- ours: the run at every image of the split, measured by `atrous score-edges --nms` at 99 thresholds.
- canny: scikit-image's, whose strength at a pixel is the highest of `--levels` high thresholds at which it is still an
  edge (the low threshold is 0.4 of it). The width of its Gaussian is the one that is best on ten of the very images
  that are measured, in favor of Canny.

Then images are joined, mirrored from one to the next, to one of `--side` x `--side` pixels, and its edges are computed
in one piece and streamed in `--memory`: the largest difference, and the seconds of both. `--side 0` leaves this out.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from atrous.data.edge_files import find_annotations
from atrous.prediction.predictor import Predictor, load
from atrous.tasks.edge_metrics import EdgeScores, edge_thresholds
from atrous.verbs.score_edges import EdgeOptions, score_edges

SIGMAS = (1.0, 1.5, 2.0, 2.8, 4.0)
LOW = 0.4
"""Canny's low threshold, as a part of the high one."""
HIGHEST = 0.5
"""Canny's highest threshold on gray values of 0 to 1."""
TRIED = 10
"""Images on which the width of Canny's Gaussian is chosen."""


def canny_strength(gray: np.ndarray, sigma: float, levels: int) -> np.ndarray:
    """Return Canny's strengths of a gray image `(H, W)` of 0 to 1: the highest level at which a pixel is an edge.

    Levels lie evenly between 0 and 1, and stand for high thresholds that rise by a constant factor.
    """
    from skimage.feature import canny  # pyright: ignore[reportMissingImports]

    strength = np.zeros(gray.shape, np.float32)
    highs = HIGHEST * np.geomspace(0.01, 1, levels)
    for level, high in zip(edge_thresholds(levels), highs, strict=True):
        strength[canny(gray, sigma=sigma, low_threshold=LOW * high, high_threshold=high)] = level
    return strength


def scored(
    strength: Callable[[Path], np.ndarray], images: Sequence[Path], truth: Path, options: EdgeOptions, workers: int
) -> tuple[EdgeScores, float]:
    """Return the scores of a detector on some images, and its seconds an image, matching left out."""
    known = find_annotations(truth)
    with tempfile.TemporaryDirectory() as scratch:
        results, annotations = Path(scratch) / "results", Path(scratch) / "truth"
        results.mkdir()
        annotations.mkdir()
        start = time.monotonic()
        for image in images:
            np.save(results / f"{image.stem}.npy", strength(image))
            path = known[image.stem]
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, annotations / path.name)
        seconds = (time.monotonic() - start) / len(images)
        return score_edges(results, annotations, options, workers=workers).scores, seconds


def gray_of(path: Path) -> np.ndarray:
    """Return the gray values `(H, W)` of an image, 0 to 1."""
    with Image.open(path) as file:
        return np.asarray(file.convert("L"), np.float32) / 255


def measured_canny(images: Sequence[Path], truth: Path, levels: int, workers: int) -> dict[str, Any]:
    """Measure Canny at the width that is best on some of the images."""
    options, few = EdgeOptions(thresholds=levels), images[:: max(1, len(images) // TRIED)][:TRIED]

    def detector(sigma: float) -> Callable[[Path], np.ndarray]:
        return lambda path: canny_strength(gray_of(path), sigma, levels)

    best = max(SIGMAS, key=lambda sigma: scored(detector(sigma), few, truth, options, workers)[0].best.f)
    scores, seconds = scored(detector(best), images, truth, options, workers)
    return row(f"canny, sigma {best:g}", scores, seconds / levels)


def row(name: str, scores: EdgeScores, seconds: float) -> dict[str, Any]:
    """Return a row of the table."""
    return {
        "name": name, "ods": scores.best.f, "ois": scores.best_of_images.f, "ap": scores.ap,
        "images": len(scores.per_image), "seconds": seconds,
    }  # fmt: skip


def joined(images: Sequence[Path], side: int) -> np.ndarray:
    """Return images side by side and mirrored, so that no border is seen, as one of `(3, side, side)` uint8."""
    picture, row_of = np.zeros((side, side, 3), np.uint8), 0
    number = 0
    while row_of < side:
        with Image.open(images[number % len(images)]) as file:
            tile = np.asarray(file.convert("RGB"))
        tile = tile if tile.shape[0] <= tile.shape[1] else tile.swapaxes(0, 1)
        wide = np.concatenate([tile, tile[:, ::-1]] * (side // (2 * tile.shape[1]) + 1), axis=1)[:, :side]
        both = np.concatenate([wide, wide[::-1]])[: side - row_of]
        picture[row_of : row_of + len(both)] = both
        row_of, number = row_of + len(both), number + 1
    return np.ascontiguousarray(np.moveaxis(picture, -1, 0))


def streamed(run: Path, image: np.ndarray, memory: str) -> dict[str, Any]:
    """Compare the edges of a large image that were computed in one piece with those that were streamed."""
    predictor, in_strips = load(run), load(run, memory=memory)
    seconds = []
    start = time.monotonic()
    whole = _in_one_piece(predictor, image)
    seconds.append(time.monotonic() - start)
    start = time.monotonic()
    strips = in_strips.predict(image).values
    seconds.append(time.monotonic() - start)
    return {
        "side": image.shape[1], "memory": memory, "largest_difference": float(np.abs(strips - whole).max()),
        "differ_by_1_of_255": int(np.count_nonzero(np.abs(strips - whole) > 1 / 255)),
        "whole_seconds": seconds[0], "streamed_seconds": seconds[1],
    }  # fmt: skip


def _in_one_piece(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(np.asarray(predictor.standardized(image)[...]))[None].to(predictor.dtype)
    with torch.inference_mode():
        output = predictor.inner(x.contiguous(memory_format=torch.channels_last))
        return predictor.task.probabilities(output)[0].numpy()


def main() -> None:
    """Print the table, what streaming changes, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run on edges")
    parser.add_argument("data", type=Path, help="folder with images/SPLIT and groundTruth/SPLIT")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, help="only so many images, evenly spread")
    parser.add_argument("--workers", type=int, default=2, help="processes that match edges")
    parser.add_argument("--levels", type=int, default=24, help="thresholds of Canny")
    parser.add_argument("--side", type=int, default=4096, help="pixels along the large image")
    parser.add_argument("--memory", default="1GB", help="of its stream")
    options = parser.parse_args()
    truth, folder = options.data / "groundTruth" / options.split, options.data / "images" / options.split
    named = find_annotations(truth)
    images = [path for path in sorted(folder.iterdir()) if path.stem in named]
    if options.images is not None:
        images = [images[int(k)] for k in np.linspace(0, len(images) - 1, options.images).round()]
    if not images:
        raise SystemExit(f"{folder}: no image of the annotations in {truth}")
    predictor = load(options.run)

    def ours(path: Path) -> np.ndarray:
        return predictor.predict(path).values[0]

    rows = [row("ours", *scored(ours, images, truth, EdgeOptions(nms=True), options.workers))]
    rows.append(measured_canny(images, truth, options.levels, options.workers))
    print(f"{'':<18}{'ODS':>8}{'OIS':>8}{'AP':>8}{'s/image':>10}")
    for one in rows:
        print(f"{one['name']:<18}{one['ods']:>8.4f}{one['ois']:>8.4f}{one['ap']:>8.4f}{one['seconds']:>10.3f}")
    large = streamed(options.run, joined(images, options.side), options.memory) if options.side else None
    if large is not None:
        print(
            f"{options.side} x {options.side}: whole {large['whole_seconds']:.1f} s, streamed in {options.memory} "
            f"{large['streamed_seconds']:.1f} s, largest difference {large['largest_difference']:.2g}"
        )
    versions = {name: version(name) for name in ("torch", "scikit-image")}
    print(json.dumps({"benchmark": "edges", "versions": versions, "rows": rows, "large": large}))


if __name__ == "__main__":
    main()
