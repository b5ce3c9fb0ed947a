"""Asynchronous successive halving with several objectives: which points deserve a longer training.

Successive halving (Li et al. 2018, "A system for massively parallel hyperparameter tuning", arXiv:1810.05934) trains
many points for a short time, the best third of them three times as long, the best third of these three times as long
again. Asynchronous: a point moves up as soon as it is among the best third of those that have finished on its rung;
nothing waits for a rung to be full.

With one objective "best" is a sort. With several it is the order of non-dominated fronts (Deb et al. 2002, NSGA-II).
Within a front the best in the first objective comes first, and then always the one that is farthest from those that
came before, so that what moves up is spread over the front (the epsilon-net of Schmucker et al. 2021, "Multi-objective
asynchronous successive halving", arXiv:2106.12639).
"""

from collections.abc import Sequence

import numpy as np

ETA = 3
"""A training on the next rung is so many times as long, and one point of so many gets one."""


def rung_minutes(first: float, rungs: int) -> tuple[float, ...]:
    """Return the minutes of a training on each rung.

    >>> rung_minutes(1.0, 3)
    (1.0, 3.0, 9.0)
    """
    return tuple(first * ETA**rung for rung in range(rungs))


def dominated_by(losses: np.ndarray) -> np.ndarray:
    """Return for each point of `losses` `(n, m)` how many others are nowhere worse and somewhere better.

    >>> dominated_by(np.array([[1.0, 1.0], [2.0, 0.0], [2.0, 2.0]])).tolist()
    [0, 0, 2]
    """
    no_worse = (losses[:, None, :] <= losses[None, :, :]).all(2)
    better = (losses[:, None, :] < losses[None, :, :]).any(2)
    return (no_worse & better).sum(0)


def front(losses: np.ndarray) -> list[int]:
    """Return the points of `losses` `(n, m)` that no other dominates, the best in the first objective first.

    >>> front(np.array([[2.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    [1, 0]
    """
    chosen = np.flatnonzero(dominated_by(losses) == 0) if len(losses) else np.array([], int)
    return [int(i) for i in sorted(chosen, key=lambda i: tuple(losses[i]))]


def best_first(losses: np.ndarray) -> list[int]:
    """Return all points of `losses` `(n, m)`, front by front, spread over each front.

    >>> best_first(np.array([[3.0, 3.0], [0.0, 9.0], [1.0, 8.0], [9.0, 0.0]]))
    [1, 3, 0, 2]
    """
    span = np.ptp(losses, axis=0) if len(losses) else np.array([])
    places = losses / np.where(span > 0, span, 1.0)
    order: list[int] = []
    left = list(range(len(losses)))
    while left:
        layer = [left[i] for i in front(losses[left])]
        spread = [layer.pop(0)]
        while layer:
            apart = [min(float(np.linalg.norm(places[i] - places[j])) for j in spread) for i in layer]
            spread.append(layer.pop(int(np.argmax(apart))))
        order += spread
        left = [i for i in left if i not in spread]
    return order


def promotable(losses: Sequence[Sequence[float]]) -> list[int]:
    """Return the points of a rung that deserve a longer training, the best first: one of `ETA`.

    Args:
        losses: of the points that have finished on the rung, smaller is better.

    >>> promotable([[3.0], [1.0], [2.0], [5.0]])
    [1]
    """
    return best_first(np.array(losses, float))[: len(losses) // ETA] if losses else []
