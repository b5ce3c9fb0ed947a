"""Match edge pixels one to one, as the benchmark of BSDS500 does.

The benchmark (`correspondPixels`, Martin, Fowlkes & Malik, "Learning to detect natural image boundaries using local
brightness, color, and texture cues", PAMI 2004) solves an assignment: a pair costs the distance of its pixels, and a
pixel without a partner 100 times the largest distance. So as many pixels as possible are matched, and of all ways to do
so the one with the least sum of distances is taken. Its costs are whole hundredths of a pixel; so are those here.

The benchmark gives each pixel random edges to six outliers, with which it sometimes leaves a pixel alone that has a
partner. Here every found pixel (every true one, if these are fewer) has an outlier of its own, which is exact.
`scipy.sparse.csgraph.min_weight_full_bipartite_matching` solves it (the algorithm of Jonker & Volgenant for sparse
graphs). `maximum_bipartite_matching`, which knows no distances, finds as many pairs, but other pixels: on the example
of the benchmark recall is the same, precision is too high, and OIS differs by more than 0.001. It takes longer, too.
"""

import numpy as np

_HUNDREDTHS = 100
_OUTLIER = 100
"""Cost of a pixel without a partner, in largest distances."""
_MOST_PAIRS = 1 << 24
"""Pairs of pixels within the distance that are held at once; about 1 GB with what is made of them."""
_ROWS = 300
"""Found pixels that are matched in one call, unless more of them hang together: of 300 (or 1000) the example of the
benchmark takes 0.6 of the time of 4000."""


class TooManyPairs(ValueError):
    """So many pixels lie within the distance of each other that matching them would not fit into memory."""


def match_edges(found: np.ndarray, truth: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Match the pixels of two binary edge maps one to one; return the indices of matched pixels, both `(p,)`.

    Args:
        found: bool `(H, W)`.
        truth: bool `(H, W)`.
        distance: the largest distance of a pair, in pixels.

    Returns:
        Places in `np.flatnonzero(found)` and in `np.flatnonzero(truth)`, in the order of the first.

    Raises:
        TooManyPairs: the distance is too large for so many pixels.

    >>> found, truth = np.zeros((2, 1, 9), bool)
    >>> found[0, [1, 2, 8]] = truth[0, [2, 4]] = True
    >>> match_edges(found, truth, 2.5)
    (array([0, 1]), array([0, 1]))
    """
    rows, columns, cost = _pairs(found, truth, distance)
    if not len(rows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    outlier = int(np.ceil(_OUTLIER * distance * _HUNDREDTHS))
    batch = _batches(rows, columns)
    order = np.argsort(batch[rows], kind="stable")
    bounds = np.flatnonzero(np.diff(batch[rows][order])) + 1
    matched = [_assign(rows[part], columns[part], cost[part], outlier) for part in np.split(order, bounds)]
    pairs = np.concatenate(matched, axis=1)
    pairs = pairs[:, np.argsort(pairs[0])]
    return pairs[0], pairs[1]


def _pairs(found: np.ndarray, truth: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return found pixel, true pixel and distance in hundredths of every pair within the distance, each `(e,)`."""
    reach = int(np.ceil(distance))
    height, width = found.shape
    number = np.full((height + 2 * reach, width + 2 * reach), -1, np.int32)
    number[reach : reach + height, reach : reach + width][truth] = np.arange(np.count_nonzero(truth))
    down, right = np.nonzero(found)
    place, stride = (down + reach) * number.shape[1] + right + reach, number.shape[1]
    numbers, parts, count = number.reshape(-1), [], 0
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            squared = row * row + column * column
            if squared > distance * distance:
                continue
            partner = numbers[place + row * stride + column]
            near = np.flatnonzero(partner >= 0)
            parts.append((near, partner[near], np.full(len(near), np.rint(_HUNDREDTHS * np.sqrt(squared)), np.int32)))
            count += len(near)
            if count > _MOST_PAIRS:
                raise TooManyPairs(f"{len(place)} edge pixels have too many partners within {distance:.1f} pixels")
    rows, columns, cost = (np.concatenate(values) for values in zip(*parts, strict=True))
    return rows, columns.astype(np.int64), cost


def _batches(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a number of each found pixel: pixels whose pairs hang together have one, and small groups share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    many = int(rows.max()) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns + many)), shape=(many + int(columns.max()) + 1,) * 2)
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group[:many], minlength=group.max() + 1)
    return (np.cumsum(sizes) // _ROWS)[group[:many]]


def _assign(rows: np.ndarray, columns: np.ndarray, cost: np.ndarray, outlier: int) -> np.ndarray:
    """Return the matched pairs `(2, p)` of some pixels, at the least cost.

    The pixels that are fewer, found or true ones, look for partners among the others: each that stays alone costs a
    search of all that hangs together with it. Which side pays for its outliers does not change what is cheapest, since
    both have the same number of pairs.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    found, row = np.unique(rows, return_inverse=True)
    true, column = np.unique(columns, return_inverse=True)
    swapped = len(true) < len(found)
    seeking, others = (true, found) if swapped else (found, true)
    row, column = (column, row) if swapped else (row, column)
    alone = np.arange(len(seeking))
    # 1 is added to every cost, because SciPy takes 0 for no edge; each pixel has one partner, so nothing changes
    weights = np.concatenate([cost + 1.0, np.full(len(seeking), outlier + 1.0)])
    places = np.concatenate([row, alone]), np.concatenate([column, len(others) + alone])
    graph = csr_array((weights, places), shape=(len(seeking), len(others) + len(seeking)))
    row, column = min_weight_full_bipartite_matching(graph)
    matched = column < len(others)
    pairs = seeking[row[matched]], others[column[matched]]
    return np.stack(pairs[::-1] if swapped else pairs)
