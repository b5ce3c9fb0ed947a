"""Folders of DICOM series: one sub-folder of slices a case, labels as NIfTI beside."""

from dataclasses import dataclass
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import FileFault, is_series, read_header, stem, suffix_of
from atrous.data.images import FileImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import IMAGE_WORDS, LABEL_WORDS, MOST_LEVELS, Folder, read_folders, split_of
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.strays import images_are_few
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.targets.mask_files import MaskFile
from atrous.errors import UserError

_SAYS_NOTHING = IMAGE_WORDS | LABEL_WORDS | {"dicom", "dcm", "dicoms", "series", "scan", "ct", "mr", "mri", "pet"}
"""Names that say what a file or folder is, not which case it is of."""


@dataclass(frozen=True)
class SeriesFolders:
    """What lies in a folder of DICOM series.

    Attributes:
        samples: per split (None where no folder names one); a case without a label file has no target.
        labels_alone: label files without a series.
        modality: of all series, "" where they differ.
    """

    samples: dict[str | None, list[Sample]]
    labels_alone: tuple[Path, ...]
    modality: str


def find_series(root: Path, description: Description) -> Layout | None:
    """Find DICOM series with NIfTI labels; None where there are none, or a folder holds images of other formats.

    Raises:
        UserError: no series has labels; or as `read_series`.
    """
    folders = read_folders(root, description.images, description.masks)
    pictures = [folder for folder in folders if not holds_volumes(folder)]
    if pictures and description.kind is None:
        count = len(_walk(root)[0])
        if not count or not images_are_few(root, pictures, count, description):
            return None
    series = read_series(root, description)
    if series is None:
        return None
    samples, images_alone = labeled(series.samples)
    if not any(sample.target for members in samples.values() for sample in members):
        raise UserError(
            f"{root}: DICOM series ({images_alone[0].name}, ...) without labels: put a NIfTI file of labels beside "
            "each, by the name of its folder (CASE/ and CASE.nii.gz)"
        )
    splits, origin = into_splits(samples, description, ({}, ""), any(series.samples))
    return Layout(
        name=f"DICOM series, one folder a case{f', {series.modality}' if series.modality else ''}; labels as NIfTI",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        labels_alone=series.labels_alone,
        channel_names=(series.modality,) if series.modality else None,
    )


def read_series(root: Path, description: Description) -> SeriesFolders | None:
    """DICOM series under `root` with their labels; None where there are none.

    A case is named by its folder (`CASE/slices` or `CASE/dicom/slices`), a label file by its name (`CASE.nii.gz`,
    `CASE_seg.nii.gz`) or, where that says nothing (`CASE/label.nii.gz`), by its folder. The two are paired by name.

    Raises:
        UserError: two series or two label files have one name, or pydicom is not installed.
    """
    series, labels = _walk(root)
    if not series:
        return None
    cases, masks = _named(root, series), _named(root, labels)
    pairs = pair(cases, masks)
    samples: dict[str | None, list[Sample]] = {}
    for case, path in cases.items():
        name = path.relative_to(root).as_posix()
        partner = pairs.partner.get(case)
        image = FileImage(path)
        target = None if partner is None else Labels(MaskFile(masks[partner], path, description.objects), image)
        sample = Sample(name, image, target, group_of(name, description.groups))
        samples.setdefault(split_of(path.relative_to(root).parts[:-1]), []).append(sample)
    modalities = {name for path in series for name in _modality(path)}
    return SeriesFolders(
        samples, tuple(masks[name] for name in pairs.labels_alone), modalities.pop() if len(modalities) == 1 else ""
    )


def _modality(path: Path) -> tuple[str, ...]:
    """The modality of a series; nothing where it cannot be read, which the scan of its voxels then says."""
    try:
        return read_header(path).names
    except FileFault:
        return ()


def holds_volumes(folder: Folder) -> bool:
    """Whether all files of a folder are NIfTI: beside series they are labels, whatever the folder's name says."""
    return all(suffix_of(path) in (".nii", ".nii.gz") for path in folder.files)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Folders of slices, and NIfTI files."""
    series, labels = [], []
    for path, _, files in walk(root, lambda name: True, MOST_LEVELS):
        if path != root and is_series(path):
            series.append(path)
        labels += [path / name for name in files if suffix_of(name) in (".nii", ".nii.gz")]
    return series, labels


def _named(root: Path, paths: list[Path]) -> dict[str, Path]:
    """Each by the name of its case."""
    named: dict[str, Path] = {}
    for path in paths:
        last = path.name if path.is_dir() else stem(path)
        parts = [*path.relative_to(root).parts[:-1], last]
        telling = [part for part in parts if "".join(c for c in part.lower() if c.isalnum()) not in _SAYS_NOTHING]
        name = telling[-1] if telling else last
        if name in named:
            raise UserError(f"{path}: case {name} is {named[name]} too: give each case a name of its own")
        named[name] = path
    return named
