"""Options of a training that are wrong whatever the data are: refused at once, before any file is read."""

import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.schema import read_recipe
from atrous.verbs.train import train
from atrous.verbs.train_options import TrainOptions
from tests.command import atrous
from tests.conftest import SMALL

WRONG = [
    ({"minutes": 1, "epochs": 1}, "both --minutes and --epochs are given: give one"),
    ({"minutes": 1, "settings": "train.epochs=3"}, "both --minutes and --set train.epochs are given"),
    ({"settings": ["train.minutes=1", "train.epochs=3"]}, "both --set train.minutes and --set train.epochs"),
    ({"minutes": 0}, r"--minutes: train.minutes: input should be greater than 0, got 0"),
    ({"epochs": float("nan")}, "--epochs: train.epochs: input should be a finite number, got nan"),
    ({"seed": -1}, "--seed: train.seed"),
    ({"settings": "train.batchsize=4"}, "train.batchsize is not a key of a recipe: did you mean train.batch_size?"),
    ({"settings": "trian.batch_size=4"}, "no section 'trian': did you mean train.batch_size?"),
    ({"settings": "batch_size=4"}, "write section.key=value"),
    ({"settings": "train.batch_size=many"}, "train.batch_size: input should be a valid integer"),
    ({"settings": "model.name=unett"}, "model.name: input should be 'fcn'"),
    ({"settings": "stages=slow"}, "stages are "),
    ({"settings": "data.root=elsewhere"}, "the data are given as DATA"),
    ({"settings": "task.focal=2", "loss": torch.dist}, "task.focal is part of the loss that loss= replaces"),
    ({"settings": [4]}, "settings: 4 is not text"),
    ({"device": "gpu"}, "write cpu, cuda, cuda:1, mps or auto, got 'gpu'"),
    ({"device": "cuda"}, "--device cuda: torch finds no cuda"),
    ({"settings": "train.accelerator=mps"}, "train.accelerator = mps: torch finds no mps"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_mistakes_are_told_before_the_data_are_read(options, said, squares, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.verbs.train.open_data", None)  # to open them would be a TypeError
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: None)
    with pytest.raises(UserError, match=said):
        train(squares, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


RESUMED = [
    {"out": "x"}, {"minutes": 1}, {"epochs": 0}, {"recipe": "r.toml"}, {"settings": "train.seed=1"}, {"stages": True},
    {"seed": 0}, {"device": "cpu"}, {"description": "d.toml"}, {"whole": True}, {"start": "r"},
]  # fmt: skip


@pytest.mark.parametrize("options", RESUMED, ids=lambda options: next(iter(options)))
def test_resume_takes_no_option_that_the_run_has_already(options, trained):
    with pytest.raises(UserError, match=f"--resume continues a run as it was begun: leave out {next(iter(options))}$"):
        train(resume=trained, **options)


def test_resume_takes_what_a_folder_cannot_hold(trained):
    TrainOptions(resume=trained, val=([], []), network=torch.nn.Identity(), progress=False, settings=[]).check()


def test_one_text_is_one_setting(squares, tmp_path):
    assert TrainOptions(settings="model.name=unet").overrides == ["model.name=unet"]
    train(squares, out=tmp_path / "run", epochs=0.1, settings="model.name=unet", report=False)
    assert read_recipe(tmp_path / "run" / "recipe.toml").model.name == "unet"


@pytest.mark.parametrize("words", [["--minutes", "1", "--epochs", "1"], ["--set", "train.batchsize=4"], ["--set", "x"]])
def test_a_mistake_is_one_line(words, squares):
    done = atrous("train", squares, *words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_mistake_in_the_data_leaves_no_bar(squares, tmp_path):
    (squares / "images" / "1.png").write_bytes(b"hello")
    done = atrous("train", squares, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "1.png" in done.stderr
    assert not any(word in done.stderr for word in ("nan", "training", "loss"))


def test_the_device_is_stored_and_used(digits, tmp_path):
    train(digits, out=tmp_path / "run", epochs=0.5, settings=SMALL, device="cpu", report=False)
    assert read_recipe(tmp_path / "run" / "recipe.toml").train.accelerator == "cpu"
    assert TrainOptions(device="cuda", settings="train.accelerator=cuda:1").planned_device == "cuda:1"


@pytest.mark.parametrize(
    ("settings", "scale"), [([], None), (["task.scale=2", "task.scale=4"], 4), ("task.scale=x", None)]
)
def test_a_plan_knows_the_scale_that_settings_say(settings, scale):
    assert TrainOptions(settings=settings).planned_scale == scale


@pytest.mark.parametrize(
    ("options", "minutes", "epochs"),
    [
        ({}, None, None),
        ({"minutes": 5}, 5, None),
        ({"settings": "train.minutes=60"}, 60, None),
        ({"settings": ["train.epochs=2", "train.epochs=3"]}, None, 3),
    ],
)
def test_a_plan_knows_the_length_that_options_and_settings_say(options, minutes, epochs):
    chosen = TrainOptions(**options)
    assert (chosen.planned_length("minutes"), chosen.planned_length("epochs")) == (minutes, epochs)


def test_no_reason_says_that_a_length_was_not_given_where_it_was(squares, tmp_path):
    train(squares, out=tmp_path / "run", settings=[*SMALL, "train.minutes=0.05"])
    recipe = (tmp_path / "run" / "recipe.toml").read_text()
    assert "minutes = 0.05" in recipe
    assert "was given" not in recipe
