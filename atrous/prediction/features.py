"""The features that a network finds in genomes: GFF3 or BED; its probabilities base by base: bigWig."""

from pathlib import Path
from typing import Any

from atrous.data.genomes.fasta import sequence_lengths
from atrous.data.genomes.phase import phased
from atrous.data.genomes.runs import Stretches
from atrous.data.genomes.writers import SIGNAL_SUFFIXES, Writer, open_writer
from atrous.prediction.inputs import Opened
from atrous.prediction.output import Output


class FeatureFile(Output):
    """The intervals in which the probability of a class reaches a threshold, on all sequences of a FASTA file.

    Args:
        path: its suffix says the format: `.gff3`, `.gff` or `.bed`; `.bw` and `.bigwig` hold the probabilities instead,
            in one file per class (`X.bw` becomes `X.CDS+.bw`).
        genome: the FASTA file.
        classes: names, each a feature and a strand.
        threshold: probability from which a base belongs to a feature.
        shortest: bases, per class, of the shortest feature that is written.
    """

    values, in_order = "probabilities", True

    def __init__(
        self, path: Path, genome: Path, classes: tuple[str, ...], threshold: float, shortest: tuple[int, ...]
    ) -> None:
        signal = path.suffix.lower() in SIGNAL_SUFFIXES
        self.paths = (
            tuple(path.with_name(f"{path.stem}.{name}{path.suffix}") for name in classes) if signal else (path,)
        )
        self._path = path
        self._genome, self._classes, self._threshold, self._shortest = genome, classes, threshold, shortest
        self._writer: Writer | None = None
        self._opened: Opened | None = None
        self.sink: Stretches | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Write the features of the sequence before, and take the probabilities `(K, L)` of the next one."""
        path = self._path
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = open_writer(path, sequence_lengths(self._genome), self._classes)
        self._end_sequence()
        self._opened = opened
        length = int(opened.source.shape[1])
        self.sink = Stretches(len(self._classes), length, self._threshold, [self._writer], self._shortest)

    def finish(self) -> None:
        """Write the features of the last sequence and put the file in its place."""
        assert self._writer is not None
        self._end_sequence()
        self._writer.finish()
        self._writer = None

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def _end_sequence(self) -> None:
        if self.sink is not None and self._opened is not None and self._writer is not None:
            features: Any = phased(self.sink.finish(), self._classes, self._opened.source)
            self._writer.sequence(self._opened.name, features)
            self.sink = None
