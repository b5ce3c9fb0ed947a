"""`atrous models`: the table, a card, a copy; as text and as JSON."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import atrous
from atrous.cli.main import app
from atrous.errors import UserError
from atrous.recipe.run import open_run
from atrous.verbs import models as module
from atrous.verbs.calibrate import calibrate
from atrous.verbs.models import copy_model
from tests.model_packages import write_package


@pytest.fixture
def package(trained, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    return write_package(tmp_path / "site", trained, names=("tiny", "tiny-too"))


def printed(*words):
    done = CliRunner().invoke(app, ["models", *map(str, words)])
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_table_and_the_card_say_what_the_json_says(package):
    table, facts = printed(), json.loads(printed("--json"))["models"]
    assert {"tiny", "tiny-too"} <= {each["name"] for each in facts} == set(atrous.named_models())
    assert "Labels handwritten digits." in table
    assert f"{'tiny-too':<8}" in table
    card, said = printed("tiny"), json.loads(printed("tiny", "--json"))
    assert said["package"] == "tiny-models"
    assert said["version"] == "1.2"
    assert said["bytes"] == (package / "tiny" / "model.safetensors").stat().st_size
    command, values = "atrous evaluate tiny digits", {"miou": 0.25, "images": 3}
    assert said["measured"] == [{"on": "three scenes", "command": command, "values": values, "note": ""}]
    assert card.startswith("tiny (tiny-models 1.2, ")
    for text in (said["summary"], said["license"], said["source"], *said["fails"]):
        assert text in card


def test_a_copy_is_a_run_that_may_be_changed(package, digits, tmp_path):
    assert "Labels handwritten digits." in printed("tiny", "--copy", tmp_path / "deep" / "run")
    run = open_run(tmp_path / "deep" / "run")
    assert run.named is None
    assert calibrate(run.folder, digits).calibration.samples == 3
    assert run.network().state_dict().keys() == open_run("tiny").network().state_dict().keys()
    with pytest.raises(UserError, match="exists already"):
        copy_model("tiny", run.folder)
    (package / "tiny" / "recipe.toml").write_text("")
    with pytest.raises(UserError, match="is damaged or was changed"):
        copy_model("tiny", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tinny"], "tinny: no model of that name: did you mean"),
        (["--copy", "x"], "--copy copies one model: give its name too"),
    ],
)
def test_mistakes_are_one_line(package, words, said):
    done = CliRunner().invoke(app, ["models", *words])
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(said)


def test_without_models_it_is_said_what_brings_them(monkeypatch):
    monkeypatch.setattr(module, "named_models", dict)
    done = CliRunner().invoke(app, ["models"])
    assert str(done.exception).startswith("no named models are installed: pip install ./packages/atrous-models, in a")


def test_the_table_does_not_wait_for_torch():
    code = (
        "import sys; from atrous.verbs.models import named_models, model_table; from atrous.cli.models import command; "
        "named_models(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
