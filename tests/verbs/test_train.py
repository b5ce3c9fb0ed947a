"""The train verb: what it leaves, and what it refuses before it begins."""

import shutil
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.recipe.schema import read_recipe
from atrous.training.validation import windows
from atrous.verbs import train as verb
from atrous.verbs.train import train
from tests.conftest import SMALL


def test_a_run_folder_is_complete(trained):
    names = {p.name for p in trained.iterdir()}
    assert {
        "recipe.toml", "model.safetensors", "checkpoint", "metrics.csv", "report.html", "environment.json",
        "scores.json", "check.txt",
    } <= names  # fmt: skip
    assert not [n for n in names if ".part" in n]


def test_a_recipe_is_followed(trained, digits, tmp_path):
    done = train(
        recipe=trained / "recipe.toml", out=tmp_path / "again", epochs=1, settings=["train.batch_size=2"], report=False
    )
    followed = read_recipe(tmp_path / "again" / "recipe.toml")
    assert followed.train.batch_size == 2
    assert followed.model == read_recipe(trained / "recipe.toml").model
    assert done.outcome.step == 4


def test_the_same_seed_gives_the_same_weights(trained, digits, tmp_path):
    train(digits, out=tmp_path / "twin", epochs=2, settings=SMALL, report=False)
    assert (tmp_path / "twin" / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_whole_samples(digits, tmp_path, monkeypatch):
    said, measured = [], Mock(side_effect=verb.calibrate_and_measure)
    monkeypatch.setattr(verb, "calibrate_and_measure", measured)
    monkeypatch.setattr(verb, "WHOLE", 1)
    monkeypatch.setattr(verb, "REPORT_MEMORY", "1KiB")
    settings = [*SMALL[:-2], "train.validations=1", "model.width=8"]
    done = train(
        digits, out=tmp_path / "run", epochs=0.25, settings=settings, whole=True, say=said.append, report=False
    )
    recipe = read_recipe(tmp_path / "run" / "recipe.toml")
    assert (recipe.train.whole, recipe.train.batch_size, recipe.train.precision) == (True, 1, "32-true")
    assert done.outcome.step == 2
    assert any("; whole samples, 32-true" in line for line in said)
    # a limit that no sample fits into is given up
    assert [call.args[0].memory for call in measured.call_args_list] == ["1KiB", None]
    assert done.scores is not None


def test_options_that_are_off_by_default_train_all_at_once(digits, tmp_path):
    on = [
        "task.smoothing=0.1", "task.focal=1.0", "task.boundary=1.0", "augment.strength=1.0", "augment.paste=1.0",
        'augment.paste_classes=["digit 3", "digit 7"]', 'augment.foreground_classes=["digit 3"]', "stages=frozen",
        "train.sharpness=0.05", "train.teacher=0.5", "train.validations=1",
    ]  # fmt: skip
    said = []
    done = train(digits, out=tmp_path / "run", epochs=1, settings=[*SMALL, *on], report=False, say=said.append)
    assert done.outcome.step == 2
    assert any("stage 1 of 1, upper layers" in line for line in said)
    assert read_recipe(tmp_path / "run" / "recipe.toml") == done.run.recipe


def test_early_stopping(digits, tmp_path):
    settings = [*SMALL, "train.patience=1", "train.validations=10", "train.learning_rate=1e-9"]
    done = train(digits, out=tmp_path / "run", epochs=10, settings=settings, report=False)
    assert done.outcome.step < 20


def test_gray_16_bit_and_void(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for index in range(4):
        mask = (rng.random((40, 40)) < 0.5).astype(np.uint8)
        image = 30_000 * mask.astype(np.uint16) + 1000
        mask[:4] = 255
        Image.fromarray(image).save(tmp_path / "data" / "images" / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / "data" / "masks" / f"{index}.png")
    settings = ["model.depth=10", "model.encoder_width=8", "model.width=16"]
    done = train(tmp_path / "data", out=tmp_path / "run", epochs=4, settings=settings, report=False)
    assert done.scores.confusion.sum() == 40 * 36
    assert read_recipe(tmp_path / "run" / "recipe.toml").model.in_channels == 1


def test_faults_stop_it_before_anything_is_written(squares, tmp_path):
    (squares / "dataset.toml").write_text('classes = ["ground", "square"]')
    mask = squares / "masks" / "3.png"
    Image.fromarray(np.asarray(Image.open(mask)) * 9).save(mask)
    with pytest.raises(UserError, match=r"3\.png"):
        train(squares, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.depth=50", "depth 50"),
        ("model.encoder=resnt34", "resnt34"),
        ("data.val=foo", "has the splits train, val"),
        ("data.root=elsewhere", "given as DATA"),
        ("train.epochs=none", "how long"),
        ("train.accelerator=cuda", "no cuda on this machine"),
    ],
)
def test_a_recipe_that_cannot_be_built_leaves_no_folder_in_the_way(setting, words, squares, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: None)
    with pytest.raises(UserError, match=words):
        train(squares, out=tmp_path / "run", settings=[setting])
    assert not list(tmp_path.glob("run*"))


def test_a_split_in_which_nothing_counts_is_refused_whatever_its_name(squares, tmp_path):
    (squares / "dataset.toml").write_text('classes = ["a", "b"]\n[splits]\nval = ["0"]\ntest = ["1"]')
    Image.fromarray(np.full((40, 48), 255, np.uint8)).save(squares / "masks" / "1.png")
    with pytest.raises(UserError, match="the test split has no labelled positions"):
        train(squares, out=tmp_path / "run", settings=["data.val=test"])
    assert not (tmp_path / "run").exists()


def test_a_followed_recipe_says_which_data_it_was_followed_on(trained, digits, tmp_path, monkeypatch):
    """The data, their dataset.toml and their kind: what --resume and evaluate open again."""
    stopped = RuntimeError("stopped before the first step")
    monkeypatch.setattr("atrous.verbs.train.fit", Mock(side_effect=stopped))
    old = read_recipe(trained / "recipe.toml")
    old.data.root, old.data.description, old.data.kind = "elsewhere", "elsewhere/dataset.toml", "videos"
    other = tmp_path / "other.toml"
    shutil.copy(digits / "dataset.toml", other)
    for name, described in (("plain", None), ("described", other)):
        with pytest.raises(RuntimeError, match="stopped"):
            train(digits, out=tmp_path / name, recipe=old, description=described)
        made = read_recipe(tmp_path / name / "recipe.toml").data
        assert (made.root, made.kind) == (str(digits), "grids")
        assert made.description == str(described or digits / "dataset.toml")
    assert old.data.root == "elsewhere"


def test_the_folder_is_looked_at_before_the_data(squares, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.verbs.train.check_layout", None)
    (tmp_path / "file").write_text("")
    for out, words in ((squares, "exists already"), (tmp_path / "file" / "run", "is a file")):
        with pytest.raises(UserError, match=words):
            train(squares, out=out)


def test_refusals(trained, digits, tmp_path):
    with pytest.raises(UserError, match="exists already"):
        train(digits, out=trained)
    with pytest.raises(UserError, match="give one"):
        train(digits, out=tmp_path / "run", minutes=1, epochs=1)
    with pytest.raises(UserError, match="give the folder of a data set"):
        train()
    with pytest.raises(UserError, match="no such folder"):
        train(resume=tmp_path / "none")


def test_windows_cover_small_samples_whole_and_thin_out_large_ones():
    assert windows((1024, 100), (1024, 1024)) == [(slice(0, 1024), slice(0, 100))]
    chosen = windows((5400, 10800), (1024, 1024))
    assert len(chosen) == len(set(map(str, chosen))) == 8
