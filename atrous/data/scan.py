"""What is kept of each sample after every file of a data set was decoded once."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from atrous.data.formats import FileFault, Header
from atrous.data.formats.mirrored import FetchAhead
from atrous.data.moments import Moments, moments
from atrous.data.outliers import Outlier, far_value
from atrous.data.sample import Sample
from atrous.data.targets.base import Target, TargetScan

THREADS = 2
Progress = Callable[[int, int], None]


@dataclass
class Scan:
    """One sample, decoded and forgotten.

    Attributes:
        sample: which sample.
        split: its split.
        image: header of the image as its files have it; None when it cannot be read.
        digest: hash of the decoded pixels; equal images have equal digests.
        moments: statistics of the image as the network is given it.
        foreground: values `(C, n)` at some positions whose label is not 0, for volumes; None for other data.
        void: positions without data in the image.
        outlier: a value far outside the rest that covers part of the image, as undeclared values for no data do; with
            that part of the positions, and the range of the rest.
        contents: what is kept of the target; None when there is none or it cannot be read.
        failures: the files that cannot be used, and why.
    """

    sample: Sample
    split: str
    image: Header | None = None
    digest: str = ""
    moments: Moments | None = None
    foreground: np.ndarray | None = None
    void: int = 0
    outlier: Outlier | None = None
    contents: TargetScan | None = None
    failures: list[FileFault] = field(default_factory=list)

    @property
    def target(self) -> Target | None:
        """The target of the sample."""
        return self.sample.target

    @property
    def counts(self) -> dict[int, int]:
        """Positions per file value of the target."""
        return {} if self.contents is None else self.contents.counts

    @property
    def colored(self) -> bool:
        """Whether the target's values are colors."""
        return self.contents is not None and self.contents.colored


def scan(splits: dict[str, tuple[Sample, ...]], color_expected: bool, progress: Progress | None = None) -> list[Scan]:
    """Decode all samples of all splits on two threads.

    Args:
        splits: the samples.
        color_expected: whether dataset.toml says that masks store colors.
        progress: called as `progress(done, total)` after each sample.
    """
    samples = [sample for members in splits.values() for sample in members]
    homes = [split for split, members in splits.items() for _ in members]
    scans = []
    files = [[*sample.image.files, *([sample.target.path] if sample.target else [])] for sample in samples]
    with ThreadPoolExecutor(THREADS) as pool, FetchAhead(files) as ahead:
        for scanned in pool.map(_scan, samples, homes, repeat(color_expected)):
            scans.append(scanned)
            ahead.reached(len(scans))
            if progress is not None:
                progress(len(scans), len(samples))
    return scans


def total_counts(scans: Sequence[Scan], colored: bool) -> dict[int, int]:
    """Add up the positions per value over the scans whose targets store colors, or over those that do not."""
    total: dict[int, int] = {}
    for scanned in scans:
        for value, count in scanned.counts.items() if scanned.colored == colored else ():
            total[value] = total.get(value, 0) + count
    return dict(sorted(total.items()))


def _scan(sample: Sample, split: str, color_expected: bool) -> Scan:
    scanned = Scan(sample, split)
    image = valid = None
    try:
        valid = _scan_valid(scanned)
        image = _scan_image(scanned, valid)
    except FileFault as fault:
        scanned.failures.append(fault)
    try:
        if sample.target is not None:
            scanned.contents = sample.target.scan(valid, color_expected)
            if image is not None:
                scanned.contents.mirrored = sample.target.mirror_sums(image)
    except FileFault as fault:
        scanned.failures.append(fault)
    contents = scanned.contents
    if image is None or contents is None or contents.foreground is None:
        return scanned
    if image.shape[1:] == contents.size:
        scanned.foreground = image.reshape(len(image), -1)[:, contents.foreground]
    return scanned


def _scan_valid(scanned: Scan) -> np.ndarray | None:
    """Where the image has data, `(*S)`; None where every position has."""
    mask = scanned.sample.image.valid()
    valid = None if mask is None else np.asarray(mask[...])
    if valid is None or valid.all():
        return None
    scanned.void = int(np.count_nonzero(~valid))
    return valid


def _scan_image(scanned: Scan, valid: np.ndarray | None) -> np.ndarray:
    header = scanned.sample.image.header()
    stored = np.asarray(scanned.sample.image.stored())
    digest = hashlib.blake2b(f"{stored.shape}{stored.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(stored).data)
    scanned.digest = digest.hexdigest()
    scanned.image = header
    image = scanned.sample.image.with_channels(stored)
    scanned.moments = moments(image if valid is None else image[:, valid])
    scanned.outlier = far_value(image if valid is None else image[:, valid], scanned.moments)
    return image
