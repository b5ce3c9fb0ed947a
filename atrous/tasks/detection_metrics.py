"""How well boxes are found.

`map` is COCO's mean average precision: the mean over the classes and over the overlaps (intersection over union) from
0.50 to 0.95. `map50` and `map75` are those at an overlap of 0.5 and 0.75; `map_small`, `map_medium` and `map_large`
count boxes below 32 x 32, up to 96 x 96 and beyond (32 and 96 to the power of the number of axes). `ar` is the greatest
recall, the mean over classes and overlaps. `f1` is the greatest F1 at an overlap of 0.5 where one score decides for all
classes, `f1_score` that score. What is found in a crowd and has its class is no error, as COCO has it. COCO counts the
first 100 detections of an image and class, here all count. Rotated boxes
overlap as such, and have the size of their own area.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atrous.tasks.average_precision import (
    THRESHOLDS,
    ImageBoxes,
    Matches,
    average_precision,
    best_f1,
    known_mean,
    match_class,
    size_ranges,
)
from atrous.tasks.measures import Measures, of_class


class DetectionScores:
    """Gathers boxes image by image, and measures them.

    Args:
        classes: names.
        ndim: spatial axes.
        full: whether sizes, classes and single images are measured too.
        sample: what one sample is called.
    """

    def __init__(self, classes: Sequence[str], ndim: int, full: bool = True, sample: str = "image") -> None:
        self._classes, self._ndim, self._full, self._sample = tuple(classes), ndim, full, sample
        self._images: dict[str, ImageBoxes] = {}

    def add(self, name: str, found: tuple[Any, Any, Any], truth: tuple[Any, Any]) -> None:
        """Count one image.

        Args:
            name: of the image; no name may come twice.
            found: corners `(m, 2 * ndim)` (of rotated boxes `(m, 8)`), classes `(m,)` and scores `(m,)`.
            truth: corners in the same form, and classes `(n,)`; `AREA` and `area_of` (`atrous.labels`) mark areas where
                what was found, has their class and is no true box, is no error.

        Raises:
            ValueError: the name came before.
        """
        if name in self._images:
            raise ValueError(f"{name}: counted twice")
        boxes, classes = np.asarray(truth[0]), np.asarray(truth[1])
        known = classes >= 0
        self._images[name] = ImageBoxes(boxes[known], classes[known], *found, boxes[~known], classes[~known])

    def result(self, seconds: float, tta: str = "none") -> Measures:
        """Return the metrics over all images."""
        images = list(self._images.values())
        matches = [match_class(images, number) for number in range(len(self._classes))]
        precision = np.array([average_precision(one) for one in matches])  # (classes, thresholds)
        values = {
            "map": known_mean(precision),
            "map50": known_mean(precision[:, 0]),
            "map75": known_mean(precision[:, 5]),
        }
        per_image = dict.fromkeys(self._images, float("nan"))
        if self._full:
            values |= self._further(images, matches, precision)
            per_image = {name: self._of_image(image) for name, image in self._images.items()}
        return Measures(values, per_image, seconds, tta, self._sample, conventions=__doc__ or "")

    def _further(
        self, images: Sequence[ImageBoxes], matches: Sequence[Matches], precision: np.ndarray
    ) -> dict[str, float]:
        """The metrics that choose no weights: by size, by class, recall, F1."""
        by_size = {}
        for size, area in size_ranges(self._ndim).items():
            of_size = [match_class(images, number, size=area) for number in range(len(self._classes))]
            by_size[f"map_{size}"] = known_mean(np.array([average_precision(one) for one in of_size]))
        recall = np.array([(one.hits & one.counted).sum(axis=1) / one.truths for one in matches if one.truths])
        f1, score = best_f1(matches)
        by_class = {
            of_class(name, class_name): known_mean(row)
            for class_name, values in zip(self._classes, precision, strict=True)
            for name, row in (("map", values), ("map50", values[:1]))
        }
        truths = float(sum(one.truths for one in matches))
        return {**by_size, "ar": known_mean(recall), "f1": f1, "f1_score": score, **by_class, "boxes": truths}

    def _of_image(self, image: ImageBoxes) -> float:
        """The mean average precision of one image alone."""
        present = np.unique(image.true_classes)
        rows = [average_precision(match_class([image], int(number), THRESHOLDS)) for number in present]
        return known_mean(np.array(rows))
