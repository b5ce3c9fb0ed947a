"""The data set of single objects that is corrected: `dataset.toml`, images and label images of numbers.

It is an ordinary data set with `task = "instances"` at every moment: `atrous check`, `train` and `evaluate` read it.
Images are linked into it, as those that are painted.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import tomlkit

from atrous.data.description import FILE_NAME, described_in
from atrous.data.formats import stem, suffix_of
from atrous.data.inside import is_hidden
from atrous.errors import UserError
from atrous.files import write_text
from atrous.serve.edited_images import EditedImages
from atrous.serve.found import ServedFile
from atrous.serve.linked_images import OWN, LinkedImages
from atrous.serve.object_image import LARGEST, ObjectImage

SUFFIXES = (".tif", ".tiff", ".png")
"""Of label images that are changed; new ones are TIFF."""
KEPT = 4
"""Images whose numbers stay in memory, up to 64 MB each."""


class CorrectedFolder:
    """A data set of single objects, corrected by one process at a time.

    Args:
        root: its folder; nothing is written before the first change.

    Raises:
        UserError: the folder holds another data set, or is being changed by another process.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        _check(root)
        self._linked, self._lock = LinkedImages(root), threading.Lock()
        self._images: EditedImages[ObjectImage] = EditedImages(KEPT)
        if (root / FILE_NAME).is_file():
            self._linked.hold()

    def image(self, file: ServedFile, size: Sequence[int]) -> ObjectImage:
        """Return an opened file as one whose objects are corrected. Nothing is written before the first change.

        Raises:
            UserError: it is no image, too large, or in several files; or its numbers cannot be read.
        """
        if len(size) != 2 or size[0] * size[1] > LARGEST:
            raise UserError(f"{file.name}: objects are corrected in images of {LARGEST:,} pixels at most")
        if len(file.item.files) > 1:
            raise UserError(f"{file.name}: its channels are in several files: objects cannot be corrected in it yet")
        source = file.item.path.resolve()
        name = self._linked.name(source)
        return self._images.get(source, lambda: ObjectImage(self._labels(name), size, lambda: self._put(source, name)))

    def close(self) -> None:
        """Let other processes change the data set."""
        self._linked.release()

    def _labels(self, name: str) -> Path:
        """The label image of an image: the one that is there, or a new one."""
        folder = self.root / "masks"
        there = sorted(path for path in folder.iterdir() if not is_hidden(path.name)) if folder.is_dir() else []
        mine = [path for path in there if stem(path) == name]
        if any(suffix_of(path) not in SUFFIXES or not path.is_file() for path in mine):
            raise UserError(f"{mine[0]}: label images are changed as {', '.join(SUFFIXES)}: convert it first")
        return mine[0] if mine else folder / f"{name}.tif"

    def _put(self, source: Path, name: str) -> None:
        """Begin the data set, and put an image into it."""
        self._linked.hold()
        with self._lock:
            self._describe()
        self._linked.put(source, name)

    def _describe(self) -> None:
        path = self.root / FILE_NAME
        if path.exists():
            return
        document = tomlkit.document()
        document.add(tomlkit.comment("Made with atrous serve --objects. Masks have the number of each object."))
        for key, value in (("kind", "images"), ("task", "instances"), ("images", "images"), ("masks", "masks")):
            document[key] = value
        try:
            write_text(path, tomlkit.dumps(document))
        except OSError as error:
            what = f"cannot be written ({error.strerror or error}): give --objects another folder"
            raise UserError(f"{path}: {what}") from error


def _check(root: Path) -> None:
    """Refuse a folder that holds something else.

    Raises:
        UserError: it does.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: is a file: give --objects the folder of a data set, or a new one")
    if not (root / FILE_NAME).is_file():
        others = [path.name for path in root.iterdir() if path.name != OWN] if root.is_dir() else []
        if others:
            raise UserError(f"{root}: holds {sorted(others)[0]} and no {FILE_NAME}: give --objects a new folder")
        return
    found = described_in(root, None)
    if found.task != "instances" or found.masks not in (None, "masks") or found.images not in (None, "images"):
        raise UserError(f'{found.file}: --objects takes a data set with task = "instances", images and masks')
