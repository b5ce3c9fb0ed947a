"""Objects of one `atrous serve`: found by a network where there is one, and corrected by hand."""

from concurrent.futures import Future
from pathlib import Path

import numpy as np

from atrous.errors import UserError
from atrous.prediction.predictor import Predictor
from atrous.serve.object_folder import CorrectedFolder
from atrous.serve.object_image import ObjectImage
from atrous.serve.viewer import Viewer
from atrous.serve.worker import NetworkWorker
from atrous.tasks.task import FoundTask


class ObjectSession:
    """What is found and corrected.

    Args:
        root: folder of the data set of objects, which may not be there yet.
        viewer: what is open.
        predictor: a network that finds objects; None to draw them by hand.

    Raises:
        UserError: the folder holds another data set, or another process changes it.
    """

    def __init__(self, root: Path, viewer: Viewer, predictor: Predictor | None = None) -> None:
        self.viewer, self.predictor = viewer, predictor
        self.folder = CorrectedFolder(root)
        self._worker = None if predictor is None else NetworkWorker()

    def image(self, number: int) -> ObjectImage:
        """Return an opened file as one whose objects are corrected.

        Raises:
            UserError: there is none of this number, or it is no such image.
        """
        picture = self.viewer.picture(number)
        return self.folder.image(picture.file, picture.shape[1:])

    def find(self, number: int) -> "Future[None]":
        """Have the objects of an image found as `atrous predict` finds them; they take the place of those before.

        Raises:
            UserError: there is no network that finds objects, or as `image`.
        """
        predictor, image = self.predictor, self.image(number)
        if predictor is None or self._worker is None:
            raise UserError("no network is open that finds objects: start atrous serve with --run RUN")
        item = self.viewer.file(number).item
        return self._worker.ask(lambda between: image.take(np.asarray(predictor.predict(item).instances)))

    def close(self) -> None:
        """Stop all work, and let other processes change the data set."""
        if self._worker is not None:
            self._worker.close()
        self.folder.close()


def finds_objects(predictor: Predictor | None) -> bool:
    """Return whether a network finds single objects."""
    return predictor is not None and isinstance(predictor.task, FoundTask) and predictor.task.found == "objects"
