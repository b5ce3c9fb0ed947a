"""What the name of a folder says: its split, and whether it holds images or labels."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from atrous.data.formats import SUFFIXES, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.inside import walk

IMAGE_WORDS = frozenset({
    "images", "image", "imgs", "img", "imgdir", "imagesdir", "jpegimages", "photos", "photo", "rgb", "inputs",
    "input", "pictures", "frames", "raw", "leftimg8bit", "image2", "x",
})  # fmt: skip
LABEL_WORDS = frozenset({
    "masks", "mask", "labels", "label", "lbl", "annotations", "annotation", "annots", "annot", "ann", "anns",
    "anndir", "gt", "gts", "gtfine", "groundtruth", "truth", "targets", "target", "segmentations",
    "segmentation", "segmentationclass", "segmaps", "seg", "segs", "labelmaps", "manual", "1stmanual", "semantic", "y",
    "dots", "dot", "dotmaps",
})  # fmt: skip
SPLITS = {
    "train": ("training", "train", "tr"),
    "val": ("validation", "valid", "val", "dev"),
    "test": ("testing", "test", "ts"),
}
MOST_LEVELS = 5
_SECOND = frozenset({"gtcoarse", "instance", "instances", "panoptic", "semanticrgb"})
"""Folders that hold labels where no other folder does (Cityscapes, KITTI, Mapillary), and are left out beside those."""
_FILE_TYPES = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "npy")
"""What names of folders may end in: `images_png`."""
_ENDS_IN_SPLIT = re.compile(
    rf"^(.+?)[-_. ]+({'|'.join(word for words in SPLITS.values() for word in words if len(word) > 2)})$"
)
_ALONE = {"tr", "ts"}  # too short to mean a split when they stand alone
_SKIPPED = {"2ndmanual", "segmentationobject", "imagesets"}


@dataclass(frozen=True)
class Folder:
    """One folder that holds files which can be read.

    Attributes:
        path: the folder.
        role: `image`, `label`, `region` or `skip`; None when its name says nothing.
        split: `train`, `val`, `test` or None.
        group: the parts of its path that say neither, joined by `/`.
        files: the files directly in it, sorted.
    """

    path: Path
    role: str | None
    split: str | None
    group: str
    files: tuple[Path, ...]


@lru_cache(maxsize=1)
def read_folders(root: Path, images: str | None = None, masks: str | None = None) -> Sequence[Folder]:
    """Return every folder under `root` that holds readable files, with what its path says.

    Several layouts ask this of the same folder, so the last answer is kept; `find_layout` begins anew.

    A folder that is in a split but names no role holds images (`train/` beside `trainannot/`), unless `images` is
    given. Where there is a `1st_manual`, `mask` is the region in which labels count (DRIVE).

    Args:
        root: where to look, `MOST_LEVELS` deep.
        images: folder name or relative path of the images, instead of the usual words.
        masks: the same of the labels.
    """
    folders = []
    found = [(path, path.relative_to(root).parts, readable) for path, readable in _walk(root)]
    siblings = _sibling_splits(parts for _, parts, _ in found)
    for path, parts, readable in found:
        role, split, group = _read_parts(parts, images, masks, siblings)
        if role is None and split is not None and images is None:
            role = "image"
        # Polygons are labels, never images.
        files = tuple(file for file in readable if role == "label" or suffix_of(file) not in POLYGON_SUFFIXES)
        if not files:
            continue
        folders.append(Folder(path, role, split, "/".join(group), files))
    folders = _with_second(folders, masks is not None)
    if masks is None and any(folder_key(folder.path.name) == "1stmanual" for folder in folders):
        folders = [replace(f, role="region") if folder_key(f.path.name) == "mask" else f for f in folders]
    return folders


def _with_second(folders: Sequence[Folder], named: bool) -> list[Folder]:
    """The folders, those of `_SECOND` as labels where no other folder has them nor is `named`, else left out."""
    role = "skip" if named or any(folder.role == "label" for folder in folders) else "label"
    return [replace(f, role=role) if f.role == "second" else f for f in folders]


def split_of(parts: tuple[str, ...]) -> str | None:
    """The split that the folders of a path name, the innermost of several.

    >>> split_of(("ecg", "training")), split_of(("ecg",))
    ('train', None)
    """
    named = [split for part in parts if (split := _meaning(folder_key(part))[1]) is not None]
    return named[-1] if named else None


def role_of(parts: tuple[str, ...]) -> str | None:
    """What the folders of a path hold: the innermost that says it; None where none does.

    >>> role_of(("voc", "SegmentationClass")), role_of(("train", "images")), role_of(("a",))
    ('label', 'image', None)
    """
    named = [role for part in parts if (role := _meaning(folder_key(part))[0]) is not None]
    return named[-1] if named else None


def _walk(root: Path) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    for path, folders, names in walk(root, _is_readable, MOST_LEVELS):
        arrays = [name for name in folders if name.lower().endswith(".zarr")]
        if names or arrays:
            yield path, tuple(path / name for name in sorted(names + arrays))


def _is_readable(name: str) -> bool:
    suffix = suffix_of(name)
    return suffix in SUFFIXES or suffix in POLYGON_SUFFIXES


def _sibling_splits(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return the splits of folders whose names end in one, where siblings with the same beginning end in others.

    So has Kaggle `stage1_train` beside `stage1_test`. A folder alone, such as `crash_test`, is no split. Nor are
    folders of which none ends in `train`.

    >>> _sibling_splits([("stage1_train", "a"), ("stage1_test", "b"), ("crash_test",)])
    {('stage1_train',): 'train', ('stage1_test',): 'test'}
    """
    alike: dict[tuple[tuple[str, ...], str], dict[tuple[str, ...], str]] = {}
    for parts in paths:
        for place, part in enumerate(parts):
            match = _ENDS_IN_SPLIT.match(part.lower())
            if match is not None and _meaning(folder_key(part)) == (None, None):
                family = alike.setdefault((parts[:place], match[1]), {})
                family[parts[: place + 1]] = _meaning(match[2])[1] or ""
    return {
        path: split
        for family in alike.values()
        if len(set(family.values())) > 1 and "train" in family.values()
        for path, split in family.items()
    }


def _read_parts(
    parts: tuple[str, ...], images: str | None, masks: str | None, siblings: Mapping[tuple[str, ...], str]
) -> tuple[str | None, str | None, list[str]]:
    role, split, group = None, None, []
    named: dict[int, str] = {}
    for word, meaning in ((images, "image"), (masks, "label")):
        if word is not None:
            named |= dict.fromkeys(_places(parts, Path(word).parts), meaning)
    for place, part in enumerate(parts):
        here, cut = (named[place], _meaning(folder_key(part))[1]) if place in named else _meaning(folder_key(part))
        cut = cut or siblings.get(parts[: place + 1])
        if place not in named and ((images and here == "image") or (masks and here == "label")):
            here = "skip"
        role, split = here or role, cut or split
        if here is None and cut is None:
            group.append(part)
    return role, split, group


def _places(parts: tuple[str, ...], wanted: tuple[str, ...]) -> range:
    """Positions in `parts` at which `wanted` stands."""
    for start in range(len(parts) - len(wanted) + 1):
        if parts[start : start + len(wanted)] == wanted:
            return range(start, start + len(wanted))
    return range(0)


def folder_key(part: str) -> str:
    """Return the name of a folder without case and signs, as the tables of words have it."""
    return "".join(letter for letter in part.lower() if letter.isalnum())


def _meaning(key: str) -> tuple[str | None, str | None]:
    """Role and split that one folder name spells.

    >>> _meaning("trainannot"), _meaning("imagestr"), _meaning("validation"), _meaning("scans")
    (('label', 'train'), ('image', 'train'), (None, 'val'), (None, None))
    """
    if key in _SKIPPED:
        return "skip", None
    if role := _role(key):
        return role, None
    for split, words in SPLITS.items():
        for word in words:
            if key == word and word not in _ALONE:
                return None, split
            if key.startswith(word) and word not in _ALONE and (role := _role(key[len(word) :])):
                return role, split
            if key.endswith(word) and (role := _role(key[: -len(word)])):
                return role, split
    return None, None


def _role(key: str) -> str | None:
    plain = next((key[: -len(end)] for end in _FILE_TYPES if key.endswith(end) and key != end), key)
    if plain in IMAGE_WORDS or plain in LABEL_WORDS:
        return "image" if plain in IMAGE_WORDS else "label"
    return "second" if key in _SECOND else None
