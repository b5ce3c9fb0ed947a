"""A named model that finds objects, on images of another source with dots or boxes as annotations: what it gets wrong.

    python -m benchmarks.named_models nuclei dots VGGCELLS
    python -m benchmarks.named_models nuclei boxes BCCD
    python -m benchmarks.named_models nuclei boxes BCCD --inverted

Every image counts, whatever its split, as the model was trained on none of them. `--inverted` gives the model 255 minus
each value: for dark objects on bright ground. It prints one line of JSON, whose values stand on the model's card.

Of dots: `objects` for each dot; `count_mae` and `count_bias`, the mean absolute and the mean difference of the counts
of an image; the shares of dots that have an object of their own (`alone`), that share one with others (`merged`) and
that have none (`missed`); and the share of objects without a dot (`empty`). Of boxes: `objects` for each box; for each
class the share of boxes that an object's box overlaps by an IoU of at least 0.5, one to one; and the share of objects
that belong to no box (`false`).
"""

import argparse
import json
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from atrous.prediction.predictor import load
from atrous.verbs.evaluate import read_ahead
from atrous.verbs.opened import open_dataset_from

IOU = 0.5


def of_dots(found: Sequence[np.ndarray], dots: Sequence[np.ndarray]) -> dict[str, float]:
    """Compare numbers of objects `(H, W)`, 0 where there is none, with dots `(n, 2)`, image by image."""
    counts: Counter[str] = Counter()
    errors = []
    for numbers, places in zip(found, dots, strict=True):
        rows, columns = np.floor(places).astype(int).T
        held = numbers[rows, columns]
        per_object = np.bincount(held, minlength=int(numbers.max(initial=0)) + 1)
        objects = np.unique(numbers[numbers > 0])
        counts["dots"] += len(places)
        counts["objects"] += len(objects)
        counts["missed"] += int(per_object[0])
        counts["alone"] += int((per_object[objects] == 1).sum())
        counts["empty"] += int((per_object[objects] == 0).sum())
        errors.append(len(objects) - len(places))
    merged = counts["dots"] - counts["alone"] - counts["missed"]
    per_dot = {"alone": counts["alone"], "merged": merged, "missed": counts["missed"]}
    return {
        "objects": counts["objects"] / max(1, counts["dots"]),
        "count_mae": float(np.abs(errors).mean()), "count_bias": float(np.mean(errors)),
        **{name: count / max(1, counts["dots"]) for name, count in per_dot.items()},
        "empty": counts["empty"] / max(1, counts["objects"]),
    }  # fmt: skip


def of_boxes(
    found: Sequence[np.ndarray], boxes: Sequence[np.ndarray], classes: Sequence[np.ndarray], names: Sequence[str]
) -> dict[str, float]:
    """Compare boxes of objects `(m, 4)` with annotated ones `(n, 4)` (low corner, high corner), image by image.

    Annotated boxes of class -1 count for nothing.
    """
    true, hit, objects, matched = np.zeros(len(names)), np.zeros(len(names)), 0, 0
    for mine, theirs, kinds in zip(found, boxes, classes, strict=True):
        kept = kinds >= 0
        overlap = box_iou(mine, theirs[kept])
        rows, columns = linear_sum_assignment(overlap * (overlap >= IOU), maximize=True)
        good = columns[overlap[rows, columns] >= IOU]
        true += np.bincount(kinds[kept], minlength=len(names))
        hit += np.bincount(kinds[kept][good], minlength=len(names))
        objects, matched = objects + len(mine), matched + len(good)
    shares = {name: float(hit[k] / max(1, true[k])) for k, name in enumerate(names)}
    return {"objects": objects / max(1.0, true.sum()), **shares, "false": (objects - matched) / max(1, objects)}


def box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the intersection over union `(m, n)` of boxes `(m, 4)` and `(n, 4)`.

    >>> box_iou(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 1], [5, 5, 6, 6]])).tolist()
    [[0.5, 0.0]]
    """
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return common / np.maximum(union, 1e-9)


def main(model: str, kind: str, data: Path, inverted: bool = False) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    predictor = load(model)
    dataset = open_dataset_from(data, None, "counting" if kind == "dots" else "detection")
    samples = [sample for sample in dataset.samples if sample.target is not None]
    found, truths = [], []
    for _, image, values in read_ahead(predictor, samples):
        found.append(predictor.predict(255 - np.asarray(image) if inverted else np.asarray(image)))
        truths.append(values)
    places, classes = [truth.places for truth in truths], [truth.classes for truth in truths]
    if kind == "dots":
        measured = of_dots([each.instances for each in found], places)
    else:
        measured = of_boxes([each.boxes for each in found], places, classes, dataset.classes)
    facts = {"model": model, "data": data.resolve().name, "inverted": inverted, "images": len(samples)}
    values = {name: round(value, 4) for name, value in measured.items()}
    print(json.dumps({**facts, "values": values, "atrous": version("atrous")}), flush=True)
    return values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a model, or folder of a run, that finds objects")
    parser.add_argument("kind", choices=("dots", "boxes"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--inverted", action="store_true")
    options = parser.parse_args()
    main(options.model, options.kind, options.data, options.inverted)
