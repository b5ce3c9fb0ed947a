"""Recipes: what they say comes back, and mistakes are named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import UserError
from atrous.recipe.schema import Recipe, override, read_recipe, to_toml, validate


def recipe(**changes) -> Recipe:
    return validate({"data": {"root": "cells"}, "task": {"classes": ["a", "b"]}, **changes}, "test")


def test_toml_round_trip(tmp_path):
    made = recipe(
        task={"classes": ["a", "b"], "class_weights": [1.0, 2.5], "palette": [(0, 0, 0), (255, 9, 1)]},
        model={"strides": [[1, 2], 2], "encoder": "resnet"},
        train={"minutes": 3.5, "patience": None},
    )
    (tmp_path / "recipe.toml").write_text(to_toml(made, {"train.crop": "because"}))
    assert read_recipe(tmp_path / "recipe.toml") == made
    assert "# because" in (tmp_path / "recipe.toml").read_text()


@given(
    st.sampled_from([("train.batch_size", 3), ("model.encoder", "resnet"), ("train.minutes", 2.5), ("data.val", "t")])
)
def test_override_sets_one_value(pair):
    key, value = pair
    section, name = key.split(".")
    assert getattr(getattr(override(recipe(), [f"{key}={value}"]), section), name) == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.batchsize=4", "did you mean train.batch_size?"),
        ("train.batch_size=0", "greater than or equal to 1, got 0"),
        ("train.batch_size=many", "valid integer"),
        ("training.batch_size=4", "sections are data, task, input, model, augment, train"),
        ("batch_size=4", "write section.key=value"),
        ("train.batch_size", "write section.key=value"),
        ("train.crop=[64]", "give one per axis"),
        ("model.name=unnet", "'fcn8s', 'segnet', 'unet'.* or 'custom', got 'unnet'"),
        ("model.attention=sea", "'sk' or 'local', got 'sea'"),
        ("model.output_stride=3", "1, 2, 4, 8, 16 or 32, got 3"),
        ("model.fusion=gated,model.name=segnet", "model.fusion is for fcn and unet, not for model.name = 'segnet'"),
        ("model.at_once=true", "model.at_once is for fcn8s"),
        ("model.name=five_layer,model.deep_supervision=true", "'five_layer' has one map"),
        ("model.name=fc_densenet,model.output_stride=8", "models over an encoder, not fc_densenet"),
        ("stages=two", "stages are none, fine-tune, skips, frozen"),
        ("stages=skips", "stage '32s' has 0 skips, model.name = 'fcn' has 0"),
        ("model.name=custom,stages=fine-tune", "nothing would learn in stage 'head', as a network of your own is all"),
        ("stages.share=1", "no section 'stages'"),
        ("task.class_weights=[1.0]", "1 values for 2 classes"),
        ("task.shortest=[30, 30]", "task.shortest is for stranded and semantic labels along one axis"),
        ("model.in_channels=4", "3 values for 4 input channels"),
        ("augment.scale=[2.0, 1.0]", r"\[least, greatest\]"),
        ("train.crop=[0, 64]", "train.crop.0: input should be greater than or equal to 1, got 0"),
        ("model.strides=[0, 2, 2, 2]", "strides are 1 or more"),
        ("model.strides=[[2, -2], 2]", "strides are 1 or more"),
        ("model.std=[1, 0, 1]", "model.std.1: input should be greater than 0"),
        ("augment.keep=[2]", r"augment.keep is \[2\]: axes are 0 to 1"),
        ("train.learning_rate=inf", "finite number"),
        ("train.epochs=3,train.least_steps=9", "train.least_steps is for a run in minutes"),
        ("train.accelerator=foo", "write cpu, cuda, cuda:1, mps or auto, got 'foo'"),
        ("task.kind=edges,task.focal=2", "task.focal is for semantic, change, motion, not for task.kind = 'edges'"),
        (
            "task.boundary=1,train.whole=true,train.batch_size=1",
            "task.boundary needs neighbors that strips do not have",
        ),
        ("train.teacher=1,train.devices=2", "train.teacher is for crops on one device"),
        ('augment.foreground_classes=["c"]', "augment.foreground_classes names 'c': the classes are a, b"),
        ('augment.paste_classes=["b"]', "nothing is pasted: set augment.paste too"),
        (
            "task.kind=change,model.in_channels=4,model.mean=[0,0,0,0],model.std=[1,1,1,1],augment.strength=1",
            "augment.strength is for semantic, .* not for task.kind = 'change'",
        ),
        ("data.cache=much", "give a size such as 20GB, or 0 to keep none"),
        ("data.cache=-1", "give a size such as 20GB, or 0 to keep none"),
        ("data.window=0", "data.window: input should be greater than or equal to 1"),
        ("task.palette=[[0, 0, 0]]", "task.palette has 1 values for 2 classes"),
    ],
)
def test_mistakes_are_named(setting, words):
    with pytest.raises(UserError, match=words):
        override(recipe(), re.split(",(?=[a-z])", setting))


def test_stages(tmp_path):
    made = override(recipe(), ["model.name=fcn8s", "stages=skips"])
    assert [stage.skips for stage in made.stages] == [0, 1, 2]
    (tmp_path / "recipe.toml").write_text(to_toml(made))
    assert read_recipe(tmp_path / "recipe.toml") == made
    assert [stage.encoder for stage in override(made, ["stages=fine-tune"]).stages] == [0.0, 0.5, 1.0]
    assert override(made, ["stages=none"]).stages == []
    with pytest.raises(UserError, match=r"shares of the stages are 0.5, 0.2: they must add up to 1"):
        recipe(stages=[{"name": "a", "share": 0.5}, {"name": "b", "share": 0.2}])
    with pytest.raises(UserError, match=r"did you mean stages.0.share"):
        recipe(stages=[{"name": "a", "share": 1.0, "shore": 0.5}])
    with pytest.raises(UserError, match=r"stage '8s' has 2 skips, model.name = 'fcn16s' has 1"):
        override(made, ["model.name=fcn16s"])


def test_minutes_and_epochs_replace_each_other_but_do_not_stand_together():
    assert override(recipe(), ["train.minutes=3", "train.epochs=2"]).train.minutes is None
    with pytest.raises(UserError, match="keep one"):
        recipe(train={"minutes": 1.0, "epochs": 1.0})


def test_files_that_are_no_recipes(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(UserError, match=r"is a folder: name the recipe\.toml in it"):
        read_recipe(tmp_path)
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(UserError, match="not TOML"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "other.toml").write_text("[data]\nroot = 'x'")
    with pytest.raises(UserError, match="task: field required"):
        read_recipe(tmp_path / "other.toml")


@pytest.mark.parametrize(("key", "value"), [("attention", "se"), ("deep_supervision", "true"), ("temporal", "levels")])
def test_a_map_of_evidence_has_no_decoder(key, value):
    made = recipe(task={"kind": "classification", "classes": ["a", "b"]}, model={"name": "evidence"})
    with pytest.raises(UserError, match=f"model.{key} is for networks with a decoder, not for model.name = 'evidence'"):
        override(made, [f"model.{key}={value}"])
