"""nnU-Net folders as they are: `dataset.json`, `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `imagesTs`.

Both versions are read, and the Medical Segmentation Decathlon, from which the layout comes: labels as name to value or
value to name, channels named by `channel_names` or `modality`, files with or without a channel number.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrous.data.description import Description
from atrous.data.images import FileImage
from atrous.data.inside import require_inside
from atrous.data.layouts.base import Layout, group_of
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.plain_text import read_text
from atrous.data.sample import Sample
from atrous.data.targets.labels import Labels
from atrous.data.targets.mask_files import MaskFile
from atrous.errors import UserError

FOLDERS = (("train", "imagesTr", "labelsTr"), ("test", "imagesTs", "labelsTs"))
_CHANNEL = re.compile(r"^(.+)_(\d{4})$")


@dataclass(frozen=True)
class Cases:
    """What lies in an nnU-Net folder.

    Attributes:
        samples: of train and test; training cases without a label file have no target.
        classes: names, in label order.
        values: file value of each class, or None when it is `0..K-1`.
        ignore: file values of the label named `ignore`.
        channels: names of the channels.
        labels_alone: label files without an image.
        incomplete: files of test cases that have no label and lack a channel.
        listed: names of train and val in fold 0 of `splits_final.json`, where there is one.
    """

    samples: dict[str, list[Sample]]
    classes: tuple[str, ...]
    values: tuple[int, ...] | None
    ignore: tuple[int, ...]
    channels: tuple[str, ...]
    labels_alone: tuple[Path, ...]
    incomplete: tuple[Path, ...]
    listed: dict[str, tuple[str, ...]]


def find_cases(root: Path, description: Description) -> Layout | None:
    """Find the cases of an nnU-Net folder; None where `root` is none, or dataset.toml names other folders.

    Raises:
        UserError: as `read_nnunet`.
    """
    if not is_nnunet(root) or description.images is not None or description.masks is not None:
        return None
    cases = read_nnunet(root)
    samples = {
        split: [replace(sample, group=group_of(sample.name, description.groups)) for sample in members]
        for split, members in cases.samples.items()
    }
    images_alone = tuple(sample.image.path for sample in samples["train"] if sample.target is None)
    samples["train"] = [sample for sample in samples["train"] if sample.target is not None]
    splits, origin = into_splits(samples, description, (cases.listed, "splits_final.json, fold 0"), False)
    return Layout(
        name=f"nnU-Net, {len(cases.channels)} channel{'s' if len(cases.channels) > 1 else ''} a case",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=(*images_alone, *cases.incomplete),
        labels_alone=cases.labels_alone,
        values=cases.values,
        classes=cases.classes,
        ignore=cases.ignore or None,
        channel_names=cases.channels,
    )


def is_nnunet(root: Path) -> bool:
    """Say whether `root` is an nnU-Net folder."""
    return (root / "dataset.json").is_file() and (root / "imagesTr").is_dir()


def read_nnunet(root: Path) -> Cases:
    """Read an nnU-Net folder.

    Raises:
        UserError: dataset.json cannot be read or lacks labels, labels are regions, or a case lacks a channel.
    """
    file = root / "dataset.json"
    content = _content(file)
    named = _labels(content.get("labels"), file)
    ignore = tuple(value for name, value in named.items() if name.lower() == "ignore")
    classes = {name: value for name, value in named.items() if value not in ignore}
    values = tuple(classes.values())
    channels = _channels(content.get("channel_names", content.get("modality")), file)
    ending = str(content.get("file_ending", ".nii.gz"))
    samples, alone, left_out = {}, [], []
    for split, images, labels in FOLDERS:
        files = _files(root / labels, ending)
        if split == "test":  # a case to be predicted must not stand in the way of a training
            left_out = _incomplete(root / images, ending, len(channels), files)
        found = _cases(root / images, ending, len(channels), left_out)
        for case, paths in found.items():
            label = files.pop(case, None)
            image = FileImage(paths[0], paths[1:])
            target = None if label is None else Labels(MaskFile(label, paths[0]), image)
            samples.setdefault(split, []).append(Sample(f"{images}/{case}", image, target))
        alone += files.values()
    if not samples.get("train"):
        raise UserError(f"{root / 'imagesTr'}: no files that end in {ending}: fix `file_ending` in {file}")
    return Cases(
        samples, tuple(classes), None if values == tuple(range(len(values))) else values, ignore, channels,
        tuple(sorted(alone)), tuple(left_out), _listed(root),
    )  # fmt: skip


def group_channels(paths: list[Path], ending: str, channels: int) -> dict[str, tuple[Path, ...]]:
    """Files of one folder by case, the channels of a case in order.

    With several channels every name ends in `_0000`, `_0001` and so on; with one it may.

    >>> group_channels([Path("a_0000.nii.gz"), Path("a_0001.nii.gz")], ".nii.gz", 2)["a"][1].name
    'a_0001.nii.gz'

    Raises:
        UserError: a case has too few or too many of them.
    """
    cases = _by_case(paths, ending)
    for case, found in cases.items():
        if sorted(found) != list(range(channels)):
            first = next(iter(found.values()))
            has = ", ".join(f"_{number:04d}" for number in sorted(found))
            wanted = ", ".join(f"_{number:04d}" for number in range(channels))
            raise UserError(f"{first}: case {case} has the channels {has}, wanted are {wanted}: add or remove files")
    return {case: tuple(found[number] for number in range(channels)) for case, found in cases.items()}


def _by_case(paths: Sequence[Path], ending: str) -> dict[str, dict[int, Path]]:
    """Return the files of each case by the numbers of their channels."""
    cases: dict[str, dict[int, Path]] = {}
    for path in sorted(paths):
        name = path.name[: -len(ending)]
        match = _CHANNEL.match(name)
        case, number = (match[1], int(match[2])) if match else (name, 0)
        cases.setdefault(case, {})[number] = path
    return cases


def _incomplete(folder: Path, ending: str, channels: int, labeled: Collection[str]) -> list[Path]:
    """Return the files of cases that have no label and lack a channel: they are only to be predicted."""
    cases = _by_case(list(_files(folder, ending).values()), ending)
    return [
        path for case, found in cases.items() if case not in labeled and sorted(found) != list(range(channels))
        for path in found.values()
    ]  # fmt: skip


def _cases(folder: Path, ending: str, channels: int, left_out: Collection[Path]) -> dict[str, tuple[Path, ...]]:
    paths = [path for path in _files(folder, ending).values() if path not in left_out]
    return group_channels(paths, ending, channels)


def _files(folder: Path, ending: str) -> dict[str, Path]:
    """Files of a folder by their name without `ending`."""
    if not folder.is_dir():
        return {}
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(ending) and not path.name.startswith("."))
    for path in paths:
        require_inside(folder.parent, path)
    return {path.name[: -len(ending)]: path for path in paths}


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: not valid JSON ({error}): fix it") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: not a table of keys: write it as nnU-Net's documentation says")
    return content


def _labels(labels: object, file: Path) -> dict[str, int]:
    """Class name to file value, in the order of the values."""
    if not isinstance(labels, Mapping) or not labels:
        raise UserError(f'{file}: `labels` is missing: write "labels": {{"background": 0, "NAME": 1}}')
    pairs: list[tuple[str, int]] = []
    for key, entry in labels.items():
        if isinstance(entry, list):
            raise UserError(f"{file}: label {key!r} is a region of several values: give every value a name of its own")
        name, value = (str(entry), key) if str(key).lstrip("-").isdigit() and isinstance(entry, str) else (key, entry)
        try:
            pairs.append((name, int(value)))
        except (TypeError, ValueError):
            raise UserError(f"{file}: label {key!r} is {entry!r}: give it a whole number") from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise UserError(f"{file}: two `labels` have one name: give each its own")
    return dict(sorted(pairs, key=lambda pair: pair[1]))


def _channels(names: object, file: Path) -> tuple[str, ...]:
    if not isinstance(names, Mapping) or not names or not all(str(key).isdigit() for key in names):
        raise UserError(f'{file}: `channel_names` is missing: write "channel_names": {{"0": "MRI"}}')
    return tuple(str(name) for _, name in sorted(names.items(), key=lambda item: int(item[0])))


def _listed(root: Path) -> dict[str, tuple[str, ...]]:
    file = root / "splits_final.json"
    if not file.is_file():
        return {}
    try:
        fold = json.loads(read_text(file))[0]
        return {split: tuple(str(name) for name in fold[split]) for split in ("train", "val")}
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{file}: no list of folds with train and val ({error}): fix or remove it") from error
