"""Cityscapes as it is downloaded: four label files for every image, and which of their values are classes.

The 19 classes that the benchmark evaluates, in the order of their training ids, and the void ones, are those of Cordts
et al. 2016, "The Cityscapes Dataset for Semantic Urban Scene Understanding".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

CLASSES = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The value of each class in `labelIds`; in `labelTrainIds` it is its position."""
MOST_ID = 33
VOID = (*(value for value in range(MOST_ID + 1) if value not in CLASSES.values()), 255)
"""Values of `labelIds` that count for nothing."""
_LABELS = re.compile(r"_gt(?:Fine|Coarse)_(labelIds|labelTrainIds|instanceIds)$")


@dataclass(frozen=True)
class LabelFiles:
    """Which label files are read, and what their values mean.

    Attributes:
        suffix: the end of their names.
        classes: names of the classes.
        values: their values; None where they are 0, 1, 2, ...
        ignore: values that count for nothing.
    """

    suffix: str
    classes: tuple[str, ...]
    values: tuple[int, ...] | None
    ignore: tuple[int, ...]


def label_files(names: Iterable[str], suffixes: tuple[str, ...] | None, objects: int | None) -> LabelFiles | None:
    """Choose the label files of Cityscapes: `labelTrainIds` where every image has one, else `labelIds`.

    Args:
        names: stems of all label files.
        suffixes: `mask_suffix` of dataset.toml; it chooses instead, if it names one end of Cityscapes' own.
        objects: `objects` of dataset.toml: values of `instanceIds` are classes with 1000 alone.

    Returns:
        None if the names are not those of Cityscapes, or dataset.toml chooses other files.
    """
    count: dict[str, int] = {}
    for name in names:
        if match := _LABELS.search(name):
            count[match[1]] = count.get(match[1], 0) + 1
    if suffixes is None:
        ids, train_ids = count.get("labelIds", 0), count.get("labelTrainIds", 0)
        kind = "labelTrainIds" if train_ids and train_ids >= ids else "labelIds" if ids else ""
    else:
        kind = next((known for known in count if len(suffixes) == 1 and suffixes[0].split(".")[0].endswith(known)), "")
    if not kind or (kind == "instanceIds" and objects != 1000):
        return None
    suffix = f"_{kind}" if suffixes is None else suffixes[0]
    if kind == "labelTrainIds":
        return LabelFiles(suffix, tuple(CLASSES), None, (255,))
    return LabelFiles(suffix, tuple(CLASSES), tuple(CLASSES.values()), VOID)
