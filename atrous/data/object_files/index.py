"""The files under a folder, by name: names in annotation files are looked up here, so that they cannot leave it."""

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from atrous.data.formats import SUFFIXES, stem, suffix_of
from atrous.data.inside import walk
from atrous.data.layouts.folders import MOST_LEVELS, role_of, split_of

TEXT_SUFFIXES = (".xml", ".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".names", ".geojson")


@dataclass
class FileIndex:
    """The images and the text files under a folder.

    Attributes:
        root: the folder.
        images: files of images.
        texts: files that may hold annotations, by suffix.
    """

    root: Path
    images: list[Path] = field(default_factory=list)
    texts: dict[str, list[Path]] = field(default_factory=dict)
    _named: dict[str, list[Path]] = field(default_factory=dict)

    def find(self, name: str, near: Path, split: str | None = None) -> list[Path]:
        """Return the images that a name in a file may mean: one if it is clear, none, or several.

        These decide, in this order: that an image lies in no folder of masks, the folders that the name holds, that the
        image lies near the file, and the split.

        Args:
            name: with or without folders and suffix, of any system.
            near: the file that has the name.
            split: that of the file.
        """
        path = PureWindowsPath(name)
        parts = [part for part in path.parts[bool(path.anchor) :] if part not in (".", "..")]
        if not parts:
            return []
        known = self._named.get(_key(parts[-1]), [])
        for rate in (
            lambda path: role_of(path.relative_to(self.root).parts[:-1]) not in ("label", "second", "skip"),
            lambda path: _shared([*reversed(path.relative_to(self.root).parts[:-1])], [*reversed(parts[:-1])]),
            lambda path: _shared(path.parts[:-1], near.parts[:-1]) if path.parent == near.parent else 0,
            lambda path: split is not None and split_in(path.relative_to(self.root).parts[:-1]) == split,
            lambda path: _shared(path.parts[:-1], near.parts[:-1]),
        ):
            if len(known) < 2:
                return known
            rates = [rate(path) for path in known]
            known = [path for path, rated in zip(known, rates, strict=True) if rated == max(rates)]
        return known

    def beside(self, file: Path) -> Path | None:
        """Return the image in the folder of a file that has its name, without suffix; None where there is none."""
        return next((path for path in self._named.get(_key(stem(file)), []) if path.parent == file.parent), None)

    def below(self, suffix: str, *folders: str) -> list[Path]:
        """Return the files with a suffix that lie in or below a folder of one of these names."""
        wanted = set(folders)
        found = self.texts.get(suffix, [])
        return [path for path in found if wanted & {part.lower() for part in path.relative_to(self.root).parts[:-1]}]


def index_files(root: Path) -> FileIndex:
    """Return the files under a folder.

    Raises:
        UserError: a file is a link that leads out of the folder.
    """
    index = FileIndex(root)
    for here, _, names in walk(root, lambda name: suffix_of(name) in (*SUFFIXES, *TEXT_SUFFIXES), MOST_LEVELS):
        for name in names:
            path, suffix = here / name, suffix_of(name)
            if suffix in TEXT_SUFFIXES:
                index.texts.setdefault(suffix, []).append(path)
                continue
            index.images.append(path)
            for key in {_key(name), _key(stem(path))}:
                index._named.setdefault(key, []).append(path)
    return index


def split_in(parts: tuple[str, ...]) -> str | None:
    """Return the split that the names of folders or files say, with or without a year.

    >>> split_in(("images", "val2017")), split_in(("instances_train2017",)), split_in(("photos",))
    ('val', 'train', None)
    """
    words = [word for part in parts for word in (re.sub(r"\d+$", "", part), *re.split(r"[^a-zA-Z]+", part))]
    return split_of(tuple(word for word in words if word))


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _shared(one: "list[str] | tuple[str, ...]", other: "list[str] | tuple[str, ...]") -> int:
    """How many entries two sequences have in common from their beginning."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return next((place for place, equal in enumerate(same) if not equal), min(len(one), len(other)))
