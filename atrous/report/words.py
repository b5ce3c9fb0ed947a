"""The metrics of an evaluation in plain sentences, for people who do not know them yet."""

from __future__ import annotations

import math

import numpy as np

from atrous.tasks.measures import samples_text
from atrous.tasks.scores import Scores

__all__ = ["calibration_words", "headline", "notable", "percent", "review_words"]


def headline(scores: Scores) -> str:
    """Return what the mean IoU means and how certain it is."""
    if math.isnan(scores.miou):
        return f"The {scores.sample}s have no labels, so nothing could be measured."
    counted = int((~np.isnan(scores.iou)).sum())
    first = (
        f"For an average class (of {counted}), {percent(scores.miou)} of the positions that are true or predicted are "
        f"both; 100 % would be perfect."
    )
    low, high = scores.miou_ci95
    if math.isnan(low):
        return f"{first} From a single {scores.sample}, no interval can be computed."
    return (
        f"{first} Measured on {samples_text(scores.images, scores.sample)}: on others of the same kind, expect a mean "
        f"IoU between {low:.3f} and {high:.3f} (95 % interval)."
    )


def notable(scores: Scores) -> list[str]:
    """Return sentences of the scores, on the best and the weakest class, absent classes, and the commonest mistake."""
    if math.isnan(scores.miou):
        return []
    best, worst = int(np.nanargmax(scores.iou)), int(np.nanargmin(scores.iou))
    names = scores.classes
    top, bottom = scores.iou[best], scores.iou[worst]
    sentences = [f"Best class: {names[best]} (IoU {top:.3f}). Weakest: {names[worst]} (IoU {bottom:.3f})."]
    absent = [name for name, value in zip(names, scores.iou, strict=True) if math.isnan(value)]
    if absent:
        sentences.append(f"Not in these {scores.sample}s, so not measured: {', '.join(absent)}.")
    return [*scores.sentences(), *sentences, *_mistakes(scores)]


def calibration_words(scores: Scores) -> str:
    """Return whether the network's confidence can be trusted, and whether it is over- or underconfident."""
    reliability = scores.reliability
    if reliability is None or math.isnan(scores.ece):
        return "Confidence was not measured."
    share = reliability.count / reliability.count.sum()
    confidence, accuracy = np.nansum(share * reliability.confidence), np.nansum(share * reliability.accuracy)
    tendency = "neither overconfident nor underconfident"
    if abs(confidence - accuracy) >= 0.01:
        tendency = "overconfident" if confidence > accuracy else "underconfident"
    return (
        f"The network's mean confidence is {percent(float(confidence))}, and {percent(float(accuracy))} of the "
        f"positions are right: it is {tendency}. Confidence and accuracy differ by {100 * scores.ece:.1f} percentage "
        f"points (expected calibration error).{_temperature_words(scores)}"
    )


def review_words(scores: Scores) -> str:
    """Return what the uncertainty is good for; "" where there is nothing to review."""
    confidence = scores.confidence
    if confidence is None or math.isnan(confidence.ranking.auroc):
        return ""
    tenth, fifth = (percent(confidence.ranking.caught(share)) for share in (0.1, 0.2))
    return (
        f"The most uncertain tenth of the positions holds {tenth} of the errors, the most uncertain fifth {fifth}. A "
        f"wrong position is more uncertain than a right one in {percent(confidence.ranking.auroc)} of the cases (50 % "
        f"would say nothing)."
    )


def _temperature_words(scores: Scores) -> str:
    """What the temperature did, as a sentence that goes on; "" where there is none."""
    confidence = scores.confidence
    if confidence is None or confidence.temperature == 1:
        return ""
    return (
        f" Its outputs are divided by a temperature of {confidence.temperature:.2f}, which was fitted on held-out "
        f"labels; without it the error would be {100 * confidence.before.ece:.1f} points."
    )


def _mistakes(scores: Scores) -> list[str]:
    """Return a sentence on the largest share of a class that is predicted as another one, if it is at least 1 %."""
    total = scores.confusion.sum(1, keepdims=True)
    share = np.divide(scores.confusion, total, out=np.zeros(scores.confusion.shape), where=total > 0)
    np.fill_diagonal(share, 0)
    row, column = np.unravel_index(share.argmax(), share.shape)
    if share[row, column] < 0.01:
        return []
    return [
        f"Most frequent confusion: {percent(share[row, column])} of {scores.classes[row]} is predicted "
        f"as {scores.classes[column]}."
    ]


def percent(share: float) -> str:
    """Return a share in percent; one digit more where it is nearly all.

    >>> percent(0.5), percent(0.998), percent(1.0)
    ('50 %', '99.8 %', '100 %')
    """
    return f"{100 * share:.1f} %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"
