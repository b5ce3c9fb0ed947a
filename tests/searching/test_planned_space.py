"""The space around a planned recipe: every point is a recipe, and what the plan lacks does not vary."""

from contextlib import suppress

import numpy as np
import pytest

from atrous.errors import UserError
from atrous.recipe.build import build_task
from atrous.recipe.network import build_network
from atrous.recipe.schema import Recipe, override, validate
from atrous.searching.planned_space import plan_space
from atrous.verbs.train_parts import require_grid


def recipe(ndim=2, **changes) -> Recipe:
    values: dict = {
        "data": {"root": "cells"},
        "task": {"classes": ["a", "b"], "class_weights": [1.0, 2.0]},
        "model": {"ndim": ndim, "in_channels": 1, "mean": [0.0], "std": [1.0], "encoder_width": 8, "width": 16},
        "augment": {"flip": [False] * ndim},
        "train": {"crop": [64] * ndim, "batch_size": 4, "minutes": 1.0},
    }
    for section, keys in changes.items():
        values[section] = {**values[section], **keys}
    return validate(values, "test")


def names(made: Recipe) -> list[str]:
    return [variable.name for variable in plan_space(made).variables]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_every_point_is_a_recipe_and_the_first_is_the_plan(ndim):
    plan = recipe(ndim)
    space, generator = plan_space(plan), np.random.default_rng(0)
    assert override(plan, space.settings(space.planned)) == plan
    for _ in range(60):
        point = space.random(generator)
        made = override(plan, space.settings(point))
        assert (made == plan) == (point == space.planned)


def test_every_label_of_every_variable_changes_the_recipe():
    plan = recipe()
    for variable in plan_space(plan).variables:
        recipes = [override(plan, settings) for settings in variable.options.values()]
        assert all(one != other for i, one in enumerate(recipes) for other in recipes[:i]), variable.name


def test_most_networks_of_drawn_points_can_be_built_and_the_others_say_why_not():
    plan = recipe()
    space, generator = plan_space(plan), np.random.default_rng(1)
    built = 0
    for _ in range(12):
        model = override(plan, space.settings(space.random(generator))).model
        with suppress(UserError):
            built += build_network(model.model_copy(update={"pretrained": False}), 2).outputs == 2
    assert built >= 8


def test_the_crop_keeps_the_positions_of_a_step():
    crop = next(v for v in plan_space(recipe(train={"crop": [128, 96], "batch_size": 4})).variables if v.name == "crop")
    assert crop.labels[0] == "128x96"
    assert crop.options["96x64"] == ("train.crop=[96, 64]", "train.batch_size=8")
    assert crop.options["192x128"] == ("train.crop=[192, 128]", "train.batch_size=2")


def test_what_the_plan_lacks_does_not_vary():
    assert "class_weights" in names(recipe())
    assert "class_weights" not in names(recipe(task={"class_weights": None}))
    counted = names(recipe(task={"kind": "denoise", "classes": [], "class_weights": None}, model={"name": "restorer"}))
    assert {"levels", "width"} <= set(counted)
    assert not {"encoder", "decoder", "dice", "attention"} & set(counted)
    assert "encoder" not in names(recipe(model={"name": "five_layer"}))


def test_what_it_does_not_know_is_refused_by_name():
    with pytest.raises(UserError, match=r"model\.name = 'custom'"):
        plan_space(recipe(model={"name": "custom"}))


def test_classes_of_whole_inputs_keep_their_grid_and_what_a_crop_shows():
    options = {"exclusive": True, "stride": [16, 16], "positions": 16.0}
    task = {"kind": "classification", "classes": ["no", "yes"], "class_weights": None, "options": options}
    for encoder, others in (("resnet", {"kernel", "antialias"}), ("strided", set())):
        plan = recipe(task=task, model={"name": "evidence", "encoder": encoder})
        space = plan_space(plan)
        assert {"encoder_width", "learning_rate", *others} <= set(names(plan))
        for variable in space.variables:
            for label in variable.labels:
                made = override(plan, space.settings({**space.planned, variable.name: label}))
                assert made.train.crop == plan.train.crop
                require_grid(build_network(made.model, 2), build_task(made), 1)


def test_strands_that_share_weights_have_no_attention():
    task = {"kind": "stranded", "classes": ["CDS+", "CDS-"], "class_weights": None}
    model = {"name": "codons", "in_channels": 4, "mean": [0.25] * 4, "std": [0.4] * 4}
    alone = recipe(1, data={"kind": "genomes"}, task=task, model=model)
    assert "attention" in names(alone)
    assert "attention" not in names(override(alone, ["model.reverse_complement=true"]))


def test_what_needs_an_encoder_that_does_not_vary_varies():
    video = recipe(3, data={"kind": "videos"}, model={"temporal": "frames"})
    space = plan_space(video)
    assert "encoder" not in names(video)
    assert "model.encoder_width=16" in space.settings({**space.planned, "encoder_width": "16"})


def test_whole_samples_have_no_crop_and_one_output():
    whole = recipe(train={"whole": True, "batch_size": 1})
    assert not {"crop", "deep_supervision"} & set(names(whole))
    assert {"crop", "deep_supervision"} <= set(names(recipe()))
