"""The numbers of points from which a training is planned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.data.scan import Scan
from atrous.data.targets.point_problems import nearest
from atrous.objects.steps import unit_steps


@dataclass(frozen=True)
class PointFacts:
    """What is known of the points of train (of all splits without train).

    Attributes:
        count: how many there are.
        apart: percentiles 5, 25 and 50 of the distance to the nearest neighbor of any class, in positions; empty where
            no image has two points.
        single: whether no image has two points of one class.
        spaced: `apart` where steps along the axes are as long as the images' spacing says, in units of the side of a
            cube (square) of a position's volume; empty where there is no spacing.
    """

    count: int
    apart: tuple[float, ...]
    single: bool
    spaced: tuple[float, ...] = ()


def point_facts(scans: Sequence[Scan], spacing: Sequence[float] = ()) -> PointFacts | None:
    """Return what is known of the points; None where targets are no points.

    Args:
        scans: of the images.
        spacing: typical distance of neighboring positions along each axis; none where it is not known.
    """
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    if not known:
        return None
    chosen = [one for one in known if one.split == "train"] or known
    points = [one.contents.points for one in chosen if one.contents is not None and one.contents.points is not None]
    apart, spaced = _apart(points, 1.0), ()
    if len(spacing) > 1 and all(0 < step < np.inf for step in spacing):
        spaced = _apart(points, np.array(unit_steps(tuple(spacing), len(spacing))))
    most = max((count for one in chosen for count in one.counts.values()), default=0)
    return PointFacts(sum(map(len, points)), apart, most <= 1, spaced)


def _apart(points: Sequence[np.ndarray], steps: np.ndarray | float) -> tuple[float, ...]:
    """Percentiles of the distance to the nearest neighbor; empty where no image has two points."""
    near = np.concatenate([nearest(rows[:, :-1] * steps) for rows in points])
    return tuple(float(value) for value in np.percentile(near, [5, 25, 50])) if len(near) else ()
