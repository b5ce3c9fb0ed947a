"""How well edges are found, as the benchmark of BSDS500 measures it.

Arbelaez, Maire, Fowlkes & Malik, "Contour detection and hierarchical image segmentation", PAMI 2011; Martin, Fowlkes &
Malik, PAMI 2004. Edge strengths are compared with thresholds, thinned, and matched one to one with the edges of each
annotator. At each threshold precision is the share of found pixels that match an edge of any annotator, and recall the
share of the annotators' edge pixels, summed over annotators, that are matched. F is 2PR / (P + R).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.tasks.edge_matching import match_edges
from atrous.tasks.thinning import thin

THRESHOLDS = 99
MAX_DISTANCE = 0.0075
"""Largest distance of matched pixels, as a share of the image's diagonal."""
CONVENTIONS = (
    "ods: the largest F of counts summed over images, at one threshold for all (between two thresholds, precision and "
    "recall are interpolated); ois: F of the sums of each image's counts at its own best threshold; ap: the area under "
    "precision over recall, sampled at 101 recalls."
)


def edge_thresholds(count: int = THRESHOLDS) -> np.ndarray:
    """Return `count` thresholds, evenly spread between 0 and 1.

    >>> edge_thresholds(3).tolist()
    [0.25, 0.5, 0.75]
    """
    first = 1 / (count + 1)
    # in this order MATLAB's linspace rounds, and a strength of 51 / 255 is compared with 0.2
    return first + np.arange(count) * (1 - first - first) / max(count - 1, 1)


def pixels_apart(shape: tuple[int, ...], max_distance: float = MAX_DISTANCE) -> float:
    """Return the largest distance of matched pixels in an image `(H, W)`, given as a share of its diagonal.

    >>> round(pixels_apart((321, 481)), 2)
    4.34
    """
    return max_distance * math.hypot(*shape)


@dataclass(frozen=True, eq=False)
class EdgeCounts:
    """Pixels of one image, or of several, that were counted at each threshold; int64 `(T,)` each.

    Attributes:
        matched_truth: edge pixels of annotators that are matched, summed over annotators.
        truth: edge pixels of annotators, summed over them.
        matched_found: found pixels that are matched with an edge of any annotator.
        found: found pixels.
    """

    matched_truth: np.ndarray
    truth: np.ndarray
    matched_found: np.ndarray
    found: np.ndarray

    def recall(self) -> np.ndarray:
        """Return recall at each threshold, 0 where there is no edge."""
        return self.matched_truth / np.maximum(self.truth, 1)

    def precision(self) -> np.ndarray:
        """Return precision at each threshold, 0 where nothing is found."""
        return self.matched_found / np.maximum(self.found, 1)

    def best(self) -> int:
        """Return the place of the threshold with the largest F; of several, the last one."""
        scores = f_measure(self.precision(), self.recall())
        return int(np.flatnonzero(scores == scores.max())[-1])

    def at(self, place: int) -> "EdgeCounts":
        """Return the counts at one threshold, `(1,)` each."""
        return EdgeCounts(*(values[place : place + 1] for values in self._all()))

    def __add__(self, other: "EdgeCounts") -> "EdgeCounts":
        return EdgeCounts(*(mine + theirs for mine, theirs in zip(self._all(), other._all(), strict=True)))

    def _all(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.matched_truth, self.truth, self.matched_found, self.found


def count_edges(
    strength: np.ndarray,
    annotators: Sequence[np.ndarray],
    thresholds: np.ndarray,
    *,
    max_distance: float = MAX_DISTANCE,
    thinned: bool = True,
) -> EdgeCounts:
    """Compare the edge strengths of one image with the edges of its annotators.

    Args:
        strength: `(H, W)`, from 0 to 1.
        annotators: the edges that each one marked, bool `(H, W)`.
        thresholds: `(T,)`, ascending.
        max_distance: largest distance of matched pixels, as a share of the diagonal.
        thinned: whether edges are thinned at each threshold, as the benchmark does.

    Raises:
        TooManyPairs: see `match_edges`.

    >>> strength = np.zeros((9, 9))
    >>> strength[4] = 0.6
    >>> counts = count_edges(strength, [strength > 0], edge_thresholds(3))
    >>> counts.found.tolist(), counts.matched_truth.tolist()
    ([9, 9, 0], [9, 9, 0])
    """
    distance = pixels_apart(strength.shape, max_distance)
    rows: list[tuple[int, int, int]] = []
    pixels = -1
    for threshold in thresholds:
        edges = strength >= threshold
        before, pixels = pixels, int(np.count_nonzero(edges))
        if (
            pixels != before
        ):  # the same number of pixels are the same pixels, since those of a higher threshold are fewer
            rows.append(_count(thin(edges) if thinned else edges, annotators, distance))
        else:
            rows.append(rows[-1])
    matched_truth, matched_found, found = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    truth = sum(int(np.count_nonzero(edges)) for edges in annotators)
    return EdgeCounts(matched_truth, np.full(len(thresholds), truth, np.int64), matched_found, found)


def _count(edges: np.ndarray, annotators: Iterable[np.ndarray], distance: float) -> tuple[int, int, int]:
    """Return the matched pixels of all annotators, the found pixels that any of them matches, and the found pixels."""
    matched = np.zeros(np.count_nonzero(edges), bool)
    truth = 0
    for annotator in annotators:
        found, _ = match_edges(edges, annotator, distance)
        matched[found] = True
        truth += len(found)
    return truth, int(np.count_nonzero(matched)), len(matched)


class EdgeMetrics:
    """Gathers the counts of images; parts that were counted in several processes are merged.

    Args:
        thresholds: `(T,)` at which all images were counted.
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        self._thresholds = np.asarray(thresholds, dtype=float)
        self._counts: dict[str, EdgeCounts] = {}

    def add(self, name: str, counts: EdgeCounts) -> None:
        """Count one image.

        Raises:
            ValueError: the name came before, or the counts are of other thresholds.
        """
        if name in self._counts:
            raise ValueError(f"{name}: counted twice")
        if len(counts.found) != len(self._thresholds):
            raise ValueError(f"{name}: counted at {len(counts.found)} thresholds, not {len(self._thresholds)}")
        self._counts[name] = counts

    def merge(self, other: "EdgeMetrics") -> None:
        """Add the images of another part, which has the same thresholds.

        Raises:
            ValueError: an image is in both, or the thresholds differ.
        """
        if not np.array_equal(self._thresholds, other._thresholds):
            raise ValueError("the parts were counted at different thresholds")
        for name, counts in other._counts.items():
            self.add(name, counts)

    def result(self, seconds: float = 0.0) -> "EdgeScores":
        """Return the metrics over all images, which do not depend on the order in which they were added.

        Raises:
            ValueError: there is no image.
        """
        if not self._counts:
            raise ValueError("no image was counted")
        counts = dict(sorted(self._counts.items()))
        total, chosen = _sum(counts.values()), _sum(one.at(one.best()) for one in counts.values())
        per_image = {name: _best_point(self._thresholds, one) for name, one in counts.items()}
        return EdgeScores(
            _best_point(self._thresholds, total),
            EdgePoint(math.nan, float(chosen.precision()[0]), float(chosen.recall()[0])),
            _area(total), self._thresholds, total, per_image, seconds,
        )  # fmt: skip


@dataclass(frozen=True)
class EdgePoint:
    """Precision and recall at one threshold.

    >>> round(EdgePoint(0.5, 0.9, 0.6).f, 2)
    0.72
    """

    threshold: float
    precision: float
    recall: float

    @property
    def f(self) -> float:
        """The harmonic mean of precision and recall."""
        return float(f_measure(np.array(self.precision), np.array(self.recall)))


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """What `EdgeMetrics.result` returns.

    Attributes:
        best: the point with the largest F of the summed counts; `best.f` is ODS.
        best_of_images: the counts of each image at its own best threshold, summed; its F is OIS.
        ap: the area under the curve of precision over recall.
        thresholds: `(T,)`.
        counts: summed over images.
        per_image: the best point of each image.
        seconds: that counting took.
    """

    best: EdgePoint
    best_of_images: EdgePoint
    ap: float
    thresholds: np.ndarray
    counts: EdgeCounts
    per_image: dict[str, EdgePoint]
    seconds: float

    def text(self) -> str:
        """Return a table of the metrics."""
        images = f"{len(self.per_image)} image{'s' * (len(self.per_image) != 1)}"
        lines = [
            f"{'':<5}{'F':>8}{'precision':>12}{'recall':>9}{'threshold':>12}",
            _row("ODS", self.best) + f"{self.best.threshold:>12.3f}",
            _row("OIS", self.best_of_images) + f"{'each its own':>14}",
            f"{'AP':<5}{self.ap:>8.4f}",
        ]
        return "\n".join([*lines, "", f"{images}, {len(self.thresholds)} thresholds, {self.seconds:.1f} s"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return {
            "ods": self.best.f,
            "ois": self.best_of_images.f,
            "ap": self.ap,
            "ods_threshold": self.best.threshold,
            "ods_precision": self.best.precision,
            "ods_recall": self.best.recall,
            "ois_precision": self.best_of_images.precision,
            "ois_recall": self.best_of_images.recall,
            "curve": {
                "threshold": self.thresholds.tolist(),
                "precision": self.counts.precision().tolist(),
                "recall": self.counts.recall().tolist(),
            },
            "images": len(self.per_image),
            "seconds": self.seconds,
        }

    def table(self) -> Iterator[tuple[str, float, float, float, float]]:
        """Yield name, F, precision, recall and threshold of each image at its best threshold."""
        for name, point in self.per_image.items():
            yield name, point.f, point.precision, point.recall, point.threshold


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return 2PR / (P + R), 0 where both are 0."""
    total = precision + recall
    return 2 * precision * recall / np.where(total == 0, 1, total)


def _row(name: str, point: EdgePoint) -> str:
    return f"{name:<5}{point.f:>8.4f}{point.precision:>12.4f}{point.recall:>9.4f}"


def _sum(counts: Iterable[EdgeCounts]) -> EdgeCounts:
    first, *others = counts
    for one in others:
        first = first + one
    return first


def _best_point(thresholds: np.ndarray, counts: EdgeCounts) -> EdgePoint:
    """Return the point with the largest F on the lines between neighboring thresholds (100 points on each)."""
    curve = np.stack([thresholds, counts.precision(), counts.recall()])
    if len(thresholds) > 1:
        share = np.linspace(0, 1, 100)
        curve = (curve[:, 1:, None] * share + curve[:, :-1, None] * (1 - share)).reshape(3, -1)
    threshold, precision, recall = curve[:, int(np.argmax(f_measure(curve[1], curve[2])))].tolist()
    return EdgePoint(threshold, precision, recall)


def _area(counts: EdgeCounts) -> float:
    """Return the mean of precision at the recalls 0, 0.01 ... 1, interpolated; 0 outside the recalls that are reached.

    Of several thresholds with one recall the lowest counts, as in the benchmark.
    """
    recall, places = np.unique(counts.recall(), return_index=True)
    if len(recall) < 2:
        return 0.0
    wanted = np.arange(101) * 0.01
    return float(np.interp(wanted, recall, counts.precision()[places], left=0, right=0).sum() * 0.01)
