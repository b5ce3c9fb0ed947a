"""The name of a model wherever the folder of a run is taken; a run folder of that name goes first."""

import logging
import shutil

import pytest
import torch

import atrous
from atrous.errors import UserError
from atrous.recipe.build import build_network
from atrous.recipe.run import open_run
from atrous.recipe.start import start_from
from atrous.training.checkpoint import read_tensors
from atrous.verbs.calibrate import calibrate
from atrous.verbs.evaluate import evaluate
from atrous.verbs.network import class_names, load_network
from atrous.verbs.predict import predict
from atrous.verbs.train import train
from tests.model_packages import write_package


@pytest.fixture(scope="module")
def site(trained, tmp_path_factory):
    """Where a package is installed that brings the model `tiny`; read it, do not write into it."""
    site = tmp_path_factory.mktemp("site")
    write_package(site, trained)
    return site


@pytest.fixture
def here(site, tmp_path, monkeypatch):
    """An empty current folder, in a process that finds the package."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_opens_the_model_and_its_weights_are_widened(here, trained):
    run = open_run("tiny")
    assert (run.named, run.title) == ("tiny", "tiny")
    stored, tensors = read_tensors(run.weights)[0], run.tensors()
    original = open_run(trained).tensors()
    assert sum(value.dtype == torch.float16 for value in stored.values()) > 10
    for name, value in tensors.items():
        assert value.dtype == original[name].dtype
        exact = stored[name].dtype != torch.float16
        assert torch.equal(value, original[name] if exact else original[name].half().float()), name
    assert all(value.dtype == torch.float32 for value in run.network().parameters())


def test_every_verb_takes_the_name(here, digits):
    predictor = atrous.load("tiny")
    assert repr(predictor).startswith("Predictor(tiny: ")
    assert evaluate("tiny", digits).scores.images == 3
    written = predict("tiny", [digits / "images" / "test"], here / "out").written
    assert len(written) == 2
    assert load_network("tiny")(torch.zeros(1, 3, 40, 50)).shape == (1, 11, 40, 50)
    assert class_names("tiny") == predictor.classes
    recipe = open_run("tiny").recipe
    fresh = build_network(recipe.model, predictor.task.out_channels)
    started, line = start_from("tiny", fresh)
    assert line.startswith("starting from tiny: ")
    assert torch.equal(started.state_dict()["head.weight"], open_run("tiny").tensors()["head.weight"])


def test_a_training_starts_from_a_model_and_its_recipe_has_the_name(here, digits):
    settings = ["train.crop=[64, 64]", "train.batch_size=4"]
    said: list[str] = []
    done = train(digits, out=here / "run", epochs=0.5, start="tiny", settings=settings, say=said.append, report=False)
    assert any(line.startswith("starting from tiny: ") for line in said)
    assert done.run.recipe.train.start == open_run(here / "run").recipe.train.start == "tiny"
    assert done.run.recipe.model.encoder_width == 8


def test_a_run_folder_of_that_name_goes_first_and_that_is_said_once(here, trained, caplog):
    shutil.copytree(trained, here / "tiny")
    with caplog.at_level(logging.WARNING):
        assert open_run("tiny").named is None
        assert open_run("tiny").folder.samefile(here / "tiny")
    message = f"tiny: the run in {here / 'tiny'} is used, not the model of that name in tiny-models"
    assert [record.message for record in caplog.records] == [message]


def test_a_folder_that_is_no_run_leaves_the_name_to_the_model(here, caplog):
    (here / "tiny").mkdir()
    with caplog.at_level(logging.WARNING):
        assert open_run("tiny").named == "tiny"
    message = f"tiny: the model of that name is used, as the folder {here / 'tiny'} is no run"
    assert [record.message for record in caplog.records] == [message]


def test_no_word_about_runs_that_have_no_namesake(here, trained, caplog):
    shutil.copytree(trained, here / "cells")
    with caplog.at_level(logging.WARNING):
        assert open_run("cells").named is None
        assert open_run(here / "cells").named is None
        assert open_run("tiny").named == "tiny"
    assert caplog.records == []


def test_an_unknown_name_lists_those_that_there_are(here):
    with pytest.raises(UserError, match=r"^tinyy: no such folder: .*; and no model of that name: did you mean tiny\?"):
        open_run("tinyy")
    with pytest.raises(UserError) as raised:
        open_run("runs/tiny")
    assert "model" not in str(raised.value)


def test_without_any_package_it_is_said_what_brings_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("atrous.recipe.run.named_models", dict)
    with pytest.raises(UserError, match=r"^nuclei: no such folder: .* names: pip install ./packages/atrous-models"):
        open_run("nuclei")


def test_files_of_a_model_are_compared_before_they_are_read(trained, tmp_path, monkeypatch):
    package = write_package(tmp_path / "site", trained)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with (package / "tiny" / "recipe.toml").open("a") as file:
        file.write("\n# changed\n")
    with pytest.raises(UserError, match=r"recipe\.toml: is damaged or was changed"):
        atrous.load("tiny")


def test_what_would_change_a_model_is_refused(here, digits):
    with pytest.raises(UserError, match=r"tiny: is a named model.*atrous models tiny --copy FOLDER"):
        calibrate("tiny", digits)
    with pytest.raises(UserError, match=r"tiny: is a named model.*--start tiny"):
        train(resume="tiny")
    with pytest.raises(UserError, match="tiny: a named model does not bring its training data"):
        evaluate("tiny")
