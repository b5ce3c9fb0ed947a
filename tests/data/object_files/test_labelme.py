"""labelme: shapes of every kind, groups, masks, and what is wrong in them."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from atrous.data.object_files.index import index_files
from atrous.data.object_files.labelme import find_labelme, read_labelme
from atrous.data.object_files.raster import area
from atrous.data.object_files.runs import mask_of
from tests.object_folders import SIZE, labelme, write_images, write_labelme

SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]


def read(root, *shapes, **more):
    write_images(root)
    content = labelme(0) | {"shapes": list(shapes)} | more
    (root / "0.json").write_text(json.dumps(content))
    index = index_files(root)
    folder = read_labelme(index, find_labelme(index))
    return [one for images in folder.images.values() for image in images for one in image.objects], folder


def shape(kind, points, label="cell", **more):
    return {"label": label, "shape_type": kind, "points": points} | more


def png(mask):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_every_shape(tmp_path):
    mask = np.eye(4, 5, dtype=bool)
    found, folder = read(
        tmp_path,
        shape("polygon", SQUARE),
        shape("rectangle", [[6, 5], [2, 1]]),
        shape("rectangle", SQUARE),
        shape("circle", [[10, 10], [10, 14]]),
        shape("point", [[3.5, 2.5]]),
        shape("mask", [[7, 8], [11, 11]], mask=png(mask)),
    )
    assert folder.problems == []
    assert found[0].extent == found[1].box == found[2].box == (1, 2, 5, 6)
    assert area(found[3]) == pytest.approx(np.pi * 16, rel=0.01)
    assert found[3].extent == pytest.approx((6, 6, 14, 14))
    assert found[4].point == (2.5, 3.5)
    whole = np.zeros(SIZE, bool)
    whole[8:12, 7:12] = mask
    np.testing.assert_array_equal(mask_of(found[5].runs, tmp_path), whole)


def test_polygons_of_one_group_are_pieces_of_one_object(tmp_path):
    pieces = [shape("polygon", SQUARE, group_id=1), shape("polygon", SQUARE, group_id=1)]
    others = [shape("polygon", SQUARE, "nucleus", group_id=1), shape("polygon", SQUARE, group_id=None)]
    found, folder = read(tmp_path, *pieces, *others)
    assert [len(one.polygons) for one in found] == [2, 1, 1]
    assert folder.classes == ["cell", "nucleus"]


@pytest.mark.parametrize(
    ("wrong", "severity", "what"),
    [
        (shape("polygon", SQUARE[:2]), "error", "shape 1 (cell): a polygon of 2 points encloses nothing"),
        (shape("polygon", []), "error", "shape 1 (cell) has no points x, y"),
        (shape("polygon", [[1, "b"], [2, 3], [4, 5]]), "error", "shape 1 (cell) has no points x, y"),
        (shape("polygon", SQUARE, " "), "error", "shape 1 has no label"),
        (shape("polygon", SQUARE, 7), "error", "shape 1 has no label"),
        (7, "error", "shape 1 has no label"),
        (shape("line", SQUARE[:2]), "warning", "shape 1 (cell) is a line of 2 points, which is no object"),
        (shape("mask", SQUARE[::2]), "error", "shape 1 (cell) has no mask"),
        (shape("mask", SQUARE[::2], mask="!"), "error", "shape 1 (cell): its mask is no PNG"),
        (shape("mask", SQUARE[::2], mask="aaaa"), "error", "shape 1 (cell): its mask is no PNG"),
        (shape("mask", SQUARE[::2], mask=png(np.ones((50, 50)))), "error", "its mask of 50 x 50 pixels leaves"),
        (shape("mask", [[-9, -9], [1, 1]], mask=png(np.ones((5, 5)))), "error", "its mask of 5 x 5 pixels leaves"),
    ],
)
def test_wrong_shapes_are_said(tmp_path, wrong, severity, what):
    found, folder = read(tmp_path, wrong)
    assert found == []
    assert [problem.severity for problem in folder.problems] == [severity]
    assert what in folder.problems[0].what


def test_a_mask_of_another_format_than_png_is_not_opened(tmp_path):
    file = io.BytesIO()
    Image.fromarray(np.ones((3, 3), np.uint8)).save(file, "GIF")
    text = base64.b64encode(file.getvalue()).decode()
    _, folder = read(tmp_path, shape("mask", SQUARE[::2], mask=text))
    assert "is no PNG" in folder.problems[0].what


def test_images_are_found_by_their_own_name_or_that_in_the_file(tmp_path):
    root = write_labelme(tmp_path)
    (root / "more").mkdir()
    (root / "0.json").rename(root / "more" / "renamed.json")
    (root / "1.json").rename(root / "more" / "9.json")
    (root / "1.png").unlink()
    index = index_files(root)
    folder = read_labelme(index, find_labelme(index))
    images = {image.source.name: image.image.name for images in folder.images.values() for image in images}
    assert images["renamed.json"] == "0.png"
    assert [problem.line() for problem in folder.problems] == [
        "more/9.json: its image is not there: copy the image beside it, or remove it"
    ]


def test_files_of_many_outlines_and_a_large_picture_are_known(tmp_path):
    many = [shape("polygon", SQUARE)] * 3000
    found, folder = read(tmp_path, *many, imageData="A" * 200_000, imageHeight=SIZE[0], imageWidth=SIZE[1])
    assert (len(found), folder.problems) == (3000, [])


@pytest.mark.parametrize(("part", "what"), [(0.0, "is empty"), (0.3, "is no valid JSON")])
def test_files_that_were_not_written_to_their_end_are_said(tmp_path, part, what):
    write_labelme(tmp_path)
    path = next(tmp_path.rglob("2.json"))
    content = path.read_text()
    path.write_text(content[: int(part * len(content))])
    index = index_files(tmp_path)
    folder = read_labelme(index, find_labelme(index))
    assert [problem.file for problem in folder.problems] == [path.relative_to(tmp_path).as_posix()]
    assert what in folder.problems[0].what
