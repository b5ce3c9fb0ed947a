"""Which value in a label file means which class."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault, code_color
from atrous.data.guess import listing
from atrous.labels import IGNORE

PIECE = 1 << 20
"""Values counted together."""


@dataclass(frozen=True)
class Coding:
    """The classes of a data set, and how its label files store them.

    Attributes:
        classes: names in label order: label `k` means `classes[k]`.
        values: the value that files store for each class; None where that is the label itself.
        ignore: the values that files store for void: positions without a label.
        colors: the color `0xRRGGBB` of each class, for masks that store colors; None where masks store numbers.
        ignore_colors: the colors of void in such masks.

    >>> Coding(("background", "cell"), values=(0, 255)).counts({0: 90, 255: 10}).tolist()
    [90, 10]
    """

    classes: tuple[str, ...]
    values: tuple[int, ...] | None = None
    ignore: tuple[int, ...] = ()
    colors: tuple[int, ...] | None = None
    ignore_colors: tuple[int, ...] = ()

    def table(self, colored: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the known file values in ascending order, and the label of each: two arrays of equal length.

        Args:
            colored: whether the values are colors `0xRRGGBB`.
        """
        known = (self.colors or ()) if colored else (self.values or tuple(range(len(self.classes))))
        void = self.ignore_colors if colored else self.ignore
        label_of = dict.fromkeys(void, IGNORE) | {value: label for label, value in enumerate(known)}
        ordered = sorted(label_of)
        return np.array(ordered, dtype=np.int64), np.array([label_of[value] for value in ordered], dtype=np.uint8)

    def labels(self, values: np.ndarray, path: Path, colored: bool) -> np.ndarray:
        """Turn file values `(*S)` into labels `(*S)` uint8: classes `0..K-1`, and `IGNORE` for void.

        Args:
            values: integers as the file stores them.
            path: the file, to name it in an error.
            colored: whether the values are colors `0xRRGGBB`.

        Raises:
            FileFault: a value belongs to no class.
        """
        known, label_of = self.table(colored)
        if values.dtype == np.uint8:
            table, valid = np.zeros(256, dtype=np.uint8), np.zeros(256, dtype=bool)
            inside = (known >= 0) & (known < 256)
            table[known[inside]], valid[known[inside]] = label_of[inside], True
            unknown = [value for value in value_counts(values) if not valid[value]]
            labels = table[values]
        else:
            slot = np.minimum(np.searchsorted(known, values), len(known) - 1)
            unknown = values[known[slot] != values][:1].tolist()
            labels = label_of[slot]
        if unknown:
            value = code_color(int(unknown[0])) if colored else int(unknown[0])
            what = f"{value} is none of the values {listing(known.tolist())} of the classes"
            raise FileFault(path, what, "add it to `values` or `ignore` in dataset.toml, or correct the file")
        return labels

    def counts(self, value_counts: Mapping[int, int], colored: bool = False) -> np.ndarray:
        """Turn positions per file value into positions per class, `(K,)` int64; void and unknown values are left out.

        Args:
            value_counts: how many positions have each file value.
            colored: whether the values are colors `0xRRGGBB`.
        """
        values, labels = self.table(colored)
        label_of = dict(zip(values.tolist(), labels.tolist(), strict=True))
        counts = np.zeros(len(self.classes), dtype=np.int64)
        for value, count in value_counts.items():
            label = label_of.get(value, IGNORE)
            if label < len(counts):
                counts[label] += count
        return counts


def value_counts(values: np.ndarray) -> dict[int, int]:
    """Count the positions of each value of an integer array, piece by piece, so that no large copy is made.

    >>> value_counts(np.array([[3, 3], [0, 3]]))
    {0: 1, 3: 3}
    """
    flat = values.reshape(-1)
    total: Counter[int] = Counter()
    for start in range(0, len(flat), PIECE):
        piece = flat[start : start + PIECE]
        if piece.dtype == np.uint8:
            counts = np.bincount(piece)
            present: Iterable[int] = np.flatnonzero(counts)
            total.update({int(value): int(counts[value]) for value in present})
        else:
            # Labels come in runs of equal values: sort the runs, not the positions.
            edges = np.flatnonzero(np.concatenate(([True], piece[1:] != piece[:-1])))
            lengths = np.diff(np.append(edges, len(piece)))
            unique, inverse = np.unique(piece[edges], return_inverse=True)
            sums = np.bincount(inverse, weights=lengths)
            total.update({int(value): int(count) for value, count in zip(unique, sums, strict=True)})
    return dict(sorted(total.items()))


def label_runs(values: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
    """Return the longest runs of equal values `(L,)`, in order: value, length, and whether they count, `(n, 3)` int64.

    Args:
        values: labels as their file has them.
        inside: bool `(L,)`, where they count; None for everywhere.

    >>> label_runs(np.array([7, 7, 5]), np.array([True, False, True])).tolist()
    [[7, 1, 1], [7, 1, 0], [5, 1, 1]]
    """
    counts = np.ones(len(values), bool) if inside is None else inside
    changes = (values[1:] != values[:-1]) | (counts[1:] != counts[:-1])
    start = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return np.stack([values[start].astype(np.int64), np.diff(np.append(start, len(values))), counts[start]], axis=1)
