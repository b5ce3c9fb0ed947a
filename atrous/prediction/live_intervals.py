"""A live signal whose labels are intervals of a least length: each label is given as soon as it is certain."""

from typing import Any

import numpy as np

from atrous.objects.intervals import IntervalDecoder
from atrous.prediction.intervals import add_to
from atrous.stream.session import Session


class IntervalSession:
    """A session that gives the labels of `atrous.objects.intervals`: all together they are those of the whole signal.

    A label is returned when all ways to cut the signal agree on it that may still become the best one. How long that
    takes depends on the signal: it has no bound, but where the classes are clear it is little more than `latency`.

    Args:
        session: gives the probabilities `(K, n)` of the samples.
        least: samples of the shortest interval of each class.

    Attributes:
        probabilities: of the samples whose labels were returned last, `(K, n)`.
        latency: how many samples after its own a label waits for at least: those that the network reads, and those in
            which the longest of the shortest intervals may begin.
    """

    def __init__(self, session: Session, least: tuple[int, ...]) -> None:
        self._session, self._decoder = session, IntervalDecoder(least, live=True)
        self.latency = session.latency + max(least) - 1
        self.probabilities = np.zeros((len(least), 0), np.float32)
        self._waiting = self.probabilities  # probabilities of samples whose labels are not certain
        self._valid = np.zeros(0, bool)  # of the samples whose probabilities have not come

    def push(self, rows: Any, valid: np.ndarray | None = None) -> np.ndarray:
        """Take the next samples `(C, n)`, and return the labels `(m,)` uint8 that no later sample can change.

        Args:
            rows: the samples, as `Session.push` takes them.
            valid: `(n,)` bool, false at samples without data, where intervals end; None for none of these.

        Raises:
            UserError: as `Session.push`; or the network's output is not finite.
        """
        known = np.ones(rows.shape[1], bool) if valid is None else valid
        self._valid = np.concatenate([self._valid, known])
        return self._returned(self._take(self._session.push(rows)))

    def close(self) -> np.ndarray:
        """End the signal, and return the remaining labels.

        Raises:
            UserError: as `Session.close`.
        """
        labels = self._take(self._session.close())
        return self._returned(np.concatenate([labels, self._decoder.finish()]))

    def _take(self, probabilities: np.ndarray) -> np.ndarray:
        count = probabilities.shape[1]
        known, self._valid = self._valid[:count], self._valid[count:]
        self._waiting = np.concatenate([self._waiting, probabilities], axis=1)
        return add_to(self._decoder, probabilities, None if known.all() else known)

    def _returned(self, labels: np.ndarray) -> np.ndarray:
        self.probabilities, self._waiting = self._waiting[:, : len(labels)], self._waiting[:, len(labels) :]
        return labels
