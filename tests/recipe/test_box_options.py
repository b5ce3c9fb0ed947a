"""The options of boxes: they fit boxes of every size, upright and rotated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.recipe.box_options import plan_boxes, plan_rotated
from atrous.tasks.detection import DetectionTask
from atrous.tasks.rotated_detection import RotatedDetectionTask
from atrous.tasks.table import TASKS

SIDES = st.lists(st.floats(0.5, 3000), min_size=1, max_size=3)


@given(SIDES)
def test_the_options_fit_boxes_of_every_size(sides):
    options = plan_boxes([sides, [2 * side for side in sides], [4 * side for side in sides]], {})
    task = DetectionTask.build({"classes": ["a"], "options": options})
    assert task.ndim == len(sides)
    assert all(step == 1 or 6 * step <= side for step, side in zip(task.stride, sides, strict=True))
    assert all(scale == pytest.approx(max(0.5, side), abs=0.051) for scale, side in zip(task.scale, sides, strict=True))


@given(st.floats(0.5, 1000), st.floats(0.5, 1000))
def test_the_options_of_rotated_boxes_are_alike_along_both_axes(length, width):
    reasons = {}
    options = plan_rotated([(length, width), (2 * length, 2 * width), (4 * length, 4 * width)], reasons)
    task = TASKS["detection"]({"classes": ["a"], "options": {"video": False, **options}})
    assert isinstance(task, RotatedDetectionTask)
    assert task.stride[0] == task.stride[1]
    assert task.stride[0] == 1 or 6 * task.stride[0] <= min(length, width)
    assert task.scale[0] == task.scale[1] == pytest.approx(max(0.5, (length + width) / 2), abs=0.051)
    assert "any direction" in reasons["task.options"]
