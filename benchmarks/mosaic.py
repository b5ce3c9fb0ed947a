"""The objects of a large mosaic: one forward pass of the whole image against streams of different strips.

    python -m benchmarks.mosaic RUN FOLDER [--size 4096] [--strips 16 512] [--no-whole]

RUN finds instances; FOLDER has the images of which the mosaic is made. Everything is computed in float32. Each result
is compared with the first one. The columns:

- "objects": how many were found.
- "other": objects of either result that have no partner with an overlap (intersection over union) beyond 0.5.
- "ties": of those, the ones whose score is within 5e-5 of the threshold, or of the score of another candidate nearby.
- "pixels": pixels whose object differs.
- "table": largest relative difference of a number in the table of the objects that have the same pixels.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.formats import read_image
from atrous.objects.assemble import Objects, assemble
from atrous.prediction.predictor import Predictor, load
from atrous.stream.prepare import prepare
from atrous.stream.stream import stream
from atrous.tasks.instance_metrics import match, overlaps
from atrous.tasks.task import ObjectTask

TOLERANCE = 5e-5


def mosaic(folder: Path, size: int) -> np.ndarray:
    """An image `(C, size, size)` of tiles: crops of the images of a folder, in the order of their names."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    images = [read_image(file) for file in files[:200]]
    side = min(min(image.shape[1:]) for image in images)
    picture = np.zeros((images[0].shape[0], size, size), images[0].dtype)
    tiles = [(row, column) for row in range(0, size, side) for column in range(0, size, side)]
    for number, (row, column) in enumerate(tiles):
        height, width = min(side, size - row), min(side, size - column)
        tile = images[number % len(images)][:, :height, :width]
        picture[:, row : row + height, column : column + width] = tile
    return picture


def dense_maps(predictor: Predictor, picture: np.ndarray, strip: int | None) -> tuple[np.ndarray, float]:
    """The dense maps `(K, H, W)` of a picture, of one forward pass if `strip` is None, and the seconds that it took."""
    source = predictor.standardized(predictor.open(picture).source)
    start = time.monotonic()
    if strip is not None:
        ready = prepare(predictor.inner, tuple(source.shape))
        maps = np.empty((predictor.task.out_channels, *source.shape[1:]), np.float32)
        stream(ready, source, maps, strip=strip, axis=0, strategy="strips", post=predictor.task.probabilities)
        return maps, time.monotonic() - start
    x = torch.from_numpy(np.asarray(source[...]))[None].contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        maps = predictor.task.probabilities(predictor.inner(x))[0].numpy()
    return maps, time.monotonic() - start


def compared(first: tuple[np.ndarray, Objects], other: tuple[np.ndarray, Objects], threshold: float) -> dict[str, Any]:
    """How two results differ."""
    true, found = match(overlaps(first[0], other[0]), 0.5)
    ties = unpaired = 0
    for (_, objects), paired in ((first, true), (other, found)):
        alone = np.setdiff1d(np.arange(len(objects.candidates)), paired)
        scores = objects.candidates.scores
        near = np.abs(scores[alone] - threshold) < TOLERANCE
        order = np.sort(scores)
        place = np.searchsorted(order, scores[alone])
        for index, score in enumerate(scores[alone]):
            around = order[max(0, place[index] - 1) : place[index] + 2]
            near[index] |= bool((np.abs(around - score) < TOLERANCE).sum() > 1)
        ties, unpaired = ties + int(near.sum()), unpaired + len(alone)
    renamed = np.zeros(len(first[1].candidates) + 1, np.int64)
    renamed[true + 1] = found + 1
    pixels = int((renamed[first[0]] != other[0]).sum())
    alike = first[1].table["size"][true] == other[1].table["size"][found]
    largest = 0.0
    for name in first[1].table:
        if name == "number":
            continue
        one, two = first[1].table[name][true][alike].astype(float), other[1].table[name][found][alike].astype(float)
        largest = max(largest, float((np.abs(one - two) / np.maximum(np.abs(one), 1e-9)).max(initial=0)))
    return {"other": unpaired, "ties": ties, "pixels": pixels, "same": int(alike.sum()), "table": largest}


def main() -> None:
    """Find the objects in every way, and print how the results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--strips", type=int, nargs="+", default=[16, 512])
    parser.add_argument("--no-whole", action="store_true")
    chosen = parser.parse_args()
    predictor = load(chosen.run, dtype=torch.float32)
    task = predictor.task
    if not isinstance(task, ObjectTask):
        raise SystemExit(f"{chosen.run}: finds no objects")
    picture, rows, first = mosaic(chosen.folder, chosen.size), [], None
    print(f"{'way':<12}{'seconds':>9}{'objects':>9}{'other':>7}{'ties':>6}{'pixels':>8}{'same size':>11}{'table':>10}")
    for strip in [*([] if chosen.no_whole else [None]), *chosen.strips]:
        maps, seconds = dense_maps(predictor, picture, strip)
        numbers = np.zeros(maps.shape[1:], np.uint32)
        objects = assemble(maps, task.decoder, numbers)
        result = (numbers, objects)
        first = first or result
        row = {
            "way": "whole" if strip is None else f"strips {strip}",
            "seconds": seconds,
            "objects": len(objects.table["number"]),
        }
        row |= compared(first, result, getattr(task, "threshold", 0.0))
        rows.append(row)
        print(
            f"{row['way']:<12}{seconds:>9.1f}{row['objects']:>9,}{row['other']:>7}{row['ties']:>6}{row['pixels']:>8}"
            f"{row['same']:>11,}{row['table']:>10.1e}",
            flush=True,
        )
    print(json.dumps({"benchmark": "mosaic", "size": chosen.size, "rows": rows}))


if __name__ == "__main__":
    main()
