"""Problems of genome annotations: unknown sequences, features beyond the end, broken reading frames, absent classes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from atrous.data.genomes.annotation import Feature, read_features
from atrous.data.genomes.fasta import open_sequence, sequence_lengths
from atrous.data.genomes.labels import CODING, PSEUDOGENE, features_of
from atrous.data.genomes.letters import NAMES, SHARES
from atrous.data.problems import Problem, relative, some
from atrous.data.targets.base import Facts, Scanned

PIECE = 1 << 22
"""Bases looked at together."""


class AnnotatedSequence(Protocol):
    """What is asked of the reader of one sequence's features (`bits.GenomeFeatures`)."""

    @property
    def fasta(self) -> Path:
        """The file of the sequence."""
        ...

    @property
    def sequence(self) -> str:
        """Name of the sequence."""
        ...

    @property
    def annotations(self) -> tuple[Path, ...]:
        """The GFF3 and BED files."""
        ...

    @property
    def length(self) -> int:
        """Bases of the sequence."""
        ...

    def features(self, path: Path) -> list[Feature]:
        """The features of the sequence in one of the files."""
        ...


def problems(readers: Sequence[AnnotatedSequence], scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Yield the problems of annotation files, then the classes that train has not.

    Args:
        readers: one for each annotated sequence that could be read.
        scans: of the whole data set.
        facts: classes and root of the data set.
    """
    assert facts.coding is not None
    known: dict[Path, set[str]] = {}
    for path, fasta in dict.fromkeys((path, reader.fasta) for reader in readers for path in reader.annotations):
        known.setdefault(path, set()).update(sequence_lengths(fasta))
    for path, sequences in known.items():
        yield from _unknown_sequences(path, sequences, facts.root)
    for reader in readers:
        yield from _misplaced(reader, facts)
    yield from _absent(readers, scans, facts)


def notes(readers: Sequence[AnnotatedSequence], classes: Sequence[str]) -> Iterator[str]:
    """Yield the letters other than A, C, G and T, how many features there are, and those that are not learned."""
    for reader in readers:
        letters = _odd_letters(reader)
        if letters:
            counts = ", ".join(f"{letter} {count:,}" for letter, count in letters.items())
            yield (
                f"{reader.fasta.name}, {reader.sequence}: letters other than A C G T, read as equal shares of their "
                f"bases: {counts}"
            )
    features: Counter[str] = Counter()
    learned, marked, named = features_of(classes), 0, 0
    for reader in readers:
        for feature in (feature for path in reader.annotations for feature in reader.features(path)):
            known = feature.kind in learned
            features[feature.kind] += known and not feature.pseudo
            marked += known and feature.pseudo
            named += feature.kind == PSEUDOGENE and feature.pseudo and not known
    counted = ", ".join(f"{features[name]:,} {name}" for name in learned)
    # files with a line for each pseudogene mark its CDS too
    yield f"features: {counted}; {max(marked, named):,} pseudogenes, whose bases count for nothing"
    others = sorted(name for name in features if name not in (*learned, PSEUDOGENE))
    if others:
        yield f"not learned: {some(others)}: name up to three features in `classes` of dataset.toml to choose"


def _absent(readers: Sequence[AnnotatedSequence], scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
    """Features that train has not, on one strand or on both; an error where it has none at all."""
    assert facts.coding is not None
    where = relative(facts.description, facts.root) if facts.description else str(facts.root)
    classes, train = facts.coding.classes, [one for one in scans if one.split == "train" and one.contents is not None]
    missing = [name for k, name in enumerate(classes) if not any(scanned.counts.get(k) for scanned in train)]
    if train and len(missing) == len(classes):
        there = {feature.kind for reader in readers for path in reader.annotations for feature in reader.features(path)}
        what = f"no genome of train has the features {some(features_of(classes))}: nothing can be learned"
        if there:  # else it is said of the files that no feature lies on a sequence
            known = some(sorted(there))
            yield Problem(where, what, f"correct `classes` (the annotations have {known}), or add some", kind="none")
        return
    for name in features_of(classes):
        strands = [absent for absent in missing if absent in (f"{name}+", f"{name}-")]
        if strands:
            said = name if len(strands) > 1 else strands[0]
            what, fix = f"no {said} in train: it cannot be learned", "add some, or leave it out of `classes`"
            yield Problem(where, what, fix, "warning", "absent class")


def _odd_letters(reader: AnnotatedSequence) -> dict[str, int]:
    """How often each letter that stands for several bases occurs in a sequence."""
    codes = open_sequence(reader.fasta, reader.sequence).codes
    counts = np.zeros(16, np.int64)
    for start in range(0, reader.length, PIECE):
        counts += np.bincount(np.asarray(codes[start : start + PIECE]), minlength=16)
    return {NAMES[code]: int(counts[code]) for code in range(16) if counts[code] and SHARES[code].max() < 1}


def _unknown_sequences(path: Path, known: set[str], root: Path) -> Iterator[Problem]:
    """Features on sequences that the FASTA file does not have."""
    unknown = Counter(feature.sequence for feature in read_features(path) if feature.sequence not in known)
    if unknown:
        names = some(list(unknown), 2)
        count = sum(unknown.values())
        what = f"{count} feature{'s' if count > 1 else ''} on sequences that the FASTA file does not have ({names})"
        fix = f"name them alike: it has {some(sorted(known), 2)}"
        yield Problem(relative(path, root), what, fix, kind="unknown sequence")


def _is_beyond(feature: Feature, length: int) -> bool:
    """Whether a feature ends beyond its sequence; on a circular one it may go on at the origin, once."""
    starts, ends = zip(*feature.parts, strict=True)
    return min(starts) >= length or max(ends) > (2 * length if feature.circular else length)


def _bases(feature: Feature) -> int:
    """Bases of a feature, the parts on the other strand included."""
    return feature.bases or sum(end - start for start, end in feature.parts)


def _misplaced(reader: AnnotatedSequence, facts: Facts) -> Iterator[Problem]:
    """Features beyond the end of a sequence, and coding sequences that are not whole codons."""
    assert facts.coding is not None
    learned, length = features_of(facts.coding.classes), reader.length
    for path in reader.annotations:
        file = relative(path, facts.root)
        features = [feature for feature in reader.features(path) if feature.kind in learned]
        beyond = [feature for feature in features if _is_beyond(feature, length)]
        if beyond:
            start, end = max(beyond[0].parts)
            count = f"{len(beyond)} feature{'s' if len(beyond) > 1 else ''}"
            what = f"{count} beyond the {length:,} bases of {reader.sequence}, the first at {start + 1}..{end}"
            fix = "take the annotation of this very sequence; if it is circular, write Is_circular=true in its region"
            yield Problem(file, what, fix, kind="beyond the end")
        odd = [
            feature for feature in features
            if feature.kind == CODING and not feature.pseudo and _bases(feature) % 3
        ]  # fmt: skip
        if odd:
            first = f"{reader.sequence}:{odd[0].parts[0][0] + 1}"
            what = f"{len(odd)} CDS whose length is no multiple of three, the first at {first}"
            yield Problem(file, what, "mark pseudogenes with pseudo=true, or leave it so", "warning", "odd CDS")
