"""How far apart positions of objects count along each axis: what the plan takes, and why."""

from types import SimpleNamespace

import numpy as np
import pytest

from atrous.recipe.aspect import plan_aspect
from atrous.recipe.build import build_task
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.schema import validate
from tests.objects.worlds import random_discs
from tests.recipe.test_augment import checked

UPRIGHT, ABOUT_0, AROUND_ALL = {"rotate": 15.0, "about": [0]}, {"rotate": 180.0, "about": [0]}, {"rotate": 180.0}


def planned(augment, sides=(), spacing=None, ndim=3):
    reasons = {"task.options": "objects have a radius"}
    known = None if spacing is None else SimpleNamespace(median=spacing)
    numbers = SimpleNamespace(object_sides=sides, spacing=known, ndim=ndim)
    return plan_aspect(numbers, augment, reasons).get("aspect"), reasons["task.options"]  # type: ignore[arg-type]


def test_objects_in_volumes_tell_the_steps():
    aspect, reason = planned(ABOUT_0, (5.0, 15.0, 15.0))
    assert aspect == [3.0, 1.0, 1.0]
    assert "whole objects are 5 x 15 x 15 positions long" in reason
    assert "3 : 1 : 1" in reason


def test_objects_are_believed_before_the_header():
    assert planned(UPRIGHT, (10.0, 10.0, 10.0), (5.0, 1.0, 1.0))[0] is None
    assert planned(UPRIGHT, (5.0, 10.0, 10.0), (1.0, 1.0, 1.0))[0] == [2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("spacing", "aspect"),
    [((5.0, 0.5, 0.5), [10.0, 1.0, 1.0]), ((0.5, 0.5, 0.6), None), ((0.001, 2.0, 2.0), None)],
    ids=["flat", "nearly cubes", "other units"],
)
def test_without_measured_objects_the_spacing_tells_them(spacing, aspect):
    assert planned(UPRIGHT, (), spacing)[0] == aspect


def test_axes_that_are_turned_into_each_other_count_the_same():
    assert planned(UPRIGHT, (5.0, 10.0, 20.0))[0] == [4.0, 2.0, 1.0]
    assert planned(ABOUT_0, (5.0, 10.0, 20.0))[0] == [2.83, 1.0, 1.0]
    assert planned({"rotate": 180.0, "about": [0, 1, 2]}, (5.0, 10.0, 20.0))[0] is None


def test_images_follow_their_pixels():
    assert planned({}, (), (2.0, 0.5), 2)[0] == [4.0, 1.0]
    assert planned(AROUND_ALL, (), (2.0, 0.5), 2)[0] is None
    assert planned({}, (), (0.5, 0.5), 2) == (None, "objects have a radius")
    assert planned({}, (), (2.0,), 1)[0] is None


@pytest.fixture(scope="module")
def flat():
    """Balls of volumes of which every third slice was taken."""
    volumes = [random_discs((66, 60, 60), 12, (6, 8), seed=seed)[0][::3].astype(np.uint16) for seed in range(3)]
    rng = np.random.default_rng(0)
    images = [(rng.normal(100, 5, one.shape) + 60 * (one > 0)).astype(np.uint16)[None] for one in volumes]
    return checked((images, volumes), "instances")


def test_a_recipe_for_flat_objects_says_so(flat):
    assert flat.fingerprint.object_sides == pytest.approx((4.6, 14.0, 14.0), rel=0.1)
    assert any("whole, in one piece: " in note for note in flat.text().splitlines())
    made = plan_grids(flat.dataset, flat.fingerprint, Request(minutes=1.0))
    aspect = made.recipe.task.options["aspect"]
    assert aspect == pytest.approx([3.0, 1.0, 1.0], rel=0.1)
    assert "steps along the axes count as" in made.reasons["task.options"]
    task = build_task(validate(made.recipe.model_dump(), "recipe.toml"))
    assert flat.fingerprint.star_iou > 0.85  # in these steps flat balls are stars
    deep = plan_grids(flat.dataset, flat.fingerprint, Request(minutes=1.0, shape="auto")).recipe.task.options
    assert (deep["shape"], deep["rays"], deep["aspect"]) == ("stars", 96, aspect)
    assert task.steps == pytest.approx(np.array(aspect) / np.prod(aspect) ** (1 / 3))
