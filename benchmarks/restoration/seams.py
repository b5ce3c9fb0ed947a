"""An image restored in tiles that are pasted, as peers do, beside the streamed one: what differs, and where."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.prediction.predictor import Predictor, load
from atrous.recipe.build import build_restoration
from atrous.stream import stream
from benchmarks.restoration.images import pictures

TILE, BEYOND = 128, 10
"""Pixels of the input along a tile, and beyond it on each side: the habit of Real-ESRGAN (`tile_pad`)."""
PIECE = 72
"""Pixels of the output along the enlarged piece."""


@dataclass(frozen=True)
class Way:
    """One way to restore a large image.

    Attributes:
        name: in words.
        values: gray values `(H, W)`.
        difference: to those of the network on the whole image, without sign.
    """

    name: str
    values: np.ndarray
    difference: np.ndarray


def tiled(predictor: Predictor, given: np.ndarray, factor: int) -> np.ndarray:
    """Return `(1, H, W)` restored tile by tile, without what lies beyond each tile."""
    height, width = given.shape[1:]
    result = np.empty((1, height * factor, width * factor), np.float32)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            first = max(0, top - BEYOND), max(0, left - BEYOND)
            seen = given[:, first[0] : min(bottom + BEYOND, height), first[1] : min(right + BEYOND, width)]
            values = predictor.predict(np.ascontiguousarray(seen)).values
            rows = slice((top - first[0]) * factor, (bottom - first[0]) * factor)
            columns = slice((left - first[1]) * factor, (right - first[1]) * factor)
            result[:, top * factor : bottom * factor, left * factor : right * factor] = values[:, rows, columns]
    return result


def seam_picture(run: Path, image: Path, folder: Path, strip: int) -> dict[str, Any]:
    """Write the picture of a run, `NAME.png`, and return by how many gray levels the two ways differ from the whole."""
    whole = load(run)
    recipe = whole.run.recipe
    degradation, factor = build_restoration(recipe).degradation, recipe.task.scale or 1
    given = pictures([image], degradation)[0].given
    if max(given.shape[1:]) <= TILE:
        raise SystemExit(f"{image}: fits in one tile of {TILE}: take a larger image")
    reference = whole.predict(given).values
    results = {
        f"tiles of {TILE} with {BEYOND} pixels beyond, pasted": tiled(whole, given, factor),
        f"streamed in strips of {strip}": np.asarray(
            stream(whole.network, given, strip=strip, post=whole.task.probabilities)
        ),
    }
    ways = [Way(name, values[0], np.abs(values - reference)[0]) for name, values in results.items()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.name}.png"
    _draw(path, f"{recipe.task.kind}: run {run.name}, image {image.name}", given[0], factor, ways)
    tiles, strips = (way.difference for way in ways)
    return {
        "picture": str(path), "tiles_largest": float(tiles.max()), "tiles_mean": float(tiles.mean()),
        "streamed_largest": float(strips.max()),
    }  # fmt: skip


def _draw(path: Path, title: str, given: np.ndarray, factor: int, ways: list[Way]) -> None:
    """Draw the image that was made of tiles, and an enlarged piece of it in both ways."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    tiles, strips = ways
    size = tiles.values.shape
    borders = [np.arange(TILE * factor, length, TILE * factor) for length in size]
    corner = _corner(tiles.difference, borders, factor)
    piece = tuple(slice(start, start + PIECE) for start in corner)
    coarse = tuple(slice(part.start // factor, part.stop // factor) for part in piece)
    white = max(1e-6, float(tiles.difference[piece].max()))
    panels: list[tuple[str, np.ndarray, float]] = [
        ("tiles, pasted; red: their borders, the piece", tiles.values, 255),
        (tiles.name, tiles.values[piece], 255),
        (strips.name, strips.values[piece], 255),
        ("what is given, at the piece", given[coarse], 255),
    ]
    for way in ways:
        words = (
            f"{way.name}:\n|difference to the whole image|,\nlargest {way.difference.max():.2g}, white is {white:.2g}"
        )
        panels.append((f"{words} gray levels", way.difference[piece], white))
    figure = Figure(figsize=(13.5, 9), layout="constrained")
    figure.suptitle(title)
    for number, (words, values, most) in enumerate(panels, 1):
        axes = figure.add_subplot(2, 3, number)
        axes.imshow(values, cmap="gray", vmin=0, vmax=most, interpolation="nearest")
        axes.set_title(words, fontsize=10, pad=11)
        start, extent = ((0, 0), size) if number == 1 else (corner, (PIECE, PIECE))
        unit = factor if values is panels[3][1] else 1
        rows, columns = (
            [(place - first) / unit - 0.5 for place in places if 0 < place - first < length]
            for places, first, length in zip(borders, start, extent, strict=True)
        )
        axes.set_yticks(rows, labels=[""] * len(rows))
        axes.set_xticks(columns, labels=[""] * len(columns))
        axes.tick_params(color="red", length=8, width=2, top=True, right=True)
        if number == 1:
            axes.add_patch(Rectangle((corner[1], corner[0]), PIECE, PIECE, fill=False, edgecolor="red", linewidth=1.5))
    figure.savefig(path, dpi=110)


def _corner(difference: np.ndarray, borders: list[np.ndarray], factor: int) -> tuple[int, int]:
    """The corner of the piece around the pixel that is most wrong of those beside a border of tiles."""
    size = difference.shape
    beside = [
        (np.abs(np.arange(length)[:, None] - places) <= 2 * factor).any(axis=1)
        for length, places in zip(size, borders, strict=True)
    ]
    near = np.where(beside[0][:, None] | beside[1], difference, 0)
    worst = np.unravel_index(near.argmax(), size)
    top, left = (
        int(np.clip(place - PIECE // 2, 0, max(0, length - PIECE))) // factor * factor
        for place, length in zip(worst, size, strict=True)
    )
    return top, left
