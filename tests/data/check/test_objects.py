"""Bad annotations of objects: each has its line, and good ones have none."""

import pytest

from benchmarks.bad_objects import BAD, BadObjects, report_of, write_coco, write_csv, write_masks, write_voc, write_yolo


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_is_said_in_one_line(name):
    _, lines = report_of(BAD[name])
    assert any(BAD[name].says in line for line in lines), lines
    assert all("\n" not in line and ": " in line for line in lines)
    others = [line for line in lines if BAD[name].says not in line]
    assert len(others) <= 2, lines


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo, write_csv])
def test_good_boxes_have_no_problems(write):
    assert report_of(BadObjects(write, lambda root: None, "")) == ("accepted", [])


@pytest.mark.parametrize("write", [write_coco, write_masks])
def test_good_instances_have_no_problems(write):
    assert report_of(BadObjects(write, lambda root: None, "", "instances")) == ("accepted", [])
