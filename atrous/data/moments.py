"""Mean, spread and range of each channel, in one pass and in bounded memory."""

from dataclasses import dataclass

import numpy as np

PIECE = 1 << 15
"""Positions that are looked at at once: few enough that they stay in the processor's cache."""


@dataclass(frozen=True)
class Moments:
    """Statistics of the finite values of each channel: arrays `(C,)` of float64.

    `deviation` is the sum of squared differences to the mean; `bad` counts the values that are NaN or infinite.
    """

    count: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    least: np.ndarray
    most: np.ndarray
    bad: int = 0

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of each channel (of the whole population)."""
        return np.sqrt(self.deviation / np.maximum(self.count, 1))


def moments(image: np.ndarray) -> Moments:
    """Moments of an image `(C, *S)`, piece by piece in float64.

    >>> moments(np.array([[1, 3], [5, 5]], dtype=np.uint8)).std
    array([1., 0.])
    """
    total: Moments | None = None
    rows = image.reshape(len(image), -1)
    buffer = np.empty((len(rows), min(PIECE, rows.shape[1])))
    whole_numbers = np.issubdtype(rows.dtype, np.integer)
    for start in range(0, rows.shape[1], PIECE):
        piece = buffer[:, : rows.shape[1] - start]
        np.copyto(piece, rows[:, start : start + PIECE])
        found = _finite(piece) if whole_numbers or np.isfinite(piece).all() else _each(piece)
        total = found if total is None else merge(total, found)
    if total is None:
        nothing = np.zeros(len(image))
        return Moments(nothing, nothing, nothing, nothing, nothing)
    return total


def merge(a: Moments, b: Moments) -> Moments:
    """Moments of two sets together (T. Chan, G. Golub, R. LeVeque 1983, equation 2.1)."""
    count = a.count + b.count
    share = np.divide(b.count, count, out=np.zeros_like(count), where=count > 0)
    step = b.mean - a.mean
    return Moments(
        count,
        a.mean + step * share,
        a.deviation + b.deviation + step**2 * a.count * share,
        np.minimum(a.least, b.least),
        np.maximum(a.most, b.most),
        a.bad + b.bad,
    )


def _finite(piece: np.ndarray) -> Moments:
    channels, count = piece.shape
    mean, least, most = piece.mean(axis=1), piece.min(axis=1), piece.max(axis=1)
    piece -= mean[:, None]
    return Moments(np.full(channels, float(count)), mean, np.einsum("ij,ij->i", piece, piece), least, most)


def _each(piece: np.ndarray) -> Moments:
    """Moments of channels some of whose values are not finite."""
    kept = [row[np.isfinite(row)] for row in piece]
    parts = [_finite(row[None]) if row.size else None for row in kept]
    return Moments(
        np.array([float(row.size) for row in kept]),
        np.array([part.mean[0] if part else 0.0 for part in parts]),
        np.array([part.deviation[0] if part else 0.0 for part in parts]),
        np.array([part.least[0] if part else np.inf for part in parts]),
        np.array([part.most[0] if part else -np.inf for part in parts]),
        piece.size - sum(row.size for row in kept),
    )
