"""YOLO: lines of boxes, outlines and key points, names of classes, and what is wrong in them."""

import numpy as np
import pytest

from atrous.data.formats import FileFault
from atrous.data.object_files.index import index_files
from atrous.data.object_files.yolo import find_yolo, read_yolo
from tests.object_folders import CLASSES, SIZE, write_images, write_yolo

ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
ALIASES += "names: {0: *a8}\n"
"""As text the name would take half a gigabyte."""


def read(root):
    index = index_files(root)
    files = find_yolo(index)
    assert files is not None
    return read_yolo(index, files)


def lines(root, text, yaml='names: [cell, "no"]\n'):
    """The objects of one image in pixels, and the folder."""
    write_images(root / "images")
    (root / "labels").mkdir()
    (root / "labels" / "0.txt").write_text(text)
    (root / "labels" / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    if yaml:
        (root / "data.yaml").write_text(yaml)
    folder = read(root)
    return folder.images[None][0].in_pixels(SIZE), folder


def test_boxes_outlines_and_key_points(tmp_path):
    found, folder = lines(tmp_path, "0 0.5 0.5 0.1 0.2\n\n1 0 0 0.5 0 0.5 1\n")
    assert folder.problems == []
    assert folder.classes == ["cell", "no"]  # `no` is a name, not false
    assert found[0].box == pytest.approx((16, 27, 24, 33))
    np.testing.assert_allclose(found[1].polygons[0], [[0, 0], [0, 30], [40, 30]])


def test_key_points_are_read_where_the_yaml_gives_their_shape(tmp_path):
    found, folder = lines(tmp_path, "0 0.5 0.5 0.1 0.2 0.5 0.25 2 0 0 0\n", "names: [cell]\nkpt_shape: [2, 3]\n")
    assert folder.problems == []
    np.testing.assert_allclose(found[0].keypoints, [[10, 30, 2], [0, 0, 0]])


def test_an_image_without_a_file_shows_nothing(tmp_path):
    _, folder = lines(tmp_path, "")
    assert [len(image.objects) for image in folder.images[None]] == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2 0.5 0.5 0.1 0.2", "line 1 has the class 2, but data.yaml names 2"),
        ("-1 0.5 0.5 0.1 0.2", "line 1 has the class -1"),
        ("0.5 0.5 0.5 0.1 0.2", "line 1 has the class 0.5"),
        ("0 0.5 0.5 0.1 0.2 0.9", "line 1 (cell) has six numbers, as predictions with a confidence"),
        ("0 0.5 0.5 0.1", "line 1 (cell) has 4 numbers"),
        ("0 0.5 0.5 0.1 0.2 0.9 0.8 0.7", "line 1 (cell) has 8 numbers"),
        ("cell 0.5 0.5 0.1 0.2", "line 1 is 'cell 0.5 0.5 0.1 0.2', not numbers"),
        ("0 nan 0.5 0.1 0.2", "line 1 is '0 nan 0.5 0.1 0.2', not numbers"),
        ("1e8 0.5 0.5 0.1 0.2", "line 1 has the class"),
    ],
)
def test_wrong_lines_are_said(tmp_path, text, what):
    found, folder = lines(tmp_path, text)
    assert found == ()
    assert len(folder.problems) == 1
    assert folder.problems[0].what.startswith(what)
    assert folder.problems[0].file == "labels/0.txt"


@pytest.mark.parametrize(
    ("yaml", "what"),
    [
        ("names: [a", "is no valid YAML"),
        ("- names", "has no key `names`"),
        ("names: 7", "`names` is no list of class names"),
        ("names: {0: a, 2: b}", "does not number the classes"),
        (ALIASES, "`names` is no list of class names"),
        ("names: [a]\nkpt_shape: [3, 1]", r"`kpt_shape` is \[3, 1\]"),
        ("names: [a]\nkpt_shape: [-2, -3]", r"`kpt_shape` is \[-2, -3\]"),
        ("names: [[a]]", "`names` is no list of class names"),
        ("names: " + "[" * 20_000, "is no valid YAML"),
    ],
)
def test_wrong_names_are_refused(tmp_path, yaml, what):
    with pytest.raises(FileFault, match=what) as caught:
        lines(tmp_path, "0 0.5 0.5 0.1 0.2", yaml)
    assert "\n" not in str(caught.value)


def test_tags_of_yaml_make_no_objects(tmp_path):
    _, folder = lines(tmp_path, "0 0.5 0.5 0.1 0.2", "names: !!python/object/apply:os.system [ls]")
    assert folder.classes == ["ls"]


def test_names_may_stand_in_a_text_file_or_nowhere(tmp_path):
    root = write_yolo(tmp_path / "a")
    (root / "data.yaml").unlink()
    assert read(root).classes == ["class 0", "class 1"]
    (root / "labels" / "train" / "classes.txt").write_text("\n".join(CLASSES))
    assert read(root).classes == list(CLASSES)


def test_a_class_far_beyond_the_others_makes_none_of_those_between(tmp_path):
    found, folder = lines(tmp_path, "1 0.5 0.5 0.1 0.2\n99999999 0.5 0.5 0.1 0.2\n", None)
    assert len(found) == 1
    assert folder.classes == ["class 0", "class 1"]
    assert [problem.what for problem in folder.problems] == ["line 2 has the class 99999999"]


def test_lists_of_the_yaml_give_the_splits(tmp_path):
    root = write_yolo(tmp_path)
    (root / "data.yaml").write_text("names: [cell, nucleus]\ntrain: lists/train.txt\nval: lists/missing.txt\n")
    (root / "lists").mkdir()
    (root / "lists" / "train.txt").write_text("/home/me/images/train/0.png\n./images/val/4.png\nimages/train/9.png\n")
    folder = read(root)
    assert folder.lists == {"train": ("images/train/0.png", "images/val/4.png")}
    assert [problem.what for problem in folder.problems] == [
        "it lists images that are not there: images/train/9.png",
        "the list 'lists/missing.txt' of `val` is not there",
    ]


def test_other_text_files_are_none(tmp_path):
    write_images(tmp_path)
    (tmp_path / "0.txt").write_text("a picture of cells\n")
    assert find_yolo(index_files(tmp_path)) is None


def test_a_file_without_its_image_is_said(tmp_path):
    root = write_yolo(tmp_path)
    (root / "images" / "val" / "4.png").unlink()
    assert [problem.line() for problem in read(root).problems] == [
        "labels/val/4.txt: annotates an image that is not there: add the image, or remove it"
    ]
