"""What is planned from points: distances of the task, and how crops vary."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from atrous.data.check.fingerprint import from_dict
from atrous.data.check.points import PointFacts
from atrous.errors import UserError
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.points import plan_counting, plan_keypoints, plan_point_augment, plan_points
from atrous.tasks.counting import CountingTask
from atrous.tasks.keypoints import KeypointTask
from atrous.verbs.check import check


def write(root, text, places, count=4, size=(64, 80)):
    rng = np.random.default_rng(0)
    for folder in ("images", "dots"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        dots = np.zeros(size, np.uint8)
        for place, value in places:
            dots[place[0] + index, place[1]] = value
        Image.fromarray(rng.integers(0, 255, size).astype(np.uint8)).save(root / "images" / f"{index}.png")
        Image.fromarray(dots).save(root / "dots" / f"{index}.png")
    (root / "dataset.toml").write_text(text)
    return check(root)


@pytest.mark.parametrize("apart", [(), (0.5, 0.6, 0.7), (2.2, 5.4, 8.5), (40.0, 80.0, 300.0)])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_planned_options_make_a_task(apart, ndim):
    reasons = {}
    for single in (False, True):
        facts = PointFacts(50, apart, single)
        counting = CountingTask(**plan_counting(facts, ndim, 256, reasons))
        named = KeypointTask(**plan_keypoints(facts, ndim, 256, reasons))
        assert counting.spread <= counting.sigma <= 6
        assert 1 <= named.spread <= 6
        assert named.single == single
    assert "task.options" in reasons


def test_dense_points_have_narrow_densities():
    near, far = (plan_counting(PointFacts(50, (d / 2, d / 2, d), False), 2, 512, {})["sigma"] for d in (6, 18))
    assert (near, far) == (2, 6)


def test_a_recipe_for_counting(tmp_path):
    found = write(tmp_path, 'task = "counting"\n', [((8, 8), 255), ((8, 20), 255), ((30, 50), 255)])
    planned = plan_grids(found.dataset, found.fingerprint, Request())
    recipe = planned.recipe
    assert recipe.task.kind == "counting"
    assert recipe.task.class_weights is None
    assert recipe.augment.foreground == 0
    assert recipe.augment.rotate == 0
    assert recipe.augment.flip == [True, True]
    assert {"task.options", "train.crop", "augment.rotate"} <= set(planned.reasons)
    assert "task.dice" not in planned.reasons


def test_named_points_are_not_mirrored(tmp_path):
    text = 'task = "keypoints"\nclasses = ["left", "right"]\n'
    found = write(tmp_path, text, [((8, 8), 1), ((9, 40), 2)])
    assert found.fingerprint.points.single
    assert from_dict(json.loads(json.dumps(found.fingerprint.to_dict()))) == found.fingerprint
    recipe = plan_grids(found.dataset, found.fingerprint, Request()).recipe
    assert recipe.augment.flip == [False, False]
    assert recipe.task.options["fraction"] == 0.1
    one = replace(found.dataset, coding=replace(found.dataset.coding, classes=("tip",)))
    assert plan_point_augment(one, found.fingerprint, 2, {}) == {}


def test_points_are_needed(tmp_path):
    found = write(tmp_path, 'task = "counting"\n', [])
    with pytest.raises(UserError, match="no training image has a point"):
        plan_points(found.dataset, found.fingerprint, {})


def test_a_channel_without_contrast_is_not_amplified(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path, 'task = "counting"\n', [((8, 8), 255), ((8, 20), 255)])
    for path in (tmp_path / "images").iterdir():
        image = rng.integers(0, 2, (64, 80, 3)).astype(np.uint8)
        image[..., 2] = rng.integers(0, 255, (64, 80))
        Image.fromarray(image).save(path)
    found = check(tmp_path)
    recipe = plan_grids(found.dataset, found.fingerprint, Request()).recipe
    assert not recipe.model.pretrained
    assert recipe.model.std[0] == recipe.model.std[2] > 50
    assert recipe.augment.saturation == 0
    # Size and brightness tell overlapping objects apart, as long as the images were taken alike.
    augment = recipe.augment
    assert (augment.scale, augment.brightness, augment.contrast, augment.noise) == ((1.0, 1.0), 0, 0, 0)
    unlike = replace(found.fingerprint, case_scale=5.0)
    varied = plan_grids(found.dataset, unlike, Request()).recipe.augment
    assert (varied.scale, varied.brightness) == ((0.85, 1.2), 0.3)
