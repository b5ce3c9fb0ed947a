"""What one `atrous serve` has open: the files, a few of them at a time in memory, and the network."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.prediction.predictor import Predictor
from atrous.prediction.region import require_labels
from atrous.serve.cache import CacheFolder
from atrous.serve.evaluation import Evaluation, RankedSample, TrueLabels
from atrous.serve.found import ServedFile
from atrous.serve.labeled import LabeledInput
from atrous.serve.labeled_sequence import LabeledSequence
from atrous.serve.line import OpenedGenome, OpenedLine, is_line, open_line
from atrous.serve.picture import OpenedPicture, Plane
from atrous.serve.store import UNKNOWN
from atrous.serve.worker import Busy, NetworkWorker

OPEN = 8
"""Files that are open for display at the same time."""
LABELED = 8
"""Inputs that are open for the network at the same time."""


class NotOpened(UserError):
    """There is no opened file of this number."""


class Viewer:
    """The opened files and the network, for any number of requests at the same time.

    Args:
        files: what was opened; a file's number is its place.
        cache: where results are kept.
        predictor: the network; None to look only.

    Attributes:
        networks: how many networks there were so far; what is shown of an earlier one is out of date.

    Raises:
        UserError: the page cannot show what the network finds.
    """

    def __init__(self, files: list[ServedFile], cache: CacheFolder, predictor: Predictor | None = None) -> None:
        self.files, self.predictor, self._cache = files, predictor, cache
        self._opened: OrderedDict[int, OpenedPicture | OpenedLine] = OrderedDict()
        self._labeled: dict[tuple[int, int], LabeledInput] = {}
        self._lock = threading.Lock()
        self.worker: NetworkWorker | None = None
        self._samples: dict[tuple[int, int], RankedSample] = {}
        self.evaluation = None if predictor is None else Evaluation(predictor)
        self._network, self.networks = "", 0
        self._outdated: dict[tuple[int, int], LabeledInput] = {}
        if predictor is not None:
            self._use(predictor, _identity(predictor))

    def _use(self, predictor: Predictor, identity: str) -> None:
        self._network, self.predictor = identity, predictor
        self.networks += 1
        self.worker = self.worker or NetworkWorker()

    def adopt(self, predictor: Predictor) -> None:
        """Label with another network from now on: with the next weights of a training in progress.

        Labels of the network before the last one are removed from the cache.

        Raises:
            UserError: the page cannot show what the network finds.
        """
        identity = _identity(predictor)  # this reads all weights: no request waits for it
        with self._lock:
            self._use(predictor, identity)
            before, self._labeled = self._labeled, {}
            forgotten, self._outdated = self._outdated, before
        assert self.worker is not None
        for labeled in before.values():
            self.worker.pause(labeled)
        for labeled in forgotten.values():
            labeled.forget()

    def file(self, number: int) -> ServedFile:
        """Return an opened file.

        Raises:
            NotOpened: there is none of this number.
        """
        if not 0 <= number < len(self.files):
            raise NotOpened(f"input {number}: there are {len(self.files)}, counted from 0")
        return self.files[number]

    def opened(self, number: int) -> OpenedPicture | OpenedLine:
        """Return an opened file for display; the ones that were not used for the longest time are closed.

        Raises:
            UserError: there is none of this number, or it cannot be read.
        """
        file = self.file(number)
        with self._lock:
            found = self._opened.get(number)
        if found is None:
            file.require_inside()
            found = open_line(file, self._cache) if is_line(file.item.path) else OpenedPicture(file, self._cache)
        with self._lock:
            found = self._opened.setdefault(number, found)
            self._opened.move_to_end(number)
            while len(self._opened) > 1 and (len(self._opened) > OPEN or self._held() > memory_limit() // 4):
                self._opened.popitem(last=False)
        return found

    def picture(self, number: int) -> OpenedPicture:
        """Return an opened image, volume or video; see `opened`.

        Raises:
            UserError: it is none, or as `opened`.
        """
        found = self.opened(number)
        if isinstance(found, OpenedLine):
            raise UserError(f"input {number}: it has one axis: ask for its curves")
        return found

    def line(self, number: int) -> OpenedLine:
        """Return an opened recording or genome; see `opened`.

        Raises:
            UserError: it is none, or as `opened`.
        """
        found = self.opened(number)
        if isinstance(found, OpenedPicture):
            raise UserError(f"input {number}: it is no recording and no genome: ask for its tiles")
        return found

    def add(self, files: Sequence[ServedFile]) -> list[int]:
        """Open more files, each of which is not open yet, and return the numbers of all."""
        with self._lock:
            known = {_paths(file): number for number, file in enumerate(self.files)}
            for file in files:
                if known.setdefault(_paths(file), len(self.files)) == len(self.files):
                    self.files.append(file)
            return [known[_paths(file)] for file in files]

    def ranked(self) -> list[tuple[RankedSample, int | None]]:
        """Return the worst samples of the evaluation of the run, each with the number under which it is open.

        Raises:
            UserError: there is no network, or its run was not evaluated.
        """
        samples = self._evaluation().ranked()
        numbers = iter(self.add([one.file for one in samples if one.file is not None]))
        ranked = [(one, None if one.file is None else next(numbers)) for one in samples]
        with self._lock:
            self._samples = {(number, one.sequence): one for one, number in ranked if number is not None}
        return ranked

    def has_truth(self, number: int) -> bool:
        """Return whether the true labels of a file are known: it is among the worst of the evaluation."""
        return any(place[0] == number for place in self._samples)

    def truth(self, number: int, sequence: int = 0) -> TrueLabels:
        """Return the true labels of a sample of the evaluation.

        Raises:
            NotOpened: the file is not among the samples that `ranked` gives.
            UserError: they cannot be read.
        """
        self.file(number)
        ranked = self._samples.get((number, sequence))
        if ranked is None or ranked.sample is None:
            raise NotOpened(f"input {number}: it is none of the listed samples of the evaluation")
        return self._evaluation().truth(ranked.name, ranked.sample)

    def _evaluation(self) -> Evaluation:
        if self.evaluation is None:
            raise UserError("no network is open: start atrous serve with --run RUN")
        return self.evaluation

    def share(self, number: int, plane: Plane) -> float:
        """Return which part of a plane was read for its coarse levels; 1 of a file that is not open.

        Raises:
            NotOpened: there is no file of this number.
        """
        self.file(number)
        with self._lock:
            picture = self._opened.get(number)
        return picture.share(plane) if isinstance(picture, OpenedPicture) else 1.0

    def _held(self) -> int:
        return sum(opened.nbytes for opened in self._opened.values())

    def labeled(self, number: int, sequence: int = 0) -> tuple[LabeledInput, NetworkWorker]:
        """Return the labels of an opened file, of a genome those of one sequence, and what computes them.

        Raises:
            UserError: there is no network, or no file of this number, or it cannot be read.
        """
        with self._lock:
            predictor, worker, network = self.predictor, self.worker, self._network
        if predictor is None or worker is None:
            raise UserError("no network is open: start atrous serve with --run RUN")
        opened, place = self.opened(number), (number, sequence)
        with self._lock:
            found = self._labeled.get(place)
            current = network == self._network
        if found is None or not current:
            key = f"{opened.identity[:32]}labels{network[:32]}"
            if isinstance(opened, OpenedGenome):
                one = opened.sequence(sequence)
                key = f"{key}sequence{sequence}"
                found = LabeledSequence(opened.file, predictor, key, self._cache, one.name, one.length)
            elif sequence:
                raise NotOpened(f"sequence {sequence}: only genomes have several")
            else:
                found = LabeledInput(opened.file, predictor, key, self._cache)
            with self._lock:
                if network == self._network:  # else another network has come meanwhile, and these are soon outdated
                    found = self._labeled.setdefault(place, found)
        self._rest(place, worker)
        return found, worker

    def _rest(self, place: tuple[int, int], worker: NetworkWorker) -> None:
        """Have inputs closed for the network that were not used for the longest time."""
        with self._lock:
            if place in self._labeled:  # not if another network has come meanwhile
                self._labeled[place] = self._labeled.pop(place)  # the last one is the newest
            longest = [labeled for labeled in list(self._labeled.values())[:-LABELED] if labeled.in_memory]
        for labeled in longest:
            try:
                worker.ask(labeled.rest)
            except Busy:
                return  # the next request tries again

    def close(self) -> None:
        """Stop all work."""
        if self.worker is not None:
            self.worker.close()


def _identity(predictor: Predictor) -> str:
    """Return the identity of a network.

    Raises:
        UserError: the page cannot show what it finds.
    """
    require_labels(predictor)
    if len(predictor.classes) > UNKNOWN:
        raise UserError(f"{predictor.run.title}: {len(predictor.classes)} classes: the page shows {UNKNOWN}")
    return predictor.identity()


def _paths(file: ServedFile) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in file.item.files)
