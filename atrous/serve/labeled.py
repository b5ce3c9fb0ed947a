"""The labels of one opened input: computed where they are wanted, kept on disk, and never computed twice."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.formats import LabelSink
from atrous.data.resized import Resized
from atrous.data.source import Source
from atrous.data.void import voided
from atrous.errors import UserError
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import CutLabels
from atrous.prediction.predictor import Predictor
from atrous.prediction.region import RegionPredictor
from atrous.serve.cache import CacheFolder
from atrous.serve.found import ServedFile
from atrous.serve.levels import TILE
from atrous.serve.store import FillSink, LabelStore, Region

AT_ONCE = 2**20
"""Positions that are computed in one piece, so that what was asked for meanwhile does not wait long."""
LARGEST_VIEW = 2**24
"""Positions of a view up to which it is computed before the rest; a larger one fills as the rest does."""
PREVIEW = 2**18
"""Pixels to which a view is reduced for its preview."""
PNG_MOST = 2**28
"""Pixels of labels up to which they are written as PNG, which goes through memory."""

Between = Callable[[float], None]


class LabeledInput:
    """One input and what is known of its labels. Only the thread of the network calls `ready` and what computes.

    Args:
        file: the input.
        predictor: the network.
        key: letters and digits that change when the file or the network does.
        cache: where the labels are kept.

    Attributes:
        name: of the file.
        problem: why there are no labels; "" if nothing is wrong.
        state: "new", "opening", "reading" (a network that needs the whole input reads it once) or "ready".
        store: the labels, once the input is open.
        read: the part of the input that such a network has read.
        ndim: number of spatial axes of the labels.
    """

    def __init__(self, file: ServedFile, predictor: Predictor, key: str, cache: CacheFolder) -> None:
        self.file, self.name, self.problem, self.state = file, file.name, "", "new"
        self._predictor, self._key, self._cache = predictor, key, cache
        # A preview is small: it goes through the network whole, and is not exported for a stream of its own.
        self._unlimited = predictor if predictor.memory is None else replace(predictor, memory=None)
        self._opened: Opened | None = None
        self._void = False
        self._regions: RegionPredictor | None = None
        self.store: LabelStore | None = None
        self.read, self._passes = 0.0, 1
        self.ndim = predictor.run.recipe.model.ndim
        self._writing = threading.Lock()

    def ready(self) -> Opened:
        """Open the input as the network reads it, the first time that it is called.

        Raises:
            UserError: it does not fit the network.
        """
        if self._opened is None:
            self.state = "opening"
            try:
                self.file.require_inside()
                opened = self._open()
                if self.store is None:
                    self.store = LabelStore(self._cache.entry(self._key), _file_size(opened))
                if not opened.regridded:
                    self._regions = RegionPredictor(self._predictor, opened)
                    self._passes = self._regions.passes
                self._opened, self._void = opened, opened.valid is not None
            except UserError as error:
                self.problem = str(error)
                raise
            finally:
                self.state = "ready"
        return self._opened

    @property
    def in_memory(self) -> bool:
        """Whether the input, or the file of its labels, is open."""
        return self._opened is not None or (self.store is not None and self.store.is_open)

    def rest(self, between: Between) -> None:
        """Close the input and forget what is not on disk; the next request opens it again."""
        self._opened = self._regions = None
        if self.store is not None:
            self.store.close()

    def _open(self) -> Opened:
        return self._predictor.open(self.file.item)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to compute."""
        return self.store is not None and self.store.complete

    @property
    def whole(self) -> bool:
        """Whether the network takes the input in one piece, so that all labels come at once."""
        return self._regions is None or self._regions.whole

    def next_part(self, region: Region) -> Region | None:
        """Return which part of a region is computed next; None if all of it is known, or will come with the rest.

        Args:
            region: that is in view, in positions of the labels.
        """
        self.ready()
        assert self.store is not None
        if self._regions is None:
            return None
        region = _within(region, self.store.size)
        missing = self.store.missing(region)
        if missing is None:
            return None
        if self._regions.whole:
            return missing
        return None if _positions(missing) > LARGEST_VIEW else self.store.nearest(missing, AT_ONCE, region)

    def compute(self, part: Region, between: Between) -> None:
        """Compute the labels of a part of the input and keep them."""
        self.ready()
        assert self._regions is not None
        assert self.store is not None
        part = self._regions.computed(part)
        self.store.write(part, self._regions.labels(part, self._noting(between)))

    def _noting(self, between: Between) -> Between:
        """Note how far a network with barriers has read the input, which it does once, before its first region."""

        def noted(share: float) -> None:
            if self._passes > 1 and self.read < 1:
                self.read = min(1.0, share * self._passes / (self._passes - 1))
                self.state = "reading" if self.read < 1 else "ready"
            between(share)

        return noted

    def fill(self, between: Between) -> None:
        """Compute all labels, as `atrous predict` does, and keep them; goes on where an earlier run was stopped."""
        opened = self.ready()
        assert self.store is not None
        if self.store.complete:
            return
        shape = tuple(opened.source.shape)
        if opened.regridded:
            labels = np.empty(shape[1:], np.uint8)
            self._predictor.write(opened.source, CutLabels(labels, opened), progress=between)
            self.store.labels[...] = opened.labels_on_file(labels)
        else:
            sink: Any = CutLabels(FillSink(self.store), opened)
            resume = not self._predictor.whole(shape)
            self._predictor.write(opened.source, voided(sink, opened.valid), resume=resume, progress=between)
        self.store.finish()

    def tile(self, cut: tuple[int, int], level: int, row: int, column: int, between: Between) -> np.ndarray:
        """Return the labels of a tile, computed where they are not known.

        Raises:
            NoTile: there is none.
            UserError: the input does not fit the network, or the tile shows too large a part of it.
        """
        self.ready()
        assert self.store is not None
        values, exact = self.store.tile(cut, level, row, column)
        if exact:
            return values
        if self._regions is None:
            raise UserError("this input is brought to another grid for the network: have all of it labelled first")
        region = _within(plane_region(cut, self.store.size, level, row, column), self.store.size)
        while (part := self.next_part(region)) is not None:
            self.compute(part, between)
        values, exact = self.store.tile(cut, level, row, column)
        if not exact:
            raise UserError("too large a part of the input for one tile: have all of it labelled first")
        return values

    def probabilities(self, position: Sequence[int], between: Between) -> list[float] | None:
        """Return the probability of every class at a position; None where the input has no data."""
        size = tuple(self.ready().size)
        if len(position) != len(size) or not all(0 <= n < most for n, most in zip(position, size, strict=True)):
            raise UserError(f"position {', '.join(map(str, position))}: the labels have {' x '.join(map(str, size))}")
        found = self.maps(tuple(slice(n, n + 1) for n in position), between).reshape(-1)
        return None if np.isnan(found).any() else found.astype(float).tolist()

    def maps(self, region: Region, between: Between) -> np.ndarray:
        """Return the probabilities `(K, *region)` of the classes in a region; NaN where the input has no data."""
        self.ready()
        if self._regions is None:
            raise UserError("this input is brought to another grid for the network: no probabilities of a part of it")
        found = self._regions.probabilities(region, self._noting(between))
        return found[: len(self._predictor.classes)]

    def preview(self, box: tuple[slice, slice]) -> np.ndarray:
        """Return labels `(h, w)` of a part of an image as the network sees it alone and reduced: not the exact ones.

        Args:
            box: rows and columns, in positions of the labels.
        """
        return self._predictor.task.decode(self._reduced_output(box))[0].cpu().numpy()

    def preview_probabilities(self, box: tuple[slice, slice]) -> np.ndarray:
        """Return the probabilities `(K, h, w)` of what `preview` shows; see there."""
        return self._predictor.task.probabilities(self._reduced_output(box))[0].float().cpu().numpy()

    def _reduced_output(self, box: tuple[slice, slice]) -> torch.Tensor:
        """The network's output `(1, K, h, w)` for a part of an image, reduced to `PREVIEW` pixels."""
        opened = self.ready()
        if len(opened.size) != 2 or opened.regridded:
            raise UserError("previews are of images on their own grid")
        rows, columns = _within(box, opened.size)
        count = _positions((rows, columns))
        if count > LARGEST_VIEW:
            raise UserError(f"a preview is of {LARGEST_VIEW:,} pixels at most: look at a smaller part")
        step = max(1.0, (count / PREVIEW) ** 0.5)
        part = np.asarray(_ReducedPart(opened.source, rows, columns).reduced(step))
        with torch.inference_mode():
            return self._unlimited.output(part)

    def forget(self) -> None:
        """Remove the labels from the cache; nobody asks for them again."""
        self._cache.forget(self._key)

    def write(self, suffix: str) -> Path:
        """Write all labels as `atrous predict` writes them, and return the file.

        Args:
            suffix: ".png" or ".tif"; of signals ".csv" or ".npy".

        Raises:
            UserError: not all labels are known, or the format cannot hold them.
        """
        store = self.store
        if store is None or not store.complete:
            share = 0.0 if store is None else store.share
            raise UserError(f"{100 * share:.0f} % of the labels are known: have all of it labelled first")
        if (suffix in (".csv", ".npy")) != (len(store.size) == 1):
            raise UserError("labels of signals are saved as .csv or .npy, and those of images as .png or .tif")
        if suffix == ".png" and (len(store.size) != 2 or _positions(tuple(map(slice, store.size))) > PNG_MOST):
            raise UserError("too large for PNG, or a volume: take TIFF")
        path = store.folder / f"download{suffix}"
        with self._writing:
            if not path.exists():
                with replacing(path) as beside:
                    LabelSink(beside, store.labels, None).finish(
                        like=self.file.item.path,
                        classes=self._predictor.classes,
                        palette=self._predictor.palette,
                        void=IGNORE if self._void else None,
                    )
        return path


class _ReducedPart:
    """A part of an image `(C, H, W)`, reduced."""

    def __init__(self, source: Source, rows: slice, columns: slice) -> None:
        self._source, self._rows, self._columns = source, rows, columns
        self.shape = (source.shape[0], rows.stop - rows.start, columns.stop - columns.start)
        self.dtype = source.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        channels, rows, columns = key
        return np.asarray(
            self._source[
                channels,
                slice(self._rows.start + rows.start, self._rows.start + rows.stop),
                slice(self._columns.start + columns.start, self._columns.start + columns.stop),
            ]
        )

    def reduced(self, step: float) -> np.ndarray:
        """Return the part with every `step` pixels along each axis made one, some rows at a time."""
        size = tuple(max(1, round(length / step)) for length in self.shape[1:])
        resized = Resized(self, size)
        rows = max(1, int(2**23 / (self.shape[0] * self.shape[2] * step)))
        return np.concatenate([resized[:, row : min(row + rows, size[0])] for row in range(0, size[0], rows)], axis=1)


def plane_region(cut: tuple[int, int], size: Sequence[int], level: int, row: int, column: int) -> Region:
    """Return the region of the input that a tile of a plane shows."""
    side = TILE * 2**level
    parts = [slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)]
    if len(size) == 3:
        parts.insert(cut[0], slice(cut[1], cut[1] + 1))
    return tuple(parts)


def _file_size(opened: Opened) -> tuple[int, ...]:
    """Return the size of the labels on the grid of the file, whose axes may be turned for the network."""
    if opened.turn is None:
        return opened.size
    return opened.turn.back(np.broadcast_to(np.uint8(0), opened.size)).shape


def _within(region: Region, size: Sequence[int]) -> Region:
    """Return the part of a region that lies in an input, which is one position at least."""
    parts = []
    for part, length in zip(region, size, strict=True):
        start = min(max(0, part.start), length - 1)
        parts.append(slice(start, max(start + 1, min(part.stop, length))))
    return tuple(parts)


def _positions(region: Region) -> int:
    return int(np.prod([part.stop - (part.start or 0) for part in region], dtype=np.int64))
