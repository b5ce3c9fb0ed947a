"""What a layout says of a folder, and what layouts share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrous.data.object_files.base import AnnotatedImage
from atrous.data.problems import Problem
from atrous.data.sample import Sample


@dataclass(frozen=True)
class LeftOut:
    """A file that could be read, or looks so, and is no part of the data set.

    Attributes:
        path: the file.
        what: why it is left out.
        fix: what to do if it should not be.
    """

    path: Path
    what: str
    fix: str


@dataclass(frozen=True)
class Layout:
    """What a folder holds, understood.

    Attributes:
        name: the layout in words, with the folders that it has.
        splits: samples of each split, sorted by name. Every training and validation sample has a target.
        split_origin: where the splits come from.
        images_alone: images of train or val that have no target and are left out.
        labels_alone: label files without an image.
        left_out: files of another kind than the data set's.
        values: file values of the classes that the layout itself fixes (DRIVE), else None.
        classes: their names.
        ignore: file values that the layout says count for nothing, else None.
        channel_names: names of the channels, where the layout knows them (nnU-Net's dataset.json).
        kind: the kind of data: how it is checked, planned, fed, predicted and reported (`verbs/kinds.py`).
        task: name of the task that is learned unless dataset.toml names another, such as "semantic" or "stranded".
        classes_are_final: whether `classes` already takes dataset.toml into account (genomes: it names features, the
            classes are features on either strand).
        outputs: names of the numbers that are learned, where the layout knows them (signals of genomes).
        annotated: of annotation files of objects, what they say of each image, by the name of its sample.
        problems: what is wrong with these files.
    """

    name: str
    splits: dict[str, tuple[Sample, ...]]
    split_origin: str
    images_alone: tuple[Path, ...] = ()
    labels_alone: tuple[Path, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    values: tuple[int, ...] | None = None
    classes: tuple[str, ...] | None = None
    ignore: tuple[int, ...] | None = None
    channel_names: tuple[str, ...] | None = None
    kind: str = "grids"
    task: str = "semantic"
    classes_are_final: bool = False
    outputs: tuple[str, ...] = ()
    annotated: Mapping[str, AnnotatedImage] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def labeled(samples: Mapping[str | None, Sequence[Sample]]) -> tuple[dict[str, list[Sample]], list[Path]]:
    """Leave out the samples of train and val that have no target.

    Args:
        samples: by the split that a folder names; None where none does, which counts as train.

    Returns:
        The samples of each split, and the images that were left out.
    """
    by_split: dict[str, list[Sample]] = {}
    alone: list[Path] = []
    for split, members in samples.items():
        left_out = [] if split == "test" else [sample for sample in members if sample.target is None]
        alone += [sample.image.path for sample in left_out]
        by_split.setdefault(split or "train", []).extend(sample for sample in members if sample not in left_out)
    return by_split, alone


def group_of(name: str, groups: str | None) -> str:
    """Return what a sample comes from: the first group of the pattern in its name, or the whole match; "" without one.

    The pattern may fit the name with its folders or the name of the file alone.

    >>> group_of("p07/night2", r"^p(\\d+)"), group_of("images/p07_2", r"^p(\\d+)"), group_of("p07/night2", None)
    ('07', '07', '')
    """
    match = None
    if groups:
        match = re.search(groups, name) or re.search(groups, name.rsplit("/", 1)[-1])
    return "" if match is None else match[1] if match.re.groups else match[0]
