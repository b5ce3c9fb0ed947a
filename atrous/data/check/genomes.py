"""What the data doctor reads of genomes: every sequence once, piece by piece, and its annotation."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np

from atrous.data.check.fingerprint import Fingerprint, Sizes
from atrous.data.check.values import value_facts
from atrous.data.dataset import Dataset
from atrous.data.formats import FileFault
from atrous.data.genomes.codes import gene_bases, obeyed_codes
from atrous.data.genomes.fasta import open_sequence, sequence_lengths
from atrous.data.genomes.labels import CODING, features_of
from atrous.data.genomes.sequences import SequenceImage
from atrous.data.genomes.tracks import missing_sequences
from atrous.data.moments import merge, moments
from atrous.data.problems import some
from atrous.data.sample import Sample
from atrous.data.scan import Progress, Scan
from atrous.data.targets.bits import Bits, GenomeFeatures
from atrous.errors import UserError

PIECE = 1 << 22
"""Bases looked at together."""


def scan_genomes(dataset: Dataset, progress: Progress | None = None) -> list[Scan]:
    """Read every sequence once; `progress(done, total)` is called after each."""
    members = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    scans = []
    for split, sample in members:
        scans.append(_scan(sample, split))
        if progress is not None:
            progress(len(scans), len(members))
    return scans


def _scan(sample: Sample, split: str) -> Scan:
    scanned = Scan(sample, split)
    try:
        source = sample.image.load()
        digest = hashlib.blake2b(digest_size=16)
        for start in range(0, source.shape[1], PIECE):
            piece = np.asarray(source[:, start : start + PIECE])
            digest.update(piece.tobytes())
            statistics = moments(piece)
            scanned.moments = statistics if scanned.moments is None else merge(scanned.moments, statistics)
        scanned.image, scanned.digest = sample.image.header(), digest.hexdigest()
        if sample.target is not None:
            scanned.contents = sample.target.scan(None)
    except FileFault as fault:
        scanned.failures.append(fault)
    return scanned


def genome_fingerprint(dataset: Dataset, scans: Sequence[Scan]) -> Fingerprint:
    """Return the numbers that planning needs; `class_frequency` is the share of train's bases that have each channel.

    Raises:
        UserError: not one sequence could be read.
    """
    readable = [(one, one.image, one.moments) for one in scans if one.image is not None and one.moments is not None]
    if not readable:
        failures = [failure for one in scans for failure in one.failures]
        raise failures[0] if failures else UserError(f"{dataset.root}: no sequence with an annotation: add some")
    lengths = np.array([header.size[0] for _, header, _ in readable])
    chosen = [row for row in readable if row[0].split == "train"] or readable
    total = reduce(merge, [statistics for _, _, statistics in chosen])
    positions = dict.fromkeys(dataset.splits, 0)
    for one, header, _ in readable:
        positions[one.split] += header.size[0]
    return Fingerprint(
        channels=readable[0][1].shape[0],
        dtype="float32",
        sizes=Sizes((int(lengths.min()),), (round(float(np.median(lengths))),), (int(lengths.max()),)),
        images={split: len(samples) for split, samples in dataset.splits.items()},
        positions=positions,
        class_frequency=dataset.target.frequency([one for one, _, _ in chosen], dataset.coding),
        mean=tuple(float(m) for m in total.mean),
        std=tuple(float(s) for s in total.std),
        minimum=float(total.least.min()),
        maximum=float(total.most.max()),
        bytes_decoded=int(lengths.sum()) * (1 + 4 * len(dataset.outputs) if dataset.outputs else 5),
        shortest=None if dataset.outputs else _shortest([one for one, _, _ in chosen], len(dataset.classes)),
        codes=_codes([one for one, _, _ in chosen]),
        values=value_facts(scans),
    )


def track_notes(dataset: Dataset) -> Iterator[str]:
    """Say which sequences bigWig files do not have: their signal is 0 there."""
    images = {one.image for one in dataset.samples if isinstance(one.image, SequenceImage)}
    labels = [one.target.reader for one in dataset.samples if isinstance(one.target, Bits)]
    files = {(track, image.path) for image in images for track in image.tracks}
    files |= {
        (path, reader.fasta) for reader in labels if isinstance(reader, GenomeFeatures) for path in reader.signals
    }
    for track, fasta in sorted(files):
        names = sequence_lengths(fasta)
        try:
            missing = missing_sequences(track, names)
        except FileFault:
            continue  # said of this file already
        if missing:
            yield f"{track.name} lacks {len(missing)} of {len(names)} sequences ({some(missing)}): they are read as 0"


def _codes(scans: Sequence[Scan]) -> tuple[int, ...]:
    """Genetic codes that the genes of the genomes obey; none where too few genes obey any, or none are learned."""
    targets = [one.target for one in scans if isinstance(one.target, Bits)]
    readers = [target.reader for target in targets if isinstance(target.reader, GenomeFeatures)]
    genomes: dict[Path, list[np.ndarray]] = {}
    for reader in readers:
        if CODING in features_of(reader.classes):
            features = [feature for path in reader.annotations for feature in reader.features(path)]
            codes = open_sequence(reader.fasta, reader.sequence).codes
            genomes.setdefault(reader.fasta, []).extend(gene_bases(features, codes, reader.length))
    return obeyed_codes(list(genomes.values()))


def _shortest(scans: Sequence[Scan], channels: int) -> tuple[int, ...]:
    """Per channel half of the length that all but a hundredth of its intervals have; 1 where there are none."""
    intervals = [one.contents.intervals for one in scans if one.contents is not None]
    lengths = [np.concatenate([np.empty(0, int), *(row[k] for row in intervals if k in row)]) for k in range(channels)]
    return tuple(max(1, int(np.percentile(row, 1)) // 2) if len(row) else 1 for row in lengths)
