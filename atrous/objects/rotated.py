"""Candidates that are rotated boxes: rectangles in any direction (2-D), and the numbers that say their form.

A rotated box is five numbers: the row and the column of its center, its length, its width, and the angle of the side
that is called the length, in radians from the last axis towards the first. A box does not change by half a turn, nor by
a quarter of a turn that exchanges length and width, so the five numbers jump where the box does not (Yang et al.,
"Learning high-precision bounding box for rotated object detection via Kullback-Leibler divergence", NeurIPS 2021).
`form_of` gives numbers without jumps, which a network can learn.
"""

import numpy as np

from atrous.objects.candidates import Candidates

AT_ONCE = 50_000
"""Pairs whose overlap is computed in one step."""


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """Return the corners `(n, 4, 2)` float64 of rotated boxes `(n, 5)`, one side after the other.

    >>> corners_of(np.array([[5.0, 4, 6, 2, 0]]))[0].tolist()
    [[4.0, 1.0], [4.0, 7.0], [6.0, 7.0], [6.0, 1.0]]
    """
    boxes = np.asarray(boxes, np.float64)
    return boxes[:, None, :2] + _around(boxes)


def _around(boxes: np.ndarray) -> np.ndarray:
    """The corners `(n, 4, 2)`, counted from the center."""
    sine, cosine = np.sin(boxes[:, 4]), np.cos(boxes[:, 4])
    along = np.stack([sine, cosine], axis=1) * (boxes[:, 2:3] / 2)
    across = np.stack([cosine, -sine], axis=1) * (boxes[:, 3:4] / 2)
    return np.stack([-across - along, -across + along, across + along, across - along], axis=1)


def boxes_of(corners: np.ndarray) -> np.ndarray:
    """Return the rotated boxes `(n, 5)` of corners `(n, 8)` or `(n, 4, 2)`, as `corners_of` gives them.

    The length is not less than the width, and the angle lies from 0 to pi. Of corners that are those of no rectangle,
    the sides are the means of both pairs, and the angle is that of the longer pair.

    >>> boxes_of(corners_of(np.array([[5.0, 4, 2, 6, 0]]))).round(6).tolist()
    [[5.0, 4.0, 6.0, 2.0, 1.570796]]
    """
    corners = np.asarray(corners, np.float64).reshape(-1, 4, 2)
    along = (corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3]) / 2
    across = (corners[:, 2] - corners[:, 1] + corners[:, 3] - corners[:, 0]) / 2
    one, other = np.hypot(*along.T), np.hypot(*across.T)
    longer = np.where((one >= other)[:, None], along, across)
    angle = np.mod(np.arctan2(longer[:, 0], longer[:, 1]), np.pi)
    return np.column_stack([corners.mean(axis=1), np.maximum(one, other), np.minimum(one, other), angle])


def rectangle_around(points: np.ndarray) -> np.ndarray:
    """Return the corners `(4, 2)` of the smallest rectangle in any direction around points `(n, 2)`, n at least 1.

    One of its sides lies along a side of the convex hull of the points (Freeman and Shapira, "Determining the
    minimum-area encasing rectangle for an arbitrary closed curve", 1975).

    >>> rectangle_around(np.array([[1, 2], [2, 3], [3, 2], [2, 1], [2, 2]])).round(6).tolist()
    [[1.0, 2.0], [2.0, 3.0], [3.0, 2.0], [2.0, 1.0]]
    """
    hull = convex_hull(np.asarray(points, np.float64))
    sides = np.roll(hull, -1, axis=0) - hull
    turns = np.unique(np.mod(np.arctan2(sides[:, 0], sides[:, 1]), np.pi / 2))
    sine, cosine = np.sin(turns)[:, None], np.cos(turns)[:, None]
    along, across = hull[:, 0] * sine + hull[:, 1] * cosine, hull[:, 0] * cosine - hull[:, 1] * sine
    length, width = np.ptp(along, axis=1), np.ptp(across, axis=1)
    best = int((length * width).argmin())
    middle = (along[best].min() + length[best] / 2, across[best].min() + width[best] / 2)
    y = middle[0] * sine[best, 0] + middle[1] * cosine[best, 0]
    x = middle[0] * cosine[best, 0] - middle[1] * sine[best, 0]
    return corners_of(np.array([[y, x, length[best], width[best], turns[best]]]))[0]


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Return the corners `(m, 2)` of the convex hull of points `(n, 2)` in turn (Andrew's monotone chain, 1979).

    Points on its sides are left out.

    >>> convex_hull(np.array([[0, 0], [0, 2], [2, 2], [2, 0], [1, 1], [0, 1]])).tolist()
    [[0, 0], [2, 0], [2, 2], [0, 2]]
    """
    rows = np.unique(points, axis=0).tolist()
    if len(rows) < 3:
        return np.array(rows)
    chains: list[list[list[float]]] = []
    for ordered in (rows, rows[::-1]):
        chain: list[list[float]] = []
        for point in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains.append(chain[:-1])
    return np.array(chains[0] + chains[1])


def _turn(first: list[float], second: list[float], third: list[float]) -> float:
    """Twice the area of a triangle; negative if it goes around the other way."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])


def common_area(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area `(n,)` that two rotated boxes have in common, row by row; exact but for rounding.

    In the frame of the second box, which is upright there, every point of the outline of the first one is moved to the
    nearest point of the second box. The area inside of the moved outline is the one in common: the outline still goes
    around the same points of the inside, and what lay outside now runs along the border. A side stays straight between
    the places where it crosses the four lines of the border, so the moved outline is a polygon of these places and the
    corners. This has no cases, so boxes that share sides or corners need no care.

    Args:
        boxes: `(n, 5)`.
        others: `(n, 5)`.

    >>> turned = np.array([[0, 0, 1, 1, np.pi / 4]])  # an octagon is in common
    >>> common_area(np.array([[0.0, 0, 1, 1, 0]]), turned).round(6).tolist()
    [0.828427]
    """
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    pieces = [np.zeros(0)]
    for start in range(0, len(boxes), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        pieces.append(_common_area(boxes[part], others[part]))
    return np.concatenate(pieces)


def _common_area(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    corners = (boxes[:, :2] - others[:, :2])[:, None] + _around(boxes)
    sine, cosine = np.sin(others[:, 4, None]), np.cos(others[:, 4, None])
    along = corners[..., 0] * sine + corners[..., 1] * cosine
    across = corners[..., 0] * cosine - corners[..., 1] * sine
    start = np.stack([along, across], axis=-1)  # (n, 4, 2)
    step = np.roll(start, -1, axis=1) - start
    limit = others[:, None, None, 2:4] / 2
    # When each side, from 0 to 1, crosses the four lines: (n, 4 sides, 2 lines, 2 axes); 0 where it never does.
    to_line = np.concatenate([-limit, limit], axis=2) - start[:, :, None]
    moves = np.broadcast_to(step[:, :, None], to_line.shape)
    with np.errstate(over="ignore"):
        times = np.divide(to_line, moves, out=np.zeros_like(to_line), where=moves != 0)
    times = np.sort(np.clip(times, 0, 1).reshape(len(boxes), 4, 4), axis=2)
    times = np.concatenate([np.zeros((len(boxes), 4, 1)), times], axis=2)[..., None]
    points = np.clip(start[:, :, None] + times * step[:, :, None], -limit, limit).reshape(len(boxes), 20, 2)
    following = np.roll(points, -1, axis=1)
    # The area of a polygon (shoelace formula).
    area = np.abs((points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]).sum(axis=1)) / 2
    return np.minimum(area, np.minimum(boxes[:, 2] * boxes[:, 3], others[:, 2] * others[:, 3]))


def rotated_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union `(n,)` of rotated boxes `(n, 5)`, row by row; 0 where neither has an area.

    >>> rotated_iou(np.array([[0.0, 2, 4, 1, 0]]), np.array([[0.0, 4, 1, 4, np.pi / 2]])).round(6).tolist()
    [0.333333]
    """
    common = common_area(boxes, others)
    union = boxes[:, 2] * boxes[:, 3] + others[:, 2] * others[:, 3] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


class RotatedShape:
    """Rotated boxes: the values of a candidate are `(n, 5)`, see the module. The overlap is intersection over union."""

    def bounds(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """See `Shape.bounds`."""
        boxes = candidates.values.astype(np.float64)
        sine, cosine = np.abs(np.sin(boxes[:, 4])), np.abs(np.cos(boxes[:, 4]))
        length, width = boxes[:, 2], boxes[:, 3]
        half = np.stack([length * sine + width * cosine, length * cosine + width * sine], axis=1) / 2
        return boxes[:, :2] - half, boxes[:, :2] + half

    def overlap(self, winners: Candidates, others: Candidates) -> np.ndarray:
        """See `Shape.overlap`."""
        return rotated_iou(winners.values.astype(np.float64), others.values.astype(np.float64))


def form_of(boxes: np.ndarray) -> np.ndarray:
    """Return the form of rotated boxes `(n, 5)` as numbers `(n, 5)` that are one for each form, and never jump.

    With the length l, the width w and the angle a they are m = (l + w) / 4, then d cos 2a and d sin 2a with
    d = (l - w) / 4, then cos 4a and sin 4a. The first three tell the sides and the direction of the longer one; they
    lose the direction of a square, which the last two tell. That one frequency tells the direction of long boxes and
    its double that of squares is due to Yu and Da ("Phase-shifting coder", CVPR 2023).

    >>> one, same = np.array([[0, 0, 6.0, 2, 0.3]]), np.array([[0, 0, 2.0, 6, 0.3 + np.pi / 2]])
    >>> bool(np.allclose(form_of(one), form_of(same)))
    True
    """
    length, width, angle = np.asarray(boxes, np.float64)[:, 2:].T
    mean, differ = (length + width) / 4, (length - width) / 4
    return np.stack(
        [mean, differ * np.cos(2 * angle), differ * np.sin(2 * angle), np.cos(4 * angle), np.sin(4 * angle)], axis=1
    )


def sides_of(form: np.ndarray) -> np.ndarray:
    """Return length, width and angle `(n, 3)` float64 of forms `(n, 5)`, which `form_of` explains.

    The length is not less than the width, neither is negative, and the angle lies from 0 to pi. The last two numbers
    say the angle up to quarters of a turn; the quarter is the one that is nearest to the direction of the longer side.

    >>> sides_of(form_of(np.array([[0, 0, 2.0, 6, 0.3]]))).round(6).tolist()
    [[6.0, 2.0, 1.870796]]
    """
    mean, even, odd, cosine, sine = np.asarray(form, np.float64).T
    mean = np.maximum(mean, 0)
    differ = np.minimum(np.hypot(even, odd), mean)
    direction, quarter = np.arctan2(odd, even) / 2, np.arctan2(sine, cosine) / 4
    angle = np.mod(quarter + np.rint((direction - quarter) / (np.pi / 2)) * (np.pi / 2), np.pi)
    return np.stack([2 * (mean + differ), 2 * (mean - differ), angle], axis=1)
