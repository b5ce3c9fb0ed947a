"""Pascal VOC: coordinates, difficult objects, names that are out of date, files of other kinds."""

import pytest

from atrous.data.object_files.index import index_files
from atrous.data.object_files.voc import find_voc, read_voc
from tests.object_folders import voc_text, write_images, write_voc


def read(root):
    index = index_files(root)
    return read_voc(index, find_voc(index))


def objects(root, text):
    write_images(root)
    (root / "0.xml").write_text(text)
    folder = read(root)
    return [one for images in folder.images.values() for image in images for one in image.objects], folder


def test_the_first_pixel_is_1_and_the_last_one_is_inside(tmp_path):
    text = voc_text(0, [("cell", (0, 0, 1, 3))])
    assert "<xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>1</ymax>" in text
    found, folder = objects(tmp_path, text)
    assert [one.box for one in found] == [(0, 0, 1, 3)]
    assert folder.images[None][0].size == (40, 60)


def test_difficult_objects_count_for_nothing(tmp_path):
    found, _ = objects(tmp_path, voc_text(0).replace("<difficult>0", "<difficult>1", 1))
    assert [one.ignored for one in found] == [True, False, False]


def test_the_name_of_the_file_goes_before_the_one_in_it(tmp_path):
    root = write_voc(tmp_path)
    file = root / "Annotations" / "0.xml"
    file.write_text(file.read_text().replace("0.png", "4.png"))
    folder = read(root)
    assert folder.problems == []
    assert folder.images[None][0].image == root / "JPEGImages" / "0.png"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda text: text.replace("<name>cell</name>", "<name> </name>", 1), "object 1 has no name"),
        (lambda text: text.replace("<xmin>7</xmin>", ""), "object 1 (cell) has no box of four numbers"),
        (lambda text: text.replace("<xmin>7", "<xmin>seven"), "object 1 (cell) has no box of four numbers"),
        (lambda text: text.replace("<xmin>7", "<xmin>inf"), "object 1 (cell) has no box of four numbers"),
    ],
)
def test_wrong_objects_are_said(tmp_path, change, what):
    found, folder = objects(tmp_path, change(voc_text(0)))
    assert len(found) == 2
    assert [problem.what for problem in folder.problems] == [what]


def test_other_xml_is_none(tmp_path):
    write_images(tmp_path)
    (tmp_path / "0.xml").write_text("<html/>")
    (tmp_path / "other.xml").write_text(voc_text(0))
    assert find_voc(index_files(tmp_path)) == []


def test_a_lost_image_is_said(tmp_path):
    root = write_voc(tmp_path)
    (root / "JPEGImages" / "0.png").unlink()
    assert [problem.line() for problem in read(root).problems] == [
        "Annotations/0.xml: its image is not there (it names '0.png'): copy the image into the folder, or remove it"
    ]


def test_trainval_stands_for_train(tmp_path):
    root = write_voc(tmp_path)
    (root / "ImageSets" / "Main" / "train.txt").rename(root / "ImageSets" / "Main" / "trainval.txt")
    assert read(root).lists == {"train": ("0", "1", "2"), "val": ("3", "4")}
