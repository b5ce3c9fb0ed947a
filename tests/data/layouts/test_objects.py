"""Folders of annotated objects, whichever format they have."""

import json
from pathlib import Path

import numpy as np
import pytest

from atrous.data.dataset import resolve
from atrous.data.description import Description
from atrous.data.layouts.objects import find_objects
from atrous.data.layouts.table import find_layout
from atrous.data.targets.boxes import Boxes
from atrous.data.targets.instances import ClassedInstances
from atrous.data.targets.labels import Labels
from atrous.data.targets.points import Points
from atrous.errors import UserError
from atrous.labels import area_of
from atrous.objects.kinds import classes_in, with_classes
from tests.data.data_folders import save, stripes
from tests.object_folders import (
    CLASSES,
    COUNT,
    FORMATS,
    OUTLINED,
    POINTS,
    SIZE,
    coco,
    moved,
    write_coco,
    write_images,
    write_voc,
)


def opened(root, task=None, **more):
    description = Description(task=task, **more)
    layout = find_layout(root, description)
    return layout, resolve(root, description, layout, list)[0]


def numbers(samples):
    return {int(Path(sample.name).name): sample for sample in samples}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_boxes(tmp_path, name):
    layout, dataset = opened(FORMATS[name](tmp_path), "detection")
    assert layout.problems == ()
    assert dataset.target is Boxes
    assert dataset.classes == CLASSES
    samples = numbers(dataset.samples)
    assert sorted(samples) == list(range(COUNT))
    for number, sample in samples.items():
        found = sample.target.read()
        assert found.size == SIZE
        assert found.classes.tolist() == [CLASSES.index(name) for name, _ in moved(number)]
        np.testing.assert_allclose(found.places, [box for _, box in moved(number)], atol=1e-6)
    if name.split()[0] in ("voc", "coco", "roboflow", "yolo"):
        assert {split: sorted(numbers(members)) for split, members in dataset.splits.items()} == {
            "train": [0, 1, 2],
            "val": [3, 4],
        }


@pytest.mark.parametrize("name", OUTLINED)
def test_every_format_of_outlines_gives_the_same_objects(tmp_path, name):
    layout, dataset = opened(FORMATS[name](tmp_path))
    assert layout.problems == ()
    assert (dataset.task, dataset.target) == ("instances", ClassedInstances)
    for number, sample in numbers(dataset.samples).items():
        want = np.zeros(SIZE, np.uint32)
        for place, (_, (top, left, bottom, right)) in enumerate(moved(number), 1):
            want[top:bottom, left:right] = place
        np.testing.assert_array_equal(sample.target.read(), with_classes(want, np.array([0, 1, 0]), 2))
        assert sample.target.class_of == {1: 1, 2: 2, 3: 1}


@pytest.mark.parametrize("name", OUTLINED)
def test_outlines_are_class_maps_for_a_semantic_task(tmp_path, name):
    _, dataset = opened(FORMATS[name](tmp_path), "semantic")
    assert dataset.target is Labels
    assert dataset.classes == ("background", *CLASSES)
    labels = numbers(dataset.samples)[0].target.read()
    want = np.zeros(SIZE, np.uint8)
    for kind, (top, left, bottom, right) in moved(0):
        want[top:bottom, left:right] = 1 + CLASSES.index(kind)
    np.testing.assert_array_equal(labels, want)


@pytest.mark.parametrize("name", POINTS)
def test_points_are_read(tmp_path, name):
    layout, dataset = opened(POINTS[name](tmp_path))
    assert layout.problems == ()
    assert (dataset.task, dataset.target) == ("counting", Points)
    for number, sample in numbers(dataset.samples).items():
        want = [((top + bottom) / 2, (left + right) / 2) for _, (top, left, bottom, right) in moved(number)]
        np.testing.assert_allclose(sample.target.read().places, want)


def test_boxes_are_learned_where_nobody_says_the_task(tmp_path):
    layout, dataset = opened(write_voc(tmp_path))
    assert dataset.task == "detection"
    assert layout.name == "Pascal VOC: 15 boxes"
    assert layout.split_origin == "ImageSets/Main"


@pytest.mark.parametrize(
    ("name", "task", "want"),
    [
        ("voc", "instances", 'needs outlines, but Pascal VOC .* gives none: write task = "detection"'),
        ("yolo", "semantic", "needs outlines"),
        ("csv points", "detection", "needs boxes, but CSV of points .* gives points"),
    ],
)
def test_annotations_that_do_not_say_what_is_learned_are_refused(tmp_path, name, task, want):
    root = (FORMATS | POINTS)[name](tmp_path)
    with pytest.raises(UserError, match=want):
        opened(root, task)


def test_key_points_are_points_of_the_class_of_their_name(tmp_path):
    write_coco(tmp_path)
    for split, images in (("train2017", range(3)), ("val2017", range(3, COUNT))):
        content = coco(images)
        content["categories"][0]["keypoints"] = ["head", "tail"]
        for record in content["annotations"][::3]:
            record["keypoints"] = [10, 5, 2, 0, 0, 0]
        content["annotations"][0]["keypoints"] = [10, 5, 1, 20, 15, 2]
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    _, dataset = opened(tmp_path, "keypoints")
    assert (dataset.target, dataset.classes) == (Points, ("head", "tail"))
    found = numbers(dataset.samples)[0].target.read()
    assert found.places.tolist() == [[5, 10], [15, 20]]
    assert found.classes.tolist() == [0, 1]
    assert numbers(dataset.samples)[1].target.read().classes.tolist() == [0]


def test_masks_go_before_annotations(tmp_path):
    write_voc(tmp_path)
    for number in range(COUNT):
        save(tmp_path / "SegmentationClass" / f"{number}.png", stripes())
    assert find_objects(tmp_path, Description()) is None
    assert find_objects(tmp_path, Description(task="detection")) is not None
    assert find_objects(tmp_path, Description(kind="objects")) is not None


def test_the_classes_of_dataset_toml_give_the_order(tmp_path):
    _, dataset = opened(write_voc(tmp_path), "detection", classes=("nucleus", "cell"))
    assert numbers(dataset.samples)[0].target.read().classes.tolist() == [1, 0, 1]
    layout, dataset = opened(tmp_path, "detection", classes=("cell",))
    assert [problem.what for problem in layout.problems] == [
        "object 2 (nucleus) is of the class 'nucleus', which is not in `classes` (objects of it: 5)"
    ]
    assert numbers(dataset.samples)[0].target.read().classes.tolist() == [0, 0]


def test_crowds_are_areas_of_their_class_and_no_instances(tmp_path):
    write_coco(tmp_path)
    content = coco(range(3))
    content["annotations"][0]["iscrowd"] = 1
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    _, dataset = opened(tmp_path, "detection")
    target = numbers(dataset.samples)[0].target
    assert target.read().classes.tolist() == [area_of(0), 1, 0]
    assert target.scan(None).counts == {0: 1, 1: 1}
    _, dataset = opened(tmp_path, "instances")
    told = np.unique(numbers(dataset.samples)[0].target.read())[1:]
    assert ((told - 1) // 2 + 1).tolist() == [1, 2]
    assert classes_in(told, 2).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("columns", "task", "kind"), [("xmin,ymin,xmax,ymax", "detection", Boxes), ("x,y", "counting", Points)]
)
def test_objects_of_tables_without_classes_have_the_only_one(tmp_path, columns, task, kind):
    write_images(tmp_path / "images")
    rows = [f"{number}.png,{','.join('2345'[: len(columns.split(','))])}" for number in range(COUNT)]
    (tmp_path / "objects.csv").write_text("\n".join([f"filename,{columns}", *rows]))
    layout, dataset = opened(tmp_path, task, classes=("cell",))
    assert layout.problems == ()
    assert (dataset.target, dataset.classes) == (kind, ("cell",))
    assert [sample.target.read().classes.tolist() for sample in dataset.samples] == [[0]] * COUNT
    assert {one.name for image in layout.annotated.values() for one in image.objects} == {"cell"}


def test_what_is_wrong_is_said_where_no_row_of_a_table_can_be_read(tmp_path):
    write_images(tmp_path)
    (tmp_path / "points.csv").write_text("image;x;y;class\n0.png;2,5;3,5;cell\n1.png;4,5;6,5;cell\n")
    with pytest.raises(UserError, match=r"points\.csv: line 2: '3,5, 2,5' are not numbers"):
        find_objects(tmp_path, Description(task="counting"))
    (tmp_path / "points.csv").write_text("image;x;y;class\n0.png;;;\n")
    with pytest.raises(UserError, match="no annotation names a class"):
        find_objects(tmp_path, Description(task="counting"))


def test_a_list_that_names_more_than_there_is_is_said(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("3\n4\n99\n2\n")
    layout, _ = opened(tmp_path)
    assert [problem.what for problem in layout.problems] == [
        "the list of val names images that are not there, or not annotated: 99",
        "the lists of train and val both name 2",
    ]
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 3, "val": 2}


def test_a_folder_without_annotations_is_left_to_other_layouts(tmp_path, flat):
    assert find_objects(flat(), Description()) is None
    (tmp_path / "README.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert find_objects(tmp_path, Description()) is None


def test_objects_of_classes_that_are_not_named_are_none(tmp_path):
    write_coco(tmp_path)
    _, dataset = opened(tmp_path, "instances", classes=("nucleus", "other"))
    target = numbers(dataset.samples)[0].target
    told = np.unique(target.read())[1:]
    assert (told.tolist(), classes_in(told, 2).tolist()) == ([1], [0])


def test_two_images_of_one_name_are_two_samples(tmp_path):
    write_images(tmp_path / "images")
    write_images(tmp_path / "images", ".bmp")
    content = coco()
    content["images"].append({**content["images"][0], "id": 900, "file_name": "0.bmp"})
    content["annotations"].append({**content["annotations"][0], "id": 900, "image_id": 900})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    layout, dataset = opened(tmp_path, "detection")
    found = {sample.name: len(sample.target.read().places) for sample in dataset.samples if "/0" in sample.name}
    assert found == {"images/0": 3, "images/0.bmp": 1}
    assert {name: len(one.objects) for name, one in layout.annotated.items() if "/0" in name} == found
