"""Training on several devices from the command line: what is refused, and that it ends well however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atrous.errors import UserError
from atrous.recipe.schema import read_recipe, validate
from atrous.training.launch import is_first, start_processes, was_launched
from atrous.training.log import read_log
from atrous.training.processes import make_fabric
from atrous.training.settings import Settings
from atrous.verbs.devices import refuse_several, wanted_devices
from atrous.verbs.train import train
from atrous.verbs.train_options import TrainOptions
from tests.conftest import SMALL

WRONG = [
    ({"devices": 2, "batch_size": 1}, "train.batch_size = 1 is dealt among 2 devices"),
    ({"devices": 2, "nodes": 3, "batch_size": 5}, "train.batch_size = 5 is dealt among 6 devices"),
    ({"devices": 2, "whole": True}, "train.whole takes one sample in a step: set train.devices = train.nodes = 1"),
    ({"devices": 2, "accelerator": "cuda:1"}, "train.accelerator = 'cuda:1' is one device"),
    ({"devices": 2, "accelerator": "mps"}, "train.accelerator = 'mps' is one device"),
    ({"devices": 2, "compile": True, "sync_batch_norm": True}, "set one of them"),
    ({"compile": True, "whole": True}, "train.compile is for crops"),
    ({"devices": 0}, "train.devices: input should be greater than or equal to 1"),
]


@pytest.mark.parametrize(("train", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_does_not_fit_together_is_refused(train, said):
    with pytest.raises(UserError, match=said):
        validate({"data": {"root": "x"}, "task": {"classes": ["a", "b"]}, "train": train}, "r.toml")


def test_devices_are_known_before_the_data_are_read(trained, tmp_path):
    settings = ["train.devices=2", "train.sync_batch_norm=true"]
    assert wanted_devices(TrainOptions()).devices == 1
    assert wanted_devices(TrainOptions(settings=settings)).devices == 2
    assert wanted_devices(TrainOptions(recipe=trained / "recipe.toml", settings="train.nodes=3")).nodes == 3
    assert wanted_devices(TrainOptions(resume=trained, settings=settings[:1])).devices == 2
    TrainOptions(resume=trained, settings=settings[:1]).check()
    with pytest.raises(UserError, match="leave out settings"):
        TrainOptions(resume=trained, settings=settings).check()
    recipe = read_recipe(trained / "recipe.toml")
    recipe.train.devices = 2
    with pytest.raises(UserError, match="one device each"):
        refuse_several(recipe, "one device each")


def test_nothing_is_started_by_one_device_by_python_or_beside_a_launcher(monkeypatch):
    monkeypatch.setattr("atrous.training.launch._start", None)  # to call it would be a TypeError
    with start_processes(1, 1, ["atrous"]), start_processes(2, 1, []):
        assert "LOCAL_RANK" not in os.environ
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert was_launched()
    with start_processes(2, 1, ["atrous"]):
        pass


def test_torchrun_and_the_recipe_must_agree(monkeypatch, digits, tmp_path):
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert is_first()
    with pytest.raises(UserError, match=r"torchrun started 2 processes for one device: give --set train\.devices=2"):
        train(digits, out=tmp_path / "run", epochs=1)
    with pytest.raises(UserError, match=r"train\.devices = 3, train\.nodes = 1: "):
        make_fabric(Settings(devices=3, precision="32-true"))
    monkeypatch.setenv("RANK", "1")
    assert not is_first()
    with pytest.raises(SystemExit) as caught:  # the first process tells it
        train(digits, out=tmp_path / "run", epochs=1)
    assert caught.value.code == 2


def test_several_machines_must_know_each_other(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with (
        pytest.raises(UserError, match="set MASTER_ADDR, MASTER_PORT and NODE_RANK"),
        start_processes(1, 2, ["atrous"]),
    ):
        pass


def test_a_process_that_does_not_begin_is_told(capfd):
    before = dict(os.environ)
    with (
        pytest.raises(UserError, match="ended before it began"),
        start_processes(2, 1, ["atrous", "train", "--no-such-option"]),
    ):
        pass
    assert dict(os.environ) == before


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "atrous", "train", *map(str, arguments), "--set", "train.devices=2"],
        env={**os.environ, "PYTHONPATH": os.getcwd()}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def small(data, out, epochs):
    return [data, "--out", out, "--epochs", epochs, *(part for one in SMALL for part in ("--set", one))]


def logged(folder):
    """Wait until the first step was logged."""
    deadline = time.monotonic() + 120
    while not read_log(folder / "metrics.csv"):
        assert time.monotonic() < deadline, "no step was logged"
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_leave_the_run_of_one(digits, tmp_path):
    running = start(*small(digits, tmp_path / "run", 2), "--json")
    out, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert set(json.loads(out)) >= {"run", "steps", "miou"}
    assert said.count("run folder:") == said.count("report:") == 1
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} >= {"model.safetensors", "report.html", "scores.json", "metrics.csv"}
    assert read_recipe(run / "recipe.toml").train.devices == 2


@pytest.mark.slow
def test_ctrl_c_ends_both(digits, tmp_path):
    running = start(*small(digits, tmp_path / "run", 100_000))
    logged(tmp_path / "run")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 130, said
    assert said.count("resume with: atrous train --resume") == 1


@pytest.mark.slow
def test_a_mistake_that_the_first_process_finds_is_told_once(digits, tmp_path):
    """The number of axes is known when the data have been read."""
    running = start(digits, "--out", tmp_path / "run", "--epochs", 1, "--set", "train.crop=[64]")
    _, said = running.communicate(timeout=300)
    assert running.returncode == 2, said
    assert [line for line in said.splitlines() if line.startswith("atrous: ")] == [
        "atrous: --set: train.crop has 1 values for model.ndim = 2: give one per axis"
    ]
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the children of a process are read from /proc")
def test_the_end_of_one_process_ends_the_other(digits, tmp_path):
    running = start(*small(digits, tmp_path / "run", 100_000))
    logged(tmp_path / "run")
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 2, said
    assert "another process of this training has ended; the run is kept" in said
    assert "process 1 was ended by signal 9" in said
