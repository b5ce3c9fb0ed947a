"""Problems between files: no partner, too few images, the same image in two splits."""

from collections.abc import Iterator, Sequence

from atrous.data.dataset import Dataset
from atrous.data.layouts.base import Layout
from atrous.data.problems import Problem, relative
from atrous.data.scan import Scan

_SAMPLES = {
    "videos": ("video", "add videos, or cut one into several"),
    "scenes": ("labelled frame", "label another frame, or more of another sequence"),
}
"""What samples of some kinds of data are called, and what to do where there are too few of them."""


def split_problems(dataset: Dataset, layout: Layout, scans: Sequence[Scan]) -> Iterator[Problem]:
    """Yield the problems of pairing and splitting."""
    root = dataset.root
    for path in layout.images_alone:
        fix = "add its mask (the same name), or leave it so"
        yield Problem(relative(path, root), "has no mask and is left out", fix, "warning", "no mask")
    for path in layout.labels_alone:
        fix = "add its image (the same name), or remove it"
        yield Problem(relative(path, root), "a mask without image", fix, "warning", "no image")
    for file in layout.left_out:
        yield Problem(relative(file.path, root), file.what, file.fix, "warning", f"left out: {file.what}")
    train, val = (len(dataset.splits.get(split, ())) for split in ("train", "val"))
    if not train or not val:
        name, fix = _SAMPLES.get(layout.kind, ("image", "add images, or cut one into several files"))
        count = f"1 {name}" if train + val == 1 else f"{train + val} {name}s"
        yield Problem(str(root), f"fewer {name}s than splits: {count} for train and val", fix, kind="few images")
    yield from _twice(dataset, scans)


def _twice(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[Problem]:
    """Images whose decoded pixels are equal and that are in different splits."""
    first: dict[str, Scan] = {}
    for one in scans:
        if one.moments is None or (one.moments.least == one.moments.most).all():
            continue  # unreadable, or blank, which is a fault of its own
        other = first.setdefault(one.digest, one)
        if other.split != one.split:
            file, twin = (relative(scan.sample.image.path, dataset.root) for scan in (one, other))
            measured = _measured(one.split, other.split)
            what = f"the same image as {twin}, in {one.split} and {other.split}: metrics on {measured} will be too good"
            yield Problem(file, what, "remove one of the two", "warning", "two splits")


def _measured(one: str, other: str) -> str:
    """Return which of two splits is measured too well because they share an image: the later one in use.

    >>> _measured("train", "val"), _measured("val", "train"), _measured("val", "test"), _measured("test", "train")
    ('val', 'val', 'test', 'test')
    """
    order = ("train", "val")
    return max(one, other, key=lambda split: order.index(split) if split in order else len(order))
