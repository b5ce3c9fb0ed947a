"""The numbers of points from which a training is planned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrous.data.scan import Scan
from atrous.data.targets.point_problems import nearest


@dataclass(frozen=True)
class PointFacts:
    """What is known of the points of train (of all splits without train).

    Attributes:
        count: how many there are.
        apart: percentiles 5, 25 and 50 of the distance to the nearest neighbor of any class, in positions; empty where
            no image has two points.
        single: whether no image has two points of one class.
    """

    count: int
    apart: tuple[float, ...]
    single: bool


def point_facts(scans: Sequence[Scan]) -> PointFacts | None:
    """Return what is known of the points; None where targets are no points."""
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    if not known:
        return None
    chosen = [one for one in known if one.split == "train"] or known
    points = [one.contents.points for one in chosen if one.contents is not None and one.contents.points is not None]
    near = np.concatenate([nearest(rows[:, :-1]) for rows in points])
    apart = tuple(float(value) for value in np.percentile(near, [5, 25, 50])) if len(near) else ()
    most = max((count for one in chosen for count in one.counts.values()), default=0)
    return PointFacts(sum(map(len, points)), apart, most <= 1)
