"""One opened file of one axis, a recording or the sequences of a genome, as curves and letters on the screen."""

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from atrous.data.formats import SIGNAL_SUFFIXES, channel_names, open_source, read_header, read_pyramid, suffix_of
from atrous.data.genomes.annotation import Feature, is_bed, is_gff, is_peaks, read_features
from atrous.data.genomes.fasta import fasta_stem, is_fasta, open_sequence, sequence_lengths
from atrous.data.genomes.letters import NAMES
from atrous.data.genomes.tracks import Tracks, is_track, track_name
from atrous.data.inside import require_inside
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.serve.cache import CacheFolder
from atrous.serve.extremes import CurveLevels, Extents
from atrous.serve.found import ServedFile
from atrous.serve.levels import NoTile

LETTERS = 20_000
"""Bases that are given as letters in one answer, at most."""
MOST_ANNOTATION = 64 * 10**6
"""Bytes of a file of annotated features that is read; all of it goes through memory."""
KEPT = 16
"""Sequences of a file that stay open."""
_LETTER = np.array([ord(NAMES.get(code, "N")) for code in range(16)], np.uint8)


@dataclass(frozen=True)
class NamedSequence:
    """One sequence of a file; a recording has one.

    Attributes:
        number: its place in the file, from 0.
        name: "" for a recording.
        length: samples or bases.
    """

    number: int
    name: str
    length: int


class OpenedLine(ABC):
    """A file of one axis that is open for display. Several threads may call it: one reads at a time.

    Args:
        file: which.
        cache: where levels are kept that are computed once.

    Attributes:
        kind: "signal" or "genome".
        names: of the channels that are drawn as curves.
        spacing: seconds (or what the file counts in) between samples; None where it does not say, and for bases.
        unit: of the spacing.
    """

    kind: ClassVar[str]
    names: tuple[str, ...] = ()
    spacing: float | None = None
    unit: str | None = None

    def __init__(self, file: ServedFile, cache: CacheFolder) -> None:
        file.require_inside()
        self.file, self._cache = file, cache
        self._lock = threading.Lock()
        self._extremes: OrderedDict[int, CurveLevels] = OrderedDict()

    @cached_property
    @abstractmethod
    def sequences(self) -> tuple[NamedSequence, ...]:
        """All sequences of the file."""

    @property
    def identity(self) -> str:
        """Letters and digits that change when a file does."""
        return self.file.identity

    @property
    def nbytes(self) -> int:
        """Bytes of values that are held in memory because the format cannot be read in parts."""
        return 0

    @property
    def dtype(self) -> str:
        """Type of the values."""
        return "float32"

    @abstractmethod
    def _source(self, sequence: NamedSequence) -> Source:
        """Return the curves `(C, L)` of a sequence."""

    def letters(self, number: int, start: int, stop: int) -> str:
        """Return the bases of a part of a sequence; "" for recordings."""
        return ""

    def annotation(self, number: int, start: int, stop: int) -> list[Feature]:
        """Return the annotated features that overlap a part of a sequence, by start; none for recordings."""
        return []

    @property
    def annotated(self) -> bool:
        """Whether there is a file of annotated features."""
        return False

    def sequence(self, number: int) -> NamedSequence:
        """Return a sequence.

        Raises:
            NoTile: there is none of this number.
        """
        if not 0 <= number < len(self.sequences):
            raise NoTile(f"sequence {number}: this file has {len(self.sequences)}, counted from 0")
        return self.sequences[number]

    def curves(self, number: int, channels: Sequence[int], start: int, step: int, count: int) -> Extents:
        """Return the extremes of a part of the channels; arguments as in `CurveLevels.read`.

        Raises:
            UserError: there is no such sequence or channel, or the file is damaged.
        """
        sequence = self.sequence(number)
        wrong = [channel for channel in channels if not 0 <= channel < len(self.names)]
        if wrong or not channels:
            said = ", ".join(map(str, wrong)) or "none"
            raise UserError(f"channels: {said} of them: there are {len(self.names)}, counted from 0")
        with self._lock:
            if number not in self._extremes:
                key = f"{self.identity[:40]}extremes{number}"
                self._extremes[number] = CurveLevels(self._source(sequence), lambda: self._cache.entry(key))
                if len(self._extremes) > KEPT:
                    self._extremes.popitem(last=False)
            self._extremes.move_to_end(number)
            return self._extremes[number].read(channels, start, step, count)


class OpenedSignal(OpenedLine):
    """A recording of some channels.

    Raises:
        UserError: it cannot be read.
    """

    kind = "signal"

    def __init__(self, file: ServedFile, cache: CacheFolder) -> None:
        super().__init__(file, cache)
        path = file.item.path
        header = read_header(path)
        found = header.names or (channel_names(path) if suffix_of(path) in SIGNAL_SUFFIXES else None) or ()
        self.names = tuple(found) if len(found) == header.channels else ("",) * header.channels
        self._length, self._dtype = header.size[0], header.dtype
        if header.spacing is not None and len(header.spacing) == 1 and header.spacing[0] > 0:
            self.spacing, self.unit = float(header.spacing[0]), header.unit or "s"

    @cached_property
    def sequences(self) -> tuple[NamedSequence, ...]:
        """See `OpenedLine.sequences`."""
        return (NamedSequence(0, "", self._length),)

    @property
    def nbytes(self) -> int:
        """See `OpenedLine.nbytes`."""
        source = self.__dict__.get("_values")
        return source.nbytes if isinstance(source, np.ndarray) and not isinstance(source, np.memmap) else 0

    @property
    def dtype(self) -> str:
        """See `OpenedLine.dtype`."""
        return self._dtype

    @cached_property
    def _values(self) -> Source:
        return open_source(self.file.item.path)

    def _source(self, sequence: NamedSequence) -> Source:
        return self._values


class OpenedGenome(OpenedLine):
    """The sequences of a FASTA file, with the bigWig signals and the annotation that lie beside it under its name.

    Raises:
        UserError: it cannot be read.
    """

    kind = "genome"

    def __init__(self, file: ServedFile, cache: CacheFolder) -> None:
        super().__init__(file, cache)
        path = file.item.path
        beside = _beside(path, file.root or path.parent)
        self._tracks = tuple(one for one in beside if is_track(one))
        self._annotation = next((one for one in beside if is_gff(one) or (is_bed(one) and not is_peaks(one))), None)
        self.names = tuple(track_name(one, fasta_stem(path)) for one in self._tracks)

    @cached_property
    def sequences(self) -> tuple[NamedSequence, ...]:
        """See `OpenedLine.sequences`."""
        lengths = sequence_lengths(self.file.item.path)
        return tuple(NamedSequence(number, name, length) for number, (name, length) in enumerate(lengths.items()))

    @property
    def identity(self) -> str:
        """See `OpenedLine.identity`."""
        return self.file.identity_with(self._tracks)

    def _source(self, sequence: NamedSequence) -> Source:
        names = [one.name for one in self.sequences]
        return Tracks(self._tracks, sequence.name, sequence.length, names)

    def letters(self, number: int, start: int, stop: int) -> str:
        """See `OpenedLine.letters`.

        Raises:
            UserError: more than `LETTERS` are asked for.
        """
        sequence = self.sequence(number)
        start, stop = max(0, start), min(stop, sequence.length)
        if stop - start > LETTERS:
            raise UserError(f"letters: {stop - start:,} of them: ask for {LETTERS:,} at most")
        with self._lock:
            codes = open_sequence(self.file.item.path, sequence.name).codes[start : max(start, stop)]
        return _LETTER[np.asarray(codes)].tobytes().decode()

    @property
    def annotated(self) -> bool:
        """See `OpenedLine.annotated`."""
        return self._annotation is not None

    def annotation(self, number: int, start: int, stop: int) -> list[Feature]:
        """See `OpenedLine.annotation`."""
        name = self.sequence(number).name
        with self._lock:
            features = self._features.get(name, [])
        # the start of a feature is the first of its parts; those before the window are looked at one by one
        before = bisect_left(features, stop, key=_first)
        return [one for one in features[:before] if max(end for _, end in one.parts) > start]

    @cached_property
    def _features(self) -> dict[str, list[Feature]]:
        """The annotated features of every sequence, by start."""
        path = self._annotation
        if path is None:
            return {}
        if path.stat().st_size > MOST_ANNOTATION:
            raise UserError(f"{path.name}: an annotation of more than {MOST_ANNOTATION:,} bytes is not shown")
        found: dict[str, list[Feature]] = {}
        for feature in read_features(path):
            found.setdefault(feature.sequence, []).append(feature)
        return {name: sorted(features, key=_first) for name, features in found.items()}


def _beside(path: Path, root: Path) -> list[Path]:
    """The signals and annotations that lie beside a FASTA file under its name; links out of the root are left out."""
    named = (one for one in path.parent.iterdir() if one.name.startswith(f"{fasta_stem(path)}."))
    found = []
    for one in sorted(one for one in named if is_track(one) or is_gff(one) or is_bed(one)):
        try:
            require_inside(root, one)
        except UserError:
            continue
        found.append(one)
    return found


def _first(feature: Feature) -> int:
    return min(start for start, _ in feature.parts)


def is_line(path: Path) -> bool:
    """Return whether a file has one axis.

    Raises:
        UserError: it cannot be read.
    """
    if is_fasta(path) or suffix_of(path) in SIGNAL_SUFFIXES:
        return True
    return not read_pyramid(path) and len(read_header(path).size) == 1


def open_line(file: ServedFile, cache: CacheFolder) -> OpenedLine:
    """Open a file of one axis for display.

    Raises:
        UserError: it cannot be read.
    """
    return OpenedGenome(file, cache) if is_fasta(file.item.path) else OpenedSignal(file, cache)
