"""The image of a genome: one sequence of a FASTA file, with the signals that lie on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.formats import Header
from atrous.data.genomes.fasta import open_sequence, sequence_lengths
from atrous.data.genomes.tracks import Tracks
from atrous.data.images import SampleImage
from atrous.data.source import Stacked


@dataclass(frozen=True)
class SequenceImage(SampleImage):
    """One sequence as a source `(4 + tracks, L)` of float32: one-hot bases, then signals.

    Attributes:
        path: the FASTA file.
        sequence: name of the sequence in it.
        tracks: bigWig files whose values are further channels, in this order.
    """

    path: Path
    sequence: str
    tracks: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file, the sequence first."""
        return (self.path, *self.tracks)

    def header(self) -> Header:
        """See `SampleImage.header`."""
        return Header(tuple(self.load().shape), "float32", "sequence")

    def load(self) -> Any:
        """Return the source; its values are computed for what is sliced alone.

        Raises:
            UserError: a file cannot be read, or they do not fit each other.
        """
        bases = open_sequence(self.path, self.sequence)
        if not self.tracks:
            return bases
        names = sequence_lengths(self.path)
        return Stacked([bases, Tracks(self.tracks, self.sequence, bases.shape[1], names)])
