"""The questions at the top of the report, answered from the metrics: is it good, where does it fail, what next?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.report.measure_words import failings, meaning, remedies
from atrous.report.words import headline, notable, percent
from atrous.tasks.measures import samples_text
from atrous.tasks.scores import Scores
from atrous.tasks.stranded_metrics import StrandedScores
from atrous.tasks.task import EvaluationResult

__all__ = ["Verdict", "verdict"]

UNSURE = 0.1
"""A 95 % interval wider than this says that too few samples were measured."""
MISLED = 0.05
"""A calibration error from which probabilities are not to be taken as they are."""
RARE = 0.02
"""Share of the positions below which a class that is found badly is called rare."""


@dataclass(frozen=True)
class Verdict:
    """Sentences that answer the three questions.

    Attributes:
        good: is it good?
        fails: where does it fail?
        further: what to do next.
    """

    good: list[str]
    fails: list[str]
    further: list[str]


def verdict(scores: EvaluationResult, advice: Sequence[str] = (), *, further: bool = False) -> Verdict:
    """Answer the three questions.

    Args:
        scores: metrics of the evaluation.
        advice: what is known already of what would help, one sentence each.
        further: whether the page also has metrics on data that had no part in the training.

    >>> scores = Scores(("sky", "car"), np.array([[90, 5], [1, 4]]), {"a": 0.7, "b": 0.5}, (0.5, 0.7), 1.0)
    >>> verdict(scores).good[0]
    "94 % of the positions get the right class; a program that always answers 'sky' would get 95 %."
    >>> verdict(scores).fails[0]
    'Best class: sky (IoU 0.938). Weakest: car (IoU 0.400).'
    """
    if isinstance(scores, Scores):
        if math.isnan(scores.miou):
            return Verdict([headline(scores)], [], ["Evaluate it on labelled data: atrous evaluate RUN DATA."])
        guessing = _stranded if isinstance(scores, StrandedScores) else _against_guessing
        good, fails, steps = guessing(scores), notable(scores), _steps(scores)
    else:
        known = meaning(scores)
        good = known if known and scores.images == 1 else [*known, *_typical(scores)]
        fails, steps = failings(scores), remedies(scores)
    fails = [*fails, *_worst(scores)]
    if scores.ranking():
        why = ": often the truth is wrong, not the network" if isinstance(scores, Scores) else ""
        steps.append(f"Look at the worst {scores.sample}s below first{why}.")
    if not further:
        steps.append("Measure it on data of another day, place or device: atrous evaluate RUN OTHER-DATA --split all.")
    return Verdict(good, fails, [*advice, *steps])


def _against_guessing(scores: Scores) -> list[str]:
    """How many positions are right, beside those of a program that always answers the most frequent class."""
    most = int(scores.frequency.argmax())
    name, guessed, right = scores.classes[most], float(scores.frequency[most]), scores.pixel_accuracy
    first = (
        f"{percent(right)} of the positions get the right class; a program that always answers {name!r} would get "
        f"{percent(guessed)}."
    )
    counted = int((~np.isnan(scores.iou)).sum())
    if counted > 1 and scores.miou <= guessed / counted:
        first = f"No: it is no better than always answering {name!r}, and has not learned the task. {first}"
    return [first, headline(scores)]


def _stranded(scores: Scores) -> list[str]:
    """How many bases of the first feature are found, beside those of a program that marks every base."""
    assert isinstance(scores, StrandedScores)
    feature, found = next(iter(scores.features.items()))
    strands = [name[:-1] == feature for name in scores.classes]
    share = float(scores.frequency[strands].mean())
    everything = 2 * share / (1 + share)
    if math.isnan(found["f1"]) or found["f1"] <= everything:
        first = f"No: marking every base as {feature} on both strands would be as good (F1 {everything:.3f})."
    else:
        first = (
            f"{percent(found['recall'])} of the bases of {feature} are found on their strand, and "
            f"{percent(found['precision'])} of the bases that are marked as {feature} are."
        )
    return [first, headline(scores)]


def _steps(scores: Scores) -> list[str]:
    """What would help, of what the metrics show."""
    steps = []
    worst = int(np.nanargmin(scores.iou))
    share, value = float(scores.frequency[worst]), float(scores.iou[worst])
    if 0 < share < RARE and value < 0.75 * scores.miou:
        steps.append(
            f"Label more of {scores.classes[worst]}: it is rare ({100 * share:.2g} % of the positions) and weak."
        )
    low, high = scores.miou_ci95
    if high - low > UNSURE:
        count = samples_text(scores.images, scores.sample)
        steps.append(f"Measure on more {scores.sample}s: {count} leave mean IoU open between {low:.2f} and {high:.2f}.")
    if scores.images == 1:
        steps.append(f"Measure on more {scores.sample}s: one says little of others.")
    if scores.ece > MISLED:
        steps.append(
            f"Do not take its probabilities as they are: they are off by {100 * scores.ece:.0f} percentage points. "
            "atrous calibrate RUN DATA fits them to labelled data."
        )
    return steps


def _typical(scores: EvaluationResult) -> list[str]:
    """The first metric of a task without classes: of all samples, and of half of them."""
    name, value = next(iter(scores.watched().items()))
    known = [number for number in scores.per_image.values() if not math.isnan(number)]
    if not known:
        return [f"{name} is {_number(value)}." if not math.isnan(value) else "Nothing could be measured."]
    ranking = scores.ranking()
    worst, best = (scores.per_image[ranking[place]] for place in (0, -1))
    better = "higher" if best >= worst else "lower"
    over = f"{name} is {_number(value)} over {samples_text(scores.images, scores.sample)}"
    if best == worst:
        return [f"{over}."]
    middle = _number(float(np.median(known)))
    return [f"{over}; {better} is better. The median is {middle}, the best {_number(best)}."]


def _worst(scores: EvaluationResult) -> list[str]:
    """The worst samples by name."""
    ranking = scores.ranking()
    if ranking and scores.per_image[ranking[0]] == scores.per_image[ranking[-1]]:
        return []
    first = [f"{name} ({_number(scores.per_image[name])})" for name in ranking[: min(3, len(ranking) // 2)]]
    if not first:
        return []
    plural = f"Worst {scores.sample}s" if len(first) > 1 else f"Worst {scores.sample}"
    return [f"{plural}: {', '.join(first)}."]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) <= 1 else f"{value:,.4g}"
