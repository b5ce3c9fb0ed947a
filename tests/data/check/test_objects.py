"""Bad annotations of objects have one line each (`benchmarks/bad_inputs` looks at which), and good ones have none."""

import pytest

from benchmarks.bad_inputs import annotations, points, rotated
from benchmarks.bad_inputs.annotations import write_coco, write_csv, write_masks, write_voc, write_yolo
from benchmarks.bad_inputs.mistake import findings, outcome_of

MISTAKES = (*annotations.MISTAKES, *points.MISTAKES, *rotated.MISTAKES)
NAMES = [f"{number}: {mistake.row}" for number, mistake in enumerate(MISTAKES)]


@pytest.mark.parametrize("mistake", MISTAKES, ids=NAMES)
def test_a_mistake_has_few_other_lines(mistake):
    problems = [one.line for one in outcome_of(mistake).others if one.level != "note"]
    assert len(problems) <= 2
    assert all("\n" not in line and ": " in line for line in problems)


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo, write_csv, rotated.write_dota])
def test_good_boxes_have_no_problems(write, tmp_path):
    write(tmp_path / "data")
    assert {one.level for one in findings(tmp_path / "data", "detection")} == {"note"}


@pytest.mark.parametrize("write", [write_coco, write_masks])
def test_good_instances_have_no_problems(write, tmp_path):
    write(tmp_path / "data")
    assert {one.level for one in findings(tmp_path / "data", "instances")} == {"note"}


def test_good_key_points_have_no_problems(tmp_path):
    def with_parts(content):
        content["categories"][0]["keypoints"] = ["head", "tail"]
        content["categories"] = content["categories"][:1]
        content["annotations"] = [one | {"category_id": 1} for one in content["annotations"] if one["id"] % 3 == 1]
        for one in content["annotations"]:
            x, y, width, height = one["bbox"]
            one["keypoints"] = [x + 1, y + 1, 2, x + width - 1, y + height - 1, 2]

    write_coco(tmp_path / "data")
    annotations.coco(with_parts)(tmp_path / "data")
    assert {one.level for one in findings(tmp_path / "data", "keypoints")} == {"note"}


def with_key_points(root, places, bbox):
    """A COCO file of one key point for each object."""

    def change(content):
        content["categories"] = [content["categories"][0] | {"keypoints": ["head"]}]
        for one, (x, y) in zip(content["annotations"], places, strict=False):
            one |= {"category_id": content["categories"][0]["id"], "keypoints": [x, y, 2], "bbox": bbox}
            one.pop("segmentation", None)
        content["annotations"] = content["annotations"][: len(places)]

    write_coco(root)
    annotations.coco(change)(root)


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0]])
def test_key_points_need_no_boxes_but_boxes_are_said_to_miss(tmp_path, bbox):
    with_key_points(tmp_path / "data", [(5, 6), (7, 8), (9, 9)], bbox)
    assert "error" not in {one.level for one in findings(tmp_path / "data", "keypoints")}
    assert any("no boxes and are left out" in one.line for one in findings(tmp_path / "data", "counting"))


def test_key_points_outside_of_the_image_are_said(tmp_path):
    with_key_points(tmp_path / "data", [(5, 6), (7, 8000), (9, 9)], [1, 1, 9, 9])
    found = [one.line for one in findings(tmp_path / "data", "keypoints") if "outside of the image" in one.line]
    assert len(found) == 1
    assert "has key points outside of the image, which are left out" in found[0]


def test_fractions_of_objects_that_the_border_cuts_are_no_pixels(tmp_path):
    write_yolo(tmp_path / "data")
    for path in (tmp_path / "data").rglob("labels/**/*.txt"):
        path.write_text(path.read_text() + "0 0.98 0.5 0.3 0.2\n")
    assert "error" not in {one.level for one in findings(tmp_path / "data", "detection")}


def test_good_dots_have_no_problems(tmp_path):
    points.healthy(tmp_path / "data")
    assert {one.level for one in findings(tmp_path / "data")} == {"note"}
