"""Where is painted: in the data set that the server was started with, or in one that begins while one looks."""

import threading
from collections.abc import Callable
from pathlib import Path

from atrous.errors import UserError
from atrous.serve.paint_session import PaintSession, require_word


class NotPainting(UserError):
    """Nothing is painted yet."""


class PaintPlace:
    """The session of painting, as soon as there is one.

    Args:
        session: that the server was started with; None to begin later, or never.
        parent: the opened folder in which a data set may begin; None for none.
        make: begins a session in a folder.
    """

    def __init__(
        self,
        session: PaintSession | None = None,
        parent: Path | None = None,
        make: Callable[[Path], PaintSession] | None = None,
    ) -> None:
        self._session, self._parent, self._make = session, parent, make
        self._lock = threading.Lock()

    @property
    def begun(self) -> PaintSession | None:
        """The session, if there is one."""
        return self._session

    @property
    def session(self) -> PaintSession:
        """The session.

        Raises:
            NotPainting: there is none yet.
        """
        if self._session is None:
            raise NotPainting("nothing is painted yet: start atrous serve with --paint FOLDER, or begin on the page")
        return self._session

    @property
    def can_begin(self) -> bool:
        """Whether painting may begin: none has, and a folder is open in which a data set can be made."""
        return self._session is None and self._make is not None and self._parent is not None

    def begin(self, name: str) -> PaintSession:
        """Paint from now on into a folder of the opened one: a new data set, or one that was painted before.

        Args:
            name: of the folder, one word.

        Raises:
            UserError: painting has begun already or may not, the name is no plain word, or the folder holds another
                data set.
        """
        with self._lock:
            if self._session is not None:
                raise UserError(f"painting has begun already, in {self._session.folder.root.name}")
            if self._make is None or self._parent is None:
                raise UserError("no folder is open to paint in: start atrous serve with a folder, or --paint FOLDER")
            require_word("folder", name)
            root = self._parent / name
            if root.is_symlink():
                raise UserError(f"{root}: is a link: give another name")
            self._session = self._make(root)
            return self._session

    def close(self) -> None:
        """Stop the training, and let other processes paint."""
        if self._session is not None:
            self._session.close()
