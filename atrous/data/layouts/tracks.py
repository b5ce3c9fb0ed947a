"""Folders of genomes whose signals are learned: FASTA with bigWig files beside it; every sequence is a sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import FileFault
from atrous.data.genomes.fasta import fasta_stem, sequence_lengths
from atrous.data.genomes.sequences import SequenceImage
from atrous.data.genomes.track_rule import TrackRule, partners_of
from atrous.data.genomes.tracks import is_track, missing_sequences, track_name
from atrous.data.layouts.base import Layout, LeftOut, group_of
from atrous.data.layouts.genome_files import GenomeFiles, paired, suffixes_of, walk_genomic, with_sequences
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.problems import some
from atrous.data.sample import Sample
from atrous.data.targets.tracks import SignalTracks, TrackValues
from atrous.errors import UserError

BASES = ("A", "C", "G", "T")


@dataclass(frozen=True)
class _Signals:
    """Which signals of a data set are what.

    Attributes:
        targets: names of those that are learned.
        inputs: names of those that are further channels.
        missing: for each target, the value of bases that a file does not cover; NaN where they are unknown.
        partners: for each target, the number of the one that it is on the other strand.
    """

    targets: tuple[str, ...]
    inputs: tuple[str, ...]
    missing: tuple[float, ...]
    partners: tuple[int, ...]


def find_tracks(root: Path, description: Description) -> Layout:
    """Find genomes and the signals along them, which are learned.

    `X.fa.gz` goes with `X.NAME.bw`, the signal NAME. Where a folder holds a single FASTA file, all its bigWig files
    belong to it, whatever their names. dataset.toml says in `[tracks]` which signals are inputs, and what bases mean
    that a file does not cover.

    Raises:
        UserError: there is no bigWig file, a genome lacks an input, or dataset.toml names what is not there.
    """
    _refuse_classes(description)
    rule = description.tracks or TrackRule()
    genomes, alone = paired(root, walk_genomic(root))
    alone = _adopt(genomes, alone)
    names = tuple(sorted({name for genome in genomes for name in genome.tracks}))
    if not names:
        lone = f" ({alone[0].relative_to(root)} has the name of no FASTA file)" if alone else ""
        raise UserError(
            f'{root}: no signals to learn{lone}: put X.NAME.bw beside each X.fa, or leave out task = "regression" to '
            "learn features"
        )
    targets, inputs = rule.chosen(names, description.file)
    missing = tuple(rule.value_for(name) for name in targets)
    signals = _Signals(targets, inputs, missing, partners_of(targets, rule))
    samples: dict[str, list[Sample]] = {}
    members: dict[str, tuple[str, ...]] = {}
    left_out: list[LeftOut] = []
    for genome in genomes:
        made = _samples(genome, signals, description, len(genomes) > 1)
        known = [sample for sample in made if sample.target is not None]
        members[genome.name] = tuple(sample.name for sample in known)
        if known:
            samples.setdefault(genome.split or "train", []).extend(known)
        left_out += [*_unknown(genome, made), *_unread(genome)]
    if not samples:
        raise UserError(
            f"{root}: no sequence has a value of {', '.join(targets)}: give bigWig files of these sequences"
        )
    named = any(genome.split for genome in genomes)
    splits, origin = into_splits(samples, with_sequences(description, members), ({}, ""), named)
    used = [path for genome in genomes for path in (genome.fasta, *genome.tracks.values())]
    count = f"{len(genomes)} genome{'s' if len(genomes) > 1 else ''}"
    return Layout(
        name=f"{count}, {' '.join(suffixes_of(used))}; learned: {', '.join(targets)}", splits=ordered(splits),
        split_origin=origin, labels_alone=tuple(alone), left_out=tuple(left_out), channel_names=(*BASES, *inputs),
        kind="genomes", task="regression", outputs=targets,
    )  # fmt: skip


def _refuse_classes(description: Description) -> None:
    for key in ("classes", "ignore", "values", "palette", "objects"):
        if getattr(description, key):
            raise UserError(
                f'{description.file or "--task"}: `{key}` is for features, not for task = "regression": take it out'
            )


def _adopt(genomes: Sequence[GenomeFiles], alone: Sequence[Path]) -> list[Path]:
    """Give bigWig files of other names to the only FASTA file of their folder; return what is left."""
    left = []
    for path in alone:
        here = [genome for genome in genomes if genome.fasta.parent == path.parent]
        name = track_name(path, "") if is_track(path) else ""
        if is_track(path) and len(here) == 1 and name not in here[0].tracks:
            here[0].tracks[name] = path
        else:
            left.append(path)
    return left


def _samples(genome: GenomeFiles, signals: _Signals, description: Description, several: bool) -> list[Sample]:
    """The sequences of a genome; those of which nothing is known have no target."""
    stem = fasta_stem(genome.fasta)
    for name in signals.inputs:
        path = genome.tracks.get(name)
        if path is None or not path.name.startswith(f"{stem}."):
            what = f"has no {stem}.{name}.bw beside it, which is an input"
            fix = f"add it, or rename {path.name}" if path is not None else "add it"
            raise FileFault(genome.fasta, what, fix)
    files = tuple(genome.tracks.get(name) for name in signals.targets)
    known, samples = _known(genome, files, signals.missing), []
    for sequence in sequence_lengths(genome.fasta):
        name = f"{genome.name}/{sequence}"
        group = group_of(name, description.groups) if description.groups else genome.name if several else ""
        image = SequenceImage(genome.fasta, sequence, tuple(genome.tracks[track] for track in signals.inputs))
        reader = SignalTracks(genome.fasta, sequence, signals.targets, files, signals.missing, signals.partners)
        samples.append(Sample(name, image, TrackValues(reader) if sequence in known else None, group))
    return samples


def _known(genome: GenomeFiles, files: Sequence[Path | None], missing: Sequence[float]) -> set[str]:
    """The sequences on which something is known of a target; all where a file cannot be read, which the check says."""
    names, known = sequence_lengths(genome.fasta), set[str]()
    for path, blank in zip(files, missing, strict=True):
        if path is None:
            continue
        try:
            absent = missing_sequences(path, names)
        except FileFault:
            return set(names)
        known |= set(names) - (set(absent) if math.isnan(blank) else set())
    return known


def _unknown(genome: GenomeFiles, samples: Sequence[Sample]) -> list[LeftOut]:
    """What the check says of the sequences of which nothing is known."""
    names = [sample.name.removeprefix(f"{genome.name}/") for sample in samples if sample.target is None]
    if not names:
        return []
    what = f"{len(names)} of {len(samples)} sequences ({some(names)}) are in none of its bigWig files and are left out"
    return [LeftOut(genome.fasta, what, "add them; if their values are 0, write missing = 0 under [tracks]")]


def _unread(genome: GenomeFiles) -> list[LeftOut]:
    """What the check says of annotations."""
    what, fix = "a regression learns signals (bigWig), not features: it is left out", "remove it, or leave it so"
    return [LeftOut(path, what, fix) for path in genome.annotations]
