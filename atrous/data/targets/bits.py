"""Bits: any number of classes at every position, `(*S)`; bit `k` of the low byte says whether class `k` is on.

The low byte is `IGNORE` where nothing is known. Higher bits, 24 in all at most, keep what a reader adds: of genomes,
the reading frame, the ends of genes and the bases (`genomes/labels.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from atrous.color import VOID, Palette
from atrous.data.coding import Coding
from atrous.data.formats import FileFault
from atrous.data.genomes.annotation import Feature, read_features
from atrous.data.genomes.fasta import fasta_stem, open_sequence, sequence_lengths
from atrous.data.genomes.labels import CODING, channels, features_of, label, with_bases
from atrous.data.genomes.tracks import Tracks, is_track, track_name
from atrous.data.problems import Problem
from atrous.data.targets import feature_problems
from atrous.data.targets.base import Facts, Scanned, Target, TargetScan
from atrous.data.view import View
from atrous.labels import IGNORE, MOST_BITS

if TYPE_CHECKING:
    import torch  # the data doctor must not wait for it

KEPT_FILES = 16
"""Annotation files whose features are remembered."""


class BitReader(Protocol):
    """Where the values of a bits target come from."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the bits."""
        ...

    def values(self) -> np.ndarray:
        """Return the bits of the whole sample, `(*S)` uint16 or uint32."""
        ...


@dataclass(frozen=True)
class GenomeFeatures:
    """The features of one sequence, from GFF3, BED and bigWig files.

    Attributes:
        fasta: the file of the sequence.
        sequence: its name.
        files: the files that say what lies on the sequence.
        classes: names of the channels: each feature on either strand.
    """

    fasta: Path
    sequence: str
    files: tuple[Path, ...]
    classes: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The first of the files."""
        return self.files[0]

    @property
    def annotations(self) -> tuple[Path, ...]:
        """The GFF3, GTF and BED files."""
        return tuple(path for path in self.files if not is_track(path))

    @property
    def signals(self) -> tuple[Path, ...]:
        """The bigWig files."""
        return tuple(path for path in self.files if is_track(path))

    @property
    def length(self) -> int:
        """Bases of the sequence."""
        return sequence_lengths(self.fasta)[self.sequence]

    def features(self, path: Path) -> list[Feature]:
        """Return the features of the sequence in one annotation file.

        Raises:
            UserError: the file cannot be read.
        """
        return features_on(path, self.sequence)

    def values(self) -> np.ndarray:
        """Return the features as bits `(L,)`; a bigWig file marks its feature from 0.5 on.

        They are uint16, or uint32 with the bases of the sequence where genes are among the features.

        Raises:
            UserError: a file cannot be read.
        """
        features = [feature for path in self.annotations for feature in self.features(path)]
        bits = label(features, self.classes, self.length)
        for path in self.signals:
            marked = Tracks([path], self.sequence, self.length, sequence_lengths(self.fasta))[0] >= 0.5
            names = channels((track_name(path, fasta_stem(self.fasta)),))
            mask = sum(1 << self.classes.index(name) for name in names if name in self.classes)
            bits[marked & (bits & 0xFF != IGNORE)] |= np.uint16(mask)
        if CODING not in features_of(self.classes):
            return bits
        return with_bases(bits, np.asarray(open_sequence(self.fasta, self.sequence).codes[0 : self.length]))


@dataclass(frozen=True)
class Bits(Target):
    """Any number of classes at every position.

    Attributes:
        reader: where the values come from.
    """

    reader: BitReader

    kind = "bits"
    has_classes = True

    @property
    def path(self) -> Path:
        """See `Target.path`."""
        return self.reader.path

    def read(self) -> np.ndarray:
        """Return bits `(*S)` uint16 or uint32.

        Raises:
            UserError: a file cannot be read.
        """
        if len(self.reader.classes) > MOST_BITS:
            what = f"{len(self.reader.classes)} classes at a position"
            raise FileFault(self.path, what, f"at most {MOST_BITS} can be learned together")
        return self.reader.values()

    def scan(self, valid: np.ndarray | None, color_expected: bool = False) -> TargetScan:
        """See `Target.scan`: positions and lengths of the intervals of each class."""
        bits = self.read() & 0xFF
        count = len(self.reader.classes)
        sets = np.bincount(bits.reshape(-1), minlength=256)
        scanned = TargetScan(size=bits.shape, outside=int(sets[IGNORE]))
        sets[IGNORE] = 0
        combinations = np.arange(256)
        scanned.counts = {k: int(sets[combinations >> k & 1 == 1].sum()) for k in range(count)}
        if bits.ndim == 1:
            scanned.intervals = {k: _lengths((bits >> k & 1 == 1) & (bits != IGNORE)) for k in range(count)}
        return scanned

    @classmethod
    def problems(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[Problem]:
        """See `Target.problems`."""
        readers = _annotated([one for one in scans if one.image is not None and one.contents is not None])
        return feature_problems.problems(readers, scans, facts)

    @classmethod
    def notes(cls, scans: Sequence[Scanned], facts: Facts) -> Iterator[str]:
        """See `Target.notes`."""
        assert facts.coding is not None
        readers = _annotated([one for one in scans if one.contents is not None])
        return feature_problems.notes(readers, facts.coding.classes)

    @classmethod
    def frequency(cls, scans: Sequence[Scanned], coding: Coding | None) -> tuple[float, ...]:
        """Return the share of the labeled positions that have each class; shares add up to any sum."""
        assert coding is not None
        scanned = [one.contents for one in scans if one.contents is not None]
        labeled = sum(int(np.prod(contents.size)) - contents.outside for contents in scanned)
        counts = [sum(contents.counts.get(k, 0) for contents in scanned) for k in range(len(coding.classes))]
        return tuple(count / max(1, labeled) for count in counts)

    @classmethod
    def class_counts(cls, scanned: Scanned, coding: Coding) -> np.ndarray:
        """See `Target.class_counts`; a position counts for each class that it has."""
        return np.array([scanned.counts.get(k, 0) for k in range(len(coding.classes))], np.int64)

    @classmethod
    def summary(cls, facts: Facts, colored: bool) -> str:
        """See `Target.summary`."""
        assert facts.coding is not None
        return f"{len(facts.coding.classes)} channels, a feature on a strand each; a base may have several"

    @staticmethod
    def resample(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """See `Target.resample`: each position takes the nearest bits."""
        sizes = zip(shape, values.shape, strict=True)
        axes = [np.minimum(((np.arange(m) + 0.5) * n / m).astype(int), n - 1) for m, n in sizes]
        return values[np.ix_(*axes)]

    @staticmethod
    def counts_for_nothing(values: np.ndarray) -> bool:
        """See `Target.counts_for_nothing`."""
        return bool(((values & 0xFF) == IGNORE).all())

    @staticmethod
    def cut(values: Any, view: View, crop: tuple[int, ...]) -> "torch.Tensor":
        """Return bits `(*crop)` int64: the nearest, void outside the sample."""
        import torch

        from atrous.data.cut import cut_values

        # float32 holds 24 bits exactly. Shifted by one, so that the zero that torch puts outside means void.
        nearest = cut_values((np.asarray(values).astype(np.int64) + 1)[None], view, crop, "nearest", border=False)[0]
        bits = nearest.to(torch.int64) - 1
        return torch.where(bits < 0, IGNORE, bits)

    @staticmethod
    def tensor(values: np.ndarray) -> "torch.Tensor":
        """Return bits `(*S)` int64."""
        import torch

        return torch.from_numpy(np.asarray(values).astype(np.int64))

    @staticmethod
    def draw(image: np.ndarray, values: np.ndarray, palette: Palette) -> np.ndarray:
        """Return the color of the highest class of each position, void in gray."""
        bits = np.asarray(values) & 0xFF
        picture = np.zeros((*bits.shape, 3), np.uint8)
        for k, color in enumerate(palette):
            picture[bits >> k & 1 == 1] = color
        picture[bits == IGNORE] = VOID
        return picture


_FEATURES: dict[Path, tuple[int, dict[str, list[Feature]]]] = {}


def features_on(path: Path, sequence: str) -> list[Feature]:
    """Return the features of one sequence; files that were read last are remembered.

    Raises:
        UserError: the file cannot be read.
    """
    changed = path.stat().st_mtime_ns if path.exists() else 0
    if path not in _FEATURES or _FEATURES[path][0] != changed:
        by_sequence: dict[str, list[Feature]] = {}
        for feature in read_features(path):
            by_sequence.setdefault(feature.sequence, []).append(feature)
        if len(_FEATURES) > KEPT_FILES:
            _FEATURES.clear()
        _FEATURES[path] = changed, by_sequence
    return _FEATURES[path][1].get(sequence, [])


def _annotated(scans: Sequence[Scanned]) -> list[GenomeFeatures]:
    """The readers of genome features among scanned targets."""
    readers = [one.target.reader for one in scans if isinstance(one.target, Bits)]
    return [reader for reader in readers if isinstance(reader, GenomeFeatures)]


def _lengths(inside: np.ndarray) -> np.ndarray:
    """Lengths of the intervals of True in a boolean array `(L,)`.

    >>> _lengths(np.array([True, True, False, True]))
    array([2, 1])
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]
