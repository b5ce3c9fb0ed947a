"""The images of a data set that is made while one looks at them: linked into its folder `images`, by one process."""

import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import IO

from atrous.data.formats import stem
from atrous.data.inside import require_inside, walk
from atrous.errors import UserError
from atrous.files import replacing
from atrous.stream.sole import locked

OWN = ".paint"
"""The folder in it that is no part of the data set: which image came from where, and the network in training."""
LARGEST_COPY = 2**32
"""Bytes of an image up to which it is copied where it cannot be linked."""


class LinkedImages:
    """The folder `images` of a data set. A hard link takes no room; a copy is made where the disk is another one.

    Several threads may call its methods at the same time.

    Args:
        root: folder of the data set, which may not be there yet.

    Raises:
        UserError: the list of where its images came from is damaged, or a link leads out of the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        _require_inside(root)
        self._lock = threading.RLock()
        self._held: IO[str] | None = None
        self._names = self._stored_names()

    @property
    def own(self) -> Path:
        """The folder that is no part of the data set."""
        return self.root / OWN

    def hold(self) -> None:
        """Make the folder, and hold its lock.

        Raises:
            UserError: the disk does not take it, or another process holds the lock.
        """
        with self._lock:
            if self._held is not None:
                return
            try:
                self.own.mkdir(parents=True, exist_ok=True)
                held = (self.own / "lock").open("a")
            except OSError as error:
                raise UserError(f"{self.root}: cannot be made ({error.strerror}): give another folder") from error
            if not locked(held):
                held.close()
                raise UserError(
                    f"{self.root}: is painted by another atrous serve: stop that one, or give another folder"
                )
            self._held = held

    def release(self) -> None:
        """Let other processes change the data set."""
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None

    def _stored_names(self) -> dict[Path, str]:
        """The names of images by the files that they came from."""
        path = self.own / "images.json"
        if not path.exists():
            return {}
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
            return {Path(source): str(name) for name, source in names.items()}
        except (ValueError, AttributeError, TypeError) as error:
            what = f"is damaged ({error}): remove it, and paint on the images in the data set"
            raise UserError(f"{path}: {what}") from None

    def name(self, source: Path) -> str:
        """Return the name of an image in the data set: that of its file, with a number if another one has it."""
        if source.parent == (self.root / "images").resolve():
            return stem(source)
        with self._lock:
            if source not in self._names:
                self._names[source] = self._free_name(source)
            return self._names[source]

    def _free_name(self, source: Path) -> str:
        taken = {name.lower() for name in self._names.values()}
        folder = self.root / "images"
        taken |= {stem(path).lower() for path in folder.iterdir()} if folder.is_dir() else set()
        base = re.sub(r"[^\w.-]+", "_", stem(source)).strip(".") or "image"
        name, number = base, 2
        while name.lower() in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def put(self, source: Path, name: str) -> None:
        """Put an image into the data set, and note where it came from.

        Raises:
            UserError: the disk does not take it.
        """
        folder = self.root / "images"
        suffix = source.name[len(stem(source)) :]
        target = folder / f"{name}{suffix}"
        with self._lock:
            if source == target.resolve() or target.exists():
                return
            self.hold()
            try:
                folder.mkdir(exist_ok=True)
                with replacing(target) as beside:
                    _link_or_copy(source, beside)
                with replacing(self.own / "images.json") as beside:
                    kept = {known: str(path) for path, known in self._names.items()}
                    beside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            except OSError as error:
                what = f"cannot be written ({error.strerror or error}): make room, or allow it"
                raise UserError(f"{target}: {what}") from error


def _require_inside(root: Path) -> None:
    """Raise if something in the folder is a link that leads out of it: nothing is written through such a link.

    Raises:
        UserError: it is.
    """
    if (root / OWN).is_symlink():
        require_inside(root, root / OWN)
    for folder in (root, root / OWN):
        if folder.is_dir():
            for _ in walk(folder, lambda name: True, 1):
                pass


def _link_or_copy(source: Path, target: Path) -> None:
    """Link a file, or a folder with everything in it; copy what cannot be linked.

    Raises:
        UserError: it is too large to be copied.
    """

    def put(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    if source.is_dir():
        shutil.copytree(source, target, copy_function=put)
        return
    if source.stat().st_dev != target.parent.stat().st_dev and source.stat().st_size > LARGEST_COPY:
        raise UserError(f"{source}: too large to be copied: give a folder on the same disk")
    put(str(source), str(target))
