"""What the data doctor sees of genomes: letters, features, and faults between the files."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atrous.data.check.faults import Fault, relative, some
from atrous.data.check.fingerprint import Fingerprint, Sizes
from atrous.data.check.scan import Progress, Scan
from atrous.data.dataset import Dataset
from atrous.data.formats import FileFault, Header
from atrous.data.genomes.fasta import sequence_lengths
from atrous.data.genomes.labels import CODING, features_of
from atrous.data.genomes.letters import NAMES, SHARES
from atrous.data.layouts.genomes import annotations, features_on, genome_label, open_genome
from atrous.data.moments import Moments, merge, moments
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.labels import IGNORE

PIECE = 1 << 22
"""Bases looked at together."""


def scan_genomes(dataset: Dataset, progress: Progress | None = None) -> list[Scan]:
    """Look at every sequence once. `counts` holds the bases of each channel; `outside` those that count for nothing."""
    todo = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    scans = []
    for split, sample in todo:
        scans.append(_scan(dataset, sample, split))
        if progress is not None:
            progress(len(scans), len(todo))
    return scans


def _scan(dataset: Dataset, sample: Sample, split: str) -> Scan:
    found = Scan(sample, split)
    try:
        source = open_genome(sample)
        digest = hashlib.blake2b(digest_size=16)
        length = source.shape[1]
        for start in range(0, length, PIECE):
            piece = np.asarray(source[:, start : start + PIECE])
            digest.update(piece.tobytes())
            here = moments(piece)
            found.moments = here if found.moments is None else merge(found.moments, here)
        found.image, found.digest = Header(tuple(source.shape), "float32", "sequence"), digest.hexdigest()
        if sample.label is not None:
            labels = genome_label(sample, dataset.classes) & 0xFF
            sets = np.bincount(labels, minlength=256)
            found.label_size, found.outside = labels.shape, int(sets[IGNORE])
            sets[IGNORE] = 0
            has = np.arange(256)
            found.counts = {k: int(sets[has >> k & 1 == 1].sum()) for k in range(len(dataset.classes))}
            found.stretches = {k: _lengths((labels >> k & 1 == 1) & (labels != IGNORE)) for k in found.counts}
    except FileFault as fault:
        found.failures.append(fault)
    return found


def _lengths(inside: np.ndarray) -> np.ndarray:
    """How long the stretches of True are.

    >>> _lengths(np.array([True, True, False, True]))
    array([2, 1])
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


def _shortest(scans: Sequence[Scan], channels: int) -> tuple[int, ...]:
    """Per channel half of the length that all but a hundredth of its stretches have; 1 where there are none."""
    found = [np.concatenate([one.stretches.get(k, np.empty(0, int)) for one in scans]) for k in range(channels)]
    return tuple(max(1, int(np.percentile(lengths, 1)) // 2) if len(lengths) else 1 for lengths in found)


def genome_fingerprint(dataset: Dataset, scans: Sequence[Scan]) -> Fingerprint:
    """The numbers that planning needs; `class_frequency` is the share of the bases of train that have each channel.

    Raises:
        UserError: not one sequence could be read.
    """
    good = [(one, one.image, one.moments) for one in scans if one.image is not None and one.moments is not None]
    if not good:
        failures = [failure for one in scans for failure in one.failures]
        raise failures[0] if failures else UserError(f"{dataset.root}: no sequence with an annotation: add some")
    lengths = np.array([header.size[0] for _, header, _ in good])
    chosen = [row for row in good if row[0].split == "train"] or good
    total: Moments = chosen[0][2]
    for _, _, here in chosen[1:]:
        total = merge(total, here)
    positions = dict.fromkeys(dataset.splits, 0)
    for one, header, _ in good:
        positions[one.split] += header.size[0]
    counted = sum(header.size[0] - one.outside for one, header, _ in chosen)
    bases = [sum(one.counts.get(k, 0) for one, _, _ in chosen) for k in range(len(dataset.classes))]
    channels = good[0][1].shape[0]
    return Fingerprint(
        channels=channels,
        dtype="float32",
        sizes=Sizes((int(lengths.min()),), (round(float(np.median(lengths))),), (int(lengths.max()),)),
        images={split: len(samples) for split, samples in dataset.splits.items()},
        positions=positions,
        class_frequency=tuple(count / max(1, counted) for count in bases),
        mean=tuple(float(m) for m in total.mean),
        std=tuple(float(s) for s in total.std),
        minimum=float(total.least.min()),
        maximum=float(total.most.max()),
        bytes_decoded=int(lengths.sum()) * 3,
        shortest=_shortest([one for one, _, _ in chosen], len(dataset.classes)),
    )


def genome_notes(dataset: Dataset, scans: Sequence[Scan]) -> list[str]:
    """Letters other than A, C, G and T, and how many features there are, in words."""
    notes = []
    for one in scans:
        odd = _odd_letters(one.sample) if not one.failures else {}
        if odd:
            counts = ", ".join(f"{letter} {count:,}" for letter, count in odd.items())
            notes.append(
                f"{one.sample.name}: letters other than A C G T, read as equal shares of their bases: {counts}"
            )
    features: Counter[str] = Counter()
    pseudo = 0
    for sample in dataset.samples:
        for path in annotations(sample):
            for feature in features_on(path, sample.sequence):
                known = feature.kind in features_of(dataset.classes)
                features[feature.kind] += known and not feature.pseudo
                pseudo += known and feature.pseudo
    counted = ", ".join(f"{features[name]:,} {name}" for name in features_of(dataset.classes))
    notes.append(f"features: {counted}; {pseudo:,} pseudogenes, whose bases count for nothing")
    left = sorted(name for name in features if name not in features_of(dataset.classes))
    if left:
        notes.append(f"not learned: {some(left)}: name up to three features in `classes` of dataset.toml to choose")
    return notes


def _odd_letters(sample: Sample) -> dict[str, int]:
    source = open_genome(sample)
    counts = np.zeros(16, np.int64)
    sequence = getattr(source, "codes", None)
    if sequence is None:
        sequence = source.sources[0].codes
    for start in range(0, source.shape[1], PIECE):
        counts += np.bincount(np.asarray(sequence[start : start + PIECE]), minlength=16)
    return {NAMES[code]: int(counts[code]) for code in range(16) if counts[code] and SHARES[code].max() < 1}


def genome_faults(dataset: Dataset, scans: Sequence[Scan]) -> Iterator[Fault]:
    """Faults within files and between a sequence and what is said to lie on it."""
    root = dataset.root
    for one in scans:
        for failure in one.failures:
            yield Fault(relative(failure.file, root), failure.what, failure.mend, kind="unreadable")
    names: dict[Path, set[str]] = {}
    for sample in dataset.samples:
        for path in annotations(sample):
            names.setdefault(path, set()).update(sequence_lengths(sample.image))
    for path, known in names.items():
        yield from _strangers(path, known, root)
    for one in scans:
        if one.image is not None and not one.failures:
            yield from _misplaced(dataset, one.sample, one.image.size[0])
    have = [k for k in range(len(dataset.classes)) if any(one.counts.get(k) for one in scans if one.split == "train")]
    for k in sorted(set(range(len(dataset.classes))) - set(have)):
        yield Fault(
            str(root), f"no {dataset.classes[k]} in train: it cannot be learned",
            "add some, or leave it out of `classes`", "warning", "absent class",
        )  # fmt: skip


def _strangers(path: Path, known: set[str], root: Path) -> Iterator[Fault]:
    """Features on sequences that the FASTA file does not have."""
    from atrous.data.genomes.annotation import read_features

    unknown = Counter(feature.sequence for feature in read_features(path) if feature.sequence not in known)
    if unknown:
        strangers = some(list(unknown), 2)
        what = f"{sum(unknown.values())} features on sequences that the FASTA file does not have ({strangers})"
        mend = f"name them alike: it has {some(sorted(known), 2)}"
        yield Fault(relative(path, root), what, mend, kind="unknown sequence")


def _misplaced(dataset: Dataset, sample: Sample, length: int) -> Iterator[Fault]:
    root, wanted = dataset.root, features_of(dataset.classes)
    for path in annotations(sample):
        here = [feature for feature in features_on(path, sample.sequence) if feature.kind in wanted]
        beyond = [
            f for f in here if max(end for _, end in f.parts) > 2 * length or min(s for s, _ in f.parts) >= length
        ]
        if beyond:
            what = f"{len(beyond)} features beyond the {length:,} bases of {sample.sequence}"
            yield Fault(relative(path, root), what, "take the annotation of this very sequence", kind="beyond the end")
        odd = [f for f in here if f.kind == CODING and not f.pseudo and sum(e - s for s, e in f.parts) % 3]
        if odd:
            start = odd[0].parts[0][0] + 1
            what = f"{len(odd)} CDS whose length is no multiple of three, the first at {sample.sequence}:{start}"
            yield Fault(
                relative(path, root), what, "mark pseudogenes with pseudo=true, or leave it so", "warning", "odd CDS"
            )
