"""A picture on a grid of other size over the same extent, computed for what is sliced alone.

Along each axis an output position covers an interval of the input. Where it covers one position or more (the output is
coarser), its value is the mean over that interval, each input position weighted by the part of it that is covered; else
it is interpolated linearly between the centers of the two nearest positions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from atrous.data.source import Key, LazySource, Source, read_shape, span

if TYPE_CHECKING:
    from scipy import sparse


class Resized(LazySource):
    """A source `(C, H, W)` at another size `(H', W')`, in its own type.

    >>> Resized(np.arange(8.0).reshape(1, 2, 4), (1, 2))[...].tolist()
    [[[2.5, 4.5]]]
    """

    def __init__(self, source: Source, size: Sequence[int]) -> None:
        super().__init__((source.shape[0], *size), source.dtype)
        self._source = source

    def _read(self, key: Key) -> np.ndarray:
        channel, rows, columns = key
        top, bottom, row_rest = span(rows, self.shape[1])
        left, right, column_rest = span(columns, self.shape[2])
        if top == bottom or left == right:
            return np.empty(read_shape(key, self.shape), self.dtype)
        across = axis_weights(left, right, self.shape[2], int(self._source.shape[2]))
        if isinstance(row_rest, int) or row_rest.step is None:
            return self._strip(top, bottom, across)[channel][(..., row_rest, column_rest)]
        # Rows that are left out are never all in memory.
        chosen = range(*rows.indices(self.shape[1])) if isinstance(rows, slice) else (rows,)
        strips = [self._strip(row, row + 1, across)[channel][..., column_rest] for row in chosen]
        return np.concatenate(strips, axis=strips[0].ndim - 1 - isinstance(column_rest, slice))

    def _strip(self, top: int, bottom: int, across: "tuple[sparse.csr_matrix, int, int]") -> np.ndarray:
        """All channels of some rows, `(C, bottom - top, columns)`."""
        columns, left, right = across
        rows, first, last = axis_weights(top, bottom, self.shape[1], int(self._source.shape[1]))
        values = np.asarray(self._source[:, first:last, left:right]).astype(np.float32)
        resized = np.stack([(columns @ (rows @ band).T).T for band in values])
        return (np.rint(resized) if self.dtype.kind in "iu" else resized).astype(self.dtype)


def axis_weights(start: int, stop: int, size: int, stored: int) -> "tuple[sparse.csr_matrix, int, int]":
    """Return the weights with which stored positions make positions `start` to `stop` of an axis of another size.

    Args:
        start: first position of the result.
        stop: the one after its last.
        size: length of the axis of the result.
        stored: length of the stored axis.

    Returns:
        Weights `(stop - start, high - low)` whose rows add up to 1, and the stored positions `low` to `high`.

    >>> weights, low, high = axis_weights(0, 2, 2, 3)
    >>> [[f"{weight:.3f}" for weight in row] for row in weights.toarray()], low, high
    ([['0.667', '0.333', '0.000'], ['0.000', '0.333', '0.667']], 0, 3)
    """
    from scipy import sparse

    ratio, positions = stored / size, np.arange(start, stop)
    if ratio >= 1:
        edges = np.minimum(np.append(positions, stop) * ratio, stored)
        first, count = np.floor(edges[:-1]).astype(int), int(np.ceil(ratio)) + 1
        places = first[:, None] + np.arange(count)
        parts = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    else:
        centers = np.clip((positions + 0.5) * ratio - 0.5, 0, stored - 1)
        first = np.floor(centers).astype(int)
        places = first[:, None] + np.arange(2)
        parts = np.stack([1 - (centers - first), centers - first], 1)
    inside = (places < stored) & (parts > 0)
    parts = np.where(inside, parts, 0)
    parts /= parts.sum(1, keepdims=True)
    row, _ = np.nonzero(inside)
    low, high = int(places[inside].min()), int(places[inside].max()) + 1
    shape = (len(positions), high - low)
    return sparse.csr_matrix((parts[inside].astype(np.float32), (row, places[inside] - low)), shape), low, high
