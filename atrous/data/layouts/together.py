"""Images and their masks in one folder, told apart by their names: `x.png` and `x_mask.png`, `x.jpg` and `x.png`."""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import FileFault, stem, suffix_of
from atrous.data.formats.npy import read_npy_header
from atrous.data.layouts.base import LeftOut
from atrous.data.layouts.folders import Folder
from atrous.data.layouts.several import masks_of

_WORDS = r"(?:cp[-_])?masks?|labels?|seg|segmentations?|annot|annotations?|gt|ground[-_]?truth|truth|targets?|lbl|dots?"
_MASK = re.compile(rf"^(?:.+[-_. ](?:{_WORDS})(?:[-_. ]?\(?\d+\)?)?|(?:{_WORDS})[-_. ].+|.*\ddots?)$", re.IGNORECASE)
"""Names of masks that lie among images."""
_WORD = re.compile(rf"^(?:{_WORDS})$", re.IGNORECASE)
"""Names that say nothing but that a file is a mask: that of the only image in its folder (`case7/image.png`)."""
_CELLPOSE = "_seg.npy"
"""How the names of files of Cellpose's window end."""
_CELLPOSE_IS = "made by Cellpose's window: a pickle, which is not read since it could run code"
_CELLPOSE_FIX = (
    "in Cellpose save the masks as PNG or TIFF (File menu), or in Python: "
    "tifffile.imwrite(path, np.load(file, allow_pickle=True).item()['masks'])"
)


def divide(folders: Sequence[Folder], description: Description) -> list[Folder]:
    """Divide folders that hold images and masks together into one of each, where no folder holds masks alone.

    What is a mask is said by `mask_suffix` in dataset.toml, else by a word such as `mask`, `label` or `seg` before or
    behind the rest of the name. A folder is divided where such a mask fits another of its files by name; a folder of
    two files also where one of them is called `mask` or so (`case7/image.png case7/mask.png`). Where every PNG has
    the name of a JPEG, which is never a mask, the PNGs are the masks.
    """
    if description.masks is not None or any(folder.role == "label" for folder in folders):
        return list(folders)
    divided: list[Folder] = []
    for folder in folders:
        if folder.role not in ("image", None) or (folder.role is None and description.images is not None):
            divided.append(folder)
            continue
        masks = tuple(path for path in folder.files if is_mask(path, description.mask_suffix))
        alone = tuple(path for path in folder.files if _WORD.match(stem(path)) and len(folder.files) == 2)
        beside = () if masks or alone else _beside_jpegs(folder.files, description.mask_suffix)
        masks = masks or alone or beside
        among = set(masks)
        images = tuple(path for path in folder.files if path not in among)
        if masks and images and (alone or beside or masks_of(map(stem, images), map(stem, masks)).of_image):
            divided += [replace(folder, role="image", files=images), replace(folder, role="label", files=masks)]
        else:
            divided.append(folder)
    return divided


def _beside_jpegs(files: Sequence[Path], suffixes: tuple[str, ...] | None) -> tuple[Path, ...]:
    """The PNGs of a folder, where each has the name of a JPEG in it and `mask_suffix` says nothing else."""
    masks = tuple(path for path in files if suffix_of(path) == ".png")
    images = {stem(path) for path in files if suffix_of(path) in (".jpg", ".jpeg")}
    return masks if suffixes is None and all(stem(path) in images for path in masks) else ()


def masks_beside(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are masks of other files in their folder, by the names: `x_mask.png` beside `x.png`.

    >>> [str(path) for path in masks_beside(map(Path, ("a/x.png", "a/x_mask.png", "a/y_mask.png", "b/x_mask.png")))]
    ['a/x_mask.png']
    """
    masks: list[Path] = []
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    for files in folders.values():
        named = {stem(path): path for path in files if is_mask(path, None)}
        images = [stem(path) for path in files if not is_mask(path, None)]
        of_image = masks_of(images, named).of_image if named and images else {}
        masks += [named[name] for members in of_image.values() for name in members]
    return sorted(masks)


def is_mask(path: Path, suffixes: tuple[str, ...] | None) -> bool:
    """Return whether a file is a mask by its name.

    >>> is_mask(Path("x_cp_masks.tif"), None), is_mask(Path("x_mask (2).png"), None), is_mask(Path("mask_7.png"), None)
    (True, True, True)
    >>> is_mask(Path("masked.png"), None), is_mask(Path("x_EX.tif"), ("_EX", "_HE"))
    (False, True)
    """
    if suffixes is not None:
        return any(ends_in(path, suffix) for suffix in suffixes)
    return _MASK.match(stem(path)) is not None


def ends_in(path: Path, suffix: str) -> bool:
    """Return whether the name of a file ends so, with the suffix of its format (`_ids.png`) or without it (`_ids`)."""
    return path.name.endswith(suffix) or stem(path).endswith(suffix)


def without_cellpose(folders: Sequence[Folder]) -> tuple[list[Folder], list[LeftOut]]:
    """Leave out the files of Cellpose's window: `x_seg.npy`, a pickle, which lies beside the image `x`.

    Returns:
        The folders without them, and these files with what to do about them.
    """
    kept, left_out = [], []
    for folder in folders:
        names = {path.with_name(stem(path)) for path in folder.files}
        pickles = {path for path in folder.files if is_cellpose(path, names)}
        left_out += [LeftOut(path, _CELLPOSE_IS, _CELLPOSE_FIX) for path in sorted(pickles)]
        kept.append(replace(folder, files=tuple(path for path in folder.files if path not in pickles)))
    return [folder for folder in kept if folder.files], left_out


def is_cellpose(path: Path, others: Container[Path]) -> bool:
    """Return whether a file was made by Cellpose's window: a pickle that belongs to an image beside it.

    Args:
        path: the file.
        others: the paths of other files, without their suffixes.
    """
    if suffix_of(path) != ".npy" or not path.name.endswith(_CELLPOSE):
        return False
    if path.with_name(path.name.removesuffix(_CELLPOSE)) not in others:
        return False
    try:
        with path.open("rb") as file:
            read_npy_header(path, file)
    except FileFault:
        return True  # Python objects
    except (OSError, ValueError):
        return False  # damaged, which is said when it is read
    return False
