"""Signals along genomes as targets: numbers at every base, read from bigWig files where they are sliced."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from atrous.data.formats import Header
from atrous.data.genomes.fasta import sequence_lengths
from atrous.data.genomes.track_rule import lone_strand
from atrous.data.genomes.tracks import Tracks, missing_sequences
from atrous.data.moments import Moments, merge, moments
from atrous.data.problems import Problem, relative, some
from atrous.data.targets.base import Facts, Scanned, TargetScan
from atrous.data.targets.values import Values

PIECE = 1 << 20
"""Bases looked at together."""


@dataclass(frozen=True)
class SignalTracks:
    """The signals along one sequence, each an output.

    Attributes:
        fasta: the file of the sequence.
        sequence: its name.
        names: of the signals.
        files: the bigWig file of each; None where this genome has none: nothing is known then.
        missing: for each, the value of bases that its file does not cover; NaN where they are unknown.
        partners: for each, the number of the signal that it is on the other strand; empty where that is unknown.
    """

    fasta: Path
    sequence: str
    names: tuple[str, ...]
    files: tuple[Path | None, ...]
    missing: tuple[float, ...]
    partners: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The first of the files."""
        return next((path for path in self.files if path is not None), self.fasta)

    def header(self) -> Header:
        """See `ValueReader.header`."""
        return Header((len(self.names), sequence_lengths(self.fasta)[self.sequence]), "float32", "signal")

    def open(self) -> Tracks:
        """Return the signals `(K, L)` float32 as a source that is read as it is sliced, NaN where nothing is known.

        Raises:
            UserError: a file cannot be read, or does not fit the sequence.
        """
        lengths = sequence_lengths(self.fasta)
        return Tracks(self.files, self.sequence, lengths[self.sequence], lengths, self.missing)

    def values(self) -> np.ndarray:
        """See `ValueReader.values`."""
        return self.open()[...]


@dataclass(frozen=True)
class TrackValues(Values):
    """Numbers at every base.

    Attributes:
        reader: where they come from.
    """

    reader: SignalTracks

    kind: ClassVar[str] = "values"

    def read(self) -> np.ndarray:
        """Return the signals `(K, L)` float32, NaN where nothing is known."""
        return self.reader.values()

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`; a sequence of any length is read piece by piece."""
        source, header = self.reader.open(), self.reader.header()
        scanned = TargetScan(header, header.size)
        for start in range(0, header.size[0], PIECE):
            piece = source[:, start : start + PIECE]
            scanned.outside += int(np.count_nonzero(np.isnan(piece).all(axis=0)))
            found = moments(piece)
            scanned.values = found if scanned.values is None else merge(scanned.values, found)
        return scanned

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """Yield the signals that have no value, or a single one, on the sequences of train."""
        train = [one for one in scans if one.split == "train"] or scans
        total, readers = _total(train), _readers(train)
        if total is None:
            return
        for output, name in enumerate(readers[0].names):
            files = [path for reader in readers if (path := reader.files[output]) is not None]
            file = relative(files[0] if files else readers[0].fasta, facts.root)
            if not total.count[output]:
                what = f"no base of a training sequence has a value of {name}"
                yield Problem(file, what, "give the file of these sequences, or take it out of the targets")
            elif total.least[output] == total.most[output]:
                what = f"{name} is {total.least[output]:g} at every base that it covers: there is nothing to learn"
                fix = "if bases that it does not cover are 0, write missing = 0 under [tracks] in dataset.toml"
                yield Problem(file, what, fix)

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """Yield what is learned, how much of it is known, and what becomes of the two strands."""
        total, readers = _total(scans), _readers(scans)
        if total is None:
            return
        first, bases = readers[0], sum(reader.header().size[0] for reader in readers)
        for output, name in enumerate(first.names):
            known, blank = total.count[output] / max(1, bases), first.missing[output]
            values = f"{total.least[output]:.4g} to {total.most[output]:.4g}, mean {total.mean[output]:.4g}"
            if not np.isnan(blank):
                rest = f"bases that its files do not cover are read as {blank:g}"
            elif known < 1:
                rest = "the other bases are unknown and count for nothing; if they are 0, write missing = 0 under "
                rest += "[tracks] in dataset.toml"
            else:
                rest = "no base is unknown"
            yield f"{name} is learned: {known:.2%} of the bases have a value, {values}; {rest}"
        yield from _strand_notes(first)
        yield from _absent_notes(readers)

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        return "signals as numbers, base by base"


def _strand_notes(reader: SignalTracks) -> Iterator[str]:
    """How the other strand is learned from."""
    pairs = [(one, other) for one, other in enumerate(reader.partners) if one < other]
    for one, other in pairs:
        yield f"{reader.names[one]} and {reader.names[other]} are read as one signal on the two strands"
    if not reader.partners:
        lone = lone_strand(reader.names, ())
        why = "strands = false" if lone is None else f"{lone} is of one strand, and that of the other one is not there"
        yield f"nothing is learned from the other strand of the sequences: {why}"


def _absent_notes(readers: Sequence[SignalTracks]) -> Iterator[str]:
    """Which genomes lack a signal, and which sequences a file does not have."""
    genomes = {reader.fasta: reader for reader in readers}
    for fasta, reader in genomes.items():
        for name, path, blank in zip(reader.names, reader.files, reader.missing, strict=True):
            if path is None:
                yield f"{fasta.name} has no bigWig file of {name}, which is unknown there"
                continue
            lengths = sequence_lengths(fasta)
            missing = missing_sequences(path, lengths)
            if missing:
                read = "they are unknown" if np.isnan(blank) else f"they are read as {blank:g}"
                yield f"{path.name} lacks {len(missing)} of {len(lengths)} sequences ({some(missing)}): {read}"


def _readers(scans: Sequence[Scanned]) -> list[SignalTracks]:
    """The readers of targets that could be scanned."""
    targets = [one.target for one in scans if one.contents is not None and one.contents.values is not None]
    return [target.reader for target in targets if isinstance(target, TrackValues)]


def _total(scans: Sequence[Scanned]) -> Moments | None:
    """The statistics of all scans together."""
    known = [one.contents.values for one in scans if one.contents is not None]
    found = [values for values in known if values is not None]
    return reduce(merge, found) if found else None


def signal_readers(targets: Sequence[Any]) -> list[SignalTracks]:
    """Return the readers of the targets that are signals of genomes."""
    return [target.reader for target in targets if isinstance(target, TrackValues)]
