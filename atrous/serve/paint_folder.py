"""The data set that is painted: its classes in `dataset.toml`, images and masks in the folders `images` and `masks`.

It is an ordinary data set at every moment: `atrous check`, `train` and `evaluate` read it. Void (255) is what was not
painted. Images are linked into it (a hard link, which takes no room), or copied where the disk is another one.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomlkit

from atrous.color import default_palette
from atrous.data.description import FILE_NAME, MOST_CLASSES, Description, described_in
from atrous.data.formats import read_header, stem, suffix_of
from atrous.data.inside import is_hidden
from atrous.errors import UserError
from atrous.files import write_text
from atrous.labels import IGNORE
from atrous.serve.edited_images import EditedImages
from atrous.serve.found import ServedFile
from atrous.serve.linked_images import OWN, LinkedImages
from atrous.serve.paint_image import PaintedImage
from atrous.serve.paint_masks import mask_name, open_mask

KEPT = 16
"""Images whose masks stay open, each with 4 MB at most, and the strokes that can be undone."""


@dataclass(frozen=True)
class PaintClass:
    """A class to paint with.

    Attributes:
        name: unique.
        color: red, green and blue; unique.
    """

    name: str
    color: tuple[int, int, int]


class PaintedFolder:
    """A data set that is painted, by one process at a time.

    Args:
        root: its folder; nothing is written before the first class is named.
        classes: those of a new data set.

    Attributes:
        root: the folder.
        classes: in the order of their labels.
        revision: grows with every change of the classes.

    Raises:
        UserError: the folder holds another data set, or is being painted by another process.
    """

    def __init__(self, root: Path, classes: Sequence[PaintClass] = ()) -> None:
        self.root, self.revision = root, 0
        self._lock, self._images = threading.Lock(), EditedImages[PaintedImage](KEPT)
        self._counts: dict[str, np.ndarray] = {}  # of each mask, by the name of its image
        self._linked = LinkedImages(root)
        described = _described(root)
        self.classes = tuple(classes) if described is None else _classes(described)
        if described is not None:
            self._linked.hold()
        elif self.classes:
            self.set_classes(self.classes)
        for path in sorted((root / "masks").iterdir()) if (root / "masks").is_dir() else ():
            if suffix_of(path) in (".png", ".zarr") and not is_hidden(path.name):
                self._counts[stem(path)] = open_mask(path.parent, stem(path), read_header(path).size).counts()

    def set_classes(self, classes: Sequence[PaintClass]) -> None:
        """Name the classes anew; the label of a class is its place, so those that were painted with stay.

        Raises:
            UserError: two are alike, there are too many, or one that is painted with would be lost.
        """
        classes = tuple(classes)
        _check(classes)
        with self._lock:
            lost = np.flatnonzero(self._total()[len(classes) : IGNORE])
            if len(lost):
                name = self.classes[len(classes) + int(lost[0])].name
                raise UserError(f'the class "{name}" has been painted with: erase it first, or keep the class')
            self._linked.hold()
            _write_classes(self.root / FILE_NAME, classes)
            if len(classes) < len(self.classes):
                self._images.forget_steps()  # to undo an eraser would paint with a class that is gone
            self.classes = classes
            self.revision += 1

    def counts(self) -> np.ndarray:
        """Return how many positions of all images have each label, `(256,)`; void is not counted."""
        with self._lock:
            return self._total()

    def _total(self) -> np.ndarray:
        return np.sum([np.zeros(IGNORE + 1, np.int64), *self._counts.values()], axis=0)

    def image(self, file: ServedFile, size: Sequence[int]) -> PaintedImage:
        """Return an opened file as one that is painted on. Nothing is written before the first stroke.

        Args:
            file: which.
            size: its size, `(*S)`.

        Raises:
            UserError: its channels are in several files, or its mask is a file that cannot be changed here.
        """
        if len(file.item.files) > 1:
            raise UserError(f"{file.name}: its channels are in several files, which cannot be painted on yet")
        source = file.item.path.resolve()
        name = self._linked.name(source)

        def make() -> PaintedImage:
            self._require_no_other_mask(name, mask_name(name, size))
            mask = open_mask(self.root / "masks", name, size)
            return PaintedImage(mask, lambda: self._put(source, name), self._counts.get(name))

        def note(image: PaintedImage) -> None:
            self._counts[name] = image.counts

        return self._images.get(source, make, note)

    def _require_no_other_mask(self, name: str, mine: str) -> None:
        """Raise `UserError` if an image has a mask that would be lost behind the one that is painted."""
        folder = self.root / "masks"
        there = folder.iterdir() if folder.is_dir() else ()
        for path in there:
            if stem(path) == name and path.name != mine and not is_hidden(path.name):
                raise UserError(f"{path}: a mask of this image is painted as {mine}: convert it, or move it away")

    def close(self) -> None:
        """Let other processes paint."""
        self._linked.release()

    @property
    def own(self) -> Path:
        """The folder that is no part of the data set."""
        return self.root / OWN

    def _put(self, source: Path, name: str) -> None:
        """Put an image into the data set."""
        if not self.classes:
            raise UserError("name a class first")
        self._linked.put(source, name)


def live_folder(root: Path) -> Path:
    """Return the folder of the run in training.

    >>> live_folder(Path("cells")).as_posix()
    'cells/.paint/live'
    """
    return root / OWN / "live"


def _described(root: Path) -> Description | None:
    """What dataset.toml says; None where there is no data set yet.

    Raises:
        UserError: there is one that was not made for painting.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: is a file: give --paint the folder of a data set, or a new one")
    if not (root / FILE_NAME).is_file():
        others = [path.name for path in root.iterdir() if path.name != OWN] if root.is_dir() else []
        if others:
            raise UserError(f"{root}: holds {sorted(others)[0]} and no dataset.toml: give --paint a new folder")
        return None
    found = described_in(root, None)
    plain = found.classes is not None and found.values in (None, tuple(range(len(found.classes))))
    plain = plain and found.task in (None, "semantic") and found.masks in (None, "masks")
    if not plain or found.ignore != (IGNORE,):
        raise UserError(
            f"{found.file}: is no data set that can be painted: it needs classes, values from 0 on and ignore = [255]"
        )
    return found


def _classes(found: Description) -> tuple[PaintClass, ...]:
    assert found.classes is not None
    palette = found.palette or default_palette(len(found.classes), background=False)
    return tuple(PaintClass(name, color) for name, color in zip(found.classes, palette, strict=True))


def _check(classes: Sequence[PaintClass]) -> None:
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise UserError(f"{len(classes)} classes: name 1 to {MOST_CLASSES}")
    for what, values in (("name", [one.name for one in classes]), ("color", [one.color for one in classes])):
        twice = next((value for number, value in enumerate(values) if value in values[:number]), None)
        if twice is not None:
            raise UserError(f"two classes have the {what} {twice}: give each its own")
    if any(not one.name.strip() or not one.name.isprintable() for one in classes):
        raise UserError("the name of a class is empty, or has letters that cannot be printed")


def _write_classes(path: Path, classes: Sequence[PaintClass]) -> None:
    """Write the classes into dataset.toml; what else it says stays."""
    if path.exists():
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    else:
        document = tomlkit.document()
        document.add(tomlkit.comment("Painted with atrous serve. 255 in a mask is void: what was not painted."))
        document["kind"] = "images"
    document["classes"] = [one.name for one in classes]
    document["values"] = list(range(len(classes)))
    document["palette"] = [list(one.color) for one in classes]
    document["ignore"] = [IGNORE]
    document["images"] = "images"
    document["masks"] = "masks"
    try:
        write_text(path, tomlkit.dumps(document))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}): give --paint another folder") from error
