"""How well points are counted and found.

Points are matched one to one within a class: as many pairs as possible of which no two points are further apart than
`distance`, and of all ways to do so the one with the least sum of distances (the Hungarian method, Kuhn 1955, on each
group of points that are near each other).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from atrous.tasks.found_metrics import FoundMetrics, rows_and_classes
from atrous.tasks.measures import Measures
from atrous.tasks.points import PointAnswer, PointTask

COUNTING = """Counting: the count of an image is the sum of its density. `count_mae` and `count_rmse` are the mean
absolute error and the root of the mean squared error of the counts of an image, over images and classes;
`count_relative` is the mean of the absolute error divided by the true count (1 where that is 0), `count_bias` the mean
of found minus true. `peaks_mae` is the mean absolute error of the number of peaks. `f1`, `precision`, `recall`: points
matched one to one (Hungarian method) within `distance` positions; `offset` is the mean distance of matched points."""
KEYPOINTS = """Key points: `pck` is the share of the true points that a point of the same name matches one to one
(Hungarian method) within the distance: the given fraction of the longer side of the box around the true points of
the image where each name has one point in an image (Yang & Ramanan 2013), else `distance` positions. `f1`,
`precision`, `recall` at the same distance; `offset` is the mean distance of matched points in positions; `pck_NAME` the
share of one name."""


def match_points(truth: np.ndarray, found: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of matched true and found points, both `(p,)`: one to one, no pair further apart than given.

    Args:
        truth: `(n, ndim)`.
        found: `(m, ndim)`.
        distance: in the units of the coordinates.

    >>> true, found = match_points(np.array([[0.0], [3.0]]), np.array([[2.0], [9.0], [4.5]]), 2.0)
    >>> list(zip(true.tolist(), found.tolist()))
    [(0, 0), (1, 2)]
    """
    if not len(truth) or not len(found):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    near = KDTree(truth).sparse_distance_matrix(KDTree(found), distance, output_type="ndarray")
    rows, columns, lengths = near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"]
    graph = coo_array((np.ones(len(rows)), (rows, columns + len(truth))), shape=(len(truth) + len(found),) * 2)
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    bounds = np.flatnonzero(np.diff(group[rows][order])) + 1
    pairs = [_best(rows[part], columns[part], lengths[part], distance) for part in np.split(order, bounds) if len(part)]
    matched = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    matched = matched[np.argsort(matched[:, 0])]
    return matched[:, 0], matched[:, 1]


def _best(rows: np.ndarray, columns: np.ndarray, lengths: np.ndarray, distance: float) -> np.ndarray:
    """The matched pairs `(p, 2)` of one group; every pair too many costs more than all distances together."""
    true, row = np.unique(rows, return_inverse=True)
    found, column = np.unique(columns, return_inverse=True)
    far = (min(len(true), len(found)) + 1) * (distance + 1)
    cost = np.full((len(true), len(found)), far)
    cost[row, column] = lengths
    chosen = np.stack(linear_sum_assignment(cost), axis=1)
    chosen = chosen[cost[chosen[:, 0], chosen[:, 1]] < far]
    return np.stack([true[chosen[:, 0]], found[chosen[:, 1]]], axis=1)


@dataclass(frozen=True)
class PointPairs:
    """The true and the found points of one image, and which of them belong together.

    Attributes:
        true_classes: `(n,)`.
        found_classes: `(m,)`.
        true, found: `(p,)` indices of matched points.
        offsets: `(p,)` their distances, in the unit of the task's lengths.
        counts: `(K,)` the counts that were found.
    """

    true_classes: np.ndarray
    found_classes: np.ndarray
    true: np.ndarray
    found: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray


def pair_points(truth: np.ndarray, classes: np.ndarray, answer: PointAnswer, task: PointTask) -> PointPairs:
    """Match the points of an answer with the true ones `(n, ndim)`, class by class, as near as the task says."""
    distance, steps = task.distance_of(truth), np.array(task.steps)
    truth, places = truth * steps, answer.places * steps
    true, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for k in np.unique(classes):
        mine, theirs = np.flatnonzero(classes == k), np.flatnonzero(answer.classes == k)
        first, second = match_points(truth[mine], places[theirs], distance)
        true.append(mine[first])
        found.append(theirs[second])
    rows, columns = np.concatenate(true), np.concatenate(found)
    offsets = np.sqrt(((truth[rows] - places[columns]) ** 2).sum(axis=1))
    return PointPairs(classes, answer.classes, rows, columns, offsets, answer.counts)


class PointScores:
    """Gathers the metrics of points image by image.

    Args:
        task: says the names, the distance, and whether points are counted.
        sample: what one sample is called.
    """

    def __init__(self, task: PointTask, sample: str = "image") -> None:
        self._task, self._sample = task, sample
        self._pairs: dict[str, PointPairs] = {}

    def add(self, name: str, truth: np.ndarray, classes: np.ndarray, answer: PointAnswer) -> None:
        """Count one image.

        Args:
            name: of the image; no name may come twice.
            truth: the true points `(n, ndim)`.
            classes: their classes `(n,)`.
            answer: what was found.

        Raises:
            ValueError: the name came before.
        """
        if name in self._pairs:
            raise ValueError(f"{name}: counted twice")
        self._pairs[name] = pair_points(truth, classes, answer, self._task)

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics over all images."""
        pairs, matches = list(self._pairs.values()), self._matches()
        values = self._counting(pairs) | matches if self._task.dense else self._named(pairs) | matches
        if self._task.dense:
            per_image = {name: float(np.abs(self._errors(one)).mean()) for name, one in self._pairs.items()}
        else:
            per_image = {name: _part(len(one.true), len(one.true_classes)) for name, one in self._pairs.items()}
        return Measures(
            values, per_image, seconds, tta, self._sample, higher_is_better=not self._task.dense,
            conventions=COUNTING if self._task.dense else KEYPOINTS,
        )  # fmt: skip

    def _matches(self) -> dict[str, float]:
        pairs = self._pairs.values()
        matched = sum(len(one.true) for one in pairs)
        true, found = (sum(len(part) for part in side) for side in self._sides())
        offsets = np.concatenate([np.zeros(0), *(one.offsets for one in pairs)])
        return {
            "f1": _part(2 * matched, true + found),
            "precision": _part(matched, found),
            "recall": _part(matched, true),
            "offset": float(offsets.mean()) if len(offsets) else float("nan"),
            "distance": self._task.distance,
            "points": float(true),
        }

    def _sides(self) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        pairs = self._pairs.values()
        return [one.true_classes for one in pairs], [one.found_classes for one in pairs]

    def _errors(self, one: PointPairs) -> np.ndarray:
        """Found minus true count of each class, `(K,)`."""
        return one.counts - np.bincount(one.true_classes, minlength=len(one.counts))

    def _counting(self, pairs: Sequence[PointPairs]) -> dict[str, float]:
        if not pairs:
            return dict.fromkeys(("count_mae", "count_rmse", "count_relative", "count_bias", "peaks_mae"), float("nan"))
        errors, names = np.stack([self._errors(one) for one in pairs]), self._task.names
        true = np.stack([np.bincount(one.true_classes, minlength=len(names)) for one in pairs])
        peaks = np.stack([np.bincount(one.found_classes, minlength=len(names)) for one in pairs])
        values = {
            "count_mae": float(np.abs(errors).mean()),
            "count_rmse": float(np.sqrt((errors**2).mean())),
            "count_relative": float((np.abs(errors) / np.maximum(true, 1)).mean()),
            "count_bias": float(errors.mean()),
            "peaks_mae": float(np.abs(peaks - true).mean()),
        }
        each = {f"count_mae_{name}": float(np.abs(errors[:, k]).mean()) for k, name in enumerate(names)}
        return values | (each if len(names) > 1 else {})

    def _named(self, pairs: Sequence[PointPairs]) -> dict[str, float]:
        count = len(self._task.names)
        matched, true = np.zeros(count), np.zeros(count)
        for one in pairs:
            matched += np.bincount(one.true_classes[one.true], minlength=count)
            true += np.bincount(one.true_classes, minlength=count)
        each = {f"pck_{name}": _part(matched[k], true[k]) for k, name in enumerate(self._task.names)}
        return {"pck": _part(matched.sum(), true.sum())} | (each if count > 1 else {})


class PointMetrics(FoundMetrics):
    """Compares the points of each image with the true ones."""

    def __init__(self, task: PointTask, activated: bool) -> None:
        super().__init__(task, PointScores(task), activated)
        self._answer = task.answer

    def answer(self, maps: np.ndarray) -> PointAnswer:
        """Return the points and their counts."""
        return self._answer(maps)

    def truth(self, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return places and classes of a target `(n, ndim + 1)`."""
        return rows_and_classes(target)

    def count(self, name: str, answer: PointAnswer, truth: tuple[np.ndarray, np.ndarray]) -> None:
        """Count one image: the points that were found, and the true ones `(n, ndim)` with their classes."""
        self._scores.add(name, *truth, answer)


def _part(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
