"""Folders of images and masks, whichever of the usual names they have."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.description import Description, read_names
from atrous.data.formats import FileFault, require_no_conversion, stem
from atrous.data.inside import require_inside, walk
from atrous.data.layouts.base import Layout, LeftOut
from atrous.data.layouts.cityscapes import LabelFiles, label_files
from atrous.data.layouts.folders import MOST_LEVELS, Folder, read_folders
from atrous.data.layouts.matching import Pool, match, pages_by_masks
from atrous.data.layouts.pairing import SEPARATORS
from atrous.data.layouts.points import task_of
from atrous.data.layouts.polygons import find_attribute_of, polygon_folder
from atrous.data.layouts.several import endings
from atrous.data.layouts.splits import ORDER, into_splits, ordered
from atrous.data.layouts.together import divide, ends_in, without_cellpose
from atrous.data.layouts.unread import nothing_read, other_annotations
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.targets.mask_files import MergedMasks
from atrous.errors import UserError
from atrous.labels import IGNORE


def find_images(root: Path, description: Description) -> Layout:
    """Find images, their masks and splits under `root`.

    Folder names say split and role (`folders.py`), file names say what belongs together (`pairing.py`), so
    `train trainannot val valannot`, `images masks`, `images/train masks/train`, `train/images train/masks`,
    `img_dir/train ann_dir/train`, `imagesTr labelsTr`, `JPEGImages SegmentationClass` and DRIVE's
    `training/images training/1st_manual` are all the same case. Images and masks may also lie in one folder
    (`together.py`), and an image may have several masks (`several.py`). Without a val split, one is drawn from train.

    Raises:
        UserError: there are no images or no masks, or files of a format to be converted; or two images have the same
            name.
    """
    folders, left_out = without_cellpose(read_folders(root, description.images, description.masks))
    folders = divide(folders, description)
    folders = [*folders, *polygon_folder(root, folders)]
    _require_roles(root, folders, description, left_out)
    known = _label_files(folders, description)
    if known is not None:
        description = replace(description, mask_suffix=(known.suffix,))
    pools = _pools(folders)
    if description.pages is None:
        pages = next((said for pool in pools.values() if (said := pages_by_masks(root, pool)) is not None), None)
        description = replace(description, pages=pages)
    attribute = find_attribute_of(folders, description)
    samples: dict[str, list[Sample]] = {}
    images_alone: list[Path] = []
    for split, pool in pools.items():
        matched = match(root, pool, description, attribute)
        if split != "test":
            images_alone += [sample.image.path for sample in matched if sample.target is None]
            matched = [sample for sample in matched if sample.target is not None]
        samples.setdefault(split or "train", []).extend(matched)
    images_alone, labels_alone = _alone(folders, samples, images_alone, description)
    listed = _voc_lists(root)
    if listed:
        images_alone = []
    _require_pairs(root, folders, samples, description)
    lists = listed, "ImageSets/Segmentation"
    splits, origin = into_splits(samples, description, lists, any(split for split in pools))
    coded = _coding(any(pool.regions for pool in pools.values()), known, description)
    if attribute is not None and attribute.words:
        coded = replace(coded, classes=coded.classes or attribute.words, ignore=(IGNORE,))
    return replace(
        coded,
        name=_name(root, folders, description),
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        labels_alone=tuple(labels_alone),
        task=task_of(folders),
        left_out=tuple(replace(file, fix=f"fine as its mask is there; without one, {file.fix}") for file in left_out),
    )


def _pools(folders: Sequence[Folder]) -> dict[str | None, Pool]:
    """The folders of each split."""
    pools: dict[str | None, Pool] = {}
    for folder in folders:
        pool = pools.setdefault(folder.split, Pool())
        kept = {"image": pool.images, "label": pool.labels, "region": pool.regions}.get(folder.role or "")
        if kept is not None:
            kept.append(folder)
    _share_unsplit(pools)
    return pools


def _label_files(folders: Sequence[Folder], description: Description) -> LabelFiles | None:
    """Which label files of Cityscapes are read; None for other data."""
    names = (stem(path) for folder in folders if folder.role == "label" for path in folder.files)
    return label_files(names, description.mask_suffix, description.objects)


def _coding(has_regions: bool, known: LabelFiles | None, description: Description) -> Layout:
    """A layout that knows its classes, as far as the folders say them and dataset.toml does not."""
    suffixes, named = description.mask_suffix or (), description.classes or description.values or description.palette
    if has_regions:
        return Layout("", {}, "", values=(0, 255), classes=("background", "vessel"))
    if len(suffixes) > 1:
        return Layout("", {}, "", classes=("background", *(suffix.strip(SEPARATORS) for suffix in suffixes)))
    if known is not None and not named:
        return Layout("", {}, "", values=known.values, classes=known.classes, ignore=known.ignore)
    return Layout("", {}, "")


def _require_roles(
    root: Path, folders: Sequence[Folder], description: Description, left_out: Sequence[LeftOut]
) -> None:
    if not {"image", "label"} <= {folder.role for folder in folders}:
        require_no_conversion(
            here / name for here, _, names in walk(root, lambda name: True, MOST_LEVELS) for name in names
        )
    if not folders:
        raise UserError(nothing_read(root))
    other = other_annotations(root)
    for key, role in (("images", "image"), ("masks", "label")):
        if any(folder.role == role for folder in folders):
            continue
        names = ", ".join(str(folder.path.relative_to(root)) for folder in folders[:4])
        named = getattr(description, key)
        if named is not None:
            raise UserError(f'{description.file}: {key} = "{named}" is no folder with files in {root}: found {names}')
        if role == "label" and left_out:
            raise FileFault(left_out[0].path, left_out[0].what, left_out[0].fix)
        what = "images" if role == "image" else "masks"
        if all(folder.role is None for folder in folders):
            raise UserError(
                f"{root}: images are there ({folders[0].files[0].relative_to(root)}, ...), but no name says which are "
                f"images and which masks: put them into images/ and masks/, or end the names of masks in _mask{other}"
            )
        ending = ", or end the names of masks in _mask" if role == "label" else ""
        raise UserError(
            f"{root}: no folder of {what} among those found ({names}): "
            f'name it {what}/ or write {key} = "FOLDER" in dataset.toml{ending}{other}'
        )


def _share_unsplit(pools: dict[str | None, Pool]) -> None:
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


def _alone(
    folders: Sequence[Folder], samples: dict[str, list[Sample]], images: Iterable[Path], description: Description
) -> tuple[list[Path], list[Path]]:
    """Images and label files that no sample of any split uses."""
    members = [sample for members in samples.values() for sample in members]
    used = {path for sample in members for path in (sample.image.path, *_files_of(sample))}
    labels = {
        path
        for folder in folders
        if folder.role == "label"
        for path in folder.files
        if description.mask_suffix is None or any(ends_in(path, suffix) for suffix in description.mask_suffix)
    }
    return sorted(set(images) - used), sorted(labels - used)


def _files_of(sample: Sample) -> Sequence[Path]:
    """The label files of a sample."""
    if sample.target is None:
        return ()
    reader = sample.target.reader if isinstance(sample.target, Labels) else None
    return reader.files if isinstance(reader, MergedMasks) else (sample.target.path,)


def _require_pairs(
    root: Path, folders: Sequence[Folder], samples: Mapping[str, Sequence[Sample]], description: Description
) -> None:
    if any(sample.target for members in samples.values() for sample in members):
        return
    image = next(folder for folder in folders if folder.role == "image").files[0]
    labels = [path for folder in folders if folder.role == "label" for path in folder.files]
    said = f"{root}: no image fits a mask by name (first image {image.name}, first mask {labels[0].name})"
    ends = endings([stem(path) for path in labels])
    if description.mask_suffix is None and ends:
        raise UserError(
            f"{said}; names of masks end in {', '.join(ends)}: write the one to be read, such as "
            f'mask_suffix = "{ends[0]}", in dataset.toml'
        )
    if description.mask_suffix is not None and not any(ends_in(p, e) for p in labels for e in description.mask_suffix):
        raise UserError(
            f'{description.file}: mask_suffix = "{description.mask_suffix[0]}" is the end of no mask in {root}: the '
            f"first is {labels[0].name}"
        )
    raise UserError(f"{said}: give a mask its image's name")


def _voc_lists(root: Path) -> dict[str, tuple[str, ...]]:
    """Names in VOC's `ImageSets/Segmentation/{train,val,test}.txt`."""
    folder = root / "ImageSets" / "Segmentation"
    files = {split: folder / f"{split}.txt" for split in ORDER}
    found = {split: file for split, file in files.items() if file.is_file()}
    for file in found.values():
        require_inside(root, file)
    return {split: read_names(file) for split, file in found.items()}


def _name(root: Path, folders: Sequence[Folder], description: Description) -> str:
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
            ends = ", ".join(description.mask_suffix or ()) if role == "label" else ""
            shown.append(f"{word} {', '.join(paths[:3])}{more}{f' (names that end in {ends})' if ends else ''}")
    return "; ".join(shown)
