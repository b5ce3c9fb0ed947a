"""What is wrong with the points of a data set, one line each, and how they were read."""

from collections.abc import Iterator, Sequence

import numpy as np

from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned

MANY_OUTSIDE = 0.05
"""Where a larger part of the points of an image lies outside of it, the coordinates mean something else."""


def point_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Yield the problems of points: outside of their image, swapped axes, none at all, twice at one place."""
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    if known and not any(len(_points(one)) for one in known):
        yield Problem(_file(known[0], facts), "no image has a point", "mark the objects with a dot each", kind="none")
        return
    for one in known:
        points, size = _points(one)[:, :-1], _size(one)
        if not len(points):
            yield Problem(_file(one, facts), "it has no point", "fine if the image shows none", "warning", "empty")
        elif len(size) == points.shape[1]:
            yield from _outside(_file(one, facts), points, size)
        repeated = len(points) - len(np.unique(_points(one), axis=0))
        if repeated:
            what = f"{repeated} {_are(repeated, 'point lies', 'points lie')} exactly where another of its class lies"
            yield Problem(_file(one, facts), what, "take out those that are there twice", "warning", "twice")
        for remark in one.contents.remarks if one.contents is not None else ():
            what, _, fix = remark.partition(": ")
            yield Problem(_file(one, facts), what, fix, "warning", "dots")
    if facts.coding is not None:
        yield from _classes(known, facts, len(facts.coding.classes))


def point_notes(scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
    """Yield how many points there are in an image, and how far apart they are."""
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    counts = [len(_points(one)) for one in known]
    if not sum(counts):
        return
    near = np.concatenate([nearest(_points(one)[:, :-1]) for one in known])
    apart = f"; the nearest neighbor is {np.median(near):.1f} positions away (median)" if len(near) else ""
    yield f"{sum(counts):,} points, {min(counts)} to {max(counts)} in an image{apart}"


def nearest(points: np.ndarray) -> np.ndarray:
    """Return the distance of each point `(n, ndim)` to its nearest neighbor; nothing where there are fewer than two.

    >>> nearest(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])).tolist()
    [5.0, 1.0, 1.0]
    """
    from scipy.spatial import KDTree

    if len(points) < 2:
        return np.zeros(0)
    return np.asarray(KDTree(points).query(points, k=2)[0])[:, 1]


def _outside(file: str, points: np.ndarray, size: tuple[int, ...]) -> Iterator[Problem]:
    """Points that do not lie in their image, and what their coordinates may mean instead."""
    shape = " x ".join(map(str, size))
    if not np.isfinite(points).all():
        yield Problem(file, "a coordinate is no number", "correct it, or take the point out", kind="not finite")
        return
    out = (points < 0).any(axis=1) | (points >= np.array(size)).any(axis=1)
    count = int(out.sum())
    if not count:
        return
    reversed_size = np.array(size[::-1])
    if len(size) > 1 and ((points >= 0) & (points < reversed_size)).all():
        what = (
            f"{count} of {len(points)} points lie outside of the image ({shape}), and none would with x and y swapped"
        )
        yield Problem(file, what, "write the column of x and that of y the other way round", kind="swapped")
        return
    first = ", ".join(f"{value:g}" for value in points[out][0])
    what = f"{count} of {len(points)} points {_are(count, 'lies', 'lie')} outside of the image ({shape}), as ({first})"
    if count > max(1, MANY_OUTSIDE * len(points)):
        yield Problem(file, what, "give coordinates in pixels of this image, rows counted from the top", kind="outside")
    else:
        yield Problem(file, f"{what}: left out", "correct the coordinates if the image shows it", "warning", "outside")


def _classes(known: Sequence[Scanned], facts: Facts, count: int) -> Iterator[Problem]:
    """Classes beyond those that have names, and classes without a point."""
    assert facts.coding is not None
    for one in known:
        beyond = sorted(k for k in one.counts if not 0 <= k < count)
        if beyond:
            what = f"a point has the class number {beyond[0]}, but there are names for {count}"
            yield Problem(_file(one, facts), what, "name all classes in dataset.toml: classes = [...]", kind="class")
    present = {k for one in known for k in one.counts}
    for k, name in enumerate(facts.coding.classes):
        if k not in present:
            where = relative(facts.description or facts.root, facts.root)
            yield Problem(
                where, f"no point is of class {name!r}", "mark some, or take the class out", "warning", "rare"
            )


def _points(one: Scanned) -> np.ndarray:
    assert one.contents is not None
    assert one.contents.points is not None
    return one.contents.points


def _size(one: Scanned) -> tuple[int, ...]:
    assert one.contents is not None
    return one.contents.size


def _file(one: Scanned, facts: Facts) -> str:
    return "" if one.target is None else relative(one.target.path, facts.root)


def _are(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
