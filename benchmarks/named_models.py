"""A named model that finds objects, where it may fail: on images of another source, and on changed ones.

    python -m benchmarks.named_models nuclei dots VGGCELLS
    python -m benchmarks.named_models nuclei boxes BCCD --inverted
    python -m benchmarks.named_models nuclei changes NUCLEI

It prints one line of JSON, whose values stand on the model's card.

`dots` and `boxes` are annotations of images on which the model was not trained; every image counts, whatever its split.
`--inverted` gives the model 255 minus each value: for dark objects on bright ground. Of dots: `objects` for each dot;
`count_mae` and `count_bias`, the mean absolute and the mean difference of the counts of an image; the shares of dots
that have an object of their own (`alone`), that share one with others (`merged`) and that have none (`missed`); and the
share of objects without a dot (`empty`). Of boxes: `objects` for each box; for each class the share of boxes that an
object's box overlaps by an IoU of at least 0.5, one to one; and the share of objects that belong to no box (`false`).

`changes` measures ap50 on 32 images of a data set with numbered objects, evenly spread over its split val: as they are,
and after each change of CHANGES.
"""

import argparse
import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from scipy.optimize import linear_sum_assignment

from atrous.prediction.predictor import Predictor, load
from atrous.tasks.custom import found_task
from atrous.tasks.instance_metrics import InstanceScores
from atrous.verbs.evaluate import open_split, read_ahead
from atrous.verbs.found import found_objects
from atrous.verbs.opened import open_dataset_from

IOU = 0.5
CHANGED = 32
"""Images that are changed; one that is three times as large takes nine times as long."""


def resized(factor: float) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a change that makes images `(1, H, W)` and their objects `(H, W)` larger or smaller by a factor."""

    def change(image: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        smooth = gaussian_filter(image[0].astype(np.float32), max(0.0, 0.5 * (1 / factor - 1)))
        pixels = np.asarray(zoom(smooth, factor, order=1, grid_mode=True, mode="nearest"))
        objects = np.asarray(zoom(numbers, factor, order=0, grid_mode=True, mode="nearest"))
        return pixels.round().clip(0, 255).astype(np.uint8)[None], objects

    return change


def valued(function: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Return a change of values alone, given as a function of float32 values from 0 to 255."""

    def change(image: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return function(image.astype(np.float32)).round().clip(0, 255).astype(np.uint8), numbers

    return change


CHANGES = {
    "as_is": resized(1.0),
    "third_size": resized(1 / 3),
    "half_size": resized(0.5),
    "double_size": resized(2.0),
    "triple_size": resized(3.0),
    "inverted": valued(lambda image: 255 - image),
    "blur_2": valued(lambda image: gaussian_filter(image, (0, 2, 2))),
    "noise_10": valued(lambda image: image + np.random.default_rng(0).normal(0, 10, image.shape)),
    "noise_20": valued(lambda image: image + np.random.default_rng(0).normal(0, 20, image.shape)),
}
"""By name, what is done to an image and the numbers of its objects: sizes, dark on bright, blur in pixels, noise."""


def of_changes(predictor: Predictor, data: Path) -> tuple[dict[str, float], int]:
    """Return ap50 under each change, and the number of images."""
    dataset, samples = open_split(predictor, data, None, "val")
    places = np.linspace(0, len(samples) - 1, min(CHANGED, len(samples))).round().astype(int)
    samples = [samples[place] for place in places]
    task: Any = found_task(predictor.task)
    scores = {name: InstanceScores() for name in CHANGES}
    for sample, image, values in read_ahead(predictor, samples):
        for name, change in CHANGES.items():
            changed, numbers = change(np.asarray(image), values)
            answer = found_objects(predictor, task, changed, dataset.spacing_of(sample))
            scores[name].add(sample.name, numbers, answer.numbers, answer.scores)
    return {name: float(each.result(0.0).values["ap50"]) for name, each in scores.items()}, len(samples)


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


def of_annotations(predictor: Predictor, kind: str, data: Path, inverted: bool) -> tuple[dict[str, float], int]:
    """Return the metrics of dots or boxes, and the number of images."""
    dataset = open_dataset_from(data, None, "counting" if kind == "dots" else "detection")
    samples = [sample for sample in dataset.samples if sample.target is not None]
    found, truths = [], []
    for _, image, values in read_ahead(predictor, samples):
        found.append(predictor.predict(255 - np.asarray(image) if inverted else np.asarray(image)))
        truths.append(values)
    places, classes = [truth.places for truth in truths], [truth.classes for truth in truths]
    if kind == "dots":
        return of_dots([each.instances for each in found], places), len(samples)
    return of_boxes([each.boxes for each in found], places, classes, dataset.classes), len(samples)


def main(model: str, kind: str, data: Path, inverted: bool = False) -> dict[str, float]:
    warnings.simplefilter("ignore")
    predictor = load(model)
    if kind == "changes":
        measured, images = of_changes(predictor, data)
    else:
        measured, images = of_annotations(predictor, kind, data, inverted)
    values = {name: round(value, 4) for name, value in measured.items()}
    facts = {"model": model, "kind": kind, "data": data.resolve().name, "inverted": inverted, "images": images}
    print(json.dumps({**facts, "values": values, "atrous": version("atrous")}), flush=True)
    return values


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a model, or folder of a run, that finds objects")
    parser.add_argument("kind", choices=("dots", "boxes", "changes"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--inverted", action="store_true")
    options = parser.parse_args()
    main(options.model, options.kind, options.data, options.inverted)
