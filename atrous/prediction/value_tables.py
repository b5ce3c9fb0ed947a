"""Numbers of recordings in the format of the recording: a table with a column for each output, or an array."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.column_roles import column_names, delimiter, index_column
from atrous.data.grid import restore
from atrous.data.plain_text import text_encoding
from atrous.data.void import voided
from atrous.errors import UserError
from atrous.files import replacing
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.tasks.custom import output_size
from atrous.tasks.values import ValueTask

TABLES = (".csv", ".tsv")
RECORDINGS = (*TABLES, ".npz")
"""Suffixes of recordings whose numbers are written in their own format."""


def on_file(maps: np.ndarray, task: ValueTask, opened: Opened) -> np.ndarray:
    """Return values on the grid of the file (finer by the task's factor), NaN where it has no data."""
    if opened.regridded:
        import torch

        found = np.asarray(maps[...], np.float32)
        if task.factor == 1:
            return np.ascontiguousarray(opened.maps_on_file(found))
        found = restore(torch.from_numpy(found), output_size(task, opened.size)).numpy()
        return found if opened.turn is None else np.ascontiguousarray(opened.turn.back(found))
    if opened.valid is not None and task.factor == 1:
        maps[:, ~np.asarray(opened.valid[...])] = np.nan
    return maps


class NumberTable(Output):
    """Numbers `(K, L)` of a recording: a CSV or TSV file with its index column, or the array `label` of an NPZ file.

    A sample without data has an empty entry, or NaN. On the finer grid of super-resolution, whose samples lie between
    those of the recording, the index goes on in straight lines between its entries and beyond its ends.

    Args:
        path: `.csv`, `.tsv` or `.npz`.
        like: the recording, of the same format.
        task: names the outputs.
    """

    values = "probabilities"

    def __init__(self, path: Path, like: Path, task: ValueTask) -> None:
        self.paths, self._like, self._task = (path,), like, task
        self._opened: Opened | None = None
        self._values: np.ndarray | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the numbers.

        Raises:
            UserError: the numbers are finer than the table, and its index is no number.
        """
        if self._task.factor > 1 and self.paths[0].suffix.lower() in TABLES:
            _finer_index(self._like, *_index(self._like, opened.size[0]), self._task.factor)
        self._opened = opened
        size = output_size(self._task, opened.source.shape[1:])
        self._values = np.empty((self._task.out_channels, *size), np.float32)

    @property
    def sink(self) -> Any:
        """Takes numbers `(K, L)` on the network's grid, in any order."""
        if self._values is None or self._opened is None:
            return None
        finer = self._opened.regridded or self._task.factor > 1
        return voided(self._values, None if finer else self._opened.valid, np.nan)

    def read(self) -> np.ndarray:
        """Return the numbers `(K, L)` float32 on the grid of the file, before they are in their place."""
        assert self._values is not None
        assert self._opened is not None
        return on_file(self._values, self._task, self._opened) if self._opened.regridded else self._values

    def drawn(self) -> np.ndarray:
        """Return the numbers `(K, L)` that a picture shows: all of them."""
        return self.read()

    def finish(self) -> None:
        """Write the file."""
        values, path = self.read(), self.paths[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside:
            beside.write_bytes(self._table(values) if path.suffix.lower() in TABLES else self._array(values))
        self.discard()

    def discard(self) -> None:
        """Nothing is written before `finish`."""
        self._values = None

    def _array(self, values: np.ndarray) -> bytes:
        content = io.BytesIO()
        label = values[0] if len(values) == 1 else values
        np.savez_compressed(content, label=label, names=np.array(self._task.names))
        return content.getvalue()

    def _table(self, values: np.ndarray) -> bytes:
        factor = self._task.factor
        name, index = _index(self._like, values.shape[1] // factor)
        index = index if factor == 1 else _finer_index(self._like, name, index, factor)
        text = io.StringIO()
        mark = "\t" if self.paths[0].suffix.lower() == ".tsv" else ","
        writer = csv.writer(text, lineterminator="\n", delimiter=mark)
        writer.writerow([name, *self._task.names])
        columns = [["" if np.isnan(value) else f"{value:.9g}" for value in row.tolist()] for row in values]
        writer.writerows(zip(index, *columns, strict=True))
        return text.getvalue().encode()


def _index(path: Path, count: int) -> tuple[str, list[str]]:
    """The name and the entries of the column of times or row numbers of a table; numbers from 0 where it has none."""
    place = index_column(path)
    if place is None:
        return "index", [str(number) for number in range(count)]
    with path.open(newline="", encoding=text_encoding(path)) as file:
        mark = delimiter(file.readline())
        entries = [row[place] for row in csv.reader(file, delimiter=mark) if row]
    return column_names(path)[place] or "index", entries


def _finer_index(path: Path, name: str, entries: list[str], factor: int) -> list[str]:
    """Return the entries of an index on a grid that is finer by a factor.

    Sample i' of the finer grid lies at `i = (i' + 1/2) / factor - 1/2` of the coarser one, as a pixel does.

    Raises:
        UserError: an entry is no number.

    >>> _finer_index(Path("a.csv"), "seconds", ["0", "2", "4"], 2)
    ['-0.5', '0.5', '1.5', '2.5', '3.5', '4.5']
    """
    try:
        known = np.array([float(entry) for entry in entries])
    except ValueError as error:
        fix = "super-resolution needs an index of numbers, such as seconds: write it anew, or give --probabilities zarr"
        raise UserError(f"{path}: column {name}: {error}: {fix}") from error
    places = (np.arange(factor * len(known)) + 0.5) / factor - 0.5
    before = np.clip(np.floor(places).astype(int), 0, max(0, len(known) - 2))
    step = np.diff(known)[before] if len(known) > 1 else 1.0
    return [f"{value:.15g}" for value in known[before] + (places - before) * step]
