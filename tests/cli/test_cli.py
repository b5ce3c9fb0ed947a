"""The command line as a user meets it: every verb, and every kind of mistake."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.verbs.evaluate import evaluate
from tests.command import atrous
from tests.conftest import SMALL


def in_a_process(*words):
    """Run the command as a shell does; most tests run it in their own process, which is quicker."""
    return subprocess.run([sys.executable, "-m", "atrous", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "verb",
    [
        "demo", "check", "train", "search", "evaluate", "calibrate", "predict", "models", "restore", "inspect", "serve",
        "doctor",
    ],
)  # fmt: skip
def test_every_verb_has_help_with_an_example(verb):
    done = atrous(verb, "--help")
    assert done.returncode == 0
    assert "Example: atrous" in done.stdout
    assert "--json" in done.stdout


def test_the_short_help_the_version_and_completion_are_there():
    assert atrous("-h").stdout == atrous("--help").stdout
    assert "--install-completion" in atrous("-h").stdout


@pytest.mark.parametrize(
    ("words", "code", "out", "said"),
    [
        (["--version"], 0, f"atrous {version('atrous')}\n", ""),
        (["fly"], 2, "", "No such command"),
        (["train", ".", "--set", "x"], 2, "", "atrous: --set x: write section.key=value"),
    ],
)
def test_a_process_ends_with_the_exit_code(words, code, out, said):
    done = in_a_process(*words)
    assert (done.returncode, done.stdout) == (code, out)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if words[0] == "train":  # what libraries say while they are imported is seen in a process of its own alone
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_the_main_job(tmp_path, digits):
    sets = [word for setting in SMALL for word in ("--set", setting)]
    checked = atrous("check", digits, "--json")
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["ok"] is True
    trained = atrous("train", digits, "--epochs", 2, "--out", tmp_path / "run", "--json", *sets)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["run"] == str(tmp_path / "run")
    calibrated = atrous("calibrate", tmp_path / "run", digits, "--split", "all", "--json")
    assert calibrated.returncode == 0, calibrated.stderr
    assert json.loads(calibrated.stdout)["units"] == {"image": 13}
    options = ("--split", "test", "--coverage", 0.8, "--shifts", "--report", tmp_path / "test.html", "--json")
    evaluated = atrous("evaluate", tmp_path / "run", digits, *options)
    assert evaluated.returncode == 0, evaluated.stderr
    facts = json.loads(evaluated.stdout)
    assert facts["split"] == "test"
    assert 0 <= facts["miou"] <= 1
    assert set(facts["iou"]) == set(facts["dice_per_class"])
    assert facts["coverage_asked"] == 0.8
    assert facts["shifts"]["clean"] == facts["miou"]
    page = (tmp_path / "test.html").read_text(encoding="utf-8")
    assert "If the images change" in page
    assert "Review these first" in page
    digits_out = tmp_path / "labels"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    options = ("-o", digits_out, "--uncertainty", "--ensemble", tmp_path / "run", "--json")
    predicted = atrous("predict", tmp_path / "run", digits / "images" / "test", broken, *options)
    assert predicted.returncode == 2
    assert "broken.png" in predicted.stderr
    assert len(json.loads(predicted.stdout)["written"]) == 2
    assert len(list(digits_out.glob("*_uncertainty.png"))) == 2
    means = [mean for _, mean in json.loads(predicted.stdout)["uncertainty"]]
    assert means == sorted(means, reverse=True)
    assert "review these first" in predicted.stderr


def test_evaluate_computes_in_float32_if_it_is_told_to(trained, digits, tmp_path):
    """As `predict --float32`: also for a run whose training used bfloat16. Folds are measured as they are."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    recipe = run / "recipe.toml"
    recipe.write_text(re.sub('precision = ".*?"', 'precision = "bf16-mixed"', recipe.read_text()))
    usual, exact = (atrous("evaluate", run, digits, "--json", *words) for words in ((), ("--float32",)))
    for done, dtype in ((usual, torch.bfloat16), (exact, torch.float32)):
        assert done.returncode == 0, done.stderr
        expected = evaluate(run, digits, dtype=dtype).scores
        assert json.loads(done.stdout)["ece"] == pytest.approx(expected.ece, abs=1e-9)
    assert json.loads(usual.stdout)["ece"] != json.loads(exact.stdout)["ece"]
    refused = atrous("evaluate", run, digits, "--float32", "--folds", 2)
    assert refused.returncode == 2
    assert "--float32: --folds measures each training as it is: leave it out" in refused.stderr


def spoil(folder, name, pixels):
    Image.fromarray(pixels).save(folder / name)


MISTAKES = {
    "0/255 masks": lambda d: [spoil(d / "masks", p.name, 255 * np.asarray(Image.open(p))) for p in _masks(d)],
    "colors": lambda d: [
        spoil(d / "masks", p.name, np.stack([90 * np.asarray(Image.open(p))] * 2 + [np.asarray(Image.open(p))], -1))
        for p in _masks(d)
    ],
    "size": lambda d: spoil(d / "masks", "1.png", np.zeros((40, 47), np.uint8)),
    "partner": lambda d: (d / "masks" / "1.png").unlink(),
    "truncated": lambda d: (d / "images" / "1.png").write_bytes((d / "images" / "1.png").read_bytes()[:200]),
    "not an image": lambda d: (d / "images" / "1.png").write_bytes(b"hello"),
}


def _masks(folder):
    return sorted((folder / "masks").iterdir())


def test_check_shows_how_far_it_is(squares):
    done = atrous("check", squares, "--json")
    assert "checking" in done.stderr
    assert json.loads(done.stdout)["ok"]


@pytest.mark.parametrize("kind", MISTAKES)
def test_faults_in_the_data_are_told_with_file_and_mend(kind, squares, tmp_path):
    MISTAKES[kind](squares)
    done = atrous("check", squares)
    assert "Traceback" not in done.stderr
    if kind not in ("0/255 masks", "partner"):  # those are read as two classes, or left out, and said
        assert done.returncode == 2, done.stdout
        refused = atrous("train", squares, "--out", tmp_path / "run", "--epochs", 1)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
        assert not (tmp_path / "run").exists()
    text = done.stdout + done.stderr
    assert ".png" in text or "255" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere"], "nowhere"),
        (["train"], "give the folder of a data set"),
        (["train", "--resume", "nowhere"], "no such folder"),
        (["train", "x", "--resume", "y"], "goes on with a run as it was begun"),
        (["evaluate", "nowhere"], "no such folder"),
        (["predict", "nowhere", "a.png", "-o", "out"], "no such folder"),
        (["predict", "nowhere", "a.png", "-o", "out", "--probabilities", "csv"], "zarr or tiff"),
        (["predict", "nowhere", "-", "-o", "out"], "no such folder"),
        (["check", "nowhere"], "nowhere"),
        (["fly"], "No such command"),
    ],
)
def test_mistakes_of_the_users_exit_with_two_and_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = atrous(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
