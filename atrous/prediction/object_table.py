"""The table of the objects of an input: one row for each, in units of the spacing."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.source import Source
from atrous.files import replacing
from atrous.objects.assemble import Objects, strips
from atrous.prediction.inputs import Opened

AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
SIZE = {1: "length", 2: "area", 3: "volume"}
"""What the size of an object is called, by the number of axes."""
ROWS = 256
"""Rows of the first axis that are decoded and measured at a time."""


def table_of(objects: Objects, labels: Any, images: Sequence[Source]) -> dict[str, np.ndarray]:
    """Return the columns of the table that is written, one value for each object in the order of their numbers.

    Args:
        objects: what was decoded.
        labels: numbers of the objects `(*S)` on the grid of the images.
        images: sources `(C, *S)` with the channels whose mean in every object is measured, as the files have them.
    """
    ndim = len(labels.shape)
    columns = {_column(name, ndim): values for name, values in objects.table.items()}
    means = [row for image in images for row in _means(labels, image, len(objects.candidates))]
    names = ["mean_intensity"] if len(means) == 1 else [f"mean_intensity_{i + 1}" for i in range(len(means))]
    return columns | dict(zip(names, means, strict=True))


def _column(name: str, ndim: int) -> str:
    """The name of a column: `centroid_0` is that of the first axis, so `centroid_y` in images."""
    stem, _, axis = name.rpartition("_")
    if name == "size":
        return SIZE[ndim]
    if stem in ("centroid", "start", "stop"):
        return f"{stem}_{AXES[ndim][int(axis)]}"
    return f"axis_length_{int(axis) + 1}" if stem == "axis" else name


def _means(labels: Any, image: Source, count: int) -> np.ndarray:
    """The mean of each channel in each object, `(C, count)`; values are added in row-major order."""
    sums, counts = np.zeros((int(image.shape[0]), count)), np.zeros(count, np.int64)
    for region in strips(labels.shape, ROWS):
        numbers = np.asarray(labels[region])
        places = np.nonzero(numbers)
        objects = numbers[places].astype(np.int64) - 1
        np.add.at(counts, objects, 1)
        values = np.asarray(image[(slice(None), *region)])
        for channel, row in enumerate(sums):
            np.add.at(row, objects, values[(channel, *places)].astype(np.float64))
    return sums / np.maximum(counts, 1)


def write_table(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as CSV: a line of names, then a row for each object."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"{value:.7g}" if isinstance(value, np.floating) else value for value in row])
    with replacing(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")


def working_spacing(opened: Opened) -> tuple[float, ...] | None:
    """Return the distance of positions of the grid that the network works on, per axis; None if the file says none."""
    if opened.spacing is None:
        return None
    return tuple(
        step * size / worked_on
        for step, size, worked_on in zip(opened.spacing, opened.size, opened.source.shape[1:], strict=True)
    )
