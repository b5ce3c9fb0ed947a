"""The figures of an evaluation in plain sentences, for people who have not met them before."""

from __future__ import annotations

import math

import numpy as np

from atrous.tasks.scores import Scores

__all__ = ["calibration_words", "headline", "notable"]


def headline(scores: Scores) -> str:
    """What mean IoU says, and how sure it is."""
    if math.isnan(scores.miou):
        return f"The {scores.sample}s have no labels, so there is nothing to measure."
    counted = int((~np.isnan(scores.iou)).sum())
    first = (
        f"Averaged over {counted} classes, the predicted and the true positions overlap in {_percent(scores.miou)} of "
        f"what either covers; 100 % would be perfect."
    )
    low, high = scores.miou_ci95
    if math.isnan(low):
        return f"{first} With a single {scores.sample} there is no telling how much that depends on it."
    return (
        f"{first} Measured on {scores.images} {scores.sample}s: with others of the same kind, expect a figure "
        f"between {low:.3f} and {high:.3f} (95 % interval)."
    )


def notable(scores: Scores) -> list[str]:
    """Best and weakest class, and the most frequent mistakes."""
    if math.isnan(scores.miou):
        return []
    best, worst = int(np.nanargmax(scores.iou)), int(np.nanargmin(scores.iou))
    names = scores.classes
    top, bottom = scores.iou[best], scores.iou[worst]
    sentences = [f"Best class: {names[best]} (IoU {top:.3f}). Weakest: {names[worst]} (IoU {bottom:.3f})."]
    absent = [name for name, value in zip(names, scores.iou, strict=True) if math.isnan(value)]
    if absent:
        sentences.append(f"Not in these {scores.sample}s, hence without a figure: {', '.join(absent)}.")
    return sentences + _mistakes(scores)


def calibration_words(scores: Scores) -> str:
    """How far the network's confidence can be trusted, and in which direction it errs."""
    reliability = scores.reliability
    if reliability is None or math.isnan(scores.ece):
        return "Confidence was not measured."
    share = reliability.count / reliability.count.sum()
    sure, right = np.nansum(share * reliability.confidence), np.nansum(share * reliability.accuracy)
    tendency = "neither too sure nor too modest"
    if abs(sure - right) >= 0.01:
        tendency = "too sure of itself" if sure > right else "too modest"
    return (
        f"On average the network is {_percent(float(sure))} sure and right in {_percent(float(right))} of the "
        f"positions: {tendency}. Confidence is off by {100 * scores.ece:.1f} percentage points (expected calibration "
        f"error)."
    )


def _mistakes(scores: Scores) -> list[str]:
    total = scores.confusion.sum(1, keepdims=True)
    share = np.divide(scores.confusion, total, out=np.zeros(scores.confusion.shape), where=total > 0)
    np.fill_diagonal(share, 0)
    row, column = np.unravel_index(share.argmax(), share.shape)
    if share[row, column] < 0.01:
        return []
    return [
        f"Most frequent confusion: {_percent(share[row, column])} of {scores.classes[row]} is taken "
        f"for {scores.classes[column]}."
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share < 0.995 else f"{100 * share:.1f} %"
