"""Folders of genomes: FASTA with GFF3, BED or bigWig beside it; every sequence is a sample."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.description import Description
from atrous.data.formats import FileFault
from atrous.data.genomes.annotation import BED_SUFFIXES, GFF_SUFFIXES, Feature, is_bed, is_gff, read_features
from atrous.data.genomes.fasta import fasta_stem, is_fasta, open_sequence, sequence_lengths
from atrous.data.genomes.labels import channels, features_of, label
from atrous.data.genomes.tracks import TRACK_SUFFIXES, Tracks, is_track
from atrous.data.layouts.folders import MOST_LEVELS, split_of
from atrous.data.layouts.recordings import group_of
from atrous.data.sample import Sample
from atrous.data.source import Stacked
from atrous.errors import UserError
from atrous.labels import MOST_BITS

USUAL = ("CDS", "tRNA", "rRNA")
"""Features that are learned where dataset.toml names none."""
MOST_FEATURES = MOST_BITS // 2


@dataclass(frozen=True)
class Genomes:
    """What a folder of genomes holds.

    Attributes:
        samples: by the split that a folder names, None where none does.
        classes: the output channels, every feature on either strand.
        tracks: names of the signals that are further input channels.
        suffixes: of the files found.
        labels_alone: annotations without a FASTA file.
        genomes: names of the samples of each genome.
    """

    samples: dict[str | None, list[Sample]]
    classes: tuple[str, ...]
    tracks: tuple[str, ...]
    suffixes: tuple[str, ...]
    labels_alone: tuple[Path, ...]
    genomes: dict[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The layout in words."""
        count = len(self.genomes)
        return f"{count} genome{'s' if count > 1 else ''}, {' '.join(self.suffixes)}"

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Of the input: the bases, then the signals."""
        return ("A", "C", "G", "T", *self.tracks)


@dataclass
class _Genome:
    """The files of one genome."""

    fasta: Path
    name: str
    split: str | None
    marks: list[Path]
    tracks: dict[str, Path]


def find_genomes(root: Path, description: Description) -> Genomes | None:
    """Genomes under `root`, None when there is no FASTA file.

    `X.fa.gz` goes with `X.gff.gz` or `X.bed` (what is to be found on it) and with `X.NAME.bw`: a signal, which is a
    further input channel, or, where NAME is one of the `classes` of dataset.toml, a label (1 from 0.5 on).

    Raises:
        UserError: a file cannot be read, or it cannot be told which features are to be learned.
    """
    files = _walk(root)
    if not any(is_fasta(path) for path in files):
        return None
    genomes, alone = _paired(root, files)
    features = _features(root, genomes, description)
    tracks = tuple(sorted({name for genome in genomes for name in genome.tracks} - set(features)))
    samples: dict[str | None, list[Sample]] = {}
    members: dict[str, tuple[str, ...]] = {}
    for genome in genomes:
        made = _samples(genome, features, tracks, description, len(genomes) > 1)
        members[genome.name] = tuple(sample.name for sample in made)
        samples.setdefault(genome.split, []).extend(made)
    used = [path for genome in genomes for path in (genome.fasta, *genome.marks, *genome.tracks.values())]
    suffixes = tuple(sorted({"".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in used}))
    return Genomes(samples, channels(features), tracks, suffixes, tuple(alone), members)


def splits_of(found: Genomes, description: Description) -> Description:
    """The description with genomes in its splits replaced by their sequences: a genome is never torn by its name."""
    splits: dict[str, Any] = {}
    for split, entry in description.splits.items():
        named = entry if isinstance(entry, tuple) else ()
        members = tuple(name for given in named for name in found.genomes.get(_stem(given), (given,)))
        splits[split] = members if isinstance(entry, tuple) else entry
    return replace(description, splits=splits)


def _stem(name: str) -> str:
    return str(Path(name).with_name(fasta_stem(Path(name)))) if is_fasta(name) else name


def open_genome(sample: Sample) -> Any:
    """A sample's sequence and signals as a source `(4 + tracks, L)` of float32.

    Raises:
        UserError: a file cannot be read, or they do not fit each other.
    """
    sequence = open_sequence(sample.image, sample.sequence)
    if not sample.more:
        return sequence
    return Stacked([sequence, Tracks(sample.more, sample.sequence, sequence.shape[1])])


def genome_label(sample: Sample, names: Sequence[str]) -> np.ndarray:
    """Labels `(L,)` uint16 of a sample, see `labels.py`.

    Raises:
        UserError: an annotation cannot be read.
    """
    if sample.label is None:
        raise FileFault(sample.image, "has no annotation", "put a GFF3 or BED file of the same name beside it")
    length = sequence_lengths(sample.image)[sample.sequence]
    found = [feature for path in annotations(sample) for feature in features_on(path, sample.sequence)]
    made = label(found, names, length)
    for path, feature in label_tracks(sample):
        marked = Tracks([path], sample.sequence, length)[0] >= 0.5
        bits = sum(1 << names.index(name) for name in channels((feature,)) if name in names)
        made[marked & (made & 0xFF != 0xFF)] |= np.uint16(bits)
    return made


def annotations(sample: Sample) -> list[Path]:
    """The GFF3 and BED files of a sample."""
    return [path for path in sample.marks if not is_track(path)]


def label_tracks(sample: Sample) -> list[tuple[Path, str]]:
    """The bigWig files of a sample that are labels, and the feature that each of them marks."""
    stem = fasta_stem(sample.image)
    return [(path, _track_name(path, stem)) for path in sample.marks if is_track(path)]


_CACHE: dict[Path, tuple[int, dict[str, list[Feature]]]] = {}


def features_on(path: Path, sequence: str) -> list[Feature]:
    """The features of one sequence; the file that was read last is kept."""
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    if path not in _CACHE or _CACHE[path][0] != stamp:
        by_sequence: dict[str, list[Feature]] = {}
        for feature in read_features(path):
            by_sequence.setdefault(feature.sequence, []).append(feature)
        if len(_CACHE) > 16:
            _CACHE.clear()
        _CACHE[path] = stamp, by_sequence
    return _CACHE[path][1].get(sequence, [])


def _walk(root: Path) -> list[Path]:
    found = []
    for here, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(here).relative_to(root).parts) >= MOST_LEVELS:
            folders.clear()
        paths = [Path(here, name) for name in sorted(files) if not name.startswith(".")]
        found += [path for path in paths if is_fasta(path) or is_gff(path) or is_bed(path) or is_track(path)]
    return found


def _paired(root: Path, files: list[Path]) -> tuple[list[_Genome], list[Path]]:
    """Genomes with their files, and annotations that belong to none. Files of one genome lie in one folder."""
    genomes: dict[tuple[Path, str], _Genome] = {}
    for path in filter(is_fasta, files):
        stem, folder = fasta_stem(path), path.parent.relative_to(root)
        if (path.parent, stem) in genomes:
            raise UserError(f"{path}: the same name as {genomes[path.parent, stem].fasta.name}: remove one of them")
        genomes[path.parent, stem] = _Genome(path, (folder / stem).as_posix(), split_of(folder.parts), [], {})
    alone = []
    for path in files:
        if is_fasta(path):
            continue
        named = [g for (folder, stem), g in genomes.items() if folder == path.parent and _belongs(path, stem)]
        owner = max(named, key=lambda genome: len(fasta_stem(genome.fasta)), default=None)
        if owner is None:
            alone.append(path)
        elif is_track(path):
            owner.tracks[_track_name(path, fasta_stem(owner.fasta))] = path
        else:
            owner.marks.append(path)
    return list(genomes.values()), alone


def _belongs(path: Path, stem: str) -> bool:
    if is_track(path):
        return path.name.startswith(f"{stem}.")
    suffix = max((s for s in GFF_SUFFIXES + BED_SUFFIXES if path.name.lower().endswith(s)), key=len)
    return path.name[: -len(suffix)] == stem


def _track_name(path: Path, stem: str) -> str:
    suffix = next(s for s in TRACK_SUFFIXES if path.name.lower().endswith(s))
    return path.name[len(stem) : -len(suffix)].strip(".") or "signal"


def _features(root: Path, genomes: list[_Genome], description: Description) -> tuple[str, ...]:
    """Which features are learned: those of dataset.toml, else the usual ones that occur, else all if they are few."""
    given = description.classes
    if given is not None:
        strands = {name[-1] for name in given} <= {"+", "-"}
        chosen = features_of(given) if strands else given
        if len(chosen) > MOST_FEATURES:
            file = description.file
            raise UserError(
                f"{file}: {len(chosen)} features on two strands: at most {MOST_FEATURES} are learned together"
            )
        return chosen
    counts = Counter(
        feature.kind for genome in genomes for path in genome.marks for feature in read_features(path)
    )  # fmt: skip
    usual = tuple(name for name in USUAL if counts[name])
    if usual:
        return usual
    if not counts:
        raise UserError(f"{root}: no features: put X.gff, X.bed or X.gff.gz beside each X.fa (see docs/genomes.md)")
    if len(counts) > MOST_FEATURES:
        some = ", ".join(f'"{name}"' for name, _ in counts.most_common(MOST_FEATURES))
        raise UserError(f"{root}: {len(counts)} kinds of features: write classes = [{some}] in dataset.toml, say")
    return tuple(sorted(counts))


def _samples(
    genome: _Genome, features: Sequence[str], tracks: Sequence[str], description: Description, several: bool
) -> list[Sample]:
    missing = [name for name in tracks if name not in genome.tracks]
    if missing:
        what = f"has no {fasta_stem(genome.fasta)}.{missing[0]}.bw beside it, which other genomes have"
        raise FileFault(genome.fasta, what, "add it, or remove the others")
    marks = (*genome.marks, *(path for name, path in genome.tracks.items() if name in features))
    samples = []
    for sequence in sequence_lengths(genome.fasta):
        name = f"{genome.name}/{sequence}"
        group = group_of(name, description.groups) if description.groups else genome.name if several else ""
        samples.append(
            Sample(
                name=name, image=genome.fasta, label=marks[0] if marks else None,
                more=tuple(genome.tracks[track] for track in tracks), group=group, sequence=sequence, marks=marks,
            )
        )  # fmt: skip
    return samples
