"""Plans for boxes: from the lengths of their sides."""

from dataclasses import replace

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.recipe.build import build_network, build_task
from atrous.recipe.detection import plan_detection
from atrous.recipe.plan import POSITIONS, Request
from atrous.tasks.detection import DetectionTask
from atrous.verbs.check import check_layout
from atrous.verbs.kinds import KINDS
from atrous.verbs.opened import open_data
from tests.objects.scenes import scenes


def checked(shape, **options):
    opened = open_data(scenes(5, shape, **options), task="detection")
    return check_layout(opened.root, opened.description, opened.layout)


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


def test_large_boxes_are_looked_at_coarsely_and_in_whole_images():
    found = checked((64, 72))
    numbers = replace(found.fingerprint, sizes=replace(found.fingerprint.sizes, median=(480, 640)))
    recipes = []
    for side in (10.0, 33.0, 90.0):
        sides = ((side, side), (2 * side, 2 * side), (4 * side, 4 * side))
        recipe = plan_detection(found.dataset, replace(numbers, box_sides=sides), Request()).recipe
        shrink = recipe.model.shrink
        assert side / shrink >= 10
        assert recipe.model.finest >= 2 * shrink
        assert side / recipe.model.finest >= 4 or recipe.model.finest == 2 * shrink
        assert np.prod(recipe.train.crop) <= 2 * shrink**2 * POSITIONS[2]
        recipes.append(recipe)
    assert [recipe.model.shrink for recipe in recipes] == [1, 2, 4]
    assert [recipe.train.crop for recipe in recipes[1:]] == [[480, 640]] * 2
    assert recipes[0].train.batch_size < recipes[1].train.batch_size


def test_rare_classes_weigh_more():
    found = checked((64, 72))
    numbers = replace(found.fingerprint, class_frequency=(0.9, 0.1))
    common, rare = plan_detection(found.dataset, numbers, Request()).recipe.task.class_weights
    assert rare == pytest.approx(3 * common, rel=0.01)
    assert 0.9 * common + 0.1 * rare == pytest.approx(1, abs=0.01)


def test_pictures_in_color_stay_upright_and_gray_ones_are_turned():
    found = checked((64, 72))
    gray = plan_detection(found.dataset, found.fingerprint, Request()).recipe.augment
    color = replace(found.fingerprint, channels=3, mean=(1.0,) * 3, std=(1.0,) * 3)
    upright = plan_detection(found.dataset, color, Request()).recipe.augment
    assert (gray.rotate, gray.flip) == (180, [True, True])
    assert (upright.rotate, upright.flip) == (5, [False, True])
    cells = plan_detection(found.dataset, replace(color, upright=False), Request())
    assert (cells.recipe.augment.rotate, cells.recipe.augment.flip) == (5, [True, True])
    assert "upside down" in cells.reasons["augment.flip"]


def test_objects_that_look_the_same_upside_down_are_not_upright():
    assert checked((64, 72)).fingerprint.upright  # too few of a class to tell
    many = open_data(scenes(20, (64, 72)), task="detection")
    assert not check_layout(many.root, many.description, many.layout).fingerprint.upright


def test_without_boxes_there_is_no_plan():
    found = checked((64, 72))
    with pytest.raises(UserError, match="no training image has a box"):
        plan_detection(found.dataset, replace(found.fingerprint, box_sides=()), Request())
