"""Labels of signals whose intervals have a least length, from the probabilities that come strip by strip."""

from typing import Any

import numpy as np

from atrous.data.grid import resample_label
from atrous.data.source import Sink, Source, full_key
from atrous.data.views import look_for_gaps
from atrous.errors import UserError
from atrous.objects.intervals import IntervalDecoder
from atrous.prediction.inputs import Opened
from atrous.prediction.output import SeveralSinks
from atrous.tasks.custom import least_lengths


class CutLabels:
    """A sink of labels that says where the input has no data: intervals end there, however short they are.

    Other attributes are those of the wrapped sink.

    Args:
        sink: of labels `(*S)` on the grid of the network.
        opened: the input.
    """

    def __init__(self, sink: Any, opened: Opened) -> None:
        self.sink, self._opened = sink, opened
        self.shape, self.dtype = tuple(sink.shape), sink.dtype

    @property
    def valid(self) -> Source | None:
        """Where the input has data, bool `(*S)` on the grid of the network; None if it has everywhere."""
        return known_on_grid(self._opened, self.shape)

    def __setitem__(self, key: Any, values: Any) -> None:
        self.sink[key] = values

    def __getitem__(self, key: Any) -> Any:
        return self.sink[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)


class IntervalSink:
    """A sink `(K, L)` of the probabilities of a signal, which arrive in order; their labels go to a sink of labels.

    The last labels are written when the last probabilities have come.

    Args:
        labels: sink `(L,)` of labels.
        least: samples of the shortest interval of each of K classes.
        valid: `(L,)` bool, false where the input has no data; None if it has everywhere.

    >>> labels = np.zeros(6, np.uint8)
    >>> sink = IntervalSink(labels, (1, 3))
    >>> sink[:, :4] = np.array([[0.9, 0.6, 0.1, 0.1], [0.1, 0.4, 0.9, 0.9]])
    >>> sink[:, 4:] = np.array([[0.9, 0.9], [0.1, 0.1]])
    >>> labels.tolist()
    [0, 1, 1, 1, 0, 0]
    """

    def __init__(self, labels: Sink, least: tuple[int, ...], valid: Source | None = None) -> None:
        self.shape, self.dtype = (len(least), int(labels.shape[0])), np.dtype(np.float32)
        self._labels, self._valid, self._decoder = labels, valid, IntervalDecoder(least)
        self._at = self._written = 0

    def __setitem__(self, key: Any, values: Any) -> None:
        """Take the probabilities of the next samples.

        Raises:
            ValueError: they are not the next ones.
            UserError: they are not finite.
        """
        place = full_key(key, 2)[1]
        start, stop, step = place.indices(self.shape[1])
        if step != 1 or start != self._at:
            raise ValueError(f"samples must come in order: expected {self._at}, got {key}")
        valid = None if self._valid is None else np.asarray(self._valid[start:stop])
        self._write(add_to(self._decoder, np.asarray(values), valid))
        self._at = stop
        if stop == self.shape[1]:
            self._write(self._decoder.finish())

    def _write(self, labels: np.ndarray) -> None:
        if len(labels):
            self._labels[self._written : self._written + len(labels)] = labels
            self._written += len(labels)


def add_to(decoder: IntervalDecoder, probabilities: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Give a decoder the next probabilities; see `IntervalDecoder.add`.

    Raises:
        UserError: they are not finite.
    """
    try:
        return decoder.add(probabilities, valid)
    except ValueError as error:
        raise UserError(f"{error}: look at the values of this input, or train at a lower rate") from None


def interval_labels(probabilities: np.ndarray, least: tuple[int, ...], valid: np.ndarray | None = None) -> np.ndarray:
    """Return the labels `(L,)` uint8 of a whole signal.

    Args:
        probabilities: `(K, L)`.
        least: samples of the shortest interval of each class.
        valid: `(L,)` bool, false where there are no data; None if there are everywhere.

    Raises:
        UserError: a probability is not finite.
    """
    decoder = IntervalDecoder(least)
    return np.concatenate([add_to(decoder, probabilities, valid), decoder.finish()])


def known_on_grid(opened: Opened, size: tuple[int, ...]) -> Source | None:
    """Return where an input has data, bool, on the grid of the network; None if it has everywhere.

    Args:
        opened: the input.
        size: of that grid.
    """
    if opened.resampled:
        look_for_gaps(opened.valid)  # all of it is looked at before the values are read
    return valid_on_grid(opened.valid, size)


def valid_on_grid(valid: Source | None, size: tuple[int, ...]) -> Source | None:
    """Return where an input has data, bool, on a grid of another size over the same extent.

    >>> valid_on_grid(np.array([True, False]), (4,)).tolist()
    [True, True, False, False]
    """
    if valid is None or tuple(valid.shape) == size:
        return valid
    return resample_label(np.asarray(valid[...]).astype(np.uint8), size).astype(bool)


def with_intervals(task: object, labels: Any, probabilities: Any = None, resume: bool = False) -> tuple[Any, Any, bool]:
    """Return the sinks that take labels and probabilities of a task, and whether a run into them can resume.

    Labels whose intervals have a least length are made of probabilities, in order and from the start.

    Args:
        task: of the network.
        labels: sink of labels, or None; if it has an attribute `valid`, this says where the input has no data.
        probabilities: sink of probabilities, or None.
        resume: whether an interrupted run is to resume.
    """
    least = least_lengths(task)
    if labels is None or not least:
        return labels, probabilities, resume
    sink = IntervalSink(labels, least, getattr(labels, "valid", None))
    return None, sink if probabilities is None else SeveralSinks([sink, probabilities]), False
