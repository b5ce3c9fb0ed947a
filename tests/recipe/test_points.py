"""What is planned from points: distances of the task, and how crops vary."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atrous.data.check.fingerprint import from_dict
from atrous.data.check.points import PointFacts
from atrous.errors import UserError
from atrous.recipe.build import build_task
from atrous.recipe.plan import Request, plan_grids
from atrous.recipe.points import plan_counting, plan_keypoints, plan_point_augment, plan_points, with_aspect
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


FLAT = SimpleNamespace(
    points=PointFacts(50, (2.0, 4.0, 6.0), False, (3.0, 6.0, 12.0)), ndim=3, object_sides=(),
    sizes=SimpleNamespace(median=(20, 256, 256)), spacing=SimpleNamespace(median=(5.0, 1.0, 1.0)),
)  # fmt: skip
"""A fingerprint of volumes whose slices are further apart than their pixels."""


@pytest.mark.parametrize("kind", ["counting", "keypoints"])
def test_lengths_follow_the_spacing_where_it_is_unequal(kind):
    dataset, upright = SimpleNamespace(task=kind, root="x"), {"rotate": 15.0, "about": [0]}
    reasons = {}
    plain = plan_points(dataset, FLAT, reasons)
    options = with_aspect(plain, dataset, FLAT, upright, reasons)
    assert options["aspect"] == [5.0, 1.0, 1.0]
    assert "5 : 1 : 1" in reasons["task.options"]
    task = (CountingTask if kind == "counting" else KeypointTask)(**options)
    # the deviation is at least half a slice, and at most 2 % of the shortest side, 20 slices
    assert task.spread == 1.5
    assert 0.5 <= task.spread / task.steps[0] < 0.55
    assert options["distance"] > plain["distance"]


def test_equal_spacing_changes_no_recipe():
    dataset, cubes = SimpleNamespace(task="counting", root="x"), SimpleNamespace(median=(1.0, 1.0, 1.1))
    for spacing in (None, cubes):
        alike, reasons = SimpleNamespace(**{**vars(FLAT), "spacing": spacing}), {}
        plain = plan_points(dataset, alike, reasons)
        said = dict(reasons)
        assert with_aspect(plain, dataset, alike, {"rotate": 15.0, "about": [0]}, reasons) is plain
        assert reasons == said


def test_points_of_volumes_with_a_spacing_plan_an_aspect(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "dots"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        dots = np.zeros((16, 40, 44), np.uint8)
        dots[[3, 3, 9], [5, 15, 30], [8, 8, 20 + index]] = 1
        np.save(tmp_path / "images" / f"{index}.npy", rng.normal(size=dots.shape).astype(np.float32))
        np.save(tmp_path / "dots" / f"{index}.npy", dots)
    (tmp_path / "dataset.toml").write_text('task = "counting"\nspacing = [8.0, 1.0, 1.0]\n')
    found = check(tmp_path)
    facts = found.fingerprint.points
    assert facts.apart[1] == pytest.approx(10)
    assert facts.spaced[1] == pytest.approx(5)  # steps of 4, 1/2 and 1/2
    assert from_dict(json.loads(json.dumps(found.fingerprint.to_dict()))) == found.fingerprint
    planned = plan_grids(found.dataset, found.fingerprint, Request())
    assert planned.recipe.task.options["aspect"] == [8.0, 1.0, 1.0]
    assert build_task(planned.recipe).steps == (4.0, 0.5, 0.5)


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
