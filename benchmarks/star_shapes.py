"""How well star-convex shapes represent the objects of a data set, and how fast polyhedra are suppressed and drawn.

    python -m benchmarks.star_shapes DATA [--rays 32,96]

Every labelled object of DATA is rebuilt from its own distances along rays, which are measured from its innermost
position, on the grid of its file. The intersection over union with the object is that of a network without errors.
Without DATA only speed is measured: 2,000 candidates of 96 rays around 60 balls in a volume of
50 x 128 x 128 voxels are suppressed, and those that are kept are drawn.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.targets.instances import windows_of
from atrous.objects.candidates import Candidates
from atrous.objects.directions import RAYS, directions
from atrous.objects.star_iou import star_iou
from atrous.objects.star_polyhedra import StarPolyhedra
from atrous.objects.suppress import KEPT, decide
from atrous.verbs.opened import open_dataset_from

GRID = (50, 128, 128)
BALLS, CANDIDATES = 60, 2_000


def represented(data: Path, chosen: list[int]) -> list[dict[str, Any]]:
    """Rebuild every object with each number of rays, and print the overlaps."""
    masks = []
    for sample in open_dataset_from(data, None, "instances").samples:
        if sample.target is not None:
            numbers = sample.target.read()
            masks += [numbers[window] == number for number, window in windows_of(numbers).items()]
    rows, print_row = [], "{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}"
    print(print_row.format("rays", "objects", "mean", "median", "5 %", "least"))
    for rays in chosen or [RAYS[masks[0].ndim]]:
        ious = np.array([star_iou(mask, rays) for mask in masks])
        row = {"rays": rays, "objects": len(ious), "mean": ious.mean(), "median": float(np.median(ious))}
        row |= {"low": float(np.percentile(ious, 5)), "least": ious.min()}
        print(print_row.format(*(value if isinstance(value, int) else f"{value:.3f}" for value in row.values())))
        rows.append({name: float(value) for name, value in row.items()})
    return rows


def speed() -> dict[str, Any]:
    """Suppress 2,000 polyhedra and draw those that are kept, and print the seconds."""
    rng, rays = np.random.default_rng(0), RAYS[3]
    balls, radii = rng.uniform(0, GRID, (BALLS, 3)), rng.uniform(6, 11, BALLS)
    owner = rng.integers(0, BALLS, 2 * CANDIDATES)
    places = np.clip(np.floor(balls[owner] + rng.normal(0, 1.5, (len(owner), 3))), 0, np.array(GRID) - 1).astype(int)
    different = rng.permutation(np.unique(places, axis=0, return_index=True)[1])[:CANDIDATES]
    owner, places = owner[different], places[different]
    # From a place beside the center a ball's border is as far as the roots of |t u + offset| = radius say.
    offset, far = places + 0.5 - balls[owner], radii[owner, None]
    along = offset @ directions(rays, 3).T
    lengths = np.sqrt(np.maximum(far**2 - (offset**2).sum(axis=1)[:, None] + along**2, 0)) - along
    lengths = np.maximum(lengths, 0.5) * rng.normal(1, 0.1, lengths.shape).clip(0.5)
    flat, scores = np.asarray(np.ravel_multi_index(tuple(places.T), GRID)), rng.random(len(places)).astype(np.float32)
    candidates = Candidates(flat, scores, np.zeros(len(places), np.int64), lengths)
    shape, start = StarPolyhedra(GRID, rays), time.monotonic()
    kept = candidates.take(decide(candidates, shape, 0.4, np.ones(len(flat), bool), False) == KEPT)
    suppressed, labels = time.monotonic(), np.zeros(GRID, np.uint32)
    shape.draw(kept, np.arange(1, len(kept) + 1), [slice(0, n) for n in GRID], labels)
    row = {"candidates": len(flat), "kept": len(kept), "suppression": suppressed - start}
    row["drawing"] = time.monotonic() - suppressed
    told = f"{row['candidates']:,} polyhedra, {row['kept']} kept: {row['suppression']:.2f} s"
    print(f"{told}; drawn: {row['drawing']:.2f} s")
    return row


def main() -> None:
    """Print both tables, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--rays", default="", help="numbers of rays, with commas between them")
    options = parser.parse_args()
    rows = represented(options.data, [int(rays) for rays in options.rays.split(",") if rays]) if options.data else []
    print(json.dumps({"benchmark": "star_shapes", "cores": os.cpu_count(), "rows": rows, "speed": speed()}))


if __name__ == "__main__":
    main()
