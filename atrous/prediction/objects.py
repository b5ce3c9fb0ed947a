"""The objects of an input as files: a label image that numbers them, and a table with a row for each."""

from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import check_like, open_labels, stem
from atrous.data.formats.npy import create_memmap
from atrous.data.formats.writing import LabelSink
from atrous.data.object_files.write import FoundObjects
from atrous.files import remove
from atrous.objects.assemble import Objects
from atrous.objects.candidates import Candidates
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.object_table import decode_input, table_of, write_table
from atrous.prediction.output import Output, part_path
from atrous.tasks.task import ObjectTask


class ObjectFiles(Output):
    """A label image uint32 `(*S)` on the grid of the input's file, and a table of the objects beside it.

    The dense maps of the whole input are gathered first, on disk if the input is streamed; then the objects are
    decoded, which gives the same objects whatever the strips were.

    Args:
        path: the label image; its suffix says the format.
        item: the input, which lends its geometry.
        task: what the dense maps mean.
    """

    values = "probabilities"

    def __init__(self, path: Path, item: Input, task: ObjectTask) -> None:
        self.paths = (path, path.with_name(f"{stem(path)}_objects.csv"))
        self._like, self._task = item.path, task
        self._opened: Opened | None = None
        self._maps: Any = None
        self._streamed = False
        self._objects: Objects | None = None
        self._written: LabelSink | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps.

        Raises:
            UserError: the label image cannot keep the projection of the input.
        """
        check_like(self.paths[0], self._like)
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        shape = (self._task.out_channels, *(int(n) for n in opened.source.shape[1:]))
        self._opened, self._streamed = opened, streamed
        remove(self._scratch)
        self._maps = create_memmap(self._scratch, shape, np.float32) if streamed else np.empty(shape, np.float32)

    @property
    def sink(self) -> Any:
        """Takes the dense maps `(K, *S)`, in any order."""
        return self._maps

    def end(self) -> None:
        """Decode the objects."""
        assert self._opened is not None
        opened, path = self._opened, self.paths[0]
        labels = open_labels(path, self._maps.shape[1:], on_disk=self._streamed, anew=True, dtype=np.uint32)
        self._objects, on_file = decode_input(self._maps, self._task, opened, labels.array)
        self._maps = None
        remove(self._scratch)
        if opened.regridded:
            labels.discard()
            labels = LabelSink(path, on_file, None)
        self._written = labels

    def found(self) -> Candidates:
        """Return the objects with their classes and scores, in the order of their numbers, once they were decoded."""
        assert self._objects is not None
        return self._objects.candidates

    def numbers(self) -> Any:
        """Return the numbers of the objects `(*S)` on the grid of the input's file, once they were decoded."""
        assert self._written is not None
        return self._written.array

    def exported(self) -> FoundObjects:
        """Return the objects with their numbers as other programs need them, once they were decoded."""
        numbers, found = np.asarray(self.numbers()[...]), self.found()
        return FoundObjects(tuple(numbers.shape), found.classes, found.scores, numbers)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table, once the objects were decoded."""
        assert self._objects is not None
        images = [] if self._opened is None or self._opened.stored is None else [self._opened.stored]
        return table_of(self._objects, self.numbers(), images)

    def finish(self) -> None:
        """Write the table and the label image."""
        assert self._written is not None
        write_table(self.paths[1], self.columns())
        self._written.finish(like=self._like)
        self._written = None

    def discard(self) -> None:
        """Remove the dense maps and what was decoded."""
        self._maps = self._written = None
        remove(self._scratch)
        remove(part_path(self.paths[0]))

    @property
    def _scratch(self) -> Path:
        return self.paths[0].with_name(f".{self.paths[0].name}.maps.npy")
