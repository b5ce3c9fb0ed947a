"""What outputs have in common whose answer is found in the dense maps of the whole input: objects, boxes, points."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from atrous.data.formats import FileFault
from atrous.data.formats.npy import create_memmap
from atrous.data.formats.writing import SourceNote
from atrous.data.source import Source
from atrous.data.views import look_for_gaps
from atrous.errors import UserError
from atrous.files import remove, replacing, settle
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output
from atrous.stream.resume import record_beside
from atrous.tasks.custom import output_size
from atrous.tasks.task import FoundTask

LARGEST = 2**24
"""Positions that are drawn at most; of a larger input, every second (third, ...) position along each axis is drawn."""


class FoundFiles(Output):
    """Files of what was found in an input.

    The dense maps of the whole input are gathered first, on disk if the input is streamed. `end` decodes them, so that
    the answer is the same whatever the strips were. An interrupted run leaves the maps of a streamed input in a hidden
    file, and the next run goes on with them.

    Args:
        paths: what is written, the main file first. It is put in its place last: where it is, all others are.
        task: what the dense maps mean.
        inputs: the files of the input.

    Attributes:
        made_by: says which network gives the maps. Those that are all there are taken if the same network gave them;
            of those that are not, the record of the stream says it.
    """

    values = "probabilities"
    main_last = True

    def __init__(self, paths: tuple[Path, ...], task: FoundTask, inputs: Sequence[Path]) -> None:
        self.paths, self._task_of_maps = paths, task
        self._scratch = paths[0].with_name(f".{paths[0].name}.maps.npy")
        self._done = self._scratch.with_name(f"{self._scratch.name}.done")
        self._source = SourceNote(self._scratch, inputs)
        self._input = next(iter(inputs), paths[0])
        self.made_by: Callable[[], str] = lambda: ""
        self._opened: Opened | None = None
        self._maps: Any = None
        self._streamed = False

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Make room for the dense maps, or take those that an interrupted run left."""
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        task = self._task_of_maps
        shape = (task.out_channels, *output_size(task, opened.source.shape[1:]))
        self._opened, self._streamed = opened, streamed
        self._maps = self._left(shape) if streamed else None
        if self._done.exists() and self._done.read_text(encoding="utf-8") != self.made_by():
            self._maps = None  # another network gave them
        self.complete = self._maps is not None and self._done.exists()
        if self._maps is None:
            self._remove()
            self._maps = create_memmap(self._scratch, shape, np.float32) if streamed else np.empty(shape, np.float32)
            if streamed:
                self._source.write()
        else:
            look_for_gaps(opened.valid)  # an earlier run has read the input

    def _left(self, shape: tuple[int, ...]) -> Any:
        """The maps that an interrupted run left of the same input; None where it left none."""
        if not (self._scratch.exists() and self._source.holds()):
            return None
        try:
            maps = np.lib.format.open_memmap(self._scratch, mode="r+")
        except (OSError, ValueError):  # it was killed while it made the file
            return None
        return maps if maps.shape == shape and maps.dtype == np.float32 else None

    @property
    def sink(self) -> Any:
        """Takes the dense maps `(K, *S)`, in any order; refuses values that are not finite (`FileFault`)."""
        return None if self._maps is None else FiniteSink(self._maps, self._input)

    @property
    def opened(self) -> Opened:
        """The input, once it was begun."""
        assert self._opened is not None
        return self._opened

    def end(self) -> None:
        """Note that the maps are all there: a run that is killed from now on need not run the network again."""
        if self._streamed and not self.complete:
            self._maps.flush()
            self._done.write_text(self.made_by(), encoding="utf-8")
            settle(self._done)

    @property
    def resumes(self) -> bool:
        """Whether the dense maps are written to disk as they come."""
        return self._streamed and self._maps is not None

    def pause(self) -> None:
        """See `Output.pause`; what an earlier run left is kept also where this one did not begin."""
        if self._opened is not None:
            super().pause()

    def discard(self) -> None:
        """Remove the dense maps and the record of how far they had come, if the input was begun."""
        if self._opened is not None:
            self._maps = None
            self._remove()

    def _remove(self) -> None:
        remove(self._scratch)
        for path in (record_beside(self._scratch), self._done):
            path.unlink(missing_ok=True)
        self._source.remove()


class FiniteSink:
    """A sink of dense maps that refuses values that are not finite.

    Nothing is found in such maps, and an empty table would look like an answer.

    Other attributes are those of the wrapped sink: where it lies on disk.

    Args:
        sink: where to write.
        path: the input, for the message.
    """

    def __init__(self, sink: Any, path: Path) -> None:
        self._sink, self._path = sink, path
        self.shape, self.dtype = tuple(sink.shape), sink.dtype

    def __setitem__(self, key: Any, values: Any) -> None:
        if not np.isfinite(values).all():
            what = "the network's output is not finite (nan or infinite)"
            raise FileFault(self._path, what, "look at the values of this input, or train at a lower rate")
        self._sink[key] = values

    def __getitem__(self, key: Any) -> Any:
        return self._sink[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)


class FoundPicture(Output):
    """A PNG of what was found over the image; of a volume, over the slice with most of it.

    Args:
        path: the file.
        source: the output that finds it.
        draw: given the image `(C, *S)` of the file, and every how many rows and columns are drawn, returns the picture.
        what: what was found, for messages.
    """

    def __init__(self, path: Path, source: Output, draw: Callable[[Source, int], np.ndarray], what: str) -> None:
        self.paths, self.drawn_from = (path,), source
        self._draw, self._what = draw, what
        self._opened: Opened | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Check that the input is an image or a volume.

        Raises:
            UserError: it is a signal.
        """
        if len(opened.size) == 1:
            raise UserError(f"{self.paths[0]}: {self._what} of signals are not drawn: leave --overlay out")
        self._opened = opened

    def finish(self) -> None:
        """Draw the picture."""
        assert self._opened is not None
        image = self._opened.image_on_file()
        picture = self._draw(image, max(1, math.ceil(math.sqrt(math.prod(image.shape[-2:]) / LARGEST))))
        self.paths[0].parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.paths[0]) as beside:
            Image.fromarray(picture).save(beside, "PNG")

    def discard(self) -> None:
        """Nothing is written before `finish`."""
