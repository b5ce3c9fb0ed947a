"""The outline of a mask as a polygon along the borders of its pixels."""

import numpy as np

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Right, down, left and up: the directions in which the upper, right, lower and left side of a pixel are walked."""


def outline(mask: np.ndarray) -> np.ndarray:
    """Return one polygon `(n, 2)` around all pixels of a mask `(h, w)`, exact by the even-odd rule.

    The rings around its pieces and holes are walked one after the other, each closed, from and back to the first
    corner: the lines between rings are walked twice and so enclose nothing.

    >>> outline(np.array([[True, True]])).tolist()
    [[0, 0], [0, 2], [1, 2], [1, 0]]
    """
    found = rings(mask)
    if len(found) < 2:
        return found[0] if found else np.zeros((0, 2), np.int64)
    home = found[0][:1]
    parts = [np.concatenate([ring, ring[:1], home]) for ring in found]
    return np.concatenate(parts)


def rings(mask: np.ndarray) -> list[np.ndarray]:
    """Return the closed rings `(n, 2)` of corners along the borders of a mask `(h, w)`, its pixels on the right side.

    Corners are rows and columns of the grid of pixel corners. Pixels that touch at a corner alone are walked apart.
    """
    inside = np.pad(mask, 1)
    here = inside[1:-1, 1:-1]
    neighbors = (inside[:-2, 1:-1], inside[1:-1, 2:], inside[2:, 1:-1], inside[1:-1, :-2])
    offsets = ((0, 0), (0, 1), (1, 1), (1, 0))  # the corner at which each side of a pixel begins
    following: dict[tuple[int, int], list[int]] = {}
    for direction, (other, (down, right)) in enumerate(zip(neighbors, offsets, strict=True)):
        for row, column in np.argwhere(here & ~other).tolist():
            following.setdefault((row + down, column + right), []).append(direction)
    found = []
    while following:
        start = min(following)
        found.append(_walked(following, start))
    return found


def _walked(following: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> np.ndarray:
    """One ring from a corner, whose sides are taken out; corners on straight lines are left out."""
    corners: list[tuple[int, int]] = []
    place, last = start, -1
    while True:
        choices = following[place]
        # Where two pixels touch at a corner, the right turn stays with the pixel that is walked.
        direction = choices[0] if last < 0 else min(choices, key=lambda choice: _left(last, choice))
        choices.remove(direction)
        if not choices:
            del following[place]
        if direction != last:
            corners.append(place)
        place, last = (place[0] + _STEPS[direction][0], place[1] + _STEPS[direction][1]), direction
        if place == start:
            return np.array(corners, np.int64)


def _left(last: int, direction: int) -> int:
    """How far left of a right turn a direction lies: 0 for a right turn, 1 straight on, 2 for a left turn."""
    return (last + 1 - direction) % 4
