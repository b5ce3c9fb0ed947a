"""What a network finds along genomes: features as GFF3, BED or a table; probabilities or numbers as bigWig."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats.npy import create_memmap
from atrous.data.formats.writing import files_identity
from atrous.data.genomes.fasta import fasta_stem, sequence_lengths
from atrous.data.genomes.phase import phased
from atrous.data.genomes.runs import ChannelInterval, ChannelIntervals, FirstRows, Strips
from atrous.data.genomes.tracks import TRACK_SUFFIXES
from atrous.data.genomes.writers import OUTPUT_SUFFIXES, SIGNAL_SUFFIXES, BigWigs, Writer, channel_paths, open_writer
from atrous.errors import UserError
from atrous.files import remove, settle
from atrous.objects.genes import GeneRules
from atrous.objects.orfs import EVIDENCE
from atrous.prediction.genes import GeneStrips
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.journal import Journal
from atrous.prediction.output import Companions, Output
from atrous.prediction.predictor import Predictor
from atrous.tasks.custom import gene_rules, value_task
from atrous.tasks.semantic import Semantic
from atrous.tasks.temperature import class_task
from atrous.tasks.uncertainty import entropy_of


class FeatureFile(Output):
    """The intervals in which the probability of a class reaches a threshold, and genes, on the sequences of a file.

    What is found on a sequence is kept in a journal beside the file, with the probabilities if they are written. An
    interrupted run goes on after the last sequence that was finished, and the file is the same, byte by byte.

    Args:
        path: its suffix says the format: `.gff3`, `.gff`, `.bed` or `.tsv`; `.bw` and `.bigwig` hold the probabilities
            instead, in one file per class (`X.bw` becomes `X.CDS+.bw`).
        genome: the FASTA file.
        classes: names, each a feature and a strand.
        threshold: probability from which a base belongs to a feature.
        shortest: bases, per class, of the shortest feature that is written.
        identity: returns a text that is the same for runs with the same result; None keeps nothing for the next run.
        rules: what genes must fulfil; None: coding sequence is intervals too.
    """

    values, in_order = "probabilities", True

    def __init__(
        self,
        path: Path,
        genome: Path,
        classes: tuple[str, ...],
        threshold: float,
        shortest: tuple[int, ...],
        identity: Callable[[], str] | None = None,
        rules: GeneRules | None = None,
    ) -> None:
        self._rules = rules
        self._signal = path.suffix.lower() in SIGNAL_SUFFIXES
        self.paths = channel_paths(path, classes) if self._signal else (path,)
        self._path = path
        self._genome, self._classes, self._threshold, self._shortest = genome, classes, threshold, shortest
        self._identity = identity
        self._writer: Writer | None = None
        self._journal: Journal | None = None
        self._kept = path.with_name(f".{path.name}.part")  # probabilities of sequences that are done, for bigWig
        self._numbers: dict[str, int] = {}  # of sequences, by name
        self._noted: set[str] = set()
        self._replayed: list[dict[str, Any]] = []
        self._opened: Opened | None = None
        self._strips: KeptStrips | None = None
        self.sink: Strips | None = None

    def begin(self, opened: Opened, streamed: bool) -> None:
        """Take the probabilities `(K, L)` of the next sequence."""
        path = self._path
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            lengths = sequence_lengths(self._genome)
            self._numbers = {name: number for number, name in enumerate(lengths)}
            self._writer = self._new_writer(lengths)
            self._open_journal()
        self._opened, length = opened, int(opened.source.shape[1])
        also: list[Any] = [self._writer]
        if self._journal is not None and self._signal and not self.complete:
            self._strips = KeptStrips(self._place(opened.name), (len(self._classes), length))
            also.append(self._strips)
        self.sink = self._new_sink(length, also)

    def _new_writer(self, lengths: Mapping[str, int]) -> Writer:
        """What writes the sequences of these lengths, one after the other."""
        return open_writer(self._path, lengths, self._classes)

    def _new_sink(self, length: int, also: Sequence[Any]) -> Strips:
        """What takes the values of a sequence and passes them on to others."""
        count = len(self._classes)
        if self._rules is None:
            return ChannelIntervals(count, length, self._threshold, also, self._shortest)
        if self._signal:
            return Strips(count + EVIDENCE, length, [FirstRows(taker, count) for taker in also])
        assert self._opened is not None
        return GeneStrips(self._opened, self._classes, self._rules, self._threshold, self._shortest, also)

    def _open_journal(self) -> None:
        if self._identity is None:
            return
        self._journal = Journal(self._path.with_name(f".{self._path.name}.journal"), self._identity())
        self._replayed = list(self._journal.entries)
        self._noted = {entry["sequence"] for entry in self._replayed}
        if self._signal:
            if not self._replayed:
                remove(self._kept)
            self._kept.mkdir(exist_ok=True)

    def _place(self, sequence: str) -> Path:
        """Where the probabilities of a sequence are kept, by its number: names may hold anything."""
        return self._kept / f"{self._numbers[sequence]}.npy"

    @property
    def complete(self) -> bool:
        """See `Output.complete`."""
        return bool(self._replayed) and self._opened is not None and self._replayed[0]["sequence"] == self._opened.name

    def end(self) -> None:
        """Write the features of the sequence that is complete now."""
        assert self.sink is not None
        assert self._opened is not None
        assert self._writer is not None
        if self.complete and self.sink.at == 0:
            features = self._replay(self._replayed.pop(0))
        else:
            self._replayed = []  # from here on the network ran again, for this or for another output
            features = phased(self.sink.finish(), self._classes, self._opened.source)
            strips = [] if self._strips is None else self._strips.finish()
            self._note(self._opened.name, features, strips)
        self._writer.sequence(self._opened.name, features)
        self.sink = self._strips = None

    def _replay(self, entry: dict[str, Any]) -> list[ChannelInterval]:
        """Give the writer what an interrupted run found on a sequence, in the same strips."""
        assert self._writer is not None
        if self._signal:
            values, edges = np.load(self._place(entry["sequence"]), mmap_mode="r"), entry["strips"]
            for start, stop in pairwise(edges):
                self._writer.add(start, np.asarray(values[:, start:stop]))
        return [
            ChannelInterval(*values, notes=tuple((key, text) for key, text in notes))
            for *values, notes in entry["stretches"]
        ]

    def _note(self, sequence: str, features: list[ChannelInterval], strips: list[int]) -> None:
        if self._journal is not None and sequence not in self._noted:
            rows = [[int(s.start), int(s.end), s.channel, float(s.score), s.phase, s.notes] for s in features]
            self._journal.add({"sequence": sequence, "stretches": rows, "strips": strips})

    def finish(self) -> None:
        """Put the file in its place."""
        assert self._writer is not None
        self._writer.finish()
        self._writer = None
        self._forget()

    def discard(self) -> None:
        """Remove the unfinished file and the journal."""
        self._abandon()
        self._forget()

    def pause(self) -> None:
        """See `Output.pause`: keep the journal."""
        self._abandon()

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def _forget(self) -> None:
        if self._journal is not None:
            self._journal.remove()
        remove(self._kept)


class TrackFile(FeatureFile):
    """Numbers along all sequences of a FASTA file, as bigWig: one file for each output.

    Args:
        path: `X.bw` becomes `X.NAME.bw`.
        genome: the FASTA file.
        names: of the outputs.
        identity: see `FeatureFile`.
        alone: a single output is written to `path` itself.
    """

    def __init__(
        self,
        path: Path,
        genome: Path,
        names: tuple[str, ...],
        identity: Callable[[], str] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        super().__init__(path, genome, names, np.inf, (1,) * len(names), identity)
        if alone and len(names) == 1:
            self.paths = (path,)

    def _new_writer(self, lengths: Mapping[str, int]) -> Writer:
        return BigWigs(self.paths, lengths)

    def _new_sink(self, length: int, also: Sequence[Any]) -> Strips:
        count = len(self._classes)
        if self._rules is None:
            return Strips(count, length, also)
        return Strips(count + EVIDENCE, length, [FirstRows(taker, count) for taker in also])


class UncertaintyTrack(TrackFile):
    """The uncertainty along all sequences of a FASTA file, as one bigWig.

    Args:
        path: the file.
        genome: the FASTA file.
        classes: names of the classes whose probabilities it takes.
        identity: see `FeatureFile`.
        rules: what genes must fulfil, if the network gives the evidence for them too.
    """

    def __init__(
        self,
        path: Path,
        genome: Path,
        classes: tuple[str, ...],
        identity: Callable[[], str] | None = None,
        rules: GeneRules | None = None,
    ) -> None:
        super().__init__(path, genome, classes, identity)
        self.paths, self._rules = (path,), rules

    def _new_writer(self, lengths: Mapping[str, int]) -> Writer:
        return EntropyWriter(super()._new_writer(lengths))


class EntropyWriter:
    """Passes the uncertainty of probabilities on to a writer of one channel."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.sequence, self.finish, self.abandon = writer.sequence, writer.finish, writer.abandon

    def add(self, start: int, values: np.ndarray) -> None:
        """Take the next probabilities `(K, n)` of the present sequence."""
        self._writer.add(start, entropy_of(values, bits=True)[None])


class KeptStrips:
    """Probabilities `(K, L)` of one sequence on disk, and the strips in which they came."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self._path = path
        self._array: Any = create_memmap(path, shape, np.float32)
        self._edges = [0]

    def add(self, start: int, values: np.ndarray) -> None:
        """Keep the next strip."""
        stop = start + values.shape[1]
        self._array[:, start:stop] = values
        self._edges.append(stop)

    def finish(self) -> list[int]:
        """Return the edges of the strips, once everything lies on the disk."""
        self._array.flush()
        settle(self._path)
        return self._edges


def genome_outputs(predictor: Predictor, item: Input, out: Path, companions: Companions) -> list[Output]:
    """Outputs of a FASTA file: its features, and if wanted the probabilities as bigWig; or the signals of a regression.

    `out` is a folder for `X.gff3`, or a file whose suffix says the format: `.gff3`, `.bed`, `.tsv` or `.bw`. Signals
    are `X.NAME.bw` in a folder, or a file that ends in `.bw`.

    Raises:
        UserError: signals are to be written to a file of another format.
    """
    target = out if out.suffix.lower() in OUTPUT_SUFFIXES else out / item.relative
    numbers = value_task(predictor.task)
    if numbers is not None:
        if out == target and target.suffix.lower() not in SIGNAL_SUFFIXES:
            raise UserError(f"{out}: numbers are written as bigWig: give a folder, or a name that ends in .bw")
        path = target if out == target else target.with_name(f"{fasta_stem(item.path)}.bw")
        return [TrackFile(path, item.path, numbers.names, _identity(predictor, item), alone=out == target)]
    paths = [target]
    if companions.probabilities == "bigwig" and target.suffix.lower() not in SIGNAL_SUFFIXES:
        paths.append(target.with_name(f"{target.stem}.bw"))
    given, task, rules = predictor.run.recipe.task, class_task(predictor.task), gene_rules(predictor.task)
    threshold = given.threshold if task is None or isinstance(task, Semantic) else task.level
    identity = _identity(predictor, item, rules)
    options = predictor.classes, threshold, tuple(given.shortest), identity, rules
    outputs: list[Output] = [FeatureFile(path, item.path, *options) for path in paths]
    if companions.uncertainty:
        track = target.with_name(f"{target.stem}.uncertainty.bw")
        outputs.insert(0, UncertaintyTrack(track, item.path, predictor.classes, identity, rules))
    return outputs


def _identity(predictor: Predictor, item: Input, rules: GeneRules | None = None) -> Callable[[], str]:
    """A function that returns a text on which the result for a FASTA file depends."""
    names = [
        f"{fasta_stem(item.path)}.{name}{end}" for name in predictor.run.recipe.input.tracks for end in TRACK_SUFFIXES
    ]
    tracks = [path for name in names if (path := item.path.with_name(name)).exists()]
    return cache(lambda: f"{predictor.identity()}{files_identity([item.path, *tracks])}{rules or ''}")
