"""Decode every file of a data set once and keep what planning and the data doctor need to know of it."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat

import numpy as np

from atrous.data.dataset import (
    THREADS,
    label_values,
    load_header,
    load_image,
    load_valid,
    to_channels,
    value_counts,
    void_frames,
)
from atrous.data.formats import FileFault, Header, read_header, read_values
from atrous.data.moments import Moments, moments
from atrous.data.sample import Sample

Progress = Callable[[int, int], None]
FOREGROUND = 5000
"""Positions of a volume at most at which its foreground is looked at."""


@dataclass
class Scan:
    """One sample, decoded and forgotten.

    Attributes:
        sample: which.
        split: in which split.
        image: header of the image as the file has it; None when it cannot be read.
        digest: hash of the decoded pixels.
        moments: of the image as it is loaded, alpha dropped and channels set.
        foreground: values `(C, n)` at some positions whose label is not 0, of volumes; None elsewhere.
        label: header of the label file, None when there is none or it cannot be read.
        label_size: its spatial shape.
        counts: positions per file value, the region applied.
        stretches: of genomes, per channel: the lengths of the stretches that have it.
        outside: positions outside the region, or without data.
        void: positions without data in the image.
        colored: whether these values are colors `0xRRGGBB`.
        failures: files that could not be used.
    """

    sample: Sample
    split: str
    image: Header | None = None
    digest: str = ""
    moments: Moments | None = None
    foreground: np.ndarray | None = None
    label: Header | None = None
    label_size: tuple[int, ...] = ()
    counts: dict[int, int] = field(default_factory=dict)
    stretches: dict[int, np.ndarray] = field(default_factory=dict)
    outside: int = 0
    void: int = 0
    colored: bool = False
    failures: list[FileFault] = field(default_factory=list)


def scan(splits: dict[str, tuple[Sample, ...]], color_expected: bool, progress: Progress | None = None) -> list[Scan]:
    """Scan all samples of all splits on two threads; `progress(done, of)` is called after each."""
    todo = [sample for samples in splits.values() for sample in samples]
    homes = [split for split, samples in splits.items() for _ in samples]
    scans = []
    with ThreadPoolExecutor(THREADS) as pool:
        for done in pool.map(_scan, todo, homes, repeat(color_expected)):
            scans.append(done)
            if progress is not None:
                progress(len(scans), len(todo))
    return scans


def total_counts(scans: Sequence[Scan], colored: bool) -> dict[int, int]:
    """Positions per value over the scans whose masks are (or are not) colors."""
    total: dict[int, int] = {}
    for one in scans:
        for value, count in one.counts.items() if one.colored == colored else ():
            total[value] = total.get(value, 0) + count
    return dict(sorted(total.items()))


def _scan(sample: Sample, split: str, color_expected: bool) -> Scan:
    found = Scan(sample, split)
    image = values = valid = None
    try:
        valid = _scan_valid(found)
        image = _scan_image(found, valid)
    except FileFault as fault:
        found.failures.append(fault)
    try:
        values = _scan_label(found, color_expected, valid)
    except FileFault as fault:
        found.failures.append(fault)
    if image is not None and values is not None and image.shape[1:] == values.shape and image.ndim == 4:
        places = np.flatnonzero(values)
        chosen = places[np.linspace(0, len(places) - 1, min(len(places), FOREGROUND)).astype(int)]
        found.foreground = image.reshape(len(image), -1)[:, chosen]
    return found


def _scan_valid(found: Scan) -> np.ndarray | None:
    """Where the image has data, `(*S)`; None where every position has."""
    mask = load_valid(found.sample)
    valid = None if mask is None else np.asarray(mask[...])
    if valid is None or valid.all():
        return None
    found.void = int(np.count_nonzero(~valid))
    return valid


def _scan_image(found: Scan, valid: np.ndarray | None) -> np.ndarray:
    sample = found.sample
    header = load_header(sample)
    image = load_image(replace(sample, channels=None))
    digest = hashlib.blake2b(f"{image.shape}{image.dtype}".encode(), digest_size=16)
    digest.update(image.data)
    found.digest = digest.hexdigest()
    found.image = header
    image = to_channels(image, sample.channels, sample.image)
    found.moments = moments(image if valid is None else image[:, valid])
    return image


def _scan_label(found: Scan, color_expected: bool, valid: np.ndarray | None) -> np.ndarray | None:
    if found.sample.label is None:
        return None
    header = read_header(found.sample.label)
    values, found.colored = label_values(found.sample, color_expected)
    found.label, found.label_size = header, values.shape
    inside = None
    if found.sample.region is not None:
        region = read_values(found.sample.region)
        if region.shape != values.shape:
            sizes = f"{'x'.join(map(str, region.shape))}, but its mask is {'x'.join(map(str, values.shape))}"
            raise FileFault(found.sample.region, f"the region is {sizes}", "make them equal")
        inside = region != 0
    if valid is not None and valid.shape == values.shape:
        inside = valid if inside is None else inside & valid
    if (unlabeled := void_frames(found.sample)) is not None and unlabeled.any():
        masked = np.broadcast_to(~unlabeled[:, None, None], values.shape)
        inside = masked if inside is None else inside & masked
    if inside is None:
        found.counts = value_counts(values)
        return values
    found.outside = int(np.count_nonzero(~inside))
    found.counts = value_counts(values[inside])
    return np.where(inside, values, 0)
