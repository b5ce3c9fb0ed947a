"""How well objects are found: matched by their overlap, one to one.

`ap50` and `ap_mean` are TP / (TP + FP + FN), as StarDist and Cellpose report it, at an overlap (intersection over
union) of 0.5 and as the mean from 0.5 to 0.9; this is not COCO's AP. `f1` and `pq` (Kirillov et al., "Panoptic
Segmentation", CVPR 2019) are at 0.5, over the objects of all classes together. `seg` is that of the Cell Tracking
Challenge: for each true object the overlap with the object that covers more than half of it, 0 where there is none.
`count_mae` is the mean absolute error of the number of objects in an image. `ap50_small`, `ap50_medium` and
`ap50_large` count the thirds of the true objects by size; an invented object belongs to the third of its own size.
Where there are several classes, objects match those of their class only, and `ap50_NAME` is that of one class. Of
images, `mask_map` and `mask_map50` are COCO's average precision of masks, which goes by the scores of the objects
(`atrous.tasks.mask_precision`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.objects.kinds import classes_in
from atrous.tasks.mask_precision import RankedMasks, mask_precision
from atrous.tasks.measures import SIZES, Measures, of_class

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))


@dataclass(frozen=True)
class Overlaps:
    """The objects of two label images of one shape, and where they overlap.

    Attributes:
        true_sizes: `(n,)` positions of each true object.
        found_sizes: `(m,)` positions of each found object.
        true, found: `(p,)` indices of the pairs that share a position.
        iou: `(p,)` their intersection over union.
        covered: `(p,)` the share of the true object that the found one covers.
        true_classes: `(n,)` class of each true object.
        found_classes: `(m,)` class of each found object.
        found_numbers: `(m,)` number of each found object, ascending.
    """

    true_sizes: np.ndarray
    found_sizes: np.ndarray
    true: np.ndarray
    found: np.ndarray
    iou: np.ndarray
    covered: np.ndarray
    true_classes: np.ndarray
    found_classes: np.ndarray
    found_numbers: np.ndarray


def overlaps(truth: np.ndarray, answer: np.ndarray, kinds: int = 1) -> Overlaps:
    """Compare two label images `(*S)` whose values number objects; 0 is background.

    Where there are several classes (`kinds`), numbers say them (`atrous.objects.kinds`), and only objects of one class
    are compared.

    >>> overlaps(np.array([0, 4, 4, 4]), np.array([0, 0, 7, 7])).iou
    array([0.66666667])
    """
    numbers, true = np.unique(truth, return_inverse=True)
    answers, found = np.unique(answer, return_inverse=True)
    # Few of all pairs of objects share a position: only these are counted.
    pairs, shared = np.unique(true.ravel().astype(np.int64) * len(answers) + found.ravel(), return_counts=True)
    rows, columns = np.divmod(pairs, len(answers))
    true_sizes = np.bincount(rows, shared, len(numbers)).astype(np.int64)
    found_sizes = np.bincount(columns, shared, len(answers)).astype(np.int64)
    both = (numbers[rows] != 0) & (answers[columns] != 0)
    kind, answered = classes_in(numbers.astype(np.int64), kinds), classes_in(answers.astype(np.int64), kinds)
    both &= kind[rows] == answered[columns]
    rows, columns, shared = rows[both], columns[both], shared[both].astype(float)
    union = true_sizes[rows] + found_sizes[columns] - shared
    # Indices count the objects: the background, where there is one, comes first.
    rows_of_objects, columns_of_objects = rows - int(numbers[0] == 0), columns - int(answers[0] == 0)
    return Overlaps(
        true_sizes[numbers != 0], found_sizes[answers != 0], rows_of_objects, columns_of_objects,
        shared / union, shared / true_sizes[rows], kind[numbers != 0], answered[answers != 0], answers[answers != 0],
    )  # fmt: skip


def match(pairs: Overlaps, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the matched true and found objects: one to one, the largest overlap first, at least `threshold`.

    Beyond an overlap of 0.5 no object has two partners, so this is the best assignment there.
    """
    chosen = np.flatnonzero(pairs.iou >= threshold)
    order = chosen[np.lexsort((pairs.found[chosen], pairs.true[chosen], -pairs.iou[chosen]))]
    taken_true, taken_found, kept = set(), set(), []
    for index in order.tolist():
        true, found = int(pairs.true[index]), int(pairs.found[index])
        if true not in taken_true and found not in taken_found:
            taken_true.add(true)
            taken_found.add(found)
            kept.append(index)
    return pairs.true[kept], pairs.found[kept]


class InstanceScores:
    """Gathers the metrics of objects image by image.

    Args:
        sample: what one image is called.
        names: of the classes; none for one class.
    """

    def __init__(self, sample: str = "image", names: Sequence[str] = ()) -> None:
        self._pairs: dict[str, Overlaps] = {}
        self._ranked: list[RankedMasks] = []
        self._sample, self._names = sample, names

    def add(self, name: str, truth: np.ndarray, answer: np.ndarray, scores: np.ndarray) -> None:
        """Count one image.

        Args:
            name: of the image; no name may come twice.
            truth: numbers of the true objects, `(*S)`.
            answer: numbers of the objects that were found, `(*S)`.
            scores: `(m,)`, the score of the object i = 1 ... m. With K classes its number is that of
                `atrous.objects.kinds`.

        Raises:
            ValueError: the name came before, the shapes differ, or an object has no score.
        """
        if name in self._pairs:
            raise ValueError(f"{name}: counted twice")
        if truth.shape != answer.shape:
            raise ValueError(f"{name}: truth {truth.shape} and answer {answer.shape} differ in shape")
        kinds = max(1, len(self._names))
        pairs = overlaps(truth, answer, kinds)
        places = (pairs.found_numbers.astype(np.int64) - 1) // kinds
        if len(places) and places[-1] >= len(scores):
            raise ValueError(f"{name}: object {places[-1] + 1} was found, but there are {len(scores)} scores")
        self._pairs[name] = pairs
        if truth.ndim == 2:
            classes = pairs.true_classes, pairs.found_classes
            self._ranked.append(RankedMasks(*classes, np.asarray(scores)[places], pairs.true, pairs.found, pairs.iou))

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics over all images."""
        counts = {threshold: np.zeros(3) for threshold in THRESHOLDS}
        per_image, quality, seg = {}, [], []
        for name, pairs in self._pairs.items():
            for threshold in THRESHOLDS:
                matched = len(match(pairs, threshold)[0])
                counts[threshold] += matched, len(pairs.found_sizes) - matched, len(pairs.true_sizes) - matched
                if threshold == THRESHOLDS[0]:
                    total = len(pairs.found_sizes) + len(pairs.true_sizes) - matched
                    per_image[name] = matched / total if total else float("nan")
            quality.append(_matched_iou(pairs))
            best = np.zeros(len(pairs.true_sizes))
            np.maximum.at(best, pairs.true, np.where(pairs.covered > 0.5, pairs.iou, 0))
            seg.append(best)
        precision = {threshold: _share(tp, tp + fp + fn) for threshold, (tp, fp, fn) in counts.items()}
        tp, fp, fn = counts[THRESHOLDS[0]]
        errors = [abs(len(pairs.found_sizes) - len(pairs.true_sizes)) for pairs in self._pairs.values()]
        values = {
            "ap50": precision[0.5],
            "ap_mean": float(np.mean(list(precision.values()))),
            "pq": _share(sum(quality), tp + 0.5 * fp + 0.5 * fn),
            "f1": _share(2 * tp, 2 * tp + fp + fn),
            "seg": float(np.concatenate([*seg, np.zeros(0)]).mean()) if sum(map(len, seg)) else float("nan"),
            "count_mae": float(np.mean(errors)) if errors else float("nan"),
            **{f"ap{round(100 * threshold)}": value for threshold, value in precision.items()},
            **self._by_size(),
            **self._by_class(),
            **(mask_precision(self._ranked, self._names) if self._ranked else {}),
            "objects": float(tp + fn),
        }
        return Measures(values, per_image, seconds, tta, self._sample, conventions=__doc__ or "")

    def _by_class(self) -> dict[str, float]:
        """The AP at 0.5 of each class, where there are several."""
        if len(self._names) < 2:
            return {}
        counts = np.zeros((len(self._names), 2))  # matched, and all
        for pairs in self._pairs.values():
            matched = np.bincount(pairs.true_classes[match(pairs, THRESHOLDS[0])[0]], minlength=len(counts))
            every = [np.bincount(one, minlength=len(counts)) for one in (pairs.true_classes, pairs.found_classes)]
            counts += np.stack([matched, every[0] + every[1] - matched], axis=1)
        return {of_class("ap50", name): _share(*row) for name, row in zip(self._names, counts, strict=True)}

    def _by_size(self) -> dict[str, float]:
        """The AP at 0.5 of each third of the true objects by size."""
        sizes = np.concatenate([*(pairs.true_sizes for pairs in self._pairs.values()), np.zeros(0)])
        if len(sizes) < len(SIZES):
            return {}
        edges = np.quantile(sizes, [1 / 3, 2 / 3])
        counts = np.zeros((len(SIZES), 2))  # matched, and all
        for pairs in self._pairs.values():
            true, found = match(pairs, THRESHOLDS[0])
            third = np.searchsorted(edges, pairs.true_sizes)
            invented = np.setdiff1d(np.arange(len(pairs.found_sizes)), found)
            counts[:, 0] += np.bincount(third[true], minlength=len(SIZES))
            counts[:, 1] += np.bincount(third, minlength=len(SIZES))
            counts[:, 1] += np.bincount(np.searchsorted(edges, pairs.found_sizes[invented]), minlength=len(SIZES))
        return {f"ap50_{name}": _share(*row) for name, row in zip(SIZES, counts, strict=True)}


def _matched_iou(pairs: Overlaps) -> float:
    """The sum of the overlaps of the matched pairs."""
    true, found = match(pairs, THRESHOLDS[0])
    width = max(1, len(pairs.found_sizes))
    place = np.isin(pairs.true * width + pairs.found, true * width + found)
    return float(pairs.iou[place].sum())


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
