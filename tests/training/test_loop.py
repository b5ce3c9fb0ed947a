"""The loop: resumed runs end with the same weights, bit for bit, however they were stopped."""

import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from atrous.data.feed.batches import Batch
from atrous.encoders import ResNet, efficientnet_lite0
from atrous.errors import UserError
from atrous.models import fcn
from atrous.tasks.semantic import Semantic
from atrous.training.budget import Budget
from atrous.training.checkpoint import read_tensors
from atrous.training.log import read_log
from atrous.training.loop import fit
from atrous.training.settings import Settings, Supply
from atrous.training.step import parameter_groups
from atrous.verbs.progress import _Bars
from tests.conftest import SMALL

NAN = float("nan")

SCRIPT = """
import sys
import atrous.training.loop as loop
from atrous.verbs.train import train
from tests.conftest import SMALL
loop.CHECKPOINT_SECONDS = 0.0
resume, data, out = sys.argv[1] == "resume", sys.argv[2], sys.argv[3]
if resume:
    train(resume=out)
else:
    train(data, out=out, epochs=12, settings=[*SMALL, "train.validations=3"])
"""


def start(mode, data, out):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, mode, str(data), str(out)],
        env={**os.environ, "PYTHONPATH": os.getcwd()}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def checkpointed(folder, step):
    """Wait until the run has saved `step` or a later one."""
    path, deadline = folder / "checkpoint" / "state.safetensors", time.monotonic() + 90
    while time.monotonic() < deadline:
        if path.exists() and read_tensors(path)[1]["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError("no checkpoint came")


@pytest.mark.slow
def test_kill_9_and_ctrl_c_lose_nothing(tmp_path, digits):
    """Killed twice, interrupted once, resumed each time: the same weights as the run that nobody touched."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    first = start("new", digits, whole)
    first.communicate()
    assert first.returncode == 0
    running = start("new", digits, broken)
    for step, number in ((3, signal.SIGKILL), (9, signal.SIGINT), (15, signal.SIGKILL)):
        checkpointed(broken, step)
        running.send_signal(number)
        running.communicate()
        running = start("resume", digits, broken)
    _, said = running.communicate()
    assert running.returncode == 0, said.decode()
    for name in ("model.safetensors", "checkpoint/state.safetensors"):
        want, facts = read_tensors(whole / name)
        got, facts_broken = read_tensors(broken / name)
        assert facts["step"] == facts_broken["step"]
        assert want.keys() == got.keys()
        assert [key for key in want if not torch.equal(want[key], got[key])] == []
    steps = [row["step"] for row in read_log(broken / "metrics.csv") if row["split"] == "val"]
    assert steps == [row["step"] for row in read_log(whole / "metrics.csv") if row["split"] == "val"]


@pytest.mark.slow
def test_a_minute_budget_is_kept(tmp_path, digits, monkeypatch):
    """0.2 minutes, everything included; the loop's own share must end where it was told to."""
    from atrous.verbs.train import train

    monkeypatch.setattr("atrous.training.loop.LOG_SECONDS", 0.0)
    begin = time.monotonic()
    done = train(digits, out=tmp_path / "run", minutes=0.2, settings=SMALL)
    assert done.scores is not None
    assert time.monotonic() - begin < 0.2 * 60 + 3
    rates = [row["learning_rate"] for row in read_log(tmp_path / "run" / "metrics.csv") if row["split"] == "train"]
    assert rates[-1] < 0.1 * max(rates)


def fit_told(figures, folder, resume=False, **settings):
    """Four steps with four validations, whose figures are given."""
    network = fcn(ResNet(2, 1, depth=10, width=8), 2, width=16)
    batch, told = Batch(torch.zeros(2, 1, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long)), iter(figures)
    return fit(
        network,
        Semantic(("a", "b")),
        Supply(
            lambda step: itertools.repeat(batch),
            lambda _: {"miou": next(told), "pixel_accuracy": 0.0, "loss": 0.0},
            per_epoch=1,
        ),
        budget=Budget(steps=4),
        settings=Settings(validations=4, precision="32-true", **settings),
        folder=folder,
        resume=resume,
    )


@pytest.mark.parametrize(("figures", "kept", "best"), [([NAN] * 3, 4, None), ([NAN, 0.5, NAN], 3, 0.5)])
def test_a_run_whose_validations_have_no_figure_still_leaves_weights(figures, kept, best, tmp_path):
    done = fit_told(figures, tmp_path, patience=3)
    assert (done.best, done.best_step) == (best, kept)
    assert read_tensors(tmp_path / "model.safetensors")[1]["step"] == kept


@pytest.mark.parametrize(("choose", "kept", "steps"), [(True, 2, 3), (False, 4, 4)])
def test_validations_that_choose_nothing_keep_the_last_weights_and_end_nothing(choose, kept, steps, tmp_path):
    done = fit_told([0.5, 0.4, 0.3], tmp_path, choose=choose, patience=1)
    assert (done.best, done.best_step, done.step) == (0.5, kept, steps)
    assert read_tensors(tmp_path / "model.safetensors")[1]["step"] == kept


def test_a_run_that_patience_ended_takes_no_step_when_it_is_resumed(tmp_path):
    """It may have been killed after its last step, before its metrics were measured."""
    ended = fit_told([0.5, 0.4], tmp_path, patience=1)
    assert ended.step == 3  # of 4
    resumed = fit_told([], tmp_path, resume=True, patience=1)
    assert (resumed.step, resumed.best, resumed.best_step) == (3, 0.5, 2)


def test_one_value_of_each_channel_is_told_as_a_mistake_of_the_sizes(tmp_path):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1), nn.Upsample(8))
    batch = Batch(torch.zeros(1, 1, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long))
    supply = Supply(lambda step: itertools.repeat(batch), lambda _: {}, per_epoch=1)
    settings = Settings(validations=1, precision="32-true")
    with pytest.raises(UserError, match="with 1 crop of 8 x 8 on a device"):
        fit(network, Semantic(("a", "b")), supply, budget=Budget(steps=1), settings=settings, folder=tmp_path)


def test_a_signal_after_the_last_step_counts(tmp_path):
    """The thread that makes batches ends after the last step; Ctrl-C may come meanwhile."""
    batch = Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long))

    def batches(step):
        try:
            yield from itertools.repeat(batch)
        finally:
            signal.raise_signal(signal.SIGINT)

    supply = Supply(batches, lambda _: {"loss": 1.0, "miou": 0.5}, per_epoch=1)
    done = fit(
        nn.Conv2d(1, 2, 1), Semantic(("a", "b")), supply, budget=Budget(steps=1),
        settings=Settings(precision="32-true"), folder=tmp_path,
    )  # fmt: skip
    assert done.step == 1
    assert done.interrupted


def test_pretrained_weights_get_the_lower_rate_and_vectors_no_decay():
    encoder = efficientnet_lite0(pretrained=False)
    encoder.pretrained = True
    groups = parameter_groups(fcn(encoder, 2), Settings(encoder_rate=0.1, weight_decay=0.5))
    assert {(g["factor"], g["weight_decay"]) for g in groups} == {(1.0, 0.0), (1.0, 0.5), (0.1, 0.0), (0.1, 0.5)}
    assert all(p.ndim > 1 for g in groups if g["weight_decay"] for p in g["params"])
    lower = {id(p) for g in groups if g["factor"] == 0.1 for p in g["params"]}
    assert lower == {id(p) for p in encoder.parameters()}


def test_bfloat16_training_agrees_with_float32():
    """The loss along a short training, on a processor with bfloat16 and without."""
    from lightning_fabric import Fabric

    def losses(precision):
        torch.manual_seed(0)
        network = fcn(ResNet(2, 1, depth=10, width=8), 2, width=16)
        fabric = Fabric(accelerator="cpu", precision=precision)
        model, optimizer = fabric.setup(network, torch.optim.AdamW(network.parameters(), lr=3e-3))
        x = torch.randn(4, 1, 32, 32)
        target, found = (x[:, 0] > 0).long(), []
        for _ in range(12):
            loss = nn.functional.cross_entropy(model(x).float(), target)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            found.append(float(loss.detach()))
        return torch.tensor(found)

    exact, rounded = losses("32-true"), losses("bf16-mixed")
    assert exact[-1] < 0.7 * exact[0]
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_image_that_broke_a_step_is_named(precision, tmp_path):
    """Fabric allows no gradients but its own; the search for the image must not need them."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
    nn.init.constant_(network[0].weight, 10.0)  # pyright: ignore[reportArgumentType]
    images = torch.ones(4, 1, 8, 8)
    images[2] = 3e38
    batch = Batch(images, torch.ones(4, 8, 8, dtype=torch.long), ("0", "1", "2", "3"))
    supply = Supply(lambda step: itertools.repeat(batch), lambda _: {"loss": 1.0, "miou": 0.5}, per_epoch=1)
    with pytest.raises(UserError, match=r"^2: the loss at step 0 is not a number because of this image"):
        fit(
            network, Semantic(("a", "b")), supply, budget=Budget(steps=2), settings=Settings(precision=precision),
            folder=tmp_path,
        )  # fmt: skip


def test_the_bar_of_the_check_says_how_long_it_still_takes(monkeypatch):
    monkeypatch.setattr("atrous.verbs.progress.time", SimpleNamespace(monotonic=partial(next, iter([5.0, 15.0, 25.0]))))
    shown = []
    bar = SimpleNamespace(
        add_task=lambda name, **texts: 0, remove_task=shown.append,
        update=lambda task, completed, total, left: shown.append((completed, total, left)),
    )  # fmt: skip
    bars = _Bars(bar)
    for done in (1, 2, 11):
        bars.check(done, 11)
    assert shown == [(1, 11, ""), (2, 11, "1:30 left"), (11, 11, "0:00 left"), 0]
