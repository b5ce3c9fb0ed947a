"""Found objects as files of other programs, read back: the same boxes, pixels, classes."""

import json

import numpy as np
import pytest

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.data.object_files.found import FoundObjects
from atrous.data.object_files.raster import fill
from atrous.data.object_files.write import (
    coco_results,
    merge_results,
    write_dota,
    write_parquet,
    write_results,
    write_rois,
)
from atrous.errors import UserError
from atrous.objects.kinds import with_classes
from atrous.objects.rotated import boxes_of, corners_of, rotated_iou
from tests.object_folders import CLASSES, COUNT, SIZE, write_images

RNG = np.random.default_rng(3)


def numbered(seed):
    """Objects with a hole, in pieces, and of one pixel; none has the number 4."""
    numbers = np.zeros(SIZE, np.uint32)
    numbers[3:12, 5:20] = 1
    numbers[5:7, 8:10] = 0
    numbers[20:25, 30:33] = 2
    numbers[30:33, 10 + seed : 14 + seed] = 2
    numbers[39, 59] = 3
    numbers[0:2, 40:50] = 5
    return FoundObjects(SIZE, np.array([0, 1, 1, 0, 0]), RNG.random(5).astype(np.float32), numbers)


def merged(root, founds):
    """A data set of images and the COCO file of what was found in them."""
    write_images(root)
    files = {}
    for number, found in enumerate(founds):
        files[f"{number}.png"] = root / f"{number}_objects.json"
        write_results(files[f"{number}.png"], coco_results(found, f"{number}.png"))
    merge_results(root / "coco.json", files, dict.fromkeys(files, SIZE), CLASSES)
    return root


def test_numbered_objects_come_back_from_coco(tmp_path):
    founds = [numbered(seed) for seed in range(COUNT)]
    layout = find_layout(merged(tmp_path, founds), Description(task="instances"))
    assert layout.problems == ()
    samples = {sample.name: sample for members in layout.splits.values() for sample in members}
    for number, found in enumerate(founds):
        want = np.where(found.numbers == 5, 4, found.numbers)
        told = with_classes(want, np.array([0, 1, 1, 0]), 2)
        np.testing.assert_array_equal(samples[str(number)].target.read(), told)
        assert samples[str(number)].target.class_of == {1: 1, 2: 2, 3: 2, 4: 1}


def test_boxes_come_back_from_coco(tmp_path):
    boxes = np.array([[1.5, 2.25, 10, 20], [0, 0, 40, 60]])
    found = FoundObjects(SIZE, np.array([1, 0]), np.array([0.25, 1], np.float32), boxes=boxes)
    root = merged(tmp_path, [found] * COUNT)
    layout = find_layout(root, Description(task="detection"))
    assert layout.problems == ()
    for sample in [sample for members in layout.splits.values() for sample in members]:
        places = sample.target.read()
        np.testing.assert_array_equal(places.places, boxes)
        assert places.classes.tolist() == [1, 0]
    content = json.loads((root / "coco.json").read_text())
    assert [record["score"] for record in content["annotations"][:2]] == [0.25, 1]
    assert [record["area"] for record in content["annotations"][:2]] == [8.5 * 17.75, 2400]
    assert len({record["id"] for record in content["annotations"]}) == 2 * COUNT


def test_results_are_those_that_coco_tools_load(tmp_path):
    write_results(tmp_path / "a.json", coco_results(numbered(0), "a.png"))
    records = json.loads((tmp_path / "a.json").read_text())
    assert records[2]["bbox"] == [59, 39, 1, 1]
    assert records[2]["segmentation"]["size"] == list(SIZE)
    assert {record["image_id"] for record in records} == {"a.png"}
    assert [record["category_id"] for record in records] == [1, 2, 2, 1]


def test_outlines_come_back_from_imagej(tmp_path):
    roifile = pytest.importorskip("roifile", reason="ROIs of ImageJ need roifile")
    found = numbered(0)
    write_rois(tmp_path / "rois.zip", found, CLASSES)
    rois = roifile.roiread(tmp_path / "rois.zip")
    assert [roi.name for roi in rois] == ["00001", "00002", "00003", "00005"]
    assert [roi.group for roi in rois] == [1, 2, 2, 1]
    again = np.zeros(SIZE, np.uint32)
    for roi in rois:
        window, mask = fill([np.asarray(roi.coordinates(), float)[:, ::-1]], SIZE)
        again[window][mask] = int(roi.name)
    np.testing.assert_array_equal(again, found.numbers)
    assert "class: nucleus" in rois[1].props


def test_volumes_have_a_roi_in_each_slice(tmp_path):
    roifile = pytest.importorskip("roifile", reason="ROIs of ImageJ need roifile")
    numbers = np.zeros((3, 8, 8), np.uint32)
    numbers[1:, 2:5, 3:6] = 1
    found = FoundObjects((3, 8, 8), np.zeros(1, int), np.ones(1, np.float32), numbers)
    write_rois(tmp_path / "rois.zip", found, CLASSES)
    assert [(roi.name, roi.position) for roi in roifile.roiread(tmp_path / "rois.zip")] == [
        ("00001-0002", 2),
        ("00001-0003", 3),
    ]


def test_boxes_are_polygons_of_imagej(tmp_path):
    roifile = pytest.importorskip("roifile", reason="ROIs of ImageJ need roifile")
    found = FoundObjects(SIZE, np.zeros(1, int), np.ones(1, np.float32), boxes=np.array([[1.5, 2, 3, 4]]))
    write_rois(tmp_path / "rois.zip", found, CLASSES)
    roi = roifile.roiread(tmp_path / "rois.zip")[0]
    assert roi.coordinates().tolist() == [[2, 1.5], [4, 1.5], [4, 3], [2, 3]]


def test_points_come_back_from_coco(tmp_path):
    points = np.array([[1.5, 2.25], [30.5, 59.5], [7, 7]])
    found = FoundObjects(SIZE, np.array([1, 0, 1]), np.ones(3, np.float32), points=points)
    layout = find_layout(merged(tmp_path, [found] * COUNT), Description(task="counting"))
    assert layout.problems == ()
    for sample in [sample for members in layout.splits.values() for sample in members]:
        places = sample.target.read()
        np.testing.assert_array_equal(places.places, points)
        assert places.classes.tolist() == [1, 0, 1]


def test_key_points_of_one_object_come_back_from_coco(tmp_path):
    points = np.array([[1.5, 2.25], [30.5, 59.5]])
    kinds = [np.array([0, 1]), np.array([1]), np.zeros(0, int)]
    founds = [
        FoundObjects(SIZE, kind, np.ones(len(kind), np.float32), points=points[kind], parts=2)
        for kind in (*kinds, *kinds)[:COUNT]
    ]
    layout = find_layout(merged(tmp_path, founds), Description(task="keypoints"))
    samples = {sample.name: sample for members in layout.splits.values() for sample in members}
    for number, found in enumerate(founds):
        if len(found.classes):
            places = samples[str(number)].target.read()
            assert places.classes.tolist() == found.classes.tolist()
            np.testing.assert_array_equal(places.places, found.points)


def test_points_are_points_of_imagej(tmp_path):
    roifile = pytest.importorskip("roifile", reason="ROIs of ImageJ need roifile")
    found = FoundObjects(SIZE, np.zeros(1, int), np.ones(1, np.float32), points=np.array([[1.5, 2]]))
    write_rois(tmp_path / "rois.zip", found, CLASSES)
    roi = roifile.roiread(tmp_path / "rois.zip")[0]
    assert (roi.roitype, roi.coordinates().tolist()) == (roifile.ROI_TYPE.POINT, [[2, 1.5]])


def test_tables_come_back_from_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")
    columns = {"number": np.arange(1, 4), "score": np.array([0.5, 0.25, 1], np.float32)}
    write_parquet(tmp_path / "a.parquet", columns)
    again = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    assert again == {"number": [1, 2, 3], "score": [0.5, 0.25, 1]}


@pytest.mark.parametrize(("library", "extra"), [("roifile", "imagej"), ("pyarrow", "parquet")])
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, library, extra):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("atrous.data.formats.base.import_module", absent)
    with pytest.raises(UserError, match=rf'{library}: pip install "atrous\[{extra}\]"'):
        write_rois(tmp_path / "a.zip", numbered(0), CLASSES) if library == "roifile" else write_parquet(
            tmp_path / "a.parquet", {}
        )
    assert list(tmp_path.iterdir()) == []


TURNED = np.array([[14, 20, 18, 6, 0.4], [22, 40, 12, 5, 2.2]])


def turned():
    polygons = corners_of(TURNED)
    hulls = np.concatenate([polygons.min(axis=1), polygons.max(axis=1)], axis=1)
    return FoundObjects(SIZE, np.array([1, 0]), np.array([0.9, 0.5], np.float32), boxes=hulls, polygons=polygons)


def test_rotated_boxes_come_back_from_dota_and_coco(tmp_path):
    founds = [turned() for _ in range(COUNT)]
    merged(tmp_path / "coco", founds)
    write_images(tmp_path / "dota")
    for number, found in enumerate(founds):
        write_dota(tmp_path / "dota" / f"{number}.txt", found, ("cell", "cell nucleus"))
    assert (tmp_path / "dota" / "0.txt").read_text().splitlines()[0].split()[8:] == ["cell-nucleus", "0"]
    for name, more in (("dota", {}), ("coco", {"rotated": True})):
        layout = find_layout(tmp_path / name, Description(task="detection", **more))
        assert layout.problems == ()
        for sample in [sample for members in layout.splits.values() for sample in members]:
            again = sample.target.read()
            assert again.classes.tolist() == [1, 0]
            assert rotated_iou(boxes_of(again.places), TURNED).min() > 0.99
    record = coco_results(turned(), "0.png")[0]
    assert record["area"] == pytest.approx(18 * 6, abs=1e-3)
    top, left, bottom, right = turned().boxes[0]
    np.testing.assert_allclose(record["bbox"], [left, top, right - left, bottom - top], atol=1e-3)


def test_upright_boxes_are_rotated_ones_of_dota(tmp_path):
    found = FoundObjects((9, 9), np.array([0]), np.ones(1), boxes=np.array([[1.0, 2, 5, 8]]))
    write_dota(tmp_path / "a.txt", found, ("cell",))
    assert (tmp_path / "a.txt").read_text() == "2.00 1.00 8.00 1.00 8.00 5.00 2.00 5.00 cell 0\n"
