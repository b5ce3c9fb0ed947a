"""The objects of an input on the grid of its file, and their table: a row for each, in units of the spacing."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atrous.color import Palette
from atrous.data.source import Source
from atrous.files import replacing
from atrous.objects.assemble import Objects, assemble, measured_again, strips
from atrous.objects.decoder import NO_DATA
from atrous.prediction.found import ObjectPrediction
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import known_on_grid
from atrous.tasks.task import ObjectTask

AXES = {1: ("x",), 2: ("y", "x"), 3: ("z", "y", "x")}
SIZE = {1: "length", 2: "area", 3: "volume"}
"""What the size of an object is called, by the number of axes."""
ROWS = 256
"""Rows of the first axis that are decoded and measured at a time."""


def table_of(
    objects: Objects, labels: Any, images: Sequence[Source], names: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return the columns of the table that is written, one value for each object in the order of their numbers.

    Args:
        objects: what was decoded.
        names: of the classes; none for one class, which has no column of names.
        labels: numbers of the objects `(*S)` on the grid of the images.
        images: sources `(C, *S)` with the channels whose mean in every object is measured, as the files have them.
    """
    ndim = len(labels.shape)
    columns: dict[str, np.ndarray] = {}
    for name, values in objects.table.items():
        columns[_column(name, ndim)] = values
        if name == "class" and names:
            columns["name"] = np.array([names[int(k)] for k in values], dtype=object)
    means = [row for image in images for row in _means(labels, image, len(objects.candidates))]
    channels = ["mean_intensity"] if len(means) == 1 else [f"mean_intensity_{i + 1}" for i in range(len(means))]
    return columns | dict(zip(channels, means, strict=True))


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


def named_rows(classes: np.ndarray, scores: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the first columns of tables of boxes and points: number, class, its name, and score.

    >>> named_rows(np.array([1]), np.array([0.5]), ("a", "b"))["name"].tolist()
    ['b']
    """
    named = np.array([names[int(k)] for k in classes], dtype=object)
    return {"number": np.arange(1, len(classes) + 1), "class": classes, "name": named, "score": scores}


def write_table(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as CSV: a line of names, then a row for each object."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([f"{value:.12g}" if isinstance(value, np.floating) else value for value in row])
    with replacing(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")


def decode_input(maps: Any, task: ObjectTask, opened: Opened, labels: Any) -> tuple[Objects, Any]:
    """Decode the dense maps of an input into objects on the grid of its file.

    Args:
        maps: `(K, *S)` on the grid that the network works on; positions without data are changed to none.
        task: what the maps mean.
        opened: the input.
        labels: an array `(*S)` that takes the numbers of the objects, on the same grid.

    Returns:
        The objects, in units of the file's spacing, and their numbers on the grid of the file.
    """
    known = known_on_grid(opened, tuple(maps.shape[1:]))
    if known is not None:
        _clear(maps, known)
    if not opened.regridded:
        return assemble(maps, task.decoder, labels, rows=ROWS, spacing=opened.spacing), labels
    objects = assemble(maps, task.decoder, labels, rows=ROWS)
    on_file = opened.numbers_on_file(np.asarray(labels[...]))
    return measured_again(objects, on_file, opened.spacing), on_file


def predict_objects(
    maps: Any, task: ObjectTask, opened: Opened, opener: Callable[[], Opened], palette: Palette
) -> ObjectPrediction:
    """Return the objects of an input whose dense maps `(K, *S)` are known."""
    objects, numbers = decode_input(maps, task, opened, np.empty(maps.shape[1:], np.uint32))
    return object_prediction(objects, numbers, opened.spacing, opener, task.names)


def object_prediction(
    objects: Objects, numbers: np.ndarray, spacing: Sequence[float] | None, opener: Callable[[], Opened],
    names: Sequence[str] = (),
) -> ObjectPrediction:  # fmt: skip
    """Return decoded objects as Python programs are given them.

    Args:
        objects: what was decoded.
        numbers: numbers of the objects `(*S)` on the grid of the file.
        spacing: of that grid; None where nobody says it.
        opener: opens the input again.
        names: of the classes; none for one class.
    """
    ndim, columns = numbers.ndim, objects.table
    step = spacing or (1.0,) * ndim
    boxes = [columns[f"{end}_{axis}"] / step[axis] for end in ("start", "stop") for axis in range(ndim)]
    points = [columns[f"centroid_{axis}"] / step[axis] for axis in range(ndim)]
    return ObjectPrediction(
        numbers, objects.candidates.classes, objects.candidates.scores, np.stack(boxes, axis=1),
        np.stack(points, axis=1), table_of(objects, numbers, [], names), opener,
    )  # fmt: skip


def _clear(maps: Any, valid: Source) -> None:
    """No object lies where the image has no data."""
    for region in strips(maps.shape[1:], ROWS):
        part = np.array(maps[(slice(0, 1), *region)])
        part[:, ~np.asarray(valid[region])] = NO_DATA
        maps[(slice(0, 1), *region)] = part
