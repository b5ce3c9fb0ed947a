"""Faults between files: no partner, too few images, the same image in two splits."""

from collections.abc import Iterator, Sequence

from atrous.data.check.faults import Fault, relative
from atrous.data.check.scan import Scan
from atrous.data.dataset import Dataset
from atrous.data.layouts.find import Layout


def split_faults(dataset: Dataset, layout: Layout, scans: Sequence[Scan]) -> Iterator[Fault]:
    """Faults of pairing and splitting."""
    root = dataset.root
    for path in layout.images_alone:
        mend = "add its mask (the same name), or leave it so"
        yield Fault(relative(path, root), "has no mask and is left out", mend, "warning", "no mask")
    for path in layout.labels_alone:
        mend = "add its image (the same name), or remove it"
        yield Fault(relative(path, root), "a mask without image", mend, "warning", "no image")
    train, val = (len(dataset.splits.get(split, ())) for split in ("train", "val"))
    if not train or not val:
        images = "1 image" if train + val == 1 else f"{train + val} images"
        what = f"fewer images than splits: {images} for train and val"
        yield Fault(str(root), what, "add images, or cut one into several files", kind="few images")
    yield from _twice(dataset, scans)


def _twice(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[Fault]:
    """Images whose decoded pixels are equal and that are in different splits."""
    first: dict[str, Scan] = {}
    for one in scans:
        if one.moments is None or (one.moments.least == one.moments.most).all():
            continue  # unreadable, or blank, which is a fault of its own
        other = first.setdefault(one.digest, one)
        if other.split != one.split:
            file, twin = (relative(scan.sample.image, dataset.root) for scan in (one, other))
            what = f"the same image as {twin}, in {one.split} and {other.split}: figures on {one.split} will flatter"
            yield Fault(file, what, "remove one of the two", "warning", "two splits")
