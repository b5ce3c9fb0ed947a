"""DOTA: lines of corners, headers, difficult objects, and what is wrong in them."""

import numpy as np
import pytest

from atrous.data.object_files.dota import find_dota, read_dota
from atrous.data.object_files.index import index_files
from tests.object_folders import write_images, write_yolo

GOOD = "10 4 20 9 18 13 8 8 large-vehicle 0"


def read(root, text, folder="labelTxt"):
    """The objects of the first image, and the folder."""
    write_images(root / "images")
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "0.txt").write_text(text)
    (root / folder / "1.txt").write_text(f"imagesource:GoogleEarth\ngsd:0.1\n{GOOD}\n")
    (root / folder / "2.txt").write_text("imagesource:GoogleEarth\ngsd:null\n")
    index = index_files(root)
    found = read_dota(index, find_dota(index))
    return next(one.objects for one in found.images.get(None, []) if one.image.stem == "0"), found


@pytest.mark.parametrize("folder", ["labelTxt", "annfiles", "images"])
def test_corners_classes_and_difficult_objects(tmp_path, folder):
    text = f"imagesource:GoogleEarth\ngsd:0.146\n{GOOD}\n\n1.5 2 3 4 5 6 0 3.5 ship 1\n1 2 3 4 5 6 0 3 tennis court 0\n"
    found, whole = read(tmp_path, f"{text}2 2 9 2 9 9 2 9 ship\n", folder)
    assert whole.problems == []
    assert whole.classes == ["large-vehicle", "ship", "tennis court"]
    assert [one.name for one in found] == ["large-vehicle", "ship", "tennis court", "ship"]
    assert [one.ignored for one in found] == [False, True, False, False]
    assert found[0].corners.tolist() == [[4, 10], [9, 20], [13, 18], [8, 8]]
    assert found[0].extent == (4, 8, 13, 20)
    assert not found[0].has_outline
    assert [len(one.objects) for one in whole.images[None]] == [4, 1, 0]


@pytest.mark.parametrize(
    ("line", "said"),
    [("1 2 3 4 5 6 7 ship", "has 8 fields"), ("1 2 3 4 5 6 7 nan ship", "which are no eight numbers")],
)
def test_lines_that_are_none_are_a_problem_each(tmp_path, line, said):
    found, whole = read(tmp_path, f"{GOOD}\n{line}\n")
    assert len(found) == 1
    assert [said in problem.what for problem in whole.problems] == [True]
    assert "line 2" in whole.problems[0].what


def test_texts_without_an_image_and_folders_of_other_texts(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labelTxt").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "labelTxt" / "lost.txt").write_text(GOOD)
    found, whole = read(tmp_path, GOOD)
    assert len(found) == 1
    assert [problem.what for problem in whole.problems] == ["annotates an image that is not there"]


def test_other_texts_are_none_of_dota(tmp_path):
    index = index_files(write_yolo(tmp_path))
    assert find_dota(index) == []
    (tmp_path / "images" / "train" / "0.txt").write_text("notes of this image\n")
    assert find_dota(index_files(tmp_path)) == []


def test_corners_move_with_the_size():
    from atrous.data.object_files.base import AnnotatedObject

    one = AnnotatedObject("ship", "line 1", corners=np.array([[0.0, 0.5], [0.5, 1], [1, 0.5], [0.5, 0]]))
    assert one.scaled((10, 20)).corners.tolist() == [[0, 10], [5, 20], [10, 10], [5, 0]]
