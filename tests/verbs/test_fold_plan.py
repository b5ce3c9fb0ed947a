"""What is trained without each group: groups of all kinds of data, how long it takes, and what is refused."""

import json

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.recipe.plan import Request
from atrous.recipe.run import Run, create_run, open_run
from atrous.recipe.schema import override
from atrous.verbs.check import check
from atrous.verbs.fold_plan import check_fold_options, plan_folds, read_folds
from atrous.verbs.folds import _describe, _without
from atrous.verbs.kinds import KINDS
from tests.clips import write_frames
from tests.volumes import write_signals, write_volumes

WRITE = {"volumes": write_volumes, "signals": write_signals, "videos": write_frames}


@pytest.fixture
def described(digits, tmp_path):
    """Writes a dataset.toml of the digits with another pattern for groups."""

    def write(groups):
        file = tmp_path / "dataset.toml"
        file.write_text(f"groups = '{groups}'\n" + (digits / "dataset.toml").read_text())
        return file

    return write


@pytest.mark.parametrize("kind", WRITE)
def test_each_sample_may_be_a_group_of_its_own_in_all_kinds_of_data(kind, tmp_path):
    """The dataset.toml of a fold gives the splits that the fold is trained on."""
    data = WRITE[kind](tmp_path / "data", 3)
    with (data / "dataset.toml").open("a") as file:
        file.write('groups = ".+"\n')
    found = check(data)
    recipe = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=3)).recipe
    plan = plan_folds(create_run(tmp_path / "run", recipe, {}, []), minutes=3)
    names = [sample.name for sample in plan.pool]
    assert [fold.group for fold in plan.folds] == names == sorted(names)
    assert plan.text().endswith(f"; {len(names)} trainings of 3 minutes each, {3 * len(names)}.0 minutes in all")
    plan.folder.mkdir()
    for fold in plan.folds[:2]:
        _describe(plan, fold)
        splits = _without(plan, found, fold).dataset.splits
        assert [sample.name for sample in splits["val"]] == [fold.group]
        assert [sample.name for sample in splits["train"]] == [name for name in names if name != fold.group]
        opened = open_dataset(data, fold.description).splits
        assert {k: [s.name for s in v] for k, v in opened.items()} == {
            k: [s.name for s in v] for k, v in splits.items()
        }


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("train", "all groups are one, 'train', so none can be left out: write in dataset.toml"),
        (None, 'no sample of train and val has a group, .* such as groups = "\\^patient.*named such as images/train/'),
    ],
)
def test_data_without_two_groups_are_refused(groups, words, trained, digits, described):
    with pytest.raises(UserError, match=words):
        plan_folds(trained, digits, description=None if groups is None else described(groups))


def test_samples_without_a_group_are_always_trained_on(trained, digits, described, tmp_path):
    plan = plan_folds(trained, digits, description=described("val_000."), out=tmp_path / "out")
    assert [fold.group for fold in plan.folds] == ["val_0000", "val_0001", "val_0002"]
    assert "; always trained on, as they have no group: 8" in plan.text()
    assert all(len(plan.parts(fold)["train"]) == 10 for fold in plan.folds)


def test_the_largest_groups_come_first(trained, digits, described, tmp_path):
    options = {"description": described("(train|val_000[01]|val_0002)"), "out": tmp_path / "out"}
    sizes = [(fold.group, len(fold.samples)) for fold in plan_folds(trained, digits, **options).folds]
    assert sizes == [("train", 8), ("val_0000", 1), ("val_0001", 1), ("val_0002", 1)]
    assert [fold.group for fold in plan_folds(trained, digits, most=2, **options).folds] == ["train", "val_0000"]


def test_memory_custom_networks_and_named_models_are_refused(trained, digits):
    run = open_run(trained)
    pairs = [np.zeros((8, 8), np.uint8)] * 3, [np.zeros((8, 8), np.uint8)] * 3
    with pytest.raises(UserError, match="data in memory have no groups"):
        plan_folds(run, pairs)
    with pytest.raises(UserError, match="trained a network of your own"):
        plan_folds(Run(trained, override(run.recipe, ["model.name=custom", "model.deep_supervision=false"])), digits)
    with pytest.raises(UserError, match="say where the trainings go with --out"):
        plan_folds(Run(trained, run.recipe, "cells"), digits)


def test_a_folder_of_other_folds_is_refused(trained, digits, described, tmp_path):
    options = {"description": described(".+"), "out": tmp_path / "out"}
    plan = plan_folds(trained, digits, minutes=5, **options)
    plan.folder.mkdir()
    (plan.folder / "notes.txt").touch()
    with pytest.raises(UserError, match="exists already and holds no folds"):
        plan_folds(trained, digits, minutes=5, **options)
    (plan.folder / "folds.json").write_text(json.dumps(plan.asked()))
    assert plan_folds(trained, digits, minutes=5, most=2, **options).asked() == plan.asked()
    with pytest.raises(UserError, match=r"holds folds with train.minutes = 5.0, not 6.0: give another --out"):
        plan_folds(trained, digits, minutes=6, **options)
    with pytest.raises(UserError, match="holds folds of 11 samples whose names or groups are not those of the 11 in"):
        plan_folds(trained, digits, minutes=5, description=described("0.+"), out=options["out"])
    (plan.folder / "folds.json").write_text("[]")
    with pytest.raises(UserError, match=r"folds.json: is damaged"):
        plan_folds(trained, digits, minutes=5, **options)


def test_names_of_folders_are_plain_and_never_alike(trained, digits, described, tmp_path):
    plan = plan_folds(trained, digits, description=described(".+"), out=tmp_path / "out")
    names = [fold.run.name for fold in plan.folds]
    assert len(set(names)) == len(names) == 11
    assert all(fold.run.parent == tmp_path / "out" and fold.run.name.startswith("images_") for fold in plan.folds)


def test_what_it_starts_from_and_how_long_it_may_take_is_told(trained, digits, described, tmp_path):
    run = Run(trained, override(open_run(trained).recipe, ["train.minutes=30", "train.least_steps=9"]))
    run.recipe.train.start = "runs/first"
    text = plan_folds(run, digits, description=described("(train|val)"), out=tmp_path / "out").text()
    assert "2 trainings of 30 minutes each, 60.0 minutes in all, or up to 4 times as long (train.least_steps)" in text
    assert text.endswith("all start from runs/first: what that was trained on is not new to them")


@pytest.mark.parametrize("text", ["1", "patient", "-3", "2.5", ""])
def test_a_number_of_groups_is_at_least_two(text):
    with pytest.raises(UserError, match=f"--folds {text}: give group, or a number of groups"):
        read_folds(text)


def test_options_that_do_not_go_together_are_refused():
    nothing = {"minutes": None, "out": None}
    check_fold_options(None, nothing, others={"--tta": True})
    with pytest.raises(UserError, match="--minutes is for the trainings of --folds"):
        check_fold_options(None, {**nothing, "minutes": 3}, others={})
    with pytest.raises(UserError, match="--ensemble: --folds measures each training as it is"):
        check_fold_options("group", nothing, others={"--tta": False, "--ensemble": True})
