"""Run folders: never overwritten, and named when they are not what they should be."""

import json

import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.run import check_new, create_run, open_run
from atrous.recipe.schema import validate


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
