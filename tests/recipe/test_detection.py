"""Plans for boxes: from the lengths of their sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import UserError
from atrous.recipe.build import build_network, build_task
from atrous.recipe.detection import plan_detection
from atrous.recipe.plan import POSITIONS, Request, plan_boxes
from atrous.tasks.detection import DetectionTask
from atrous.verbs.check import check_layout
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import open_data
from tests.objects.scenes import scenes

SIDES = st.lists(st.floats(0.5, 3000), min_size=1, max_size=3)


def checked(shape, **options):
    opened = open_data(scenes(5, shape, **options), task="detection")
    return check_layout(opened.root, opened.description, opened.layout)


@given(SIDES)
def test_the_options_fit_boxes_of_every_size(sides):
    options = plan_boxes([sides, [2 * side for side in sides], [4 * side for side in sides]], {})
    task = DetectionTask.build({"classes": ["a"], "options": options})
    assert task.ndim == len(sides)
    assert all(step == 1 or 6 * step <= side for step, side in zip(task.stride, sides, strict=True))
    assert all(scale == pytest.approx(max(0.5, side), abs=0.051) for scale, side in zip(task.scale, sides, strict=True))


@pytest.mark.parametrize("shape", [(400,), (64, 72), (24, 32, 32)])
def test_the_plan_of_every_grid_builds(shape):
    found = checked(shape)
    planned = KINDS["grids"].plan(found.dataset, found.fingerprint, Request(minutes=5))
    recipe = planned.recipe
    assert (recipe.task.kind, recipe.model.name) == ("detection", "fcos")
    assert "task.options" in planned.reasons
    task = build_task(recipe)
    assert isinstance(task, DetectionTask)
    assert task.classes == ("class 0", "class 1")
    assert build_network(recipe.model.model_copy(update={"pretrained": False}), task.out_channels).ndim == len(shape)


def test_crops_hold_large_boxes():
    found = checked((64, 72))
    sizes = replace(found.fingerprint.sizes, median=(480, 640))
    small, large = (
        plan_detection(found.dataset, replace(found.fingerprint, sizes=sizes, box_sides=sides), Request()).recipe.train
        for sides in (((10.0, 10.0),) * 3, ((30.0, 30.0), (100.0, 100.0), (200.0, 240.0)))
    )
    assert np.prod(small.crop) <= POSITIONS[2] < np.prod(large.crop) <= 2 * POSITIONS[2]
    assert large.batch_size < small.batch_size


def test_pictures_in_color_stay_upright_and_gray_ones_are_turned():
    found = checked((64, 72))
    gray = plan_detection(found.dataset, found.fingerprint, Request()).recipe.augment
    color = replace(found.fingerprint, channels=3, mean=(1.0,) * 3, std=(1.0,) * 3)
    upright = plan_detection(found.dataset, color, Request()).recipe.augment
    assert (gray.rotate, gray.flip) == (180, [True, True])
    assert (upright.rotate, upright.flip) == (5, [False, True])


def test_without_boxes_there_is_no_plan():
    found = checked((64, 72))
    with pytest.raises(UserError, match="no training image has a box"):
        plan_detection(found.dataset, replace(found.fingerprint, box_sides=()), Request())
