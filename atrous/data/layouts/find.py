"""From a folder to samples and splits, whichever of the usual layouts it has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from atrous.data.description import Description, read_names
from atrous.data.formats import ANNOTATED_SUFFIXES, stem, suffix_of
from atrous.data.layouts.dicom import SeriesFolders, find_series, holds_volumes
from atrous.data.layouts.folders import Folder, read_folders
from atrous.data.layouts.genomes import Genomes, find_genomes, splits_of
from atrous.data.layouts.nnunet import is_nnunet, read_nnunet
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.recordings import find_recordings, first_names, group_of
from atrous.data.layouts.splits import ORDER, into_splits, ordered
from atrous.data.layouts.videos import Videos, find_videos
from atrous.data.sample import Sample
from atrous.errors import UserError

_LABEL_MEND = {
    False: "give the column (or array) of labels the name `label`",
    True: "annotate it, or put a CSV of the same name with a column `label` beside it (see docs/signals.md)",
}


@dataclass(frozen=True)
class Layout:
    """What lies in a folder.

    Attributes:
        name: the layout in words, with the folders found.
        splits: samples of each split, sorted by name. Training and validation samples all have a label.
        split_origin: where the splits come from.
        images_alone: images of train or val that have no label file and are left out.
        labels_alone: label files without an image.
        values: file values of the classes that the layout itself fixes (DRIVE), else None.
        classes: their names.
        ignore: file values that the layout says count for nothing, else None.
        channel_names: names of the channels, where the layout knows them (nnU-Net's dataset.json).
        video: whether the samples are videos, time first.
        task: what the labels are: `semantic` or, of genomes, `stranded`.
    """

    name: str
    splits: dict[str, tuple[Sample, ...]]
    split_origin: str
    images_alone: tuple[Path, ...] = ()
    labels_alone: tuple[Path, ...] = ()
    values: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None
    ignore: tuple[int, ...] | None = None
    channel_names: tuple[str, ...] | None = None
    video: bool = False
    task: str = "semantic"


@dataclass
class _Pool:
    """Image, label and region folders of one split."""

    images: list[Folder] = field(default_factory=list)
    labels: list[Folder] = field(default_factory=list)
    regions: list[Folder] = field(default_factory=list)


def find_layout(root: Path, description: Description) -> Layout:
    """Find images, their labels and splits under `root`.

    Folder names say split and role (`folders.py`), file names say what belongs together (`pairing.py`), so
    `train trainannot val valannot`, `images masks`, `images/train masks/train`, `train/images train/masks`,
    `img_dir/train ann_dir/train`, `imagesTr labelsTr`, `JPEGImages SegmentationClass` and DRIVE's
    `training/images training/1st_manual` are all the same case. nnU-Net's `dataset.json`, recordings, DICOM slices,
    videos and genomes are read as they lie. Without a val split, one is drawn from train.

    Raises:
        UserError: no folder, no images, no labels, or two images of the same name.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder: give the folder that holds the images and masks")
    if is_nnunet(root) and description.images is None and description.masks is None:
        return _nnunet(root, description)
    if (videos := find_videos(root, description)) is not None:
        return _videos(videos, description)
    if genomes := find_genomes(root, description):
        return _genomes(genomes, description)
    folders = read_folders(root, description.images, description.masks)
    if not folders and (recordings := find_recordings(root, description)):
        return _recordings(root, recordings, description)
    pictures = any(folder.role == "image" and not holds_volumes(folder) for folder in folders)
    if not pictures and (series := find_series(root, description)):
        return _series(root, series, description)
    _require_roles(root, folders, description)
    pools: dict[str | None, _Pool] = {}
    for folder in folders:
        pool = pools.setdefault(folder.split, _Pool())
        kept = {"image": pool.images, "label": pool.labels, "region": pool.regions}.get(folder.role or "")
        if kept is not None:
            kept.append(folder)
    _share_unsplit(pools)
    samples: dict[str, list[Sample]] = {}
    images_alone: list[Path] = []
    for split, pool in pools.items():
        matched = _match(root, pool, description)
        if split != "test":
            images_alone += [sample.image for sample in matched if sample.label is None]
            matched = [sample for sample in matched if sample.label is not None]
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
        classes=("background", "vessel") if drive else None,
    )


def _nnunet(root: Path, description: Description) -> Layout:
    cases = read_nnunet(root)
    samples = {
        split: [replace(sample, group=group_of(sample.name, description.groups)) for sample in found]
        for split, found in cases.samples.items()
    }
    images_alone = tuple(sample.image for sample in samples["train"] if sample.label is None)
    samples["train"] = [sample for sample in samples["train"] if sample.label is not None]
    splits, origin = into_splits(samples, description, (cases.listed, "splits_final.json, fold 0"), False)
    return Layout(
        name=f"nnU-Net, {len(cases.channels)} channel{'s' if len(cases.channels) > 1 else ''} a case",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=images_alone,
        labels_alone=cases.labels_alone,
        values=cases.values,
        classes=cases.classes,
        ignore=cases.ignore or None,
        channel_names=cases.channels,
    )


def _recordings(root: Path, found: dict[str | None, list[Sample]], description: Description) -> Layout:
    samples, images_alone = _labeled(found)
    labeled = [sample for here in samples.values() for sample in here if sample.label is not None]
    if not labeled:
        raise UserError(
            f"{images_alone[0]}: no labels: {_LABEL_MEND[suffix_of(images_alone[0]) in ANNOTATED_SUFFIXES]}"
        )
    splits, origin = into_splits(samples, description, ({}, ""), any(found))
    return Layout(
        name=f"recordings, {' '.join(sorted({sample.image.suffix.lower() for sample in labeled}))}",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        classes=labeled[0].words,
        channel_names=first_names(sample.image for sample in labeled),
    )


def _series(root: Path, found: SeriesFolders, description: Description) -> Layout:
    samples, images_alone = _labeled(found.samples)
    if not any(sample.label for here in samples.values() for sample in here):
        raise UserError(
            f"{root}: DICOM series ({images_alone[0].name}, ...) without labels: put a NIfTI file of labels beside "
            "each, by the name of its folder (CASE/ and CASE.nii.gz)"
        )
    splits, origin = into_splits(samples, description, ({}, ""), any(found.samples))
    return Layout(
        name=f"DICOM series, one folder a case{f', {found.modality}' if found.modality else ''}; labels as NIfTI",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        labels_alone=found.labels_alone,
        channel_names=(found.modality,) if found.modality else None,
    )


def _labeled(found: dict[str | None, list[Sample]]) -> tuple[dict[str, list[Sample]], list[Path]]:
    """Samples of each split, and the images of train and val that have no label and are left out."""
    samples: dict[str, list[Sample]] = {}
    images_alone: list[Path] = []
    for split, here in found.items():
        alone = [] if split == "test" else [sample for sample in here if sample.label is None]
        images_alone += [sample.image for sample in alone]
        samples.setdefault(split or "train", []).extend(sample for sample in here if sample not in alone)
    return samples, images_alone


def _videos(found: Videos, description: Description) -> Layout:
    samples, alone = _labeled(found.samples)
    splits, origin = into_splits(samples, description, (found.listed, "ImageSets"), any(found.samples))
    return Layout(found.kinds, ordered(splits), origin, tuple(alone), found.masks_alone, video=True)


def _genomes(found: Genomes, description: Description) -> Layout:
    samples, alone = _labeled(found.samples)
    splits, origin = into_splits(samples, splits_of(found, description), ({}, ""), any(found.samples))
    return Layout(
        name=found.name, splits=ordered(splits), split_origin=origin, images_alone=tuple(sorted(set(alone))),
        labels_alone=found.labels_alone, classes=found.classes, channel_names=found.channel_names, task="stranded",
    )  # fmt: skip


def _require_roles(root: Path, folders: Sequence[Folder], description: Description) -> None:
    if not folders:
        seen = sorted({path.suffix.lower() for path in root.rglob("*") if path.is_file()} - {"", ".toml"})[:5]
        found = f"only {' '.join(seen)} files" if seen else "nothing"
        raise UserError(f"{root}: no images, {found}: give a folder with images/ and masks/ (see docs/data.md)")
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


def _match(root: Path, pool: _Pool, description: Description) -> list[Sample]:
    """Samples of one split, unlabeled ones included."""
    images, labels, regions = (_keyed(root, kind) for kind in (pool.images, pool.labels, pool.regions))
    label_of, region_of = pair(images, labels).partner, pair(images, regions).partner
    return [
        Sample(
            name=_sample_name(root, path),
            image=path,
            label=labels[label_of[key]] if key in label_of else None,
            region=regions[region_of[key]] if key in region_of else None,
            channels=description.channels,
            group=group_of(_sample_name(root, path), description.groups),
            pages=description.pages,
        )
        for key, path in images.items()
    ]


def _alone(
    folders: Sequence[Folder], samples: dict[str, list[Sample]], images: Iterable[Path]
) -> tuple[list[Path], list[Path]]:
    """Images and label files that no sample of any split uses."""
    used = {path for found in samples.values() for sample in found for path in (sample.image, sample.label)}
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
    if any(sample.label for found in samples.values() for sample in found):
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
    return {split: read_names(file) for split, file in files.items() if file.is_file()}


def _name(root: Path, folders: Sequence[Folder]) -> str:
    """The folders found, in words; subfolders beyond the first few are counted."""
    names = {
        role: Counter(str(folder.path.relative_to(root)) for folder in folders if folder.role == role)
        for role in ("image", "label", "region")
    }
    shown = []
    for role, word in (("image", "images in"), ("label", "masks in"), ("region", "regions in")):
        found = sorted(names[role])
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            shown.append(f"{word} {', '.join(found[:3])}{more}")
    return "; ".join(shown)
