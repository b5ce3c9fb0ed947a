"""The metrics of tasks without classes in plain sentences: objects, boxes, points, edges, numbers and pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from atrous.report.words import percent
from atrous.tasks.measures import samples_text
from atrous.tasks.task import EvaluationResult

__all__ = ["failings", "meaning", "metric_name", "remedies"]

NAMES = {
    "miou": "mean IoU",
    "ap50": "objects that match",
    "ap_mean": "objects that match, mean of IoU 0.5 to 0.9",
    "pq": "panoptic quality",
    "seg": "overlap with the true objects",
    "mask_map": "average precision of masks",
    "mask_map50": "average precision of masks at IoU 0.5",
    "map": "mean average precision",
    "map50": "average precision at IoU 0.5",
    "map75": "average precision at IoU 0.75",
    "ar": "average recall",
    "f1": "F1: misses and inventions in one",
    "f1_score": "score with the best F1",
    "precision": "share of the found that is true",
    "recall": "share of the true that is found",
    "f_measure": "F: misses and inventions in one",
    "pwc": "percent of the positions that are wrong",
    "count_mae": "counts are off by",
    "count_rmse": "counts are off by, root mean square",
    "count_relative": "counts are off by, as a share",
    "count_bias": "found minus true count",
    "peaks_mae": "numbers of listed points are off by",
    "pck": "points that are found",
    "offset": "matched points are apart, in positions",
    "distance": "points match within, in positions",
    "objects": "true objects",
    "boxes": "true boxes",
    "points": "true points",
    "ods": "F of edges, one threshold for all images",
    "ois": "F of edges, the best threshold of each image",
    "ap": "average precision of edges",
    "ods_threshold": "strength from which it is an edge",
    "ods_precision": "share of the found edges that is true",
    "ods_recall": "share of the true edges that is found",
    "mae": "mean absolute error",
    "rmse": "root of the mean squared error",
    "r2": "share of the variance that is explained",
    "pearson": "correlation",
    "spearman": "correlation of ranks",
    "psnr": "signal to noise in dB",
    "psnr_y": "signal to noise of the brightness in dB",
    "ssim": "structural similarity, 1 is best",
    "log_loss": "cross-entropy, 0 is best",
    "accuracy": "share of right answers",
    "auroc": "how well it ranks: area under the ROC curve",
    "perceptual_loss": "distance from content and style",
    "content_loss": "distance from the content",
    "style_loss": "distance from the style",
}
"""What a metric is, by its key in `scores.json`."""
SIZES = ("small", "medium", "large")
BY_PART = {"ap50": "objects", "map": "boxes", "pck": "points", "count_mae": "points", "log_loss": "inputs"}
"""Metrics that are told by size or by class too, and what is measured."""
TOLD_BY = {"log_loss": "f1"}
"""By which metric classes are told apart, where it is not the first one."""
FEW = 10
"""Samples below which metrics say little."""
WEAK = 0.75
"""Part of the best class below which a class is called weak."""
TILTED = 0.1
"""Difference of precision and recall that is worth a sentence."""


def metric_name(key: str) -> str:
    """Return what a metric is, with its key; the key alone where nothing is known of it.

    >>> metric_name("count_mae"), metric_name("ap75"), metric_name("mine")
    ('counts are off by (count_mae)', 'objects that match at IoU 0.75 (ap75)', 'mine')
    >>> metric_name("map_car")
    'mean average precision, car (map_car)'
    """
    if key in NAMES:
        return NAMES[key] if key == "miou" else f"{NAMES[key]} ({key})"
    if re.fullmatch(r"ap\d\d", key):
        return f"objects that match at IoU 0.{key[2:]} ({key})"
    for known in sorted(NAMES, key=len, reverse=True):
        if key.startswith(f"{known}_"):
            return f"{NAMES[known]}, {key[len(known) + 1 :]} ({key})"
    return key


def meaning(scores: EvaluationResult) -> list[str]:
    """Return what the first metric says, beside something that one can compare it with; nothing of unknown metrics."""
    values = scores.watched()
    first, value = next(iter(values.items()))
    if math.isnan(value) or first not in MEANINGS:
        return []
    return [sentence for sentence in MEANINGS[first](values, scores.sample) if sentence]


def failings(scores: EvaluationResult) -> list[str]:
    """Return which sizes and classes are found worst, and whether it rather misses or invents."""
    values = scores.watched()
    first = next(iter(values))
    found = []
    metric, what = TOLD_BY.get(first, first), BY_PART.get(first)
    if what is not None:
        for kind, parts in zip(("size", "class"), _parts(values, metric), strict=True):
            order = sorted(parts, key=lambda part: -parts[part] if metric == "count_mae" else parts[part])
            if len(order) < 2 or parts[order[0]] == parts[order[-1]]:
                continue
            named = f"{order[0]} {what}" if kind == "size" else f"{what} of {order[0]}"
            others = ", ".join(f"{part} {_number(parts[part])}" for part in order[1:4])
            named, worst = f"{named[0].upper()}{named[1:]}", _number(parts[order[0]])
            found.append(f"{named} are found worst: {metric} {worst}, against {others}.")
    return [*found, *_tilt(values)]


def remedies(scores: EvaluationResult) -> list[str]:
    """Return what would help, of what the metrics show."""
    values = scores.watched()
    first, steps = next(iter(values)), []
    if first in BY_PART:
        _, classes = _parts(values, TOLD_BY.get(first, first))
        worst = min(classes, key=lambda name: classes[name], default="")
        if first != "count_mae" and worst and classes[worst] < WEAK * max(classes.values()):
            steps.append(f"Label more of {worst}: it is found less well than the others.")
    bias, off = values.get("count_bias", math.nan), values.get("count_mae", math.nan)
    if scores.images > 1 and abs(bias) > off / 2 > 0:
        steps.append(
            f"Label more images of crowds: nearly all errors are counts that are too {'low' if bias < 0 else 'high'}."
        )
    if 0 < scores.images < FEW:
        said = "says" if scores.images == 1 else "say"
        steps.append(f"Measure on more {scores.sample}s: {samples_text(scores.images, scores.sample)} {said} little.")
    return steps


def _objects(values: Mapping[str, float], sample: str) -> list[str]:
    """Numbered objects."""
    if values["ap50"] == 0:
        return ["No: no object that it found overlaps a true one by half."]
    off = values.get("count_mae", math.nan)
    return [
        f"Of the objects that are true or found, {percent(values['ap50'])} are both: they overlap by half or more "
        "(IoU 0.5).",
        "" if math.isnan(off) else f"The number of objects in {_one(sample)} is off by {_number(off)} on average.",
    ]


def _boxes(values: Mapping[str, float], sample: str) -> list[str]:
    """Boxes."""
    at_half = values.get("map50", math.nan)
    if math.isnan(at_half):
        return []
    if at_half == 0:
        return ["No: no box that it found overlaps a true one by half."]
    f1, score = values.get("f1", math.nan), values.get("f1_score", math.nan)
    return [
        f"1 would be perfect. Where boxes have to overlap by half alone (IoU 0.5) it is {_number(at_half)}.",
        "" if math.isnan(f1) else f"Of the boxes that score {_number(score)} or more, F1 is {_number(f1)}.",
    ]


def _counts(values: Mapping[str, float], sample: str) -> list[str]:
    """Counts."""
    share, bias = values.get("count_relative", math.nan), values.get("count_bias", math.nan)
    tended = "" if math.isnan(bias) or round(bias, 3) == 0 else (
        f" On average it counts {_number(abs(bias))} too {'few' if bias < 0 else 'many'}."
    )  # fmt: skip
    of_true = "" if math.isnan(share) else f", {percent(share)} of the true count"
    return [f"The count of {_one(sample)} is off by {_number(values['count_mae'])} on average{of_true}.{tended}"]


def _points(values: Mapping[str, float], sample: str) -> list[str]:
    """Key points."""
    within, off = values.get("distance", math.nan), values.get("offset", math.nan)
    near = "" if math.isnan(within) else f" within {_number(within)} positions"
    return [
        f"{percent(values['pck'])} of the true points are found{near}.",
        "" if math.isnan(off) else f"Those that are found are {_number(off)} positions away on average.",
    ]


def _edges(values: Mapping[str, float], sample: str) -> list[str]:
    """Edges."""
    precision, recall = values.get("ods_precision", math.nan), values.get("ods_recall", math.nan)
    if math.isnan(precision) or math.isnan(recall):
        return []
    return [f"{percent(precision)} of the edges that it finds are true; {percent(recall)} of the true ones are found."]


def _numbers(values: Mapping[str, float], sample: str) -> list[str]:
    """Numbers."""
    r2 = values.get("r2", math.nan)
    if math.isnan(r2):
        return []
    if r2 <= 0:
        return [f"No: it is no better than always answering the mean of the truth (R2 {_number(r2)})."]
    return [f"It explains {percent(r2)} of how the truth varies (R2); always answering its mean would explain none."]


def _restored(values: Mapping[str, float], sample: str) -> list[str]:
    """Restored images: `psnr` is 20 log10(peak / root of the mean squared error)."""
    off = 100 * 10 ** (-values["psnr"] / 20)
    return [f"Values are off by {off:.2g} % of the largest possible value (root mean square)."]


def _styled(values: Mapping[str, float], sample: str) -> list[str]:
    """Pictures in a style."""
    return ["A style has no truth: this number only compares trainings for one style. Judge by the pictures below."]


def _whole(values: Mapping[str, float], sample: str) -> list[str]:
    """Classes of whole inputs."""
    right, ranked = values.get("accuracy", math.nan), values.get("auroc", math.nan)
    guessing = f"No: it tells classes apart no better than guessing (AUROC {_number(ranked)})."
    of_class = f"{_one(sample).capitalize()} of a class gets a higher probability of it than one of another"
    return [
        guessing if ranked <= 0.5 else "",
        "" if math.isnan(right) else f"{percent(right)} of the {sample}s get the right answer.",
        "" if math.isnan(ranked) else f"{of_class} in {percent(ranked)} of the cases (50 % would say nothing).",
    ]


MEANINGS: dict[str, Callable[[Mapping[str, float], str], list[str]]] = {
    "ap50": _objects, "map": _boxes, "count_mae": _counts, "pck": _points, "ods": _edges, "mae": _numbers,
    "psnr": _restored, "perceptual_loss": _styled, "log_loss": _whole,
}  # fmt: skip
"""What a first metric says in words, given all metrics and what a sample is called."""


def _parts(values: Mapping[str, float], metric: str) -> tuple[dict[str, float], dict[str, float]]:
    """The values of a metric by size, and by class; those that do not exist are left out."""
    known = {
        key[len(metric) + 1 :]: value
        for key, value in values.items()
        if key.startswith(f"{metric}_") and not math.isnan(value)
    }
    sizes = {name: known.pop(name) for name in SIZES if name in known}
    return sizes, known


def _tilt(values: Mapping[str, float]) -> list[str]:
    """Whether it rather misses or invents, where precision and recall are known."""
    for before in ("", "ods_"):
        precision, recall = (values.get(before + name, math.nan) for name in ("precision", "recall"))
        if abs(precision - recall) > TILTED:
            rather = "It misses more than it invents" if recall < precision else "It invents more than it misses"
            return [f"{rather}: {percent(recall)} of the true are found, {percent(precision)} of the found are true."]
    return []


def _one(sample: str) -> str:
    """A sample with its article.

    >>> _one("image"), _one("video")
    ('an image', 'a video')
    """
    return f"{'an' if sample[0] in 'aeiou' else 'a'} {sample}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.4g}"
