"""Inputs with classes as wholes: a folder for each class, or a table `labels.csv`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atrous.data.description import MOST_CLASSES, Description
from atrous.data.formats import SIGNAL_SUFFIXES, SUFFIXES, stem, suffix_of
from atrous.data.images import FileImage
from atrous.data.inside import walk
from atrous.data.layouts.base import Layout, LeftOut, group_of
from atrous.data.layouts.class_table import NAMES, LabelRows, read_tables
from atrous.data.layouts.folders import IMAGE_WORDS, MOST_LEVELS, SPLITS, folder_key, split_of
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.problems import Problem, relative
from atrous.data.sample import Sample
from atrous.data.targets.whole import WholeClass, WholeClasses
from atrous.errors import UserError

TASK = "classification"


def find_classes(root: Path, description: Description) -> Layout | None:
    """Find the inputs and their classes where the task is `classification`; None for other tasks.

    A table `labels.csv` says the classes where there is one, in the folder of the data set or in those of its splits.
    Else a folder for each class does, with or without folders of splits around it: `train/yes/a.png`.

    Raises:
        UserError: there are no inputs, or no classes; or the table has other columns.
    """
    if description.task != TASK:
        return None
    said = description.file or "--task"
    for key in ("ignore", "values", "objects", "masks"):
        if getattr(description, key):
            raise UserError(f'{said}: `{key}` is for classes of positions, not for task = "{TASK}": take it out')
    files, empty = _files(root)
    if not files:
        raise UserError(f"{root}: no inputs: give a folder for each class, or inputs and a table {NAMES[0]}")
    tables = [here / name for here, _, found in walk(root, lambda name: name in NAMES, MOST_LEVELS) for name in found]
    if tables:
        return _layout(root, description, files, read_tables(root, tables, files), f"labels in {NAMES[0]}")
    return _layout(root, description, files, _by_folder(root, files, empty), "a folder for each class")


def _layout(root: Path, description: Description, files: Sequence[Path], rows: LabelRows, name: str) -> Layout:
    classes = _classes(root, description, rows)
    make = WholeClass if rows.exclusive else WholeClasses
    absent = 0.0 if rows.exclusive else math.nan  # of a class without a column nothing is known
    samples: dict[str, list[Sample]] = {}
    alone = []
    for path in files:
        inside = path.relative_to(root)
        image = FileImage(path, (), description.channels, description.pages)
        title = (inside.parent / stem(path)).as_posix()
        sample = Sample(title, image, None, group_of(title, description.groups))
        split = _split(root, rows, path)
        if path in rows.present:
            known = dict(zip(rows.classes, rows.present[path], strict=True))
            present = tuple(known.get(one, absent) for one in classes)
            sample = replace(sample, target=make(rows.tables.get(path, path), image, present))
        elif split != "test":
            alone.append(path)
            continue
        samples.setdefault(split or "train", []).append(sample)
    _require_apart(root, samples)
    in_folders = any(_split(root, rows, path) for path in files)
    splits, origin = into_splits(samples, description, ({}, ""), in_folders)
    if not any(sample.target is not None for members in splits.values() for sample in members):
        raise UserError(
            f"{root}: no input has a class: put inputs into a folder for each class, or name them in a table"
        )
    left_out = tuple(LeftOut(path, "has no class and is left out", "give it one, or leave it so") for path in alone)
    return Layout(
        f"whole inputs, {name}", ordered(splits), origin, left_out=left_out, classes=classes, classes_are_final=True,
        task=TASK, problems=tuple(rows.problems),
    )  # fmt: skip


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """The files that can be read, and the folders without any."""
    files, empty = [], []
    for here, folders, names in walk(root, lambda name: name not in NAMES and _readable(name), MOST_LEVELS):
        arrays = [name for name in folders if name.lower().endswith(".zarr")]
        files += [here / name for name in sorted(names + arrays)]
        if not names and not folders and here != root:
            empty.append(here)
    return files, empty


def _readable(name: str) -> bool:
    suffix = suffix_of(name)
    return suffix in SUFFIXES or suffix in SIGNAL_SUFFIXES


def _by_folder(root: Path, files: Sequence[Path], empty: Sequence[Path]) -> LabelRows:
    """The classes that folders name: the first that is no split and holds no images of all classes."""
    named = {path: _named(path.relative_to(root).parts[:-1]) for path in files}
    shared = _shared([parts for parts in named.values() if parts])
    words = {path: parts[shared] for path, parts in named.items() if len(parts) > shared}
    rows = LabelRows(tuple(sorted(set(words.values()))), exclusive=True)
    for path in files:
        if path in words:
            rows.present[path] = tuple(float(words[path] == name) for name in rows.classes)
        elif split_of(path.relative_to(root).parts[:-1]) != "test":
            what = "lies in no folder of a class"
            rows.problems.append(Problem(relative(path, root), what, "move it into one", "warning", "no class"))
    for folder in empty:
        if _named(folder.relative_to(root).parts):
            what = "the folder of a class holds no input that can be read"
            rows.problems.append(Problem(relative(folder, root), what, "add inputs, or remove it", kind="empty class"))
    return rows


def _named(parts: Sequence[str]) -> tuple[str, ...]:
    """The folders of a path but those of splits and those that are called after images."""
    words = {word for each in SPLITS.values() for word in each}
    return tuple(part for part in parts if folder_key(part) not in words | IMAGE_WORDS)


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many folders all paths begin with, where others follow in all of them."""
    count = 0
    while paths and all(len(parts) > count + 1 for parts in paths) and len({parts[count] for parts in paths}) == 1:
        count += 1
    return count


def _classes(root: Path, description: Description, rows: LabelRows) -> tuple[str, ...]:
    """The classes in the order of dataset.toml, which may name classes that do not occur."""
    classes = description.classes or rows.classes
    other = sorted(set(rows.classes) - set(classes))
    if other:
        raise UserError(f"{description.file}: {other[0]!r} is a class of {root}, but not in `classes`: add it")
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{root}: {len(classes)} classes: at most {MOST_CLASSES} are learned")
    if rows.exclusive and len(classes) < 2:
        found = f"all inputs have the class {classes[0]!r}" if classes else "no input has a class"
        raise UserError(f"{root}: {found}: give inputs of two classes, or a table with a column of 0 and 1")
    return tuple(classes)


def _split(root: Path, rows: LabelRows, path: Path) -> str | None:
    """The split that a table or the folders of a file name."""
    word = rows.splits.get(path)
    if word is None:
        return split_of(path.relative_to(root).parts[:-1])
    split = next((split for split, words in SPLITS.items() if folder_key(word) in (split, *words)), None)
    if split is None:
        raise UserError(f"{rows.tables[path]}: unknown split {word!r}: write train, val or test")
    return split


def _require_apart(root: Path, samples: dict[str, list[Sample]]) -> None:
    """Raise where two files of one folder differ by their suffix alone."""
    seen: dict[str, Path] = {}
    for sample in (sample for members in samples.values() for sample in members):
        other = seen.setdefault(sample.name, sample.image.path)
        if other != sample.image.path:
            raise UserError(f"{root}: {other.name} and {sample.image.path.name} have one name: rename one")
