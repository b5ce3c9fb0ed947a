"""What a run says of its evaluation: metrics, confusion, the worst samples, and the true labels of each."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.genomes.fasta import sequence_lengths
from atrous.data.genomes.sequences import SequenceImage
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.prediction.inputs import Input
from atrous.prediction.predictor import Predictor
from atrous.serve.found import ServedFile
from atrous.serve.levels import NoTile
from atrous.serve.store import tile_places
from atrous.verbs.evaluate import open_split

WORST = 50
"""Samples that are listed, the worst first."""
KEPT = 4
"""Samples whose true labels stay in memory."""


@dataclass(frozen=True)
class RankedSample:
    """One sample of an evaluation.

    Attributes:
        name: in its data set.
        value: its own value of the first metric.
        file: what it shows; None if the data are no longer where they were.
        sequence: its place in a file of sequences, else 0.
        sample: its image and its true labels.
    """

    name: str
    value: float
    file: ServedFile | None = None
    sequence: int = 0
    sample: Sample | None = None


class TrueLabels:
    """The true labels `(*S)` uint8 of a sample; of genomes bits.

    Args:
        values: the labels.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.labels, self.size = values, values.shape

    def tile(self, cut: tuple[int, int], level: int, row: int, column: int) -> np.ndarray:
        """Return the labels `(h, w)` of a tile; see `LabelStore.tile`.

        Raises:
            NoTile: there is none.
        """
        places, shape = tile_places(self.size, cut, level, row, column)
        return self.labels[np.ix_(*places)].reshape(shape)


class Evaluation:
    """The evaluation that a training left in the folder of its run.

    Args:
        predictor: the trained network.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self._lock = predictor, threading.Lock()
        self._ranked: tuple[RankedSample, ...] | None = None
        self._truths: OrderedDict[str, TrueLabels] = OrderedDict()
        self.problem = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the run that was evaluated."""
        return self._predictor.classes

    @property
    def report(self) -> Path | None:
        """The page about the run; None if it has none."""
        path = self._predictor.run.folder / "report.html"
        return path if path.is_file() else None

    def scores(self) -> dict[str, Any]:
        """Return the metrics as `scores.json` holds them.

        Raises:
            UserError: the run has none, or the file is damaged.
        """
        path = self._predictor.run.folder / "scores.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self._predictor.run.title}: was not evaluated: it has no scores.json") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is damaged: train again, or remove it") from error
        if not isinstance(found, dict):
            raise UserError(f"{path}: is damaged: train again, or remove it")
        return found

    def ranked(self) -> tuple[RankedSample, ...]:
        """Return the worst samples; the data set is opened the first time, and `problem` says what is wrong with it.

        Raises:
            UserError: as `scores`.
        """
        scores = self.scores()
        with self._lock:
            if self._ranked is None:
                self._ranked = self._rank(scores)
            return self._ranked

    def truth(self, name: str, sample: Sample) -> TrueLabels:
        """Return the true labels of a sample.

        Raises:
            UserError: they cannot be read, or are no labels.
        """
        with self._lock:
            if name not in self._truths:
                if sample.target is None or sample.target.kind not in ("labels", "bits"):
                    raise NoTile(f"{name}: its truth is no label at every position")
                values = np.asarray(sample.target.read())
                self._truths[name] = TrueLabels((values & 0xFF).astype(np.uint8))  # of genomes the low byte is the set
                if len(self._truths) > KEPT:
                    self._truths.popitem(last=False)
            self._truths.move_to_end(name)
            return self._truths[name]

    def _rank(self, scores: dict[str, Any]) -> tuple[RankedSample, ...]:
        ranking = scores.get("ranking")
        if not isinstance(ranking, list):
            self.problem = "this run was made by an earlier version, which did not note the metric of each sample"
            return ()
        worst = [RankedSample(str(name), float(value)) for name, value in ranking[:WORST]]
        try:
            dataset, samples = open_split(self._predictor, None, None, str(scores.get("split", "val")))
        except UserError as error:
            self.problem = str(error)
            return tuple(worst)
        by_name = {sample.name: sample for sample in samples}
        return tuple(_opened(one, by_name.get(one.name), dataset.root) for one in worst)


def _opened(ranked: RankedSample, sample: Sample | None, root: Path) -> RankedSample:
    """Return the sample with what it shows, if it is still there."""
    if sample is None or not all(path.exists() for path in sample.image.files):
        return ranked
    image, number = sample.image, 0
    files = image.files
    if isinstance(image, SequenceImage):
        number, files = list(sequence_lengths(image.path)).index(image.sequence), (image.path,)
    file = ServedFile(ranked.name, Input(tuple(files), Path(image.path.name)), root)
    return RankedSample(ranked.name, ranked.value, file, number, sample)
