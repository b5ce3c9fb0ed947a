"""Average precision of masks as COCO counts it (Lin et al., "Microsoft COCO", ECCV 2014): `mask_map` and `mask_map50`.

The found objects of a class are taken by descending score, over all images. Each is a hit if it overlaps a true object
of its image that is still free by at least the threshold (intersection over union of their pixels); it takes the one
that it overlaps most. `mask_map50` is the average precision at an overlap of 0.5, `mask_map` the mean over the
overlaps from 0.50 to 0.95; both are means over the classes that have true objects. `mask_map_NAME` and
`mask_map50_NAME` are those of one class, where there are several.

COCO counts the first 100 objects of an image and class; here all count. The objects are those that a prediction writes;
peaks below the task's threshold become no objects, so they are not ranked. Crowds are no
true objects here, and what is found in them counts as invented.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.tasks.average_precision import THRESHOLDS, Matches, average_precision, joined_matches, known_mean


@dataclass(frozen=True)
class RankedMasks:
    """The objects of one image, and the overlaps of those that share a pixel.

    Only these pairs are kept, so that memory is that of the objects, not of their masks.

    Attributes:
        true_classes: `(n,)` class of each true object.
        found_classes: `(m,)` class of each found object.
        scores: `(m,)` of the found objects.
        true, found: `(p,)` indices of the pairs that share a pixel and a class.
        iou: `(p,)` their intersection over union.
    """

    true_classes: np.ndarray
    found_classes: np.ndarray
    scores: np.ndarray
    true: np.ndarray
    found: np.ndarray
    iou: np.ndarray


def match_masks(masks: RankedMasks, number: int, thresholds: np.ndarray = THRESHOLDS) -> Matches:
    """Give each found object of one class and image the free true object that it overlaps most.

    >>> one, both = np.zeros(1, int), np.zeros(2, int)
    >>> masks = RankedMasks(one, both, np.array([0.9, 0.8]), both, np.array([0, 1]), np.array([0.3, 0.6]))
    >>> match_masks(masks, 0, np.array([0.5])).hits.tolist()
    [[False, True]]
    """
    chosen = np.flatnonzero(masks.found_classes == number)
    chosen = chosen[np.argsort(-masks.scores[chosen], kind="stable")]
    rank = np.full(len(masks.scores), -1)
    rank[chosen] = np.arange(len(chosen))
    pairs = np.flatnonzero((rank[masks.found] >= 0) & (masks.iou >= thresholds.min()))
    true, found, iou = masks.true[pairs], rank[masks.found[pairs]], masks.iou[pairs]
    hits = np.zeros((len(thresholds), len(chosen)), bool)
    taken = np.zeros((len(thresholds), len(masks.true_classes)), bool)
    # By rank, then by overlap; of equal overlaps the last true object, as COCO's code takes it.
    for pair in np.lexsort((-true, -iou, found)).tolist():
        new = (iou[pair] >= thresholds) & ~hits[:, found[pair]] & ~taken[:, true[pair]]
        hits[new, found[pair]] = True
        taken[new, true[pair]] = True
    truths = int((masks.true_classes == number).sum())
    return Matches(masks.scores[chosen], hits, np.ones_like(hits), truths)


def mask_precision(images: Sequence[RankedMasks], names: Sequence[str] = ()) -> dict[str, float]:
    """Return `mask_map` and `mask_map50`, and those of each class where there are several; NaN without true objects.

    Args:
        images: the objects of all images.
        names: of the classes; none for one class.
    """
    matches = [
        joined_matches([match_masks(image, number) for image in images], len(THRESHOLDS))
        for number in range(max(1, len(names)))
    ]
    precision = np.array([average_precision(of_class) for of_class in matches])  # (classes, thresholds)
    values = {"mask_map": known_mean(precision), "mask_map50": known_mean(precision[:, 0])}
    if len(names) > 1:
        for name, of_class in zip(names, precision, strict=True):
            values |= {f"mask_map_{name}": known_mean(of_class), f"mask_map50_{name}": known_mean(of_class[:1])}
    return values
