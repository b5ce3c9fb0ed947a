"""Objects from dense maps: the same bytes for any strips, blocks or number of processes, and the speed of suppression.

    python -m benchmarks.objects [--size 20000] [--only stars,votes,suppression]

The dense maps are made, region by region, from discs of 3 to 12,000 pixels across (for a size of 20,000; for another
size the largest disc has 0.6 of it). Noise near the centers gives objects several candidates. The objects are decoded
in strips of 16, 64 and 512 rows, from four blocks in a random order, and from four blocks by two processes. The digests
of the label image and of the table must be equal. "peak MiB" is the peak resident size of the process less that before.

Suppression: a million boxes, a million rotated boxes, and a million stars of 32 rays, ten for each object.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from atrous.objects.assemble import Objects, anchors, assemble, keep, pieces, renumbered, tabulate
from atrous.objects.boxes import BoxShape
from atrous.objects.candidates import Candidates, Shape, joined
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.rotated import RotatedShape
from atrous.objects.star_polygons import StarPolygons
from atrous.objects.stars import Stars
from atrous.objects.suppress import KEPT, Suppression, decide
from atrous.objects.table import ObjectSums
from atrous.objects.votes import Votes
from atrous.source import release

RAYS = 32
CELLS = (8, 64, 1024)
"""Three quarters of the grid are divided into cells of these sizes, each with a disc."""
WAYS = ("strips of 16", "strips of 64", "strips of 512", "four blocks", "two processes")


class Discs:
    """Dense maps `(K, size, size)` of discs, computed where they are sliced.

    The first quarter of the grid has one disc; each other quarter is divided into cells with a disc each.

    Args:
        size: rows and columns.
        kind: "stars" or "votes".
    """

    dtype = np.dtype(np.float32)

    def __init__(self, size: int, kind: str) -> None:
        self.size, self.kind, self.large = size, kind, int(0.6 * size)
        self.shape = (1 + RAYS if kind == "stars" else 4, size, size)

    def __getitem__(self, key: Any) -> np.ndarray:
        channels = range(*key[0].indices(self.shape[0]))
        y, x = (np.arange(*part.indices(self.size), dtype=np.int64) for part in key[1:])
        dy, dx, radius, noise = self._nearest(y[:, None], x[None, :])
        distance = np.sqrt(dy**2 + dx**2)
        inside = distance <= radius
        maps = np.zeros((len(channels), len(y), len(x)), np.float32)
        for number, channel in enumerate(channels):
            maps[number][inside] = self._channel(channel, dy, dx, radius, noise, distance)[inside]
        return maps

    def _nearest(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Offset to the center of the disc of each position's cell, its radius, and noise from 0 to 1."""
        quarter = np.where(y < self.large, np.where(x < self.large, 3, 2), np.where(x < self.large, 1, 0))
        side = np.array([*CELLS, self.large])[quarter]
        low_y, low_x = np.where(y < self.large, 0, self.large), np.where(x < self.large, 0, self.large)
        cell_y, cell_x = (y - low_y) // side, (x - low_x) // side
        shake = _hash(cell_y * 7919 + cell_x, quarter)
        radius = np.where(side > CELLS[-1], 0.5, 0.2 + 0.25 * shake) * side - 0.5
        center_y, center_x = low_y + (cell_y + 0.5) * side, low_x + (cell_x + 0.5) * side
        # A cell that the border of its quarter cuts is empty.
        high_y, high_x = (
            np.where(y < self.large, self.large, self.size),
            np.where(x < self.large, self.large, self.size),
        )
        radius = np.where((center_y + side / 2 > high_y) | (center_x + side / 2 > high_x), -1.0, radius)
        return center_y - y - 0.5, center_x - x - 0.5, radius, _hash(y * self.size + x, 1)

    def _channel(
        self, channel: int, dy: np.ndarray, dx: np.ndarray, radius: np.ndarray, noise: np.ndarray, distance: np.ndarray
    ) -> np.ndarray:
        if channel == 0:
            if self.kind == "votes":
                return np.ones_like(distance)
            shaken = np.where(distance < 5, 3, 0.8) * noise
            return 1 - 0.9 * distance / np.maximum(radius, 0.5) + shaken / np.maximum(radius, 2)
        if self.kind == "votes":
            return (np.exp(-(distance**2) / 8) * (1 - 0.1 * noise), dy, dx)[channel - 1]
        angle = 2 * np.pi * (channel - 1) / RAYS
        along = -(dy * np.sin(angle) + dx * np.cos(angle))
        across = np.maximum(radius**2 - (distance**2 - along**2), 0)
        return np.sqrt(across) - along


def _hash(number: np.ndarray, salt: Any) -> np.ndarray:
    """Evenly distributed numbers from 0 to 1 that depend on a whole number alone."""
    mixed = (number.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.asarray(salt, np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed ^ (mixed >> np.uint64(27))) >> np.uint64(40)).astype(np.float64) / 2.0**24


def decoder_of(kind: str, size: int) -> ObjectDecoder:
    """The decoder of a kind of maps."""
    return Stars(reach=float(size), rays=RAYS) if kind == "stars" else Votes(apart=3.0, astray=3.0)


def blocks(size: int) -> list[tuple[slice, ...]]:
    """Four blocks in a random order."""
    cut = 7 * size // 16
    parts = slice(0, cut), slice(cut, size)
    every = [(rows, columns) for rows in parts for columns in parts]
    return [every[i] for i in np.random.default_rng(0).permutation(4)]


def proposed(kind: str, size: int, block: tuple[slice, ...]) -> Candidates:
    """The candidates of a block."""
    maps, decoder = Discs(size, kind), decoder_of(kind, size)
    return joined([decoder.propose(maps, piece) for piece in pieces(block)])


def painted(kind: str, size: int, block: tuple[slice, ...], kept: Candidates, path: Path) -> ObjectSums:
    """Paint a block into the label image on disk, and return the sums of its objects."""
    maps, decoder = Discs(size, kind), decoder_of(kind, size)
    labels, sums = np.load(path, mmap_mode="r+"), ObjectSums.none(anchors(kept, (size, size)))
    for piece in pieces(block):
        part = decoder.paint(maps, piece, kept)
        sums.add(part, piece, (size, size))
        labels[piece] = part
        release(labels)
    return sums


def decode_blocks(kind: str, size: int, path: Path, processes: int) -> Objects:
    """Decode four blocks, in as many processes."""
    decoder, order = decoder_of(kind, size), blocks(size)
    if processes == 1:
        kept = keep(Discs(size, kind), decoder, iter(order), in_order=False)
        sums = [painted(kind, size, block, kept, path) for block in order]
    else:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(proposed, [kind] * 4, [size] * 4, order))
            every = joined(found)
            suppression = Suppression(decoder.shape((size, size)), decoder.overlap, lambda p: p // size, decoder.reach)
            suppression.push(every, 0)
            kept = suppression.close()
            sums = list(pool.map(painted, [kind] * 4, [size] * 4, order, [kept] * 4, [path] * 4))
    for other in sums[1:]:
        sums[0].join(other)
    labels, numbers = np.load(path, mmap_mode="r+"), sums[0].numbers()
    for block in order:
        for piece in pieces(block):
            labels[piece] = renumbered(labels[piece], numbers)
            release(labels)
    return tabulate(kept, sums[0], numbers, (1.0, 1.0))


def digest(path: Path, objects: Objects) -> str:
    """A digest of the label image and of the table."""
    result, labels = hashlib.sha256(), np.load(path, mmap_mode="r")
    for start in range(0, len(labels), 256):
        result.update(np.ascontiguousarray(labels[start : start + 256]).data)
        release(labels)
    for name, values in objects.table.items():
        result.update(name.encode() + values.tobytes())
    return result.hexdigest()[:16]


def one_way(kind: str, size: int, way: str) -> None:
    """Decode in one way, and print what came out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        labels = np.lib.format.open_memmap(path, "w+", np.uint32, (size, size))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        if way.startswith("strips"):
            maps, rows = Discs(size, kind), int(way.rsplit(maxsplit=1)[-1])
            objects = assemble(maps, decoder_of(kind, size), labels, rows=rows)
        else:
            objects = decode_blocks(kind, size, path, 2 if way == "two processes" else 1)
        seconds, peak = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        row = {
            "kind": kind, "way": way, "objects": len(objects.candidates), "seconds": seconds,
            "peak": max(peak - before, workers - before if workers else 0) >> 10, "digest": digest(path, objects),
            "largest": int(objects.table["size"].max()),
        }  # fmt: skip
        print(json.dumps(row))


def million(kind: str) -> tuple[Candidates, Shape]:
    """A million candidates, ten for each of 100,000 objects."""
    rng, width = np.random.default_rng(0), 10_000
    middles = np.repeat(rng.uniform(30, width - 30, (100_000, 2)), 10, axis=0) + rng.normal(0, 1.5, (1_000_000, 2))
    places = np.floor(middles).astype(np.int64)
    sizes = np.repeat(rng.uniform(4, 20, (100_000, 1)), 10, axis=0)
    if kind == "boxes":
        sides = sizes * rng.uniform(0.85, 1.15, (1_000_000, 2))
        values, shape = np.concatenate([middles - sides, middles + sides], axis=1), BoxShape()
    elif kind == "rotated boxes":
        sides = sizes * rng.uniform(0.85, 1.15, (1_000_000, 2)) * (2, 1)
        angles = np.repeat(rng.uniform(0, np.pi, 100_000), 10) + rng.normal(0, 0.05, 1_000_000)
        values, shape = np.column_stack([middles, sides, angles]), RotatedShape()
    else:
        values = (sizes * rng.normal(1, 0.1, (1_000_000, RAYS)).clip(0.5)).astype(np.float32)
        shape = StarPolygons(width, RAYS)
    scores = rng.random(1_000_000).astype(np.float32)
    return Candidates(places @ np.array([width, 1]), scores, np.zeros(1_000_000, np.int64), values), shape


def suppression() -> list[dict[str, Any]]:
    """Suppress a million candidates of each kind, and print the time."""
    rows = []
    print(f"\n{'candidates':<24}{'kept':>9}{'seconds':>9}")
    for kind, threshold in (("boxes", 0.5), ("rotated boxes", 0.5), ("stars", 0.4)):
        candidates, shape = million(kind)
        start = time.monotonic()
        kept = decide(candidates, shape, threshold, np.ones(len(candidates), bool), False) == KEPT
        seconds = time.monotonic() - start
        print(f"{f'1,000,000 {kind}':<24}{int(kept.sum()):>9,}{seconds:>9.1f}", flush=True)
        rows.append({"candidates": kind, "kept": int(kept.sum()), "seconds": seconds})
    return rows


def main() -> None:
    """Decode in every way, and compare the digests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--only", default="stars,votes,suppression")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        one_way(chosen.only, chosen.size, chosen.way)
        return
    rows: list[dict[str, Any]] = []
    print(f"{'maps':<7}{'way':<15}{'objects':>10}{'largest':>13}{'seconds':>9}{'peak MiB':>10}  digest")
    for kind in [kind for kind in ("stars", "votes") if kind in chosen.only.split(",")]:
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.objects", "--size", str(chosen.size), "--only", kind]
            done = subprocess.run([*command, "--way", way], stdout=subprocess.PIPE, text=True, check=True)
            row = json.loads(done.stdout)
            rows.append(row)
            print(
                f"{kind:<7}{way:<15}{row['objects']:>10,}{row['largest']:>13,}{row['seconds']:>9.0f}{row['peak']:>10,}"
                f"  {row['digest']}",
                flush=True,
            )
    good = len({(row["kind"], row["digest"]) for row in rows}) == len({row["kind"] for row in rows})
    rates = suppression() if "suppression" in chosen.only else []
    print(json.dumps({"benchmark": "objects", "cores": os.cpu_count(), "rows": rows, "suppression": rates}))
    sys.exit(0 if good else "the objects differ")


if __name__ == "__main__":
    main()
