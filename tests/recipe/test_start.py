"""Trainings that start from the weights of another run."""

import shutil

import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.network import build_network
from atrous.recipe.plan import PlannedRecipe
from atrous.recipe.run import open_run
from atrous.recipe.schema import override, read_recipe
from atrous.recipe.start import NothingFitsError, check_start, start_from, with_network_of
from atrous.training.checkpoint import read_tensors
from atrous.verbs.train import train
from tests.conftest import SMALL


def network_of(recipe, outputs):
    return build_network(recipe.model, outputs)


def test_every_weight_of_an_equal_network_is_copied_but_not_the_normalization(trained):
    run = open_run(trained)
    recipe = override(run.recipe, ["model.mean=[1.0, 2.0, 3.0]"])
    fresh = network_of(recipe, run.task().out_channels)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    started, line = start_from(trained, fresh)
    tensors, _ = read_tensors(run.weights)
    for name, value in started.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith("normalize.") else tensors[name]), name
    count = len(tensors) - 2
    assert line == f"starting from {trained}: {count} of {count} tensors fit and are copied"
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_what_fits_another_network_is_copied(trained):
    run = open_run(trained)
    wider = network_of(override(run.recipe, ["model.width=24"]), run.task().out_channels)
    started, line = start_from(trained, wider)
    tensors, _ = read_tensors(run.weights)
    old, now = wider.state_dict(), started.state_dict()
    fit = {name for name, value in old.items() if name in tensors and tensors[name].shape == value.shape}
    assert len(fit) < len(old)
    for name in fit - {"normalize.mean", "normalize.std"}:
        assert torch.equal(now[name], tensors[name]), name
    for name in {name for name in old if name.endswith("weight")} - fit:
        assert torch.equal(now[name], old[name]), name
    assert f"{len(fit) - 2} of {len(old) - 2} tensors fit" in line


def test_a_run_of_which_nothing_fits_is_refused(trained):
    other = override(read_recipe(trained / "recipe.toml"), ["model.name=five_layer", "model.width=52"])
    with pytest.raises(NothingFitsError, match="none of its weights fits"):
        start_from(trained, network_of(other, 7))


def test_a_plan_takes_the_network_of_the_run(trained):
    run = open_run(trained)
    plan = override(run.recipe, ["model.width=40", "model.depth=18", "model.mean=[9.0, 9.0, 9.0]"])
    reasons = {"model.depth": "planned", "model.mean": "data", "train.crop": "size"}
    followed = with_network_of(run, PlannedRecipe(plan, reasons))
    assert followed.recipe.model == run.recipe.model.model_copy(update={"mean": [9.0, 9.0, 9.0]})
    assert set(followed.reasons) == {"model.name", "model.mean", "train.crop"}
    counted = plan.model_copy(update={"task": plan.task.model_copy(update={"kind": "counting"})})
    assert with_network_of(run, PlannedRecipe(counted, reasons)).recipe is counted


def test_a_training_starts_there_and_its_recipe_says_so(trained, digits, tmp_path):
    """With a rate of nearly nothing the weights stay those that it started from."""
    said: list[str] = []
    still = ["train.learning_rate=1e-12", "train.crop=[64, 64]", "train.batch_size=4"]
    train(digits, out=tmp_path / "run", epochs=0.5, start=trained, settings=still, say=said.append, report=False)
    assert any(line.startswith(f"starting from {trained}: ") for line in said)
    made, old = open_run(tmp_path / "run"), open_run(trained)
    assert made.recipe.train.start == str(trained)
    assert made.recipe.model == old.recipe.model
    now, before = read_tensors(made.weights)[0], read_tensors(old.weights)[0]
    assert torch.allclose(now["head.weight"], before["head.weight"], atol=1e-6)
    # the recipe alone does it again; the run goes on though what it started from is gone
    shutil.copytree(trained, tmp_path / "older")
    again = override(read_recipe(tmp_path / "run" / "recipe.toml"), [f'train.start="{tmp_path / "older"}"'])
    train(digits, out=tmp_path / "again", recipe=again, say=said.append, report=False)
    assert sum(line.startswith(f"starting from {tmp_path / 'older'}: ") for line in said) == 1
    shutil.rmtree(tmp_path / "older")
    assert train(resume=tmp_path / "again", progress=False, report=False).scores is not None


def test_mistakes(digits, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.verbs.train.open_data", None)  # to open them would be a TypeError
    with pytest.raises(UserError, match="no such folder: give the folder of a run"):
        train(digits, start=tmp_path / "none")
    shutil.copytree(trained, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="can only start from a run that has weights"):
        check_start(tmp_path / "empty")
    with pytest.raises(UserError, match="leave out start"):
        train(resume=trained, start=trained)


def test_a_recipe_that_starts_nowhere_is_refused(digits, trained, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        train(digits, out=tmp_path / "run", settings=[*SMALL, "train.start=nowhere"])
    assert not (tmp_path / "run").exists()
