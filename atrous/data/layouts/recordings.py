"""Folders of recordings: signals with their labels in the same file or beside it, one file per recording."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import (
    ANNOTATED_SUFFIXES,
    SIGNAL_SUFFIXES,
    FileFault,
    has_label,
    has_signals,
    read_header,
    read_words,
    stem,
    suffix_of,
)
from atrous.data.formats.column_roles import column_names, lists_files, require_known
from atrous.data.formats.columns import CsvFormat, table_reader
from atrous.data.images import FileImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, group_of, labeled
from atrous.data.layouts.folders import MOST_LEVELS, Folder, read_folders, split_of
from atrous.data.layouts.pairing import pair
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.strays import images_are_few
from atrous.data.sample import Sample
from atrous.data.targets.annotations import annotated_words, is_labeled
from atrous.data.targets.labels import AnnotatedRecording, Labels, LabelTable
from atrous.errors import UserError
from atrous.labels import IGNORE

TABLES = 4
"""So many tables beside one image with a mask are recordings, not what is known of it."""
_LABEL_FIX = {
    False: "give the column (or array) of labels the name `label`, or name it in dataset.toml: [columns] label = ...",
    True: "annotate it, or put a CSV of the same name with a column `label` beside it (see docs/signals.md)",
}


def find_recordings(root: Path, description: Description) -> Layout | None:
    """Find recordings with labels; None where there are none, or the folder holds images.

    Raises:
        UserError: no recording has labels; or as `read_recordings`.
    """
    folders = read_folders(root, description.images, description.masks)
    if folders and description.kind is None and not _outnumber(root, folders, description):
        return None
    recordings = read_recordings(root, description)
    if not recordings:
        return None
    samples, images_alone = labeled(recordings)
    with_labels = [sample for members in samples.values() for sample in members if sample.target is not None]
    if not with_labels:
        read_header(images_alone[0])  # which says so if it cannot be read at all
        raise UserError(f"{images_alone[0]}: {_no_labels(images_alone[0])}")
    splits, origin = into_splits(samples, description, ({}, ""), any(recordings))
    return Layout(
        name=f"recordings, {' '.join(sorted({sample.image.path.suffix.lower() for sample in with_labels}))}",
        splits=ordered(splits),
        split_origin=origin,
        images_alone=tuple(images_alone),
        classes=_words_of(with_labels[0]),
    )


def _outnumber(root: Path, folders: Sequence[Folder], description: Description) -> bool:
    """Whether recordings outnumber the images in a folder, so that these are strays, and one of them has labels.

    Tables beside images are often lists of them, or of what is in each: they count where they have labels, and less
    than images with masks do.
    """
    paths = [
        here / name
        for here, _, names in walk(root, lambda name: suffix_of(name) in SIGNAL_SUFFIXES, MOST_LEVELS)
        for name in names
    ]
    if not paths or not images_are_few(root, folders, len(paths) // TABLES, description):
        return False
    names = {name for folder in folders for path in folder.files for name in (path.name, stem(path))}
    for path in paths:
        try:
            if lists_files(path, names):
                continue
            if _annotated(path) or _has_label(path, description):
                return True
        except FileFault:
            continue  # no recording, or one whose fault is said when it is read
    return False


def _no_labels(path: Path) -> str:
    named = f" (its columns: {', '.join(column_names(path))})" if suffix_of(path) in CsvFormat.suffixes else ""
    return f"no labels{named}: {_LABEL_FIX[_annotated(path)]}"


def _words_of(sample: Sample) -> tuple[str, ...] | None:
    """The words that are the labels of a recording; None where they are numbers."""
    reader = sample.target.reader if isinstance(sample.target, Labels) else None
    return (reader.words or None) if isinstance(reader, LabelTable | AnnotatedRecording) else None


def label_partners(paths: Sequence[Path]) -> dict[Path, Path]:
    """Pair each EDF file or WFDB record with the file beside it that holds its labels, if there is one.

    It is a CSV, TSV or NPZ file of the same stem and folder, or an EDF+ file of annotations alone, such as a hypnogram
    (`hypnograms`). Such a file is no recording of its own.

    >>> label_partners([Path("a.csv"), Path("a.edf"), Path("b.csv")])
    {PosixPath('a.edf'): PosixPath('a.csv')}
    """
    recordings = {(path.parent, stem(path)): path for path in paths if suffix_of(path) in ANNOTATED_SUFFIXES}
    tables = [path for path in paths if suffix_of(path) not in ANNOTATED_SUFFIXES]
    beside = {recordings[key]: path for path in tables if (key := (path.parent, stem(path))) in recordings}
    return beside | hypnograms([path for path in recordings.values() if path not in beside])


def hypnograms(paths: Sequence[Path]) -> dict[Path, Path]:
    """Pair recordings with the files of annotations alone that are beside them, by their names.

    Names pair as those of images and masks do (`pairing.pair`), without words such as `PSG` and `Hypnogram`. Sleep-EDF
    gives both another letter (`SC4001E0-PSG.edf`, `SC4001EC-Hypnogram.edf`): of the names that are left over, a
    recording and a hypnogram belong together where each shares the longest beginning with the other alone.
    """
    alone = [path for path in paths if _is_annotations_alone(path)]
    if not alone:
        return {}
    partners: dict[Path, Path] = {}
    for folder in sorted({path.parent for path in alone}):
        ours = {_plain_stem(path): path for path in paths if path.parent == folder and path not in alone}
        theirs = {_plain_stem(path): path for path in alone if path.parent == folder}
        found = pair(ours, theirs)
        names = found.partner | _by_beginning(found.images_alone, found.labels_alone)
        partners |= {ours[name]: theirs[other] for name, other in names.items()}
    return partners


def _shared(one: str, other: str) -> int:
    """Return how many letters two names share at their beginning."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _is_annotations_alone(path: Path) -> bool:
    if suffix_of(path) not in (".edf", ".bdf") or not path.is_file():
        return False
    try:
        return not has_signals(path)
    except FileFault:
        return False  # said of this file when it is read as a sample


def _plain_stem(path: Path) -> str:
    return re.sub(r"(?i)[-_. ]*(psg|hypnograms?|hyp|annotations?|scoring|stages|events)$", "", stem(path))


def _by_beginning(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Pair names that share the longest beginning with each other and with no other name.

    >>> _by_beginning(["SC4001E0", "SC4011E0"], ["SC4011EH", "SC4001EC"])
    {'SC4001E0': 'SC4001EC', 'SC4011E0': 'SC4011EH'}
    >>> _by_beginning(["a1", "a2"], ["a3"])
    {}
    """

    def nearest(name: str, others: Sequence[str]) -> str | None:
        shared = [(_shared(name, other), other) for other in others]
        most = max((length for length, _ in shared), default=0)
        best = [other for length, other in shared if length == most]
        return best[0] if len(best) == 1 and 2 * most >= len(name) else None

    near = {name: nearest(name, theirs) for name in ours}
    return {name: other for name, other in near.items() if other is not None and nearest(other, ours) == name}


def read_recordings(root: Path, description: Description) -> dict[str | None, list[Sample]]:
    """Recordings under `root` by the split that a folder names (None where none does); empty when there are none.

    Labels that are words become classes in the order of `classes` in dataset.toml, or sorted. Those of EDF and WFDB
    stand in a table of the same name (`label_partners`), else in their annotations (`annotations.py`).

    Raises:
        UserError: a file cannot be read, or labels are words and there are too many of them.
    """
    found: dict[str | None, list[Path]] = {}
    partners: dict[Path, Path] = {}
    for here, _, files in walk(root, lambda name: suffix_of(name) in SIGNAL_SUFFIXES, MOST_LEVELS):
        parts = here.relative_to(root).parts
        paths = [here / name for name in files]
        partners |= (beside := label_partners(paths))
        paths = [path for path in paths if path not in beside.values()]
        lone = next((path for path in paths if _is_annotations_alone(path)), None)
        if lone is not None:
            fix = "give both the same name but for -PSG and -Hypnogram, or remove it"
            raise FileFault(lone, "it has annotations and no signals, and no recording beside it fits its name", fix)
        if paths:
            found.setdefault(split_of(parts), []).extend(paths)
    if description.columns is not None and description.columns.targets and description.task != "regression":
        raise UserError(f'{description.file}: columns.targets is for task = "regression": add the task, or take it out')
    if description.columns is not None:
        everything = {*partners.values(), *(path for paths in found.values() for path in paths)}
        tables = [path for path in sorted(everything) if suffix_of(path) in CsvFormat.suffixes]
        require_known(description.columns, tables, description.file)
    labels = {path: _label(path, partners, description) for paths in found.values() for path in paths}
    words = _words([(label, None if label == path else path) for path, label in labels.items() if label], description)
    return {
        split: [_sample(root, path, labels[path], words, description) for path in paths]
        for split, paths in found.items()
    }


def _sample(
    root: Path, path: Path, label: Path | None, words: tuple[str, ...] | None, description: Description
) -> Sample:
    name, image = (path.parent.relative_to(root) / stem(path)).as_posix(), _image(path, description)
    target = None
    if label is not None:
        recording = None if label == path else path
        rule = description.annotations
        annotated = AnnotatedRecording(label, rule, words or (), recording) if _annotated(label) else None
        target = Labels(annotated or LabelTable(label, words, _label_reader(label, description, recording)), image)
    return Sample(name, image, target, group_of(name, description.groups))


def _image(path: Path, description: Description) -> FileImage:
    return FileImage(path, (), description.channels, reader=table_reader(path, description.columns))


def _label_reader(label: Path, description: Description, recording: Path | None) -> CsvFormat | None:
    """What reads the labels; of a table beside a recording, the rule for channels is not that of the table."""
    rule = description.columns
    if rule is not None and recording is not None:
        rule = replace(rule, channels=None, time=None)
    return table_reader(label, rule)


def _label(path: Path, partners: dict[Path, Path], description: Description) -> Path | None:
    """The file with the labels of a recording, None where there is none."""
    if path in partners:
        return partners[path]
    try:
        labeled = is_labeled(path, description.annotations) if _annotated(path) else _has_label(path, description)
    except FileFault:
        return path  # said of this file when it is read as a sample
    return path if labeled else None


def _has_label(path: Path, description: Description) -> bool:
    return has_label(path, table_reader(path, description.columns))


def _annotated(path: Path | None) -> bool:
    return path is not None and suffix_of(path) in ANNOTATED_SUFFIXES


def _words(labels: list[tuple[Path, Path | None]], description: Description) -> tuple[str, ...] | None:
    """Labels in label order, None where they are numbers; each file of labels with the recording that it is beside."""
    seen: set[str] = set()
    numbers: Path | None = None
    for path, recording in labels:
        try:
            if _annotated(path):
                words = annotated_words(path, description.annotations)
            else:
                words = read_words(path, _label_reader(path, description, recording))
        except FileFault:
            continue  # said of this file when it is read as a sample
        if words is None:
            numbers = numbers or path
        else:
            seen |= {str(word) for word in set(words)} - {""}
        if numbers is not None and seen:
            raise UserError(f"{numbers}: its labels are numbers, those of other files words: make them alike")
        if len(seen) > IGNORE:
            raise UserError(f"{path}: more than {IGNORE} different labels: is its label column the right one?")
    if not seen:
        return None
    return tuple(sorted(seen)) if description.classes is None else description.classes
