"""Folders of images and masks, whichever of the usual names they have."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from atrous.data.description import Description, read_names
from atrous.data.formats import FileFault, read_header, stem, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.images import FileImage
from atrous.data.inside import require_inside
from atrous.data.layouts.base import Layout, group_of
from atrous.data.layouts.folders import Folder, read_folders
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.polygons import find_attribute_of, polygon_folder, polygon_target, slide_level
from atrous.data.layouts.splits import ORDER, into_splits, ordered
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels, MaskFile
from atrous.data.targets.polygons import ClassAttribute
from atrous.errors import UserError
from atrous.labels import IGNORE

NAMELESS = (".npy", ".zarr")
"""Suffixes of arrays whose axes have no names."""


@dataclass
class _Pool:
    """Folders of images, labels and regions of one split."""

    images: list[Folder] = field(default_factory=list)
    labels: list[Folder] = field(default_factory=list)
    regions: list[Folder] = field(default_factory=list)


def find_images(root: Path, description: Description) -> Layout:
    """Find images, their masks and splits under `root`.

    Folder names say split and role (`folders.py`), file names say what belongs together (`pairing.py`), so
    `train trainannot val valannot`, `images masks`, `images/train masks/train`, `train/images train/masks`,
    `img_dir/train ann_dir/train`, `imagesTr labelsTr`, `JPEGImages SegmentationClass` and DRIVE's
    `training/images training/1st_manual` are all the same case. Without a val split, one is drawn from train.

    Raises:
        UserError: there are no images or no masks, or two images have the same name.
    """
    folders = [*read_folders(root, description.images, description.masks)]
    folders += polygon_folder(root, folders)
    _require_roles(root, folders, description)
    pools: dict[str | None, _Pool] = {}
    for folder in folders:
        pool = pools.setdefault(folder.split, _Pool())
        kept = {"image": pool.images, "label": pool.labels, "region": pool.regions}.get(folder.role or "")
        if kept is not None:
            kept.append(folder)
    _share_unsplit(pools)
    if description.pages is None and any(_holds_thin_volumes(root, pool) for pool in pools.values()):
        description = replace(description, pages="z")
    attribute = find_attribute_of(folders, description)
    samples: dict[str, list[Sample]] = {}
    images_alone: list[Path] = []
    for split, pool in pools.items():
        matched = _match(root, pool, description, attribute)
        if split != "test":
            images_alone += [sample.image.path for sample in matched if sample.target is None]
            matched = [sample for sample in matched if sample.target is not None]
        samples.setdefault(split or "train", []).extend(matched)
    images_alone, labels_alone = _alone(folders, samples, images_alone)
    listed = _voc_lists(root)
    if listed:
        images_alone = []
    _require_pairs(root, folders, samples)
    lists = listed, "ImageSets/Segmentation"
    splits, origin = into_splits(samples, description, lists, any(split for split in pools))
    drive = any(pool.regions for pool in pools.values())
    return Layout(
        name=_name(root, folders),
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        labels_alone=tuple(labels_alone),
        values=(0, 255) if drive else None,
        classes=("background", "vessel") if drive else (attribute.words or None) if attribute else None,
        ignore=(IGNORE,) if attribute and attribute.words else None,
    )


def _require_roles(root: Path, folders: Sequence[Folder], description: Description) -> None:
    if not folders:
        seen = sorted({path.suffix.lower() for path in root.rglob("*") if path.is_file()} - {"", ".toml"})[:5]
        others = f"only {' '.join(seen)} files" if seen else "nothing"
        raise UserError(f"{root}: no images, {others}: give a folder with images/ and masks/ (see docs/data.md)")
    for key, role in (("images", "image"), ("masks", "label")):
        if any(folder.role == role for folder in folders):
            continue
        names = ", ".join(str(folder.path.relative_to(root)) for folder in folders[:4])
        named = getattr(description, key)
        if named is not None:
            raise UserError(f'{description.file}: {key} = "{named}" is no folder with files in {root}: found {names}')
        what = "images" if role == "image" else "masks"
        raise UserError(
            f"{root}: no folder of {what} among those found ({names}): "
            f'name it {what}/ or write {key} = "FOLDER" in dataset.toml'
        )


def _share_unsplit(pools: dict[str | None, _Pool]) -> None:
    """Let splits that have only images or only labels look in the folders that name no split."""
    common = pools.get(None)
    if common is None:
        return
    for split, pool in pools.items():
        if split is not None and not pool.labels:
            pool.labels += common.labels
        elif split is not None and not pool.images:
            pool.images += common.images
    if not common.images or not common.labels:
        del pools[None]


def _match(root: Path, pool: _Pool, description: Description, attribute: ClassAttribute | None) -> list[Sample]:
    """Samples of one split, unlabeled ones included."""
    images, labels, regions = (_keyed(root, kind) for kind in (pool.images, pool.labels, pool.regions))
    label_of, region_of = pair(images, labels).partner, pair(images, regions).partner
    common = len(labels) == 1 and suffix_of(*labels.values()) in POLYGON_SUFFIXES and len(images) > 1
    if common:  # one file of polygons labels all images
        label_of = dict.fromkeys(images, next(iter(labels)))
    samples = []
    for key, path in images.items():
        name, image = _sample_name(root, path), FileImage(path, (), description.channels, description.pages)
        target, label = None, labels[label_of[key]] if key in label_of else None
        image = replace(image, level=slide_level(path, label, description.spacing))
        if label is not None:
            region = regions[region_of[key]] if key in region_of else None
            if attribute is not None and suffix_of(label) in POLYGON_SUFFIXES:
                target = polygon_target(label, image, attribute, region, alone=not common)
            else:
                target = Labels(MaskFile(label, path, description.objects, description.pages), image, region)
        samples.append(Sample(name, image, target, group_of(name, description.groups)))
    return samples


def _holds_thin_volumes(root: Path, pool: _Pool) -> bool:
    """Whether arrays without named axes are volumes of few slices: then their masks have as many slices as they.

    An array `(24, 40, 48)` alone is read as 24 channels. One of three with a mask of three may be RGB with colors.
    """
    images, labels = _keyed(root, pool.images), _keyed(root, pool.labels)
    for key, label in pair(images, labels).partner.items():
        if suffix_of(images[key]) not in NAMELESS or suffix_of(labels[label]) not in NAMELESS:
            continue
        try:
            image, mask = read_header(images[key]), read_header(labels[label])
        except FileFault:
            continue  # said of this file when it is read as a sample
        if image.axes is None and mask.axes is None and image.shape == mask.shape and image.channels not in (1, 3):
            return True
    return False


def _alone(
    folders: Sequence[Folder], samples: dict[str, list[Sample]], images: Iterable[Path]
) -> tuple[list[Path], list[Path]]:
    """Images and label files that no sample of any split uses."""
    members = [sample for members in samples.values() for sample in members]
    used = {sample.image.path for sample in members} | {sample.target.path for sample in members if sample.target}
    labels = {path for folder in folders if folder.role == "label" for path in folder.files}
    return sorted(set(images) - used), sorted(labels - used)


def _sample_name(root: Path, path: Path) -> str:
    return (path.parent.relative_to(root) / stem(path)).as_posix()


def _keyed(root: Path, folders: Iterable[Folder]) -> dict[str, Path]:
    """Files by group and stem; the part of the group that all folders share says nothing and is left out."""
    folders = list(folders)
    parts = [folder.group.split("/") if folder.group else [] for folder in folders]
    shared = 0
    while parts and all(len(p) > shared for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    keyed: dict[str, Path] = {}
    for folder, group in zip(folders, parts, strict=True):
        for path in folder.files:
            key = "/".join([*group[shared:], stem(path)])
            if key in keyed:
                other = keyed[key].relative_to(root)
                raise UserError(f"{path.relative_to(root)}: the same name as {other}: rename one of them")
            keyed[key] = path
    return keyed


def _require_pairs(root: Path, folders: Sequence[Folder], samples: dict[str, list[Sample]]) -> None:
    if any(sample.target for members in samples.values() for sample in members):
        return
    image = next(folder for folder in folders if folder.role == "image").files[0]
    label = next(folder for folder in folders if folder.role == "label").files[0]
    raise UserError(
        f"{root}: no image fits a mask by name (first image {image.name}, first mask {label.name}): "
        "give a mask its image's name"
    )


def _voc_lists(root: Path) -> dict[str, tuple[str, ...]]:
    """Names in VOC's `ImageSets/Segmentation/{train,val,test}.txt`."""
    folder = root / "ImageSets" / "Segmentation"
    files = {split: folder / f"{split}.txt" for split in ORDER}
    found = {split: file for split, file in files.items() if file.is_file()}
    for file in found.values():
        require_inside(root, file)
    return {split: read_names(file) for split, file in found.items()}


def _name(root: Path, folders: Sequence[Folder]) -> str:
    """The folders found, in words; subfolders beyond the first few are counted."""
    names = {
        role: Counter(str(folder.path.relative_to(root)) for folder in folders if folder.role == role)
        for role in ("image", "label", "region")
    }
    shown = []
    for role, word in (("image", "images in"), ("label", "masks in"), ("region", "regions in")):
        paths = sorted(names[role])
        if paths:
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            shown.append(f"{word} {', '.join(paths[:3])}{more}")
    return "; ".join(shown)
