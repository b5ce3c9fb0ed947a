"""What is wrong with the points of a data set, one line each, and how they were read."""

from collections.abc import Iterator, Sequence

import numpy as np

from atrous.data.problems import Problem, relative
from atrous.data.targets.base import Facts, Scanned


def point_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Yield the problems of all points: none at all, classes without a point.

    What is wrong with annotation files that points come from is said in `check/objects.py`.
    """
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    if known and not any(len(_points(one)) for one in known):
        yield Problem(_file(known[0], facts), "no image has a point", "mark the objects with a dot each", kind="none")
    elif facts.coding is not None:
        yield from _classes(known, facts, len(facts.coding.classes))


def dot_problems(scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Yield the problems of images of dots: no dot, and what was remarked when they were read."""
    known = [one for one in scans if one.contents is not None and one.contents.points is not None]
    for one in known if any(len(_points(one)) for one in known) else ():
        if not len(_points(one)):
            yield Problem(_file(one, facts), "it has no point", "fine if the image shows none", "warning", "empty")
        for remark in one.contents.remarks if one.contents is not None else ():
            what, _, fix = remark.partition(": ")
            yield Problem(_file(one, facts), what, fix, "warning", "dots")


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


def _file(one: Scanned, facts: Facts) -> str:
    return "" if one.target is None else relative(one.target.path, facts.root)
