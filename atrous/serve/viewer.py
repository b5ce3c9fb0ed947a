"""What one `atrous serve` has open: the files, a few of them at a time in memory, and the network."""

import threading
from collections import OrderedDict

from atrous.errors import UserError
from atrous.machine import memory_limit
from atrous.prediction.predictor import Predictor
from atrous.prediction.region import require_labels
from atrous.serve.cache import CacheFolder
from atrous.serve.found import ServedFile
from atrous.serve.labeled import LabeledInput
from atrous.serve.picture import OpenedPicture, Plane
from atrous.serve.store import UNKNOWN
from atrous.serve.worker import NetworkWorker

OPEN = 8
"""Files that are open for display at the same time."""


class NotOpened(UserError):
    """There is no opened file of this number."""


class Viewer:
    """The opened files and the network, for any number of requests at the same time.

    Args:
        files: what was opened; a file's number is its place.
        cache: where results are kept.
        predictor: the network; None to look only.

    Raises:
        UserError: the page cannot show what the network finds.
    """

    def __init__(self, files: list[ServedFile], cache: CacheFolder, predictor: Predictor | None = None) -> None:
        self.files, self.predictor, self._cache = files, predictor, cache
        self._pictures: OrderedDict[int, OpenedPicture] = OrderedDict()
        self._labeled: dict[int, LabeledInput] = {}
        self._lock = threading.Lock()
        self.worker: NetworkWorker | None = None
        self._network = ""
        if predictor is not None:
            require_labels(predictor)
            if predictor.run.recipe.model.ndim == 1:
                raise UserError(f"{predictor.run.title}: its network reads signals, which the page does not show")
            if len(predictor.classes) > UNKNOWN:
                raise UserError(f"{predictor.run.title}: {len(predictor.classes)} classes: the page shows {UNKNOWN}")
            self._network = predictor.identity()
            self.worker = NetworkWorker()

    def file(self, number: int) -> ServedFile:
        """Return an opened file.

        Raises:
            NotOpened: there is none of this number.
        """
        if not 0 <= number < len(self.files):
            raise NotOpened(f"input {number}: there are {len(self.files)}, counted from 0")
        return self.files[number]

    def picture(self, number: int) -> OpenedPicture:
        """Return an opened file for display; the ones that were not used for the longest time are closed.

        Raises:
            UserError: there is none of this number, or it cannot be read.
        """
        file = self.file(number)
        with self._lock:
            found = self._pictures.get(number)
        found = found or OpenedPicture(file, self._cache)
        with self._lock:
            found = self._pictures.setdefault(number, found)
            self._pictures.move_to_end(number)
            while len(self._pictures) > 1 and (len(self._pictures) > OPEN or self._held() > memory_limit() // 4):
                self._pictures.popitem(last=False)
        return found

    def share(self, number: int, plane: Plane) -> float:
        """Return which part of a plane was read for its coarse levels; 1 of a file that is not open.

        Raises:
            NotOpened: there is no file of this number.
        """
        self.file(number)
        with self._lock:
            picture = self._pictures.get(number)
        return 1.0 if picture is None else picture.share(plane)

    def _held(self) -> int:
        return sum(picture.nbytes for picture in self._pictures.values())

    def labeled(self, number: int) -> tuple[LabeledInput, NetworkWorker]:
        """Return the labels of an opened file, and what computes them.

        Raises:
            UserError: there is no network, or no file of this number, or it cannot be read.
        """
        if self.predictor is None or self.worker is None:
            raise UserError("no network is open: start atrous serve with --run RUN")
        picture = self.picture(number)
        with self._lock:
            known = number in self._labeled
        if not known:
            key = f"{picture.identity[:32]}labels{self._network[:32]}"
            made = LabeledInput(picture.file, self.predictor, key, self._cache)
            with self._lock:
                self._labeled.setdefault(number, made)
        return self._labeled[number], self.worker

    def close(self) -> None:
        """Stop all work."""
        if self.worker is not None:
            self.worker.close()
