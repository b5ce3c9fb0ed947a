"""Labels and probabilities of any part of one input: those of the whole input, computed for that part alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from atrous.errors import UserError
from atrous.geometry.axis import period
from atrous.geometry.plan import choose_axis
from atrous.labels import IGNORE
from atrous.objects.intervals import LeastLengths, certain_part
from atrous.prediction.inputs import Opened
from atrous.prediction.intervals import CutLabels, interval_labels
from atrous.prediction.predictor import Predictor
from atrous.stream.stream import stream
from atrous.tasks.custom import class_maps, least_lengths, value_task
from atrous.tasks.task import FoundTask

KINDS = ("grids", "videos", "genomes")
"""Kinds of data of whose parts labels are given."""
STEP_BYTES = 3 * 2**19
"""Bytes of one channel of a step, in the type of the network: about what a view is computed fastest with."""
KEPT = 2**28
"""Bytes of the probabilities of an input that went through the network whole, up to which they are kept."""

AROUND = 2**12
"""Samples around a region of a signal that are computed first, where its labels depend on those around it."""

Progress = Callable[[float], None]


class RegionPredictor:
    """A trained network on one input, whose answer is wanted part by part.

    A small input goes through the network whole, once. Of a large one, only what a part depends on is read and computed
    (`region=` of `atrous.stream.stream`). A network with barriers reads the whole input before the first part, and
    keeps what the barriers gave. In float32 the labels are those of `Predictor.write`, except where two scores tie; in
    bfloat16 they differ where two scores are nearly equal.

    Not to be used by several threads at the same time.

    Args:
        predictor: of a task that gives labels.
        opened: the input, from `predictor.open`.

    Attributes:
        size: of the labels, `(*S)`.

    Raises:
        UserError: the task gives no labels, or the network works on another grid than that of the file.
    """

    def __init__(self, predictor: Predictor, opened: Opened) -> None:
        require_labels(predictor)
        if opened.regridded:
            raise UserError("it is brought to another grid for the network, so its parts cannot be computed alone")
        self._predictor, self._opened = predictor, opened
        self.size = tuple(int(length) for length in opened.source.shape[1:])
        self._whole = predictor.whole(self._shape)
        self._labels: np.ndarray | None = None
        self._probabilities: np.ndarray | None = None
        self._barriers: dict[int, torch.Tensor] = {}

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(int(length) for length in self._opened.source.shape)

    @property
    def whole(self) -> bool:
        """Whether the input goes through the network in one piece, so that all its labels cost as much as a few."""
        return self._whole

    @property
    def passes(self) -> int:
        """How many times a large input is read for its first region: once more for every barrier in a row."""
        if self._whole:
            return 1
        return min((axis.passes for axis in self._predictor.prepared(self._shape).axes.values()), default=1)

    def computed(self, region: Sequence[slice]) -> tuple[slice, ...]:
        """Return what is computed for a region: all of it, along axes on which the network cannot be cut."""
        if self._whole:
            return tuple(slice(0, length) for length in self.size)
        axes = self._predictor.prepared(self._shape).axes
        return tuple(part if axis in axes else slice(0, self.size[axis]) for axis, part in enumerate(region))

    def labels(self, region: Sequence[slice], progress: Progress | None = None) -> np.ndarray:
        """Return the labels of a region, uint8, 255 where the input has no data.

        Args:
            region: a slice per spatial axis, with both of its ends.
            progress: called with the finished share of the work; what it raises ends it.

        Raises:
            UserError: the region is empty, or the network cannot be cut along an axis; the message names the layer.
        """
        region = tuple(region)
        if not self._whole:
            post, least = self._predictor.task.decode, least_lengths(self._predictor.task)
            found = self._intervals(region[0], least, progress) if least else self._streamed(region, post, progress)
            return self._voided(found, region, IGNORE)
        if self._labels is None:
            labels = np.empty(self.size, np.uint8)
            self._predictor.write(self._opened.source, CutLabels(labels, self._opened))
            self._labels = labels
        return self._voided(self._labels[region].copy(), region, IGNORE)

    def probabilities(self, region: Sequence[slice], progress: Progress | None = None) -> np.ndarray:
        """Return the probabilities of a region, `(K, *region)` float32, NaN where the input has no data.

        Of a task that decodes genes, the evidence for them follows after the K classes.

        Args:
            region: a slice per spatial axis.
            progress: called with the finished share of the work; what it raises ends it.

        Raises:
            UserError: as `labels`.
        """
        region = tuple(region)
        if not self._whole:
            return self._voided(self._streamed(region, self._predictor.task.probabilities, progress), region, np.nan)
        maps = self._probabilities
        if maps is None:
            predictor = self._predictor
            maps = np.empty((class_maps(predictor.task, predictor.classes), *self.size), np.float32)
            predictor.write(self._opened.source, None, maps)
            self._probabilities = maps if maps.nbytes <= KEPT else None
        return self._voided(maps[(slice(None), *region)].copy(), region, np.nan)

    def _intervals(self, region: slice, least: tuple[int, ...], progress: Progress | None) -> np.ndarray:
        """Labels of a region of a signal, whose intervals have a least length: those of the whole signal.

        They do not depend on what lies beyond the nearest intervals that are beyond doubt, so as much is computed.
        """
        post, length, more, lengths = self._predictor.task.probabilities, self.size[0], AROUND, LeastLengths(least)
        while True:
            start, stop = max(0, region.start - more), min(length, region.stop + more)
            maps = np.asarray(self._streamed((slice(start, stop),), post, progress))
            valid = None if self._opened.valid is None else np.asarray(self._opened.valid[start:stop])
            low, high = certain_part(maps, valid, lengths)
            if (start == 0 or start + low <= region.start) and (stop == length or start + high >= region.stop):
                labels = interval_labels(maps, least, valid)
                return labels[region.start - start : region.stop - start].copy()
            more *= 4

    def _streamed(self, region: tuple[slice, ...], post: Any, progress: Progress | None) -> np.ndarray:
        predictor, computed = self._predictor, self.computed(region)
        found = stream(
            predictor.prepared(self._shape),
            predictor.standardized(self._opened.source),
            region=computed,
            strategy="strips",
            strip=self._strip(computed),
            post=post,
            dtype=predictor.dtype,
            engine=predictor.engine,
            memory=predictor.memory,
            barriers=self._barriers,
            progress=progress,
        )
        inside = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, computed, strict=True))
        return found[(..., *inside)]

    def _strip(self, computed: tuple[slice, ...]) -> int | None:
        """Rows of a step of about `STEP_BYTES` of the part; a plan would count whole rows of the input."""
        if self._predictor.memory is not None:
            return None
        ready = self._predictor.prepared(self._shape)
        along, width = choose_axis(ready.graph, ready.axes, ready.refused, None), 1
        for axis, part in enumerate(computed):
            if axis != along:
                halo = sum(ready.fields[axis].halo) if axis in ready.axes else 0
                width *= min(self.size[axis], part.stop - part.start + halo)
        unit = period(ready.axes[along])
        return max(unit, STEP_BYTES // self._predictor.dtype.itemsize // width // unit * unit)

    def _voided(self, found: np.ndarray, region: tuple[slice, ...], value: float) -> np.ndarray:
        if self._opened.valid is not None:
            found[..., ~np.asarray(self._opened.valid[region])] = value
        return found


def require_labels(predictor: Predictor) -> None:
    """Raise `UserError` unless the task of a network gives a label at every position.

    Raises:
        UserError: it finds objects, boxes or points, or gives numbers.
    """
    task = predictor.task
    if isinstance(task, FoundTask) or value_task(task) is not None or predictor.kind not in KINDS:
        what = task.found if isinstance(task, FoundTask) else "numbers" if value_task(task) is not None else "features"
        raise UserError(
            f"{predictor.run.title}: its network finds {what}, and the page shows labels: use atrous predict"
        )
