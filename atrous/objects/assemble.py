"""From dense maps to numbered objects, region by region: propose, suppress, paint, number."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.candidates import Candidates
from atrous.objects.decoder import ObjectDecoder
from atrous.objects.peaks import Region
from atrous.objects.suppress import Suppression
from atrous.objects.table import ObjectSums, measurements
from atrous.source import Source, Store, release

LEAST = 1 << 16
"""Positions of a strip, at least: strips of few positions, as those of signals, would be very many."""
AT_ONCE = 1 << 21
"""Positions that are proposed from or painted in one step, if they are more than one row."""


@dataclass(frozen=True)
class Objects:
    """The objects of one input, by ascending number.

    Attributes:
        candidates: what proposed them; `candidates.classes` and `candidates.scores` are those of the objects.
        table: column name to values, one for each object: number, class, score, and what `measurements` gives.
    """

    candidates: Candidates
    table: dict[str, np.ndarray]


def strips(grid: Sequence[int], rows: int) -> Iterator[tuple[slice, ...]]:
    """Yield regions of whole rows of the first axis: `rows`, or more where these are few positions.

    >>> list(strips((5, 1_000_000), 3))
    [(slice(0, 3, None), slice(0, 1000000, None)), (slice(3, 5, None), slice(0, 1000000, None))]
    """
    rows = max(rows, LEAST // max(1, int(np.prod(grid[1:], dtype=np.int64))))
    for start in range(0, grid[0], rows):
        yield (slice(start, min(start + rows, grid[0])), *(slice(0, n) for n in grid[1:]))


def pieces(region: Region) -> Iterator[tuple[slice, ...]]:
    """Yield parts of a region that are whole rows of it, of `AT_ONCE` positions at most if that is a row."""
    row_size = int(np.prod([part.stop - part.start for part in region[1:]], dtype=np.int64))
    step = max(1, AT_ONCE // max(1, row_size))
    for start in range(region[0].start, region[0].stop, step):
        yield (slice(start, min(start + step, region[0].stop)), *region[1:])


def keep(maps: Source, decoder: ObjectDecoder, regions: Iterator[Region], in_order: bool = True) -> Candidates:
    """Return the candidates that stay after suppression on the whole grid, in their order.

    Args:
        maps: dense maps `(K, *S)`.
        decoder: what they mean.
        regions: parts of the grid that cover it once.
        in_order: whether regions are whole rows in ascending order; then decided candidates are forgotten early.
    """
    grid = maps.shape[1:]
    row_size = int(np.prod(grid[1:], dtype=np.int64))
    suppression = Suppression(
        decoder.shape(grid), decoder.overlap, lambda positions: positions // row_size, decoder.reach, decoder.per_class
    )
    for region in regions:
        for piece in pieces(region):
            suppression.push(decoder.propose(maps, piece), piece[0].stop if in_order else 0)
        release(maps)
    return suppression.close()


def assemble(
    maps: Source,
    decoder: ObjectDecoder,
    labels: Store,
    *,
    rows: int = 256,
    spacing: Sequence[float] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Objects:
    """Decode dense maps into a label image and a table. The result does not depend on `rows`.

    An object's number is the rank of its first position in row-major order, from 1. Numbers are known once the whole
    grid is painted, so `labels` is written twice.

    Args:
        maps: dense maps `(K, *S)`; read strip by strip, twice.
        decoder: what they mean.
        labels: takes the numbers `(*S)` uint32; must be readable too.
        rows: rows of the first axis that are decoded at a time.
        spacing: distance of positions along each axis; 1 if None.
        progress: called with the finished share.
    """
    grid = tuple(int(n) for n in maps.shape[1:])
    kept = keep(maps, decoder, strips(grid, rows))
    progress(1 / 3)
    sums = ObjectSums.none(anchors(kept, grid))
    for region in strips(grid, rows):
        for piece in pieces(region):
            painted = decoder.paint(maps, piece, kept)
            sums.add(painted, piece, grid)
            labels[piece] = painted
        release(maps)
        release(labels)
        progress((1 + region[0].stop / grid[0]) / 3)
    numbers = sums.numbers(decoder.smallest)
    for region in strips(grid, rows):
        labels[region] = renumbered(np.asarray(labels[region]), numbers)
        release(labels)
        progress((2 + region[0].stop / grid[0]) / 3)
    return tabulate(kept, sums, numbers, spacing or (1.0,) * len(grid))


def anchors(candidates: Candidates, grid: Sequence[int]) -> np.ndarray:
    """Return the coordinates `(n, ndim)` int64 of the positions that proposed the candidates."""
    return np.stack(np.unravel_index(candidates.positions, tuple(grid)), axis=1).astype(np.int64)


def renumbered(painted: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the final numbers uint32 of painted positions: `numbers[k]` where object k is, which is painted k + 1."""
    return np.concatenate([np.zeros(1, np.uint32), numbers])[painted]


def tabulate(kept: Candidates, sums: ObjectSums, numbers: np.ndarray, spacing: Sequence[float]) -> Objects:
    """Return the objects whose number is not 0, by number, with their measurements."""
    order = np.argsort(numbers, kind="stable")[int((numbers == 0).sum()) :]
    columns = {name: values[order] for name, values in measurements(sums, spacing).items()}
    chosen = kept.take(order)
    table = {"number": numbers[order], "class": chosen.classes, "score": chosen.scores, **columns}
    return Objects(chosen, table)


def measured_again(objects: Objects, labels: Store, spacing: Sequence[float] | None, rows: int = 256) -> Objects:
    """Number and measure the objects of a label image that was brought to another grid.

    Args:
        objects: what was decoded on the first grid.
        labels: their numbers `(*S)` on the other grid; they are replaced by the ranks of the first positions there.
        spacing: distance of positions on the other grid along each axis; 1 if None.
        rows: rows of the first axis that are read at a time, at least.
    """
    grid, kept = tuple(int(n) for n in labels.shape), objects.candidates
    sums = ObjectSums.none(_first_places(labels, len(kept)))
    for region in strips(grid, rows):
        sums.add(np.asarray(labels[region]), region, grid)
        release(labels)
    numbers = sums.numbers()
    for region in strips(grid, rows):
        labels[region] = renumbered(np.asarray(labels[region]), numbers)
        release(labels)
    return tabulate(kept, sums, numbers, spacing or (1.0,) * len(grid))


def _first_places(labels: Store, count: int) -> np.ndarray:
    """The coordinates `(count, ndim)` of the first position of each object in a label image; 0 where it has none."""
    places = np.zeros((count, len(labels.shape)), np.int64)
    seen = np.zeros(count + 1, bool)
    seen[0] = True
    for region in strips(labels.shape, 1):
        part = np.asarray(labels[region])
        numbers, first = np.unique(part, return_index=True)
        new = ~seen[numbers]
        corner = np.array([side.start for side in region])
        places[numbers[new].astype(np.int64) - 1] = np.stack(np.unravel_index(first[new], part.shape), axis=1) + corner
        seen[numbers] = True
    return places
