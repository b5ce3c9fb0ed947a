"""Files of predicted features (GFF3, BED, tables) and probabilities (bigWig); a file is renamed when it is complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np

from atrous.data.genomes.runs import ChannelInterval
from atrous.data.genomes.tracks import new_track
from atrous.files import Replacement

FEATURE_SUFFIXES = (".gff3", ".gff", ".bed", ".tsv")
NOTES = ("partial", "start_type", "transl_table", "log_odds")
"""What is noted of genes, in columns of a table, and in the attributes of GFF3."""
SIGNAL_SUFFIXES = (".bw", ".bigwig")
DIGITS = 3
"""Digits of probabilities in bigWig files."""
OUTPUT_SUFFIXES = FEATURE_SUFFIXES + SIGNAL_SUFFIXES


class Writer(Protocol):
    """Takes sequences one after the other."""

    def add(self, start: int, values: np.ndarray) -> None:
        """Take the next probabilities `(K, n)` of the present sequence."""
        ...

    def sequence(self, name: str, intervals: Sequence[ChannelInterval]) -> None:
        """Take the intervals of the sequence that is complete now."""
        ...

    def finish(self) -> list[Path]:
        """Put the files in their place."""
        ...

    def abandon(self) -> None:
        """Remove what was begun."""
        ...


def open_writer(path: Path, lengths: Mapping[str, int], channels: Sequence[str]) -> Writer:
    """A writer for all sequences of a file.

    Args:
        path: its suffix says the format: `.gff3` and `.gff`, `.bed`, `.tsv`, or `.bw`, of which there is one per
            channel (`X.bw` becomes `X.CDS+.bw`).
        lengths: of all sequences, by name, in the order in which they will come.
        channels: names, each a feature and a strand.
    """
    suffix = path.suffix.lower()
    if suffix in SIGNAL_SUFFIXES:
        return BigWigs(channel_paths(path, channels), lengths, DIGITS)
    return Table(path, lengths, channels)


class Table:
    """Features as lines, sequence by sequence, by start.

    The suffix of the path says the form: GFF3 (1-based, closed), BED (0-based, half open), or a table with names of
    columns, separated by tabs (`.tsv`; 1-based, closed).
    """

    def __init__(self, path: Path, lengths: Mapping[str, int], channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        self._row = {".bed": self._bed, ".tsv": self._tsv}.get(path.suffix.lower(), self._gff)
        self._replacement = Replacement(path)
        self._file = self._replacement.beside.open("w", encoding="utf-8")
        self._counts = dict.fromkeys((name[:-1] for name in channels), 0)
        if self._row == self._gff:
            self._file.write("##gff-version 3\n")
            self._file.writelines(f"##sequence-region {_column(name)} 1 {n}\n" for name, n in lengths.items())
        if self._row == self._tsv:
            names = ("sequence", "feature", "start", "end", "strand", "score", "phase", *NOTES)
            self._file.write("\t".join(names) + "\n")

    def add(self, start: int, values: np.ndarray) -> None:
        """Nothing: intervals are written whole."""

    def sequence(self, name: str, intervals: Sequence[ChannelInterval]) -> None:
        """Write the features of one sequence."""
        for interval in intervals:
            channel = self._channels[interval.channel]
            row = self._row(name, channel[:-1], channel[-1], interval)
            self._file.write("\t".join(map(str, row)) + "\n")

    def _bed(self, name: str, kind: str, strand: str, interval: ChannelInterval) -> tuple[Any, ...]:
        return name, interval.start, interval.end, kind, min(1000, round(1000 * interval.score)), strand

    def _gff(self, name: str, kind: str, strand: str, interval: ChannelInterval) -> tuple[Any, ...]:
        self._counts[kind] += 1
        notes = [f"{key}={quote(value)}" for key, value in interval.notes]
        attributes = ";".join([f"ID={quote(kind)}-{self._counts[kind]}", *notes])
        phase = "." if interval.phase is None else interval.phase
        place = interval.start + 1, interval.end, f"{interval.score:.3f}"
        return _column(name), "atrous", _column(kind), *place, strand, phase, attributes

    def _tsv(self, name: str, kind: str, strand: str, interval: ChannelInterval) -> tuple[Any, ...]:
        notes = dict(interval.notes)
        phase = "" if interval.phase is None else interval.phase
        place = interval.start + 1, interval.end, strand, f"{interval.score:.3f}"
        return name, kind, *place, phase, *(notes.get(key, "") for key in NOTES)

    def finish(self) -> list[Path]:
        """Put the file in its place."""
        self._file.close()
        self._replacement.finish()
        return [self._replacement.path]

    def abandon(self) -> None:
        """Remove what was begun."""
        self._file.close()
        self._replacement.discard()


def _column(text: str) -> str:
    """A text as a column of GFF3: what is not plain is written as %XX."""
    return quote(text, safe=".:^*$@!+_?-|/()")


def channel_paths(path: Path, channels: Sequence[str]) -> tuple[Path, ...]:
    """Return the bigWig file of each channel.

    >>> channel_paths(Path("out/X.bw"), ["CDS+"])
    (PosixPath('out/X.CDS+.bw'),)
    """
    return tuple(path.with_name(f"{path.stem}.{channel}{path.suffix}") for channel in channels)


class BigWigs:
    """Numbers base by base, one bigWig per channel.

    Args:
        paths: the files.
        lengths: of all sequences, by name, in the order in which they will come.
        digits: behind the decimal point; probabilities of three deflate well. None keeps float32 as it is.
    """

    def __init__(self, paths: Sequence[Path], lengths: Mapping[str, int], digits: int | None = None) -> None:
        self._names, self._current, self._digits = list(lengths), 0, digits
        self._replacements = [Replacement(path) for path in paths]
        self._files: list[Any] = []
        for replacement in self._replacements:
            file = new_track(replacement.beside)
            file.addHeader(list(lengths.items()))
            self._files.append(file)

    def add(self, start: int, values: np.ndarray) -> None:
        """Write the next numbers `(K, n)`."""
        name = self._names[self._current]
        wide = values.astype(np.float64)
        for file, row in zip(self._files, wide if self._digits is None else np.round(wide, self._digits), strict=True):
            file.addEntries(name, start, values=row.tolist(), span=1, step=1)

    def sequence(self, name: str, intervals: Sequence[ChannelInterval]) -> None:
        """Go on to the next sequence."""
        self._current += 1

    def finish(self) -> list[Path]:
        """Put the files in their places."""
        for file in self._files:
            file.close()
        for replacement in self._replacements:
            replacement.finish()
        return [replacement.path for replacement in self._replacements]

    def abandon(self) -> None:
        """Remove what was begun."""
        for file in self._files:
            file.close()
        for replacement in self._replacements:
            replacement.discard()
