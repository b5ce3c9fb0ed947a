"""Key points of COCO objects are points with names."""

import json

import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.data.layouts.parts import in_parts
from atrous.data.object_files.base import ObjectFolder
from atrous.errors import UserError
from atrous.verbs.check import check


def write(root, rows, names=("nose", "tail"), text='task = "keypoints"\n'):
    """A COCO file of four images, one object with these key points `x, y, v, ...` in each."""
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 255, (40, 60)).astype(np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "height": 40, "width": 60})
        box = [5, 5, 30, 20]
        annotations.append({
            "id": index, "image_id": index, "category_id": 1, "bbox": box, "area": 600, "iscrowd": 0,
            "keypoints": rows[index % len(rows)], "num_keypoints": 2,
        })  # fmt: skip
    category = {"id": 1, "name": "fish"} | ({"keypoints": list(names)} if names else {})
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (root / "annotations.json").write_text(json.dumps(content))
    (root / "dataset.toml").write_text(text)
    return root


def test_key_points_are_named_points(tmp_path):
    data = write(tmp_path, [[10, 7, 2, 30, 20, 1], [12, 8, 2, 0, 0, 0]])
    dataset = open_dataset(data)
    assert (dataset.task, dataset.classes) == ("keypoints", ("nose", "tail"))
    by_name = {sample.name[-1]: sample.target.read() for sample in dataset.samples}
    assert by_name["0"].places.tolist() == [[7, 10], [20, 30]]
    assert by_name["0"].classes.tolist() == [0, 1]
    assert by_name["1"].places.tolist() == [[8, 12]]
    found = check(data)
    assert found.ok, found.text()
    assert found.fingerprint.points.single


def test_without_names_key_points_are_numbered(tmp_path):
    assert open_dataset(write(tmp_path, [[10, 7, 2, 30, 20, 1]], None)).classes == ("point 1", "point 2")


def test_other_tasks_see_the_objects(tmp_path):
    data = write(tmp_path, [[10, 7, 2, 30, 20, 1]], text='task = "counting"\n')
    dataset = open_dataset(data)
    assert dataset.classes == ("fish",)
    assert dataset.samples[0].target.read().places.tolist() == [[15, 20]]  # the center of the box


def test_names_must_fit(tmp_path):
    with pytest.raises(UserError, match="3 names for 2 key points"):
        open_dataset(write(tmp_path, [[10, 7, 2, 30, 20, 1]], ("a", "b", "c")))


def test_objects_of_different_kinds_are_refused(tmp_path):
    with pytest.raises(UserError, match="2 to 3 key points"):
        open_dataset(write(tmp_path, [[10, 7, 2, 30, 20, 1], [1, 1, 2, 5, 5, 2, 8, 8, 2]]))


def test_a_folder_without_key_points_stays():
    folder = ObjectFolder(root="data", name="VOC")
    assert in_parts(folder, None) is folder
