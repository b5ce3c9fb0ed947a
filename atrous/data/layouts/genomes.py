"""Folders of genomes: FASTA with GFF3, BED or bigWig beside it; every sequence is a sample."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import FileFault
from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import fasta_stem, is_fasta, sequence_lengths
from atrous.data.genomes.labels import channels, features_of
from atrous.data.genomes.sequences import SequenceImage
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.genome_files import (
    GenomeFiles,
    holds_genomes,
    paired,
    suffixes_of,
    walk_genomic,
    with_sequences,
)
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.tracks import find_tracks
from atrous.data.sample import Sample
from atrous.data.targets.bits import Bits, GenomeFeatures
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
        suffixes: of the files in the folder.
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


def find_genomes(root: Path, description: Description) -> Layout | None:
    """Find genomes with their annotations, or with the signals that a regression learns.

    None when there is no FASTA file, or a few among images.

    Raises:
        UserError: as `read_genomes` and `find_tracks`.
    """
    if not holds_genomes(root, description):
        return None
    if description.task == "regression":
        return find_tracks(root, description)
    if description.tracks is not None:
        raise UserError(f'{description.file}: [tracks] is for task = "regression": take it out, or add the task')
    genomes = read_genomes(root, description)
    if genomes is None:
        return None
    samples, alone = labeled(genomes.samples)
    splits, origin = into_splits(samples, with_sequences(description, genomes.genomes), ({}, ""), any(genomes.samples))
    return Layout(
        name=genomes.name, splits=ordered(splits), split_origin=origin, images_alone=tuple(sorted(set(alone))),
        labels_alone=genomes.labels_alone, classes=genomes.classes, channel_names=genomes.channel_names,
        kind="genomes", task="stranded", classes_are_final=True,
    )  # fmt: skip


def read_genomes(root: Path, description: Description) -> Genomes | None:
    """Genomes under `root`, None when there is no FASTA file.

    `X.fa.gz` goes with `X.gff.gz` or `X.bed` (what is to be found on it) and with `X.NAME.bw`: a signal, which is a
    further input channel, or, where NAME is one of the `classes` of dataset.toml, a label (1 from 0.5 on).

    Raises:
        UserError: a file cannot be read, or it cannot be told which features are to be learned.
    """
    files = walk_genomic(root)
    if not any(is_fasta(path) for path in files):
        return None
    genomes, alone = paired(root, files)
    features = _features(root, genomes, alone, description)
    tracks = tuple(sorted({name for genome in genomes for name in genome.tracks} - set(features)))
    samples: dict[str | None, list[Sample]] = {}
    members: dict[str, tuple[str, ...]] = {}
    for genome in genomes:
        made = _samples(genome, features, tracks, description, len(genomes) > 1)
        members[genome.name] = tuple(sample.name for sample in made)
        samples.setdefault(genome.split, []).extend(made)
    used = [path for genome in genomes for path in (genome.fasta, *genome.annotations, *genome.tracks.values())]
    return Genomes(samples, channels(features), tracks, suffixes_of(used), tuple(alone), members)


def _features(
    root: Path, genomes: list[GenomeFiles], alone: Sequence[Path], description: Description
) -> tuple[str, ...]:
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
        feature.kind for genome in genomes for path in genome.annotations for feature in read_features(path)
    )  # fmt: skip
    usual = tuple(name for name in USUAL if counts[name])
    if usual:
        return usual
    if not counts:
        lone = f" ({alone[0].relative_to(root)} has the name of no FASTA file)" if alone else ""
        signals = any(genome.tracks for genome in genomes)
        other = ', or learn the values of the bigWig files with task = "regression"' if signals else ""
        raise UserError(
            f"{root}: no features{lone}: put X.gff, X.bed or X.gff.gz beside each X.fa (see docs/genomes.md){other}"
        )
    if len(counts) > MOST_FEATURES:
        some = ", ".join(f'"{name}"' for name, _ in counts.most_common(MOST_FEATURES))
        raise UserError(f"{root}: {len(counts)} kinds of features: write classes = [{some}] in dataset.toml, say")
    return tuple(sorted(counts))


def _samples(
    genome: GenomeFiles, features: Sequence[str], tracks: Sequence[str], description: Description, several: bool
) -> list[Sample]:
    missing = [name for name in tracks if name not in genome.tracks]
    if missing:
        what = f"has no {fasta_stem(genome.fasta)}.{missing[0]}.bw beside it, which other genomes have"
        raise FileFault(genome.fasta, what, "add it, or remove the others")
    files = (*genome.annotations, *(path for name, path in genome.tracks.items() if name in features))
    samples, classes = [], channels(features)
    for sequence in sequence_lengths(genome.fasta):
        name = f"{genome.name}/{sequence}"
        group = group_of(name, description.groups) if description.groups else genome.name if several else ""
        image = SequenceImage(genome.fasta, sequence, tuple(genome.tracks[track] for track in tracks))
        target = Bits(GenomeFeatures(genome.fasta, sequence, files, classes)) if files else None
        samples.append(Sample(name, image, target, group))
    return samples
