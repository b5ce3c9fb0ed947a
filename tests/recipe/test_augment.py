"""How samples vary: what has no side is mirrored and turned, bodies and signals are not."""

from dataclasses import replace

import numpy as np
import pytest

from atrous.recipe.augment import plan_augment
from atrous.verbs.check import check_layout
from atrous.verbs.opened import open_data
from tests.objects.scenes import scenes


def numbered(shape, count=4):
    """Images and volumes of two blocks with a number each."""
    rng, numbers = np.random.default_rng(0), np.zeros(shape, np.uint16)
    numbers[(slice(2, 8), *(slice(4, 14) for _ in shape[1:]))] = 1
    numbers[(slice(9, 14), *(slice(18, 28) for _ in shape[1:]))] = 2
    images = [(rng.normal(100, 5, shape) + 60 * (numbers > 0)).astype(np.uint16)[None] for _ in range(count)]
    return checked((images, [numbers] * count), "instances")


def checked(data, task):
    opened = open_data(data, task=task)
    return check_layout(opened.root, opened.description, opened.layout)


def planned(found, spacing, **changes):
    reasons = {}
    numbers = replace(found.fingerprint, **changes)
    augment = plan_augment(found.dataset, numbers, (16,) * numbers.ndim, spacing, reasons)
    return augment, reasons


def test_cells_in_volumes_have_no_side_but_bodies_in_scans_have():
    found = numbered((16, 32, 32))
    cells, reasons = planned(found, (1.0, 1.0, 1.0))
    assert (cells["flip"], cells["rotate"], cells["about"]) == ([True] * 3, 180, [0])
    assert "augment.flip" not in reasons
    deep, _ = planned(found, (1.0, 1.0, 3.0))
    assert deep["about"] == [2]
    lesions, reasons = planned(found, (1.0, 1.0, 1.0), orientation="RAS")
    assert (lesions["flip"], lesions["rotate"]) == ([False, False, True], 15)
    assert "body" in reasons["augment.flip"]


def test_cells_in_images_are_turned_and_color_pictures_stay_upright():
    found = numbered((32, 32))
    cells, _ = planned(found, (1.0, 1.0))
    assert (cells["flip"], cells["rotate"]) == ([True, True], 180)
    high, reasons = planned(found, (2.0, 1.0))
    assert (high["flip"], high["rotate"]) == ([True, True], 0)
    assert "no squares" in reasons["augment.rotate"]
    color, _ = planned(found, (1.0, 1.0), color=True)
    assert color["flip"] == [False, True]
    assert "rotate" not in color


@pytest.mark.parametrize(("upright", "flip"), [(True, [False, True]), (False, [True, True])])
def test_boxes_are_mirrored_as_their_objects_look(upright, flip):
    found = checked(scenes(5, (64, 72)), "detection")
    augment, reasons = planned(found, (1.0, 1.0), upright=upright)
    assert augment["flip"] == flip
    assert ("upside down" in reasons["augment.flip"]) == (not upright)


def test_time_does_not_run_backward():
    augment, reasons = planned(checked(scenes(5, (400,)), "detection"), (1.0,))
    assert augment["flip"] == [False]
    assert "backward" in reasons["augment.flip"]
