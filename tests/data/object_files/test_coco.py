"""COCO: ids with gaps, names of images, outlines of every kind, and what is wrong in the lists."""

import json

import numpy as np
import pytest

from atrous.data.formats import FileFault
from atrous.data.object_files.coco import find_coco, read_coco
from atrous.data.object_files.index import index_files
from tests.object_folders import COUNT, coco, write_coco, write_images, write_roboflow


def read(root):
    index = index_files(root)
    return read_coco(index, find_coco(index))


def changed(root, change):
    """A folder whose one file was changed."""
    write_images(root)
    content = coco()
    change(content)
    (root / "coco.json").write_text(json.dumps(content))
    return read(root)


def test_splits_come_from_names_and_folders(tmp_path):
    found = read(write_coco(tmp_path / "coco"))
    assert {split: len(images) for split, images in found.images.items()} == {"train": 3, "val": 2}
    found = read(write_roboflow(tmp_path / "roboflow"))
    assert {split: len(images) for split, images in found.images.items()} == {"train": 3, "val": 2}
    assert found.classes == ["cell", "nucleus"]  # the category above them is none


def test_captions_and_key_points_are_left_out_beside_instances(tmp_path):
    root = write_coco(tmp_path)
    text = (root / "annotations" / "instances_train2017.json").read_text()
    for name in ("captions_train2017", "person_keypoints_train2017", "panoptic_train2017"):
        (root / "annotations" / f"{name}.json").write_text(text)
    assert [path.name for path in find_coco(index_files(root))] == [
        "instances_train2017.json",
        "instances_val2017.json",
    ]


def test_key_points_are_kept_in_array_order(tmp_path):
    def change(content):
        content["annotations"][0]["keypoints"] = [10, 5, 2, 0, 0, 0]

    found = changed(tmp_path, change)
    np.testing.assert_array_equal(found.images[None][0].objects[0].keypoints, [[5, 10, 2], [0, 0, 0]])


@pytest.mark.parametrize("said", [1, True, "1"])
def test_crowds_are_known_however_they_are_written(tmp_path, said):
    found = changed(tmp_path, lambda content: content["annotations"][0].update(iscrowd=said))
    assert [one.ignored for one in found.images[None][0].objects] == [True, False, False]


WRONG = {
    "duplicate image id": (lambda c: c["images"][1].update(id=100), "ids of `images` that occur more than once: 100"),
    "an image twice": (lambda c: c["images"][1].update(file_name="0.png"), "the image 0.png is twice in it"),
    "an image that is not there": (lambda c: c["images"][1].update(file_name="9.png"), "'9.png' is not there"),
    "a name out of the folder": (lambda c: c["images"][1].update(file_name="../../etc/passwd"), "is not there"),
    "a name that is none": (lambda c: c["images"][1].update(file_name=7), "its image '7' is not there"),
    "a lost annotation": (lambda c: c["annotations"][0].update(image_id=7), "annotation 1: the image is not in"),
    "an unknown category": (lambda c: c["annotations"][0].update(category_id=4), "category '4', which is not in"),
    "no box": (lambda c: c["annotations"][0].update(bbox=[1, 2, 3], segmentation=[]), "no `bbox` of four numbers"),
    "a box of words": (lambda c: c["annotations"][0].update(bbox=["a", 2, 3, 4]), "no `bbox` of four numbers"),
    "two points": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "a polygon of 2 points"),
    "odd numbers": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "no list of x, y in"),
    "a nested ring": (lambda c: c["annotations"][0].update(segmentation=[[[1, 2]]]), "no list of x, y in turn"),
    "an outline that is none": (lambda c: c["annotations"][0].update(segmentation="x"), "neither polygons nor run"),
    "runs of a wrong length": (
        lambda c: c["annotations"][0].update(segmentation={"size": [40, 60], "counts": [7, 8]}), "add up to 15",
    ),
    "key points": (lambda c: c["annotations"][0].update(keypoints=[1, 2]), "`keypoints` are no x, y, v in turn"),
    "one name for two": (lambda c: c["categories"][1].update(name="cell"), "2 categories are named 'cell'"),
    "other key points": (
        lambda c: [one.update(keypoints=[one["name"]]) for one in c["categories"]], "has other key points",
    ),
    "an entry that is none": (lambda c: c["annotations"].append(7), "entry 16 of `annotations` is no object"),
    "an id that is none": (lambda c: c["categories"][0].update(id=[1]), "entry 1 of `categories` has no id"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(tmp_path, name):
    change, what = WRONG[name]
    found = changed(tmp_path, change)
    assert any(what in problem.what for problem in found.problems), [problem.line() for problem in found.problems]
    assert all(problem.severity == "error" for problem in found.problems)


def test_many_images_that_are_not_there_are_one_line(tmp_path):
    def change(content):
        for number, image in enumerate(content["images"][1:]):
            image["file_name"] = f"gone/{'abcdefgh'[number]}.png"

    found = changed(tmp_path, change)
    assert [problem.line() for problem in found.problems] == [
        "coco.json: 4 of its 5 images are not there: 'gone/a.png', 'gone/b.png', 'gone/c.png' and 1 more: "
        "copy the images into the folder, or remove their entries"
    ]
    assert [image.image.name for image in found.images[None]] == ["0.png"]


@pytest.mark.parametrize("content", ['{"images": 7, "annotations": []}', '["images", "annotations"]'])
def test_other_json_is_refused(tmp_path, content):
    write_images(tmp_path)
    (tmp_path / "coco.json").write_text(content)
    with pytest.raises(FileFault, match=r"coco\.json: has no lists"):
        read(tmp_path)


def test_one_polygon_may_stand_without_a_list(tmp_path):
    found = changed(tmp_path, lambda c: c["annotations"][0].update(segmentation=[0, 0, 9, 0, 9, 9]))
    assert found.problems == []
    np.testing.assert_array_equal(found.images[None][0].objects[0].polygons[0], [[0, 0], [0, 9], [9, 9]])
    assert len(found.images[None]) == COUNT


def test_an_outline_without_points_is_none(tmp_path):
    found = changed(tmp_path, lambda c: c["annotations"][0].update(segmentation=[[]]))
    assert found.problems == []
    one = found.images[None][0].objects[0]
    assert (one.has_outline, one.box is None) == (False, False)


def test_ids_may_be_written_as_decimal_numbers(tmp_path):
    def change(content):
        for one in content["annotations"]:
            one |= {"image_id": float(one["image_id"]), "category_id": float(one["category_id"])}
        content["annotations"][0]["image_id"] = 100.5

    found = changed(tmp_path, change)
    assert [problem.kind for problem in found.problems] == ["lost annotation"]
    assert [len(image.objects) for image in found.images[None]] == [2, 3, 3, 3, 3]


@pytest.mark.parametrize("box", [{}, {"bbox": None}, {"bbox": [0, 0, 0, 0]}])
def test_objects_may_have_key_points_alone(tmp_path, box):
    def change(content):
        one = content["annotations"][0]
        for key in ("bbox", "segmentation"):
            one.pop(key, None)
        one |= {"keypoints": [10, 5, 2], **box}

    found = changed(tmp_path, change)
    assert found.problems == []
    assert found.images[None][0].objects[0].extent is None
