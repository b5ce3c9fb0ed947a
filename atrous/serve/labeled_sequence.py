"""The labels of one sequence of a genome, and the features on it: genes are chosen along the whole sequence."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.genomes.phase import phased
from atrous.data.genomes.runs import ChannelInterval, ChannelIntervals
from atrous.data.genomes.writers import open_writer
from atrous.errors import UserError
from atrous.files import write_text
from atrous.prediction.genes import GeneStrips
from atrous.prediction.inputs import Opened
from atrous.prediction.predictor import Predictor
from atrous.prediction.sequences import open_named_sequence
from atrous.serve.cache import CacheFolder
from atrous.serve.found import ServedFile
from atrous.serve.labeled import Between, LabeledInput
from atrous.serve.store import FillSink, LabelStore
from atrous.tasks.custom import gene_rules
from atrous.tasks.semantic import Semantic
from atrous.tasks.temperature import class_task

FEATURES = "features.json"


class LabeledSequence(LabeledInput):
    """One sequence of a FASTA file and what is known of its labels and features.

    Args:
        file: the FASTA file.
        predictor: the network.
        key: letters and digits that change when the file or the network does, or another sequence is meant.
        cache: where the labels are kept.
        sequence: its name.
        length: its bases.
    """

    def __init__(
        self, file: ServedFile, predictor: Predictor, key: str, cache: CacheFolder, sequence: str, length: int
    ) -> None:
        super().__init__(file, predictor, key, cache)
        self._sequence, self._length = sequence, length
        self._features: list[ChannelInterval] | None = None

    def _open(self) -> Opened:
        return open_named_sequence(self.file.item.path, self._sequence, self._predictor.run.recipe.input.tracks)

    @property
    def complete(self) -> bool:
        """See `LabeledInput.complete`; the features must be found too."""
        return super().complete and self.features() is not None

    def features(self) -> list[ChannelInterval] | None:
        """Return the features of the sequence by start, as `atrous predict` writes them; None before they are found."""
        if self._features is None and self.store is not None and (self.store.folder / FEATURES).exists():
            rows = json.loads((self.store.folder / FEATURES).read_text(encoding="utf-8"))
            self._features = [
                ChannelInterval(*row, notes=tuple((key, text) for key, text in notes)) for *row, notes in rows
            ]
        return self._features

    def fill(self, between: Between) -> None:
        """Compute the probabilities of all bases once, and from them all labels and the features."""
        opened = self.ready()
        assert self.store is not None
        if self.complete:
            return
        sink = self._sink(opened, self.store)
        self._predictor.write(opened.source, None, sink, progress=between)
        found = phased(sink.finish(), self._predictor.classes, opened.source)
        rows = [[int(s.start), int(s.end), s.channel, float(s.score), s.phase, s.notes] for s in found]
        write_text(self.store.folder / FEATURES, json.dumps(rows))
        self._features = found
        self.store.finish()

    def _sink(self, opened: Opened, store: LabelStore) -> ChannelIntervals:
        """What takes the probabilities, as they are taken for the files of `atrous predict`."""
        predictor, given = self._predictor, self._predictor.run.recipe.task
        task, rules = class_task(predictor.task), gene_rules(predictor.task)
        threshold = given.threshold if task is None or isinstance(task, Semantic) else task.level
        labels = SequenceLabels(store, threshold, task is not None and task.bits)
        classes, shortest = predictor.classes, tuple(given.shortest)
        if rules is not None:
            return GeneStrips(opened, classes, rules, threshold, shortest, [labels])
        return ChannelIntervals(len(classes), self._length, threshold, [labels], shortest)

    def write(self, suffix: str) -> Path:
        """Write the features of the sequence as `atrous predict` does, and return the file.

        Args:
            suffix: ".gff3" or ".bed".

        Raises:
            UserError: they are not found yet.
        """
        features = self.features()
        if suffix not in (".gff3", ".bed"):
            raise UserError("features of genomes are saved as .gff3 or .bed")
        if self.store is None or features is None:
            raise UserError("the features of this sequence are not found yet: have all of it labelled first")
        path = self.store.folder / f"download{suffix}"
        with self._writing:
            if not path.exists():
                writer = open_writer(path, {self._sequence: self._length}, self._predictor.classes)
                writer.sequence(self._sequence, features)
                writer.finish()
        return path


class SequenceLabels:
    """Takes the probabilities of classes strip by strip, and keeps the labels."""

    def __init__(self, store: LabelStore, threshold: float, bits: bool) -> None:
        self._sink: Any = FillSink(store)
        self._threshold, self._bits = threshold, bits

    def add(self, start: int, values: np.ndarray) -> None:
        """Keep the labels of the next strip `(K, n)`."""
        if self._bits:
            weights = (1 << np.arange(len(values), dtype=np.uint8))[:, None]
            labels = ((values >= self._threshold) * weights).sum(0, dtype=np.uint8)
        else:
            labels = values.argmax(0).astype(np.uint8)
        self._sink[start : start + values.shape[1]] = labels
