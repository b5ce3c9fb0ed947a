"""Folders of recordings: signals with their labels in the same file or beside it, one file per recording."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from atrous.data.description import Description
from atrous.data.formats import (
    ANNOTATED_SUFFIXES,
    SIGNAL_SUFFIXES,
    FileFault,
    channel_names,
    has_label,
    read_words,
    stem,
    suffix_of,
)
from atrous.data.layouts.folders import MOST_LEVELS, split_of
from atrous.data.layouts.partners import label_partners
from atrous.data.sample import Sample
from atrous.data.targets.annotations import annotated_words, is_labeled
from atrous.errors import UserError
from atrous.labels import IGNORE


def find_recordings(root: Path, description: Description) -> dict[str | None, list[Sample]]:
    """Recordings under `root` by the split that a folder names (None where none does); empty when there are none.

    Labels that are words become classes in the order of `classes` in dataset.toml, or sorted. Those of EDF and WFDB
    stand in a table of the same name (`partners.py`), else in their annotations (`annotations.py`).

    Raises:
        UserError: a file cannot be read, recordings have other channels than the first one, or labels are words and
            there are too many of them.
    """
    found: dict[str | None, list[Path]] = {}
    partners: dict[Path, Path] = {}
    for here, folders, files in os.walk(root, followlinks=True):
        parts = Path(here).relative_to(root).parts
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(parts) >= MOST_LEVELS:
            folders.clear()
        paths = [Path(here, name) for name in sorted(files) if suffix_of(name) in SIGNAL_SUFFIXES]
        partners |= (beside := label_partners(paths))
        paths = [path for path in paths if path not in beside.values()]
        if paths:
            found.setdefault(split_of(parts), []).extend(paths)
    labels = {path: _label(path, partners, description) for paths in found.values() for path in paths}
    require_same_channels(root, list(labels))
    words = _words([label for label in labels.values() if label is not None], description)
    return {
        split: [
            Sample(
                name=(name := (path.parent.relative_to(root) / stem(path)).as_posix()),
                image=path,
                label=labels[path],
                channels=description.channels,
                words=words,
                group=group_of(name, description.groups),
                annotations=description.annotations if _annotated(labels[path]) else None,
            )
            for path in paths
        ]
        for split, paths in found.items()
    }


def require_same_channels(root: Path, paths: list[Path]) -> None:
    """Raise where recordings whose files name their channels do not all have the same ones in the same order."""
    first: tuple[Path, tuple[str, ...]] | None = None
    for path in paths:
        if (names := first_names([path])) is None:
            continue
        first = first or (path, names)
        if names != first[1]:
            raise UserError(
                f"{path.relative_to(root)}: its channels are {', '.join(names)}, those of "
                f"{first[0].relative_to(root)} {', '.join(first[1])}: export all recordings with the same ones"
            )


def first_names(paths: Iterable[Path]) -> tuple[str, ...] | None:
    """Names of the channels, by the first file that can be read; None where its format has none."""
    for path in paths:
        try:
            return channel_names(path)
        except FileFault:
            continue  # said of this file when it is read as a sample
    return None


def group_of(name: str, groups: str | None) -> str:
    """What a sample comes from, by the pattern: its first group, or the whole match; "" when it does not match.

    >>> group_of("p07/night2", r"^p(\\d+)"), group_of("p07/night2", None)
    ('07', '')
    """
    match = re.search(groups, name) if groups else None
    return "" if match is None else match[1] if match.re.groups else match[0]


def _label(path: Path, partners: dict[Path, Path], description: Description) -> Path | None:
    """The file with the labels of a recording, None where there is none."""
    if path in partners:
        return partners[path]
    try:
        labeled = is_labeled(path, description.annotations) if _annotated(path) else has_label(path)
    except FileFault:
        return path  # said of this file when it is read as a sample
    return path if labeled else None


def _annotated(path: Path | None) -> bool:
    return path is not None and suffix_of(path) in ANNOTATED_SUFFIXES


def _words(labels: list[Path], description: Description) -> tuple[str, ...] | None:
    """Labels in label order, None where they are numbers."""
    seen: set[str] = set()
    numbers: Path | None = None
    for path in labels:
        try:
            words = annotated_words(path, description.annotations) if _annotated(path) else read_words(path)
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
