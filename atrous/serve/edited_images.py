"""Images whose values are changed by hand: each change is undone and redone, and a few images are open at a time."""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from atrous.serve.history import History, Region


class EditedImage(ABC):
    """Values of one image that are changed step by step, for several threads at the same time.

    Args:
        dtype: of the values.
        begin: called once before the first change, to put the image beside its values.

    Attributes:
        revision: grows with every change.
        changed: called with the image after every change.
    """

    def __init__(self, dtype: type, begin: Callable[[], None]) -> None:
        self._begin, self._begun = begin, False
        self._history, self._lock = History(dtype), threading.Lock()
        self.revision = 0
        self.changed: Callable[[EditedImage], None] = lambda image: None

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone change."""
        return self._history.can_redo

    def undo(self) -> bool:
        """Take the last change back; return whether there was one."""
        with self._lock:
            return self._history.undo(self._step)

    def redo(self) -> bool:
        """Make the change again that was undone last; return whether there was one."""
        with self._lock:
            return self._history.redo(self._step)

    def forget_steps(self) -> None:
        """Keep all values, and undo and redo nothing that was changed so far."""
        with self._lock:
            self._history.forget()

    def _change(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        """Give a region other values; called with the lock held."""
        if not self._begun:
            self._begin()
            self._begun = True
        self._step(region, before, after)
        self._history.add(region, before, after)

    def _step(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        self._write(region, before, after)
        self.revision += 1
        self.changed(self)

    @abstractmethod
    def _write(self, region: Region, before: np.ndarray, after: np.ndarray) -> None:
        """Write a change to the disk, then take it over."""


Edited = TypeVar("Edited", bound=EditedImage)


class EditedImages(Generic[Edited]):
    """The images that were used last. Their changes are on the disk, so that others are opened again when needed.

    An image that anybody still uses is not opened a second time: two objects never write one file.

    Args:
        most: images that stay open; of more, those go first that have no change to undo.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._recent: OrderedDict[Path, Edited] = OrderedDict()
        self._used: WeakValueDictionary[Path, Edited] = WeakValueDictionary()
        self._revisions: dict[Path, int] = {}
        self._lock = threading.Lock()

    def get(
        self, source: Path, make: Callable[[], Edited], note: Callable[[Edited], None] = lambda image: None
    ) -> Edited:
        """Return the image of a file.

        Args:
            source: the file.
            make: opens the image.
            note: called with the image when it was opened, and after every change. It must not hold the image.
        """
        with self._lock:
            image = self._used.get(source)
            if image is None:
                image = make()
                image.revision = self._revisions.get(source, 0)  # it never falls, also when an image is opened again

                def changed(one: EditedImage) -> None:
                    self._revisions[source] = one.revision
                    note(one)  # type: ignore[arg-type]

                image.changed = changed
                note(image)
                self._used[source] = image
            self._recent[source] = image
            self._recent.move_to_end(source)
            while len(self._recent) > self._most:
                del self._recent[self._first_to_go()]
            return image

    def forget_steps(self) -> None:
        """Have all images undo and redo nothing that was changed so far."""
        with self._lock:
            images = list(self._used.values())
        for image in images:
            image.forget_steps()

    def _first_to_go(self) -> Path:
        *others, _ = self._recent  # the last one was asked for right now
        unchanged = (one for one in others if not (self._recent[one].can_undo or self._recent[one].can_redo))
        return next(unchanged, others[0])
