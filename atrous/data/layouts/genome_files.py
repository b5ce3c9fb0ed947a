"""The files of genomes: which annotation and which signal belong to which FASTA file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.data.description import Description
from atrous.data.genomes.annotation import BED_SUFFIXES, GFF_SUFFIXES, is_bed, is_gff
from atrous.data.genomes.fasta import fasta_stem, is_fasta
from atrous.data.genomes.tracks import is_track, track_name
from atrous.data.inside import walk
from atrous.data.layouts.folders import MOST_LEVELS, read_folders, split_of
from atrous.data.layouts.strays import images_are_few
from atrous.errors import UserError


@dataclass
class GenomeFiles:
    """The files of one genome.

    Attributes:
        fasta: the sequences.
        name: path of the FASTA file in the data set, without its suffix.
        split: the split that its folder names; None where it names none.
        annotations: GFF3, GTF and BED files.
        tracks: bigWig files by the names of their signals.
    """

    fasta: Path
    name: str
    split: str | None
    annotations: list[Path]
    tracks: dict[str, Path]


def holds_genomes(root: Path, description: Description) -> bool:
    """Return whether there are FASTA files, more than images if these are there too."""
    count = sum(is_fasta(path) for path in walk_genomic(root))
    folders = read_folders(root, description.images, description.masks)
    if not count or not folders or description.kind is not None:
        return count > 0
    return images_are_few(root, folders, count + 1, description)


def walk_genomic(root: Path) -> list[Path]:
    """Return the FASTA, GFF3, GTF, BED and bigWig files under a folder."""
    kept = []
    for here, _, files in walk(root, _is_genomic, MOST_LEVELS):
        kept += [here / name for name in files]
    return kept


def paired(root: Path, files: Sequence[Path]) -> tuple[list[GenomeFiles], list[Path]]:
    """Return genomes with their files, and the files that belong to none. Files of one genome lie in one folder.

    Raises:
        UserError: two FASTA files have one name.
    """
    genomes: dict[tuple[Path, str], GenomeFiles] = {}
    for path in filter(is_fasta, files):
        stem, folder = fasta_stem(path), path.parent.relative_to(root)
        if (path.parent, stem) in genomes:
            raise UserError(f"{path}: the same name as {genomes[path.parent, stem].fasta.name}: remove one of them")
        genomes[path.parent, stem] = GenomeFiles(path, (folder / stem).as_posix(), split_of(folder.parts), [], {})
    alone = []
    for path in files:
        if is_fasta(path):
            continue
        named = [g for (folder, stem), g in genomes.items() if folder == path.parent and _belongs(path, stem)]
        owner = max(named, key=lambda genome: len(fasta_stem(genome.fasta)), default=None)
        if owner is None:
            alone.append(path)
        elif is_track(path):
            owner.tracks[track_name(path, fasta_stem(owner.fasta))] = path
        else:
            owner.annotations.append(path)
    return list(genomes.values()), alone


def suffixes_of(files: Sequence[Path]) -> tuple[str, ...]:
    """Return the suffixes of files, each once; those of compressed files are two.

    >>> suffixes_of([Path("a.fa.gz"), Path("a.cover.bw"), Path("b.fa.gz")])
    ('.bw', '.fa.gz')
    """
    return tuple(sorted({"".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in files}))


def with_sequences(description: Description, members: Mapping[str, Sequence[str]]) -> Description:
    """Return the description with genomes in its splits replaced by their sequences: no genome is torn by its name.

    Args:
        description: what dataset.toml says.
        members: names of the samples of each genome.
    """
    splits: dict[str, Any] = {}
    for split, entry in description.splits.items():
        named = entry if isinstance(entry, tuple) else ()
        chosen = tuple(name for given in named for name in members.get(_stem(given), (given,)))
        splits[split] = chosen if isinstance(entry, tuple) else entry
    return replace(description, splits=splits)


def _stem(name: str) -> str:
    return str(Path(name).with_name(fasta_stem(Path(name)))) if is_fasta(name) else name


def _is_genomic(name: str) -> bool:
    return is_fasta(name) or is_gff(name) or is_bed(name) or is_track(name)


def _belongs(path: Path, stem: str) -> bool:
    if is_track(path):
        return path.name.startswith(f"{stem}.")
    suffix = max((s for s in GFF_SUFFIXES + BED_SUFFIXES if path.name.lower().endswith(s)), key=len)
    return path.name[: -len(suffix)] == stem
