"""Tables of boxes and points: their columns, their delimiters, and what is wrong in them."""

import pytest

from atrous.data.formats import FileFault
from atrous.data.object_files.index import index_files
from atrous.data.object_files.tables import find_tables, read_tables
from tests.object_folders import SIZE, write_images


def read(root, text, name="boxes.csv", encoding="utf-8"):
    write_images(root / "images")
    (root / name).write_bytes(text.encode(encoding))
    index = index_files(root)
    tables = find_tables(index)
    return read_tables(index, tables) if tables else None


def objects(folder):
    return [one for images in folder.images.values() for image in images for one in image.objects]


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("filename,xmin,ymin,xmax,ymax,class\n0.png,1,2,3,4,a\n", (2, 1, 4, 3)),
        ("image_path;x1;y1;x2;y2;label\nimages/0.png;1;2;3;4;a\n", (2, 1, 4, 3)),
        ("class\tBBox X\tBBox Y\tBBox Width\tBBox Height\tfile\na\t1\t2\t3\t4\t0\n", (2, 1, 6, 4)),
        ("x,y,w,h,image,class\n1,2,3,4,0.png,a\n", (2, 1, 6, 4)),
        ("image,cx,cy,w,h,class\n0.png,4,3,6,2,a\n", (2, 1, 4, 7)),
        ("image;x_center;y_center;width;height;class\n0.png;4;3;6;2;a\n", (2, 1, 4, 7)),
        ('image_id,bbox,class\n0,"[1.0, 2, 3, 4]",a\n', (2, 1, 6, 4)),
        ("images/0.png,1,2,3,4,a\n", (2, 1, 4, 3)),
    ],
)
def test_columns_are_known_by_their_names(tmp_path, text, box):
    folder = read(tmp_path, text)
    assert folder.problems == []
    assert [(one.box, one.name) for one in objects(folder)] == [(box, "a")]


def test_points_and_tables_without_classes(tmp_path):
    folder = read(tmp_path, "filename,x,y\n0.png,1.5,2.5\n0.png,3,4\n")
    assert [(one.point, one.name) for one in objects(folder)] == [((2.5, 1.5), "object"), ((4, 3), "object")]
    assert folder.name == "CSV of points"


def test_an_image_with_empty_places_shows_nothing(tmp_path):
    folder = read(tmp_path, "images/0.png,1,2,3,4,a\nimages/1.png,,,,,\n")
    assert [len(image.objects) for image in folder.images[None]] == [1, 0]


def test_sizes_and_splits_are_read(tmp_path):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\n0.png,60,40,a,1,2,3,4\n"
    folder = read(tmp_path, text, "train_labels.csv")
    assert [image.size for image in folder.images["train"]] == [(40, 60)]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("9.png,1,2,3,4,a", "line 2: the image '9.png' is not there"),
        ("0.png,1,b,3,4,a", "line 2: 'b, 1, 4, 3' are not numbers"),
        ("0.png,1,nan,3,4,a", "line 2: 'nan, 1, 4, 3' are not numbers"),
        ("0.png,1,2", "line 2: '2, 1, , ' are not numbers"),
        ("../../etc/passwd,1,2,3,4,a", "line 2: the image '../../etc/passwd' is not there"),
    ],
)
def test_wrong_rows_are_said(tmp_path, row, what):
    folder = read(tmp_path, f"filename,xmin,ymin,xmax,ymax,class\n{row}\n")
    assert [problem.what for problem in folder.problems] == [what]


def test_other_tables_are_none(tmp_path):
    assert read(tmp_path / "a", "filename,class\n0.png,a\n") is None
    assert read(tmp_path / "b", "time,x,y\n0,1,2\n") is None
    assert read(tmp_path / "c", "") is None


def test_tables_in_other_encodings_are_refused(tmp_path):
    with pytest.raises(FileFault, match="not UTF-8"):
        read(tmp_path, "filename,x,y,class\n0.png,1,2,\xe9\n", encoding="latin-1")


def test_widths_and_heights_of_images_make_no_boxes_of_points(tmp_path):
    height, width = SIZE
    folder = read(tmp_path, f"filename,width,height,x,y\n0.png,{width},{height},4,3\n1.png,{width},{height},0,2\n")
    assert (folder.name, folder.problems) == ("CSV of points", [])
    assert [one.point for one in objects(folder)] == [(3, 4), (2, 0)]
    folder = read(tmp_path, f"filename,width,height,x,y\n0.png,{width},{height},0,0\n1.png,{width},4,0,2\n")
    assert [one.box for one in objects(folder)] == [(0, 0, height, width), (2, 0, 6, width)]
