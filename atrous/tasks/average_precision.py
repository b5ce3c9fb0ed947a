"""Average precision of boxes as COCO counts it (Lin et al., "Microsoft COCO", ECCV 2014), for any number of axes.

Rotated boxes are matched in the same way, by the overlap of rotated boxes.

The detections of a class are taken by descending score. Each is a hit if it overlaps a true box of its image that is
still free by at least the threshold (intersection over union); it takes the one that it overlaps most. The average
precision is the mean of the precision at 101 recalls; at a recall it is the greatest at that or any higher recall.

COCO counts the first 100 detections of an image and class; here all count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atrous.labels import AREA, area_of
from atrous.tasks.box_overlap import box_iou, covered, volumes

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which a detection is a hit."""
RECALLS = np.linspace(0, 1, 101)
SIDES = (32.0, 96.0)
"""Boxes are small below the first side to the power of the number of axes, large beyond the second."""
EVERY_SIZE = (0.0, np.inf)


@dataclass(frozen=True)
class ImageBoxes:
    """The true boxes of an image and those that were found in it.

    Attributes:
        true: `(n, 2 * ndim)` float64, the low corner, then the high one; or `(n, 8)`, the corners of rotated boxes.
        true_classes: `(n,)` int64.
        found: `(m, 2 * ndim)` or `(m, 8)` float64.
        found_classes: `(m,)` int64.
        scores: `(m,)`.
        void: `(v, 2 * ndim)` or `(v, 8)`, areas in which detections count for nothing (crowds); None for none.
        void_classes: `(v,)` int64, `AREA` for areas in which nothing counts, `area_of(k)` for those in which detections
            of the class k count for nothing, as COCO has it; None if nothing counts in any of them.
    """

    true: np.ndarray
    true_classes: np.ndarray
    found: np.ndarray
    found_classes: np.ndarray
    scores: np.ndarray
    void: np.ndarray | None = None
    void_classes: np.ndarray | None = None

    def of_class(self, number: int) -> "ImageBoxes":
        """Return the boxes of one class, those that were found by descending score, and the areas that hold for it."""
        chosen = np.flatnonzero(self.found_classes == number)
        chosen = chosen[np.argsort(-self.scores[chosen], kind="stable")]
        true = self.true_classes == number
        return ImageBoxes(
            self.true[true], self.true_classes[true], self.found[chosen], self.found_classes[chosen],
            self.scores[chosen], self._void_of(number),
        )  # fmt: skip

    def _void_of(self, number: int) -> np.ndarray | None:
        """The areas in which detections of one class count for nothing."""
        if self.void is None or self.void_classes is None:
            return self.void
        return self.void[(self.void_classes == AREA) | (self.void_classes == area_of(number))]


@dataclass(frozen=True)
class Matches:
    """The detections of one class in some images, by descending score.

    Attributes:
        scores: `(m,)`.
        hits: `(t, m)` bool, whether each is a hit at each threshold.
        counted: `(t, m)` bool; the others are of another size, and neither hits nor misses.
        truths: how many true boxes count.
    """

    scores: np.ndarray
    hits: np.ndarray
    counted: np.ndarray
    truths: int


def match_image(
    boxes: ImageBoxes, iou: np.ndarray, thresholds: np.ndarray, size: tuple[float, float] = EVERY_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Give each detection of one class the free true box that it overlaps most.

    Args:
        boxes: of one class and image, detections by descending score.
        iou: `(m, n)`, the overlap of each detection with each true box.
        thresholds: `(t,)`, the least overlap.
        size: least and greatest area of the boxes that count. Others are matched only if no true box that counts is
            free; a detection that takes one, or that takes none and has another size itself, does not count. Nor does
            one that takes none and of which a void area covers as much as the threshold.

    Returns:
        Indices `(t, m)` of true boxes, -1 for none; and whether the detection counts, `(t, m)` bool.
    """
    outside = _outside(boxes.true, size)
    matched = np.full((len(thresholds), len(boxes.found)), -1)
    counted = np.tile(~_outside(boxes.found, size), (len(thresholds), 1))
    if boxes.void is not None:
        counted &= covered(boxes.found, boxes.void) < thresholds[:, None]
    if not len(boxes.true):
        return matched, counted
    free = np.ones((len(thresholds), len(boxes.true)), bool)
    rows = np.arange(len(thresholds))
    for detection, overlap in enumerate(iou):
        possible = free & (overlap >= thresholds[:, None])
        wanted = possible & ~outside
        wanted = np.where(wanted.any(axis=1, keepdims=True), wanted, possible)
        # Of equal overlaps the last one, as COCO's code takes it.
        best = len(overlap) - 1 - np.where(wanted, overlap, -1)[:, ::-1].argmax(axis=1)
        taken = wanted[rows, best]
        matched[taken, detection] = best[taken]
        counted[taken, detection] = ~outside[best[taken]]
        free[rows[taken], best[taken]] = False
    return matched, counted


def _outside(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    area = volumes(boxes)
    return (area < size[0]) | (area > size[1])


def match_class(
    images: Sequence[ImageBoxes], number: int, thresholds: np.ndarray = THRESHOLDS,
    size: tuple[float, float] = EVERY_SIZE,
) -> Matches:  # fmt: skip
    """Match the detections of a class in all images; see `match_image`."""
    parts = []
    for image in images:
        boxes = image.of_class(number)
        matched, counts = match_image(boxes, box_iou(boxes.found, boxes.true), thresholds, size)
        parts.append(Matches(boxes.scores, matched >= 0, counts, int((~_outside(boxes.true, size)).sum())))
    return joined_matches(parts, len(thresholds))


def joined_matches(parts: Sequence[Matches], thresholds: int) -> Matches:
    """Return the detections of several images together, by descending score.

    Args:
        parts: the detections of each image; there may be no image.
        thresholds: number of thresholds.
    """
    none = np.zeros((thresholds, 0), bool)
    scores = np.concatenate([np.zeros(0), *(part.scores for part in parts)])
    hits = np.concatenate([none, *(part.hits for part in parts)], axis=1)
    counted = np.concatenate([none, *(part.counted for part in parts)], axis=1)
    order = np.argsort(-scores, kind="stable")
    return Matches(scores[order], hits[:, order], counted[:, order], sum(part.truths for part in parts))


def average_precision(matches: Matches) -> np.ndarray:
    """Return the average precision at each threshold `(t,)`; NaN where no true box counts.

    >>> found = Matches(np.array([0.9, 0.8]), np.array([[True, False]]), np.ones((1, 2), bool), truths=2)
    >>> average_precision(found).round(4).tolist()  # 51 of 101 recalls are reached
    [0.505]
    """
    if not matches.truths:
        return np.full(len(matches.hits), np.nan)
    values = []
    for hits, counted in zip(matches.hits, matches.counted, strict=True):
        true = np.cumsum(hits & counted)
        false = np.cumsum(~hits & counted)
        precision = true / np.maximum(true + false, np.spacing(1))
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(true / matches.truths, RECALLS, side="left")
        values.append(np.append(precision, 0.0)[np.minimum(place, len(precision))].mean())
    return np.array(values)


def known_mean(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN where none is.

    >>> known_mean(np.array([0.5, np.nan]))
    0.5
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def best_f1(matches: Sequence[Matches]) -> tuple[float, float]:
    """Return the greatest F1 over all classes at the first threshold, and the least score that is kept for it.

    F1 is 2 TP / (2 TP + FP + FN), where one score decides for all classes. It is NaN without true boxes; without
    detections it is 0, and the score NaN.
    """
    truths = sum(one.truths for one in matches)
    scores = np.concatenate([np.zeros(0), *(one.scores[one.counted[0]] for one in matches)])
    if not truths or not len(scores):
        return 0.0 if truths else float("nan"), float("nan")
    hits = np.concatenate([one.hits[0][one.counted[0]] for one in matches])
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(hits[order])
    f1 = 2 * true / (np.arange(1, len(order) + 1) + truths)
    # Detections of equal score are kept together.
    last = np.append(np.diff(scores[order]) != 0, True)
    best = int(np.where(last, f1, -1).argmax())
    return float(f1[best]), float(scores[order][best])


def size_ranges(ndim: int) -> Mapping[str, tuple[float, float]]:
    """Return COCO's ranges of areas, with the sides 32 and 96 to the power of the number of axes.

    >>> size_ranges(2)["medium"]
    (1024.0, 9216.0)
    """
    small, large = (side**ndim for side in SIDES)
    return {"small": (0.0, small), "medium": (small, large), "large": (large, np.inf)}
