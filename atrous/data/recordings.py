"""Folders of recordings: signals with their labels in the same file, one file per recording."""

import os
import re
from pathlib import Path

from atrous.data.description import Description
from atrous.data.folders import MOST_LEVELS, split_of
from atrous.data.formats import SIGNAL_SUFFIXES, has_label, read_words, stem, suffix_of
from atrous.data.sample import Sample
from atrous.errors import UserError
from atrous.labels import IGNORE


def find_recordings(root: Path, description: Description) -> dict[str | None, list[Sample]]:
    """Recordings under `root` by the split that a folder names (None where none does); empty when there are none.

    Labels that are words become classes in the order of `classes` in dataset.toml, or sorted.

    Raises:
        UserError: a file cannot be read, or its labels are words and there are too many of them.
    """
    found: dict[str | None, list[Path]] = {}
    for here, folders, files in os.walk(root, followlinks=True):
        parts = Path(here).relative_to(root).parts
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(parts) >= MOST_LEVELS:
            folders.clear()
        paths = [Path(here, name) for name in sorted(files) if suffix_of(name) in SIGNAL_SUFFIXES]
        if paths:
            found.setdefault(split_of(parts), []).extend(paths)
    labeled = {path: has_label(path) for paths in found.values() for path in paths}
    words = _words([path for path, has in labeled.items() if has], description)
    return {
        split: [
            Sample(
                name=(name := (path.parent.relative_to(root) / stem(path)).as_posix()),
                image=path,
                label=path if labeled[path] else None,
                channels=description.channels,
                words=words,
                group=group_of(name, description.groups),
            )
            for path in paths
        ]
        for split, paths in found.items()
    }


def group_of(name: str, groups: str | None) -> str:
    """What a sample comes from, by the pattern: its first group, or the whole match; "" when it does not match.

    >>> group_of("p07/night2", r"^p(\\d+)"), group_of("p07/night2", None)
    ('07', '')
    """
    match = re.search(groups, name) if groups else None
    return "" if match is None else match[1] if match.re.groups else match[0]


def _words(paths: list[Path], description: Description) -> tuple[str, ...] | None:
    """Labels in label order, None where they are numbers."""
    seen: set[str] = set()
    numbers: Path | None = None
    for path in paths:
        labels = read_words(path)
        if labels is None:
            numbers = numbers or path
        else:
            seen |= {str(label) for label in set(labels.tolist())} - {""}
        if numbers is not None and seen:
            raise UserError(f"{numbers}: its labels are numbers, those of other files words: make them alike")
        if len(seen) > IGNORE:
            raise UserError(f"{path}: more than {IGNORE} different labels: is its label column the right one?")
    if not seen:
        return None
    return tuple(sorted(seen)) if description.classes is None else description.classes
