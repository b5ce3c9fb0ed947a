"""The splits of a YOLO data set as its YAML file names them: folders, text files that list images, or several of both.

A folder is looked up among those of the data set, as names of images are: a file that was written on another computer
still fits, and none can name a folder outside.
"""

from collections.abc import Collection, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from atrous.data.object_files.base import ObjectFolder
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.text import read_lines
from atrous.data.problems import relative, some

KEYS = {"train": "train", "val": "val", "valid": "val", "test": "test"}
"""The split that a key of the file means."""
_NONE = ("", "~", "null", "none")
Parts = tuple[str, ...]


def read_splits(
    folder: ObjectFolder, index: FileIndex, file: Path, settings: dict[str, Any], images: Collection[Path]
) -> None:
    """Put the names of the images of each split into `folder.lists`; what is wrong is a problem of `folder`.

    A folder stands for all images in and below it. A split that names the images of an earlier one is left out.

    Args:
        folder: what is read.
        index: the files of the data set.
        file: the YAML file.
        settings: what it says, all values as text: `path`, to which the others are relative, and `KEYS`.
        images: those that have annotations, or are known to show nothing.
    """
    found: dict[str, dict[str, None]] = {}
    for key, split in KEYS.items():
        for said in _entries(folder, file, key, settings.get(key)):
            if said.lower().endswith(".txt"):
                names = _listed(folder, index, file, key, said)
            else:
                names = _below(folder, index, file, key, said, settings.get("path"), images)
            found.setdefault(split, {}).update(dict.fromkeys(names))
    kept: dict[str, dict[str, None]] = {}
    for split, names in found.items():
        same = next((other for other, others in kept.items() if names and others.keys() == names.keys()), None)
        if same is None:
            kept[split] = names
            continue
        fix = f"name other images, or take `{split}` out"
        folder.warn(file, f"`{split}` names the images of `{same}` again, and is left out", fix, "two splits")
    folder.lists = {split: tuple(names) for split, names in kept.items() if names}
    folder.list_file = relative(file, index.root) if folder.lists else ""


def _entries(folder: ObjectFolder, file: Path, key: str, said: Any) -> list[str]:
    """The folders and lists that a key names; none where it is empty."""
    entries = said if isinstance(said, list) else [] if said is None else [said]
    if not all(isinstance(entry, str) for entry in entries):
        folder.warn(file, f"`{key}` is neither a path nor a list of paths", f"write {key}: images/{key}", "no split")
        return []
    return [entry.strip() for entry in entries if entry.strip().lower() not in _NONE]


def _listed(folder: ObjectFolder, index: FileIndex, file: Path, key: str, said: str) -> list[str]:
    """The images that a text file names, one a line."""
    texts = [text for text in index.texts.get(".txt", []) if text.name == PureWindowsPath(said).name]
    if not texts:
        folder.error(file, f"the list {said!r} of `{key}` is not there", "copy it beside the file", "no list")
        return []
    wanted = _parts(said)
    text = max(texts, key=lambda text: _shared_end(text.relative_to(index.root).parts, wanted))
    lines = [line.strip() for line in read_lines(text) if line.strip()]
    found = [(line, index.find(line, text, KEYS[key])) for line in lines]
    lost = [line for line, images in found if len(images) != 1]
    if lost:
        what = f"it lists images that are not there: {some([name[:80] for name in lost], 2)}"
        folder.error(text, what, "copy the images into the folder, or correct the list", "no image")
    return [relative(images[0], index.root) for _, images in found if len(images) == 1]


def _below(
    folder: ObjectFolder, index: FileIndex, file: Path, key: str, said: str, base: Any, images: Collection[Path]
) -> list[str]:
    """The images in and below a folder; none where these have no annotations, and where there is no such folder."""
    base = base if isinstance(base, str) and base.strip().lower() not in _NONE else ""
    places, here = _places(index, file, base, said, KEYS[key]), _on_this_machine(base, said)
    if len(places) != 1:
        what, fix = f"the folder {said[:80]!r} of `{key}`", "correct it, or copy the folder into the data set"
        if places:
            what = f"{what} may be {' and '.join('/'.join(place) for place in places[:2])}"
            fix = "write the folders before it"
        elif here is not None and not here.is_relative_to(index.root.resolve()):
            what, fix = f"{what} lies outside of the data set and is not read", "copy it into the data set"
        else:
            what = f"{what} is not there, or has no images"
        folder.warn(file, what, fix, "no split")
        return []
    within = [path for path in images if path.relative_to(index.root).parts[: len(places[0])] == places[0]]
    return [relative(path, index.root) for path in within]


def _places(index: FileIndex, file: Path, base: str, said: str, split: str) -> list[Parts]:
    """The folders of images that a name may mean, relative to the data set: one if it is clear, none, or several.

    It is where the file says, seen from the file or from the data set. Of a name from another computer it is the
    folder whose path is an end of that name (`images/a` of `/content/cells/images/a`), or ends in it.
    """
    root, own, rooted = index.root.resolve(), _parts(said), bool(PureWindowsPath(said).anchor)
    wanted = own if rooted else (*_parts(base), *own)
    inside = {path.relative_to(index.root).parts[:-1] for path in index.images}
    known = {parts[:depth] for parts in inside for depth in range(len(parts) + 1)}
    here = _on_this_machine(base, said)
    if here is not None and here.is_relative_to(root):
        return [parts] if (parts := here.relative_to(root).parts) in known else []
    seen_from = file.parent.relative_to(index.root).parts
    exact = ((*seen_from, *wanted), (*seen_from, *own), wanted, own)
    if found := next((place for place in exact if place and place in known), None):
        return [found]
    shared = {place: _shared_end(place, wanted) for place in known if place}
    fitting = [place for place, count in shared.items() if count and _fits(place, wanted, count, split)]
    best = [place for place in fitting if shared[place] == max(shared[other] for other in fitting)]
    if not best and ((not own and not rooted) or wanted[-1:] == (root.name,)):
        return [()]
    return sorted([place for place in best if split_in(place) == split] or best)


def _fits(place: Parts, wanted: Parts, count: int, split: str) -> bool:
    """Whether a folder that shares the last `count` parts with a name may be meant.

    One of them must be an end of the other, and what comes before that end must not say another split: `images` is not
    `/content/val/images`.
    """
    if count == len(wanted):
        return split_in(place) in (None, split, split_in(wanted))
    return count == len(place) and split_in(wanted[-count - 1 : -count]) is None


def _on_this_machine(base: str, said: str) -> Path | None:
    """The folder that a name means from the root of the disk on; None where there is none."""
    place = Path(base, said)
    try:
        return place.resolve() if place.is_absolute() and place.is_dir() else None
    except (OSError, ValueError):  # a name that no folder can have
        return None


def _parts(name: str) -> Parts:
    """The folders of a path of any system, without its root and the steps upward."""
    path = PureWindowsPath(name)
    return tuple(part for part in path.parts[bool(path.anchor) :] if part not in (".", ".."))


def _shared_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many entries two sequences have in common from their end."""
    same = (a == b for a, b in zip(reversed(one), reversed(other), strict=False))
    return next((place for place, equal in enumerate(same) if not equal), min(len(one), len(other)))
