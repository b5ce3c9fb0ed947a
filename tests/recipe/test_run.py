"""Run folders: never overwritten, and named when they are not what they should be."""

import json
import shutil

import numpy as np
import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.build import build_restoration
from atrous.recipe.run import check_new, create_run, environment, open_run
from atrous.recipe.schema import read_recipe, to_toml, validate


def test_a_run_comes_back(trained):
    run = open_run(trained)
    network = run.network()
    assert not network.training
    assert network(torch.zeros(1, 3, 40, 50)).shape == (1, 11, 40, 50)
    assert run.task().out_channels == 11
    assert (
        json.loads((trained / "environment.json").read_text())["packages"]["torch"] == torch.__version__.split("+")[0]
    )


def test_nothing_is_overwritten(trained):
    before = sorted(p.name for p in trained.iterdir())
    with pytest.raises(UserError, match="exists already"):
        create_run(trained, open_run(trained).recipe, {}, [])
    assert sorted(p.name for p in trained.iterdir()) == before


def test_folders_that_cannot_be_made_are_named(tmp_path):
    recipe = validate({"data": {"root": "x"}, "task": {"classes": ["a", "b"]}}, "test")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/deep/run: cannot be made, since .*file is a file"):
        check_new(tmp_path / "file" / "deep" / "run")
    with pytest.raises(UserError, match=r"cannot be made \(File name too long\)"):
        create_run(tmp_path / ("n" * 253), recipe, {}, [])
    check_new(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


def test_the_command_is_kept_without_passwords():
    kept = environment(["atrous", "train", "https://me:secret@host/cells?key=secret"])["command"]
    assert kept == ["atrous", "train", "https://host/cells"]


def test_a_run_that_was_moved_has_its_point_spread_function(tmp_path):
    psf = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)
    np.save(tmp_path / "psf.npy", psf[None])
    values = {
        "data": {"root": "x"},
        "task": {"kind": "deblur", "psf": str(tmp_path / "psf.npy"), "noise": 0.0, "options": {"offset": [0.0]}},
        "model": {"name": "restorer", "in_channels": 1, "mean": [0.0], "std": [1.0]},
    }
    made = create_run(tmp_path / "run", validate(values, "test"), {}, [])
    assert 'psf = "psf.npy"' in (tmp_path / "run" / "recipe.toml").read_text()
    (tmp_path / "psf.npy").unlink()
    np.testing.assert_allclose(build_restoration(made.recipe).degradation.psf, psf / 16)
    (tmp_path / "run").rename(tmp_path / "moved")
    for recipe in (open_run(tmp_path / "moved").recipe, read_recipe(tmp_path / "moved" / "recipe.toml")):
        np.testing.assert_allclose(build_restoration(recipe).degradation.psf, psf / 16)


def test_other_folders_are_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        open_run(tmp_path / "none")
    with pytest.raises(UserError, match=r"no recipe\.toml"):
        open_run(tmp_path)


def test_weights_of_another_network_are_refused(trained, tmp_path):
    text = (trained / "recipe.toml").read_text()
    (tmp_path / "recipe.toml").write_text(text.replace("encoder_width = 8", "encoder_width = 12"))
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="does not fit the network"):
        open_run(tmp_path).network()


def run_in(place, root, **facts):
    """A run folder whose recipe names `root`, written by hand as an earlier version or another machine left it."""
    place.mkdir(parents=True)
    recipe = validate({"data": {"root": str(root)}, "task": {"classes": ["a", "b"]}}, "test")
    (place / "recipe.toml").write_text(to_toml(recipe))
    (place / "environment.json").write_text(json.dumps(facts))
    return open_run(place)


def test_a_relative_path_of_an_earlier_version_is_found_from_everywhere(tmp_path, monkeypatch):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "cells").mkdir(parents=True)
    elsewhere.mkdir()
    run = run_in(project / "runs" / "cells", "cells")
    for current in (project, elsewhere):
        monkeypatch.chdir(current)
        assert run.data()[0].samefile(project / "cells")
    (elsewhere / "cells").mkdir()  # the current folder has another data set of that name: it is not guessed
    with pytest.raises(UserError, match=r"trained on cells, which may be .*project/cells or cells: give the one meant"):
        run.data()


def test_an_earlier_run_whose_data_lie_in_the_current_folder_alone(tmp_path, monkeypatch):
    (tmp_path / "here" / "cells").mkdir(parents=True)
    run = run_in(tmp_path / "far" / "run", "cells")
    monkeypatch.chdir(tmp_path / "here")
    assert run.data()[0].samefile("cells")


def test_a_run_that_was_moved_with_its_data_finds_them(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "cells").mkdir(parents=True)
    run_in(before / "runs" / "cells", before / "cells", folder=str(before / "runs" / "cells"))
    before.rename(after)
    assert open_run(after / "runs" / "cells").data()[0].samefile(after / "cells")


def test_data_that_are_gone_or_were_in_memory_are_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"was trained on /no/where, which is not there: give the data set's folder"):
        run_in(tmp_path / "gone", "/no/where").data()
    with pytest.raises(UserError, match="was trained on data in memory: give the data"):
        run_in(tmp_path / "memory", "(in memory)").data()


def test_a_recipe_of_a_later_version_is_told_apart_from_a_mistake(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    recipe, facts = tmp_path / "run" / "recipe.toml", tmp_path / "run" / "environment.json"
    recipe.write_text(recipe.read_text().replace("[model]", "[model]\nhyper = 3", 1))
    with pytest.raises(UserError, match=r"model\.hyper is not a key of a recipe: [^;]*$"):
        open_run(tmp_path / "run")
    known = json.loads(facts.read_text())
    facts.write_text(json.dumps(known | {"packages": {"atrous": "99.1"}}))
    with pytest.raises(UserError, match=r"model\.hyper .*; the run was made by atrous 99\.1, and this is .*upgrade"):
        open_run(tmp_path / "run")
    facts.write_text("{")
    with pytest.raises(UserError, match=r"environment\.json: is damaged .*: restore it from a copy, or remove it"):
        open_run(tmp_path / "run")
