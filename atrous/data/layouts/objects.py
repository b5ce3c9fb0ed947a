"""Folders whose labels are annotation files of objects: VOC, COCO, YOLO, DOTA, labelme, and tables."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from atrous.data.description import MOST_CLASSES, Description
from atrous.data.formats import stem, suffix_of
from atrous.data.formats.polygons import POLYGON_SUFFIXES
from atrous.data.images import FileImage
from atrous.data.layouts.base import Layout, group_of
from atrous.data.layouts.folders import read_folders
from atrous.data.layouts.rotated import class_or_area, is_rotated, rotated_boxes
from atrous.data.layouts.splits import into_splits, ordered
from atrous.data.layouts.together import divide
from atrous.data.object_files.base import AnnotatedImage, ObjectFolder
from atrous.data.object_files.coco import find_coco, read_coco
from atrous.data.object_files.dota import find_dota, read_dota
from atrous.data.object_files.index import FileIndex, index_files, split_in
from atrous.data.object_files.labelme import find_labelme, read_labelme
from atrous.data.object_files.tables import NAMELESS, find_tables, read_tables
from atrous.data.object_files.voc import find_voc, read_voc
from atrous.data.object_files.yolo import find_yolo, read_yolo
from atrous.data.problems import ALIKE, ONE_CLASS, Problem, relative, some, spelled_alike
from atrous.data.sample import Sample
from atrous.data.targets.base import Target
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.instances import ClassedInstances, Instances
from atrous.data.targets.labels import Labels
from atrous.data.targets.object_mask import ObjectMask
from atrous.data.targets.points import Points
from atrous.errors import UserError

GROUND = ("background", "void", "none", "na", "other")
"""Names of classes that mean no object."""
_MAKERS: dict[str, Callable[[FileIndex], ObjectFolder | None]] = {
    "COCO": lambda index: read_coco(index, files) if (files := find_coco(index)) else None,
    "labelme": lambda index: read_labelme(index, files) if (files := find_labelme(index)) else None,
    "VOC": lambda index: read_voc(index, files) if (files := find_voc(index)) else None,
    "DOTA": lambda index: read_dota(index, files) if (files := find_dota(index)) else None,
    "YOLO": lambda index: read_yolo(index, files) if (files := find_yolo(index)) else None,
    "CSV": lambda index: read_tables(index, files) if (files := find_tables(index)) else None,
}
"""The formats in the order in which they are looked for; a folder may hold its annotations in several."""


def find_objects(root: Path, description: Description) -> Layout | None:
    """Find the images and annotation files of objects in a folder; None where it holds none, or is labeled by masks.

    The task says what is learned of them: boxes ("detection"), numbered objects ("instances"), classes of pixels
    ("semantic"), key points ("keypoints"), else points. Where nobody says it, it is the one that fits the annotations.
    Tasks that were added are given annotations where dataset.toml says `kind = "objects"`.

    Raises:
        UserError: the annotations do not say what the task learns, or not one of them can be used.
    """
    known = description.task is None or description.task in TARGETS or description.kind == "objects"
    if not known or description.masks is not None:
        return None
    index = index_files(root)
    if not index.images or not index.texts:
        return None
    if description.task != "detection" and description.kind is None and _has_masks(root, description):
        return None
    folder = next((found for make in _MAKERS.values() if (found := make(index)) is not None), None)
    return None if folder is None else _layout(index, folder, description)


def _has_masks(root: Path, description: Description) -> bool:
    """Whether the folder holds label images, which then are its labels."""
    folders = divide(read_folders(root, description.images, description.masks), description)
    return any(
        suffix_of(path) not in POLYGON_SUFFIXES for folder in folders if folder.role == "label" for path in folder.files
    )


def _layout(index: FileIndex, folder: ObjectFolder, description: Description) -> Layout:
    images = [image for members in folder.images.values() for image in members]
    if not images:
        raise _nothing(folder, "no image has annotations: copy the images into the folder")
    classes = _classes(folder, images, description)
    images = _with_class(folder, classes)
    task = description.task or ("detection" if description.rotated else _task(images))
    if task == "keypoints":
        classes = _keypoint_names(folder, images) or classes
    make = _target_of(task, folder, images, classes, description)
    samples: dict[str, list[Sample]] = {}
    annotated: dict[str, AnnotatedImage] = {}
    for split, members in folder.images.items():
        for member in members:
            sample = _sample(index.root, member.image, description)
            if sample.name in annotated:  # beside x.jpg there is x.png
                sample = replace(sample, name=relative(member.image, index.root))
            annotated[sample.name] = member
            samples.setdefault(split or "train", []).append(replace(sample, target=make(member, sample)))
    alone = _without(index, images, folder.lost)
    samples.setdefault("test", []).extend(
        _sample(index.root, path, description) for path in alone if _split(index, path) == "test"
    )
    lists = _known_lists(folder, samples, description)
    folder.problems += [] if folder.lists else _unannotated(index, alone)
    splits, origin = into_splits(samples, description, (lists, folder.list_file), any(folder.images))
    used = {sample.name for members in splits.values() for sample in members}
    return Layout(
        name=f"{folder.name}: {_held(images)}",
        splits=ordered(splits),
        split_origin=origin,
        classes=_names(task, classes),
        task=task,
        annotated={name: image for name, image in annotated.items() if name in used},
        problems=tuple(folder.problems),
    )


def _nothing(folder: ObjectFolder, otherwise: str) -> UserError:
    """The error of a folder of which nothing can be used: the first problem of its files, if they have one."""
    first = next((one for one in folder.problems if one.severity == "error" or not folder.images), None)
    if first is None:
        return UserError(f"{folder.root}: {otherwise}")
    return UserError(f"{folder.root / first.file}: {first.what}: {first.fix}")


def _with_class(folder: ObjectFolder, classes: Sequence[str]) -> list[AnnotatedImage]:
    """Give the only class, where there is one, to objects of which the file says none ("object"); return all images."""
    for members in folder.images.values() if len(classes) == 1 else ():
        for place, image in enumerate(members):
            objects = (replace(one, name=classes[0]) if one.name == NAMELESS else one for one in image.objects)
            members[place] = replace(image, objects=tuple(objects))
    return [image for members in folder.images.values() for image in members]


def _sample(root: Path, image: Path, description: Description) -> Sample:
    name = (image.parent.relative_to(root) / stem(image)).as_posix()
    return Sample(
        name, FileImage(image, (), description.channels, description.pages), None, group_of(name, description.groups)
    )


def _split(index: FileIndex, path: Path) -> str | None:
    return split_in(path.relative_to(index.root).parts[:-1])


def _without(index: FileIndex, images: Sequence[AnnotatedImage], lost: set[Path]) -> list[Path]:
    """The images without annotation in folders that hold annotated ones, and those of test."""
    used, folders = {*lost, *(image.image for image in images)}, {image.image.parent for image in images}
    return [
        path for path in index.images if path not in used and (path.parent in folders or _split(index, path) == "test")
    ]


def _unannotated(index: FileIndex, alone: Sequence[Path]) -> Iterator[Problem]:
    for path in alone:
        if _split(index, path) != "test":
            fix = "annotate it (an empty annotation says that it shows no object), or leave it so"
            what = "has no annotation and is left out"
            yield Problem(relative(path, index.root), what, fix, "warning", "no annotation")


def _known_lists(
    folder: ObjectFolder, samples: dict[str, list[Sample]], description: Description
) -> dict[str, tuple[str, ...]]:
    """The names in lists of splits that are those of annotated images; the others are a problem each."""
    if description.splits:
        return {}
    known = {name for members in samples.values() for sample in members for name in _called(sample)}
    kept: dict[str, tuple[str, ...]] = {}
    home: dict[str, str] = {}
    for split, names in folder.lists.items():
        lost = [name for name in names if name not in known and name.split()[0] not in known]
        twice = [name for name in names if home.setdefault(name, split) != split]
        kept[split] = tuple(name for name in names if name not in {*lost, *twice})
        file = folder.root / folder.list_file
        if lost:
            what = f"the list of {split} names images that are not there, or not annotated: {some(lost, 2)}"
            folder.warn(file, what, "copy the images and annotations, or take the names out", "listed")
        if twice:
            what = f"the lists of {home[twice[0]]} and {split} both name {some(twice, 2)}"
            folder.error(file, what, "keep each image in one list", "two splits")
    return {split: names for split, names in kept.items() if names}


def _called(sample: Sample) -> tuple[str, ...]:
    folder, slash, last = sample.name.rpartition("/")
    file = sample.image.path.name
    return sample.name, last, file, f"{folder}{slash}{file}"


def _held(images: Sequence[AnnotatedImage]) -> str:
    """What the annotations are, in words."""
    objects = [one for image in images for one in image.objects]
    counts = Counter(
        "rotated boxes" if one.corners is not None
        else "outlines" if one.has_outline
        else "points" if one.point else "boxes"
        for one in objects
    )  # fmt: skip
    ignored = sum(one.ignored for one in objects)
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "no objects"
    return f"{said}{f' ({ignored:,} count for nothing: crowds and difficult ones)' if ignored else ''}"


def _task(images: Sequence[AnnotatedImage]) -> str:
    """The task that fits most of the objects."""
    objects = [one for image in images for one in image.objects]
    outlined, points = sum(one.has_outline for one in objects), sum(one.point is not None for one in objects)
    if 2 * points > len(objects):
        return "counting"
    return "instances" if 2 * outlined > len(objects) else "detection"


def _classes(folder: ObjectFolder, images: Sequence[AnnotatedImage], description: Description) -> list[str]:
    """The names of the classes in label order; objects of others are a problem."""
    found = Counter(one.name for image in images for one in image.objects)
    classes = list(description.classes or folder.classes)
    if not classes:
        raise _nothing(folder, "no annotation names a class: annotate some objects")
    for name, count in found.items() if description.classes else ():
        if name not in classes and not (name == NAMELESS and len(classes) == 1):
            image, one = next((image, one) for image in images for one in image.objects if one.name == name)
            what = f"{one.where} is of the class {name!r}, which is not in `classes` (objects of it: {count})"
            folder.error(
                image.source, what, "add it to `classes` in dataset.toml, or correct the name", "unknown class"
            )
    for other, name in spelled_alike(classes):
        first = next((image.source for image in images for one in image.objects if one.name == name), folder.root)
        folder.warn(first, f'the classes "{other}" and "{name}" {ALIKE}', ONE_CLASS, "spelling")
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{folder.root}: {len(classes)} classes of objects: at most {MOST_CLASSES} are learned")
    return classes


def _names(task: str, classes: list[str]) -> tuple[str, ...]:
    """The classes of the targets: pixels have a background as well."""
    if task == "semantic" and classes[0].lower() not in GROUND:
        return ("background", *classes)
    return tuple(classes)


def _target_of(
    task: str, folder: ObjectFolder, images: Sequence[AnnotatedImage], classes: list[str], description: Description
) -> Callable[[AnnotatedImage, Sample], Target]:
    """Return what makes the target of an image.

    Raises:
        UserError: the annotations do not say what the task learns.
    """
    said = description.file or "--task"
    objects = [one for image in images for one in image.objects if not one.ignored]
    if task in ("instances", "semantic") and objects and not any(one.has_outline for one in objects):
        what = f'{said}: task = "{task}" needs outlines, but {folder.name} in {folder.root} gives none'
        raise UserError(f'{what}: write task = "detection" to learn boxes, or export polygons')
    if task == "detection" and objects and all(one.extent is None for one in objects):
        raise UserError(f'{said}: task = "detection" needs boxes, but {folder.name} in {folder.root} gives points')
    make = TARGETS.get(task, _points)
    if task == "detection" and is_rotated(images, description):
        make = rotated_boxes
    if task == "keypoints" and any(one.keypoints is not None for one in objects):
        make = _key_points
    number = {name: place for place, name in enumerate(classes)}
    return lambda image, sample: make(image, sample, number)


def _keypoint_names(folder: ObjectFolder, images: Sequence[AnnotatedImage]) -> list[str]:
    """The names of the key points of objects; numbers where the files give none, nothing where there are none."""
    counts = [len(one.keypoints) for image in images for one in image.objects if one.keypoints is not None]
    names = folder.keypoints or [f"point {place}" for place in range(1, max(counts, default=0) + 1)]
    if max(counts, default=0) > len(names):
        raise UserError(f"{folder.root}: objects have {max(counts)} key points, but {len(names)} are named: name each")
    return names if counts else []


def _key_points(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> Points:
    """The key points of an image but for unknown ones; the class is the number of the key point in its object."""
    rows = [one.keypoints for one in image.objects if one.keypoints is not None and not one.ignored]
    places = np.concatenate(rows) if rows else np.zeros((0, 3))
    classes = np.concatenate([np.arange(len(row)) for row in rows]) if rows else np.zeros(0, np.int64)
    known = places[:, 2] > 0
    return Points(image.source, sample.image, places[known, :2], classes[known], image.fractions)


def _labels(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> Labels:
    """Classes of pixels; the first one is the background, which has the value 0 where no class of objects means it."""
    first = 0 if next(iter(number)).lower() in GROUND else 1
    values = {name: place + first for name, place in number.items()}
    return Labels(ObjectMask(image, sample.image, values), sample.image)


def _instances(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> Instances:
    """Objects are numbered in the order of the file; those that count for nothing or have no class are left out."""
    reader = ObjectMask(replace(image, objects=tuple(one for one in image.objects if one.name in number)), sample.image)
    class_of = {place: number[one.name] + 1 for place, one in enumerate(reader.used, 1)}
    if len(number) == 1:
        return Instances(image.source, class_of, reader)
    return ClassedInstances(image.source, class_of, reader, kinds=len(number))


def _boxes(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> Boxes:
    """The boxes of an image, each once; see `class_or_area` for those that count for nothing."""
    rows: dict[tuple[float, ...], None] = {}
    for one in image.objects:
        box = one.extent
        if box is not None and box[2] > box[0] and box[3] > box[1] and (one.ignored or one.name in number):
            rows[(*box, class_or_area(one, number))] = None
    table = np.array(list(rows), float).reshape(-1, 5)
    return Boxes(image.source, sample.image, table[:, :4], table[:, 4].astype(np.int64), image.fractions)


def _points(image: AnnotatedImage, sample: Sample, number: dict[str, int]) -> Points:
    """The points of an image; of objects with boxes or outlines their centers."""
    places, classes = [], []
    for one in image.objects:
        box = one.extent
        center = one.point if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        if center is not None and one.name in number and not one.ignored:
            places.append(center)
            classes.append(number[one.name])
    coordinates = np.array(places, float).reshape(-1, 2)
    return Points(image.source, sample.image, coordinates, np.array(classes, np.int64), image.fractions)


TARGETS: dict[str, Callable[[AnnotatedImage, Sample, dict[str, int]], Target]] = {
    "semantic": _labels,
    "instances": _instances,
    "detection": _boxes,
    "counting": _points,
    "keypoints": _points,
}
"""By task, what makes the target of an image; the last argument has the places of the classes, by name."""
