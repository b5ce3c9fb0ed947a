"""Stages: frozen layers do not change, batch statistics included, and runs resume across stages."""

import pytest
import torch
from torch.nn import functional as F

from atrous.encoders import ResNet
from atrous.models import fcn, fcn8s
from atrous.tasks.semantic import Semantic
from atrous.training import loop
from atrous.training.checkpoint import read_tensors
from atrous.training.stages import Stage, enter, place
from atrous.training.step import Learner
from atrous.training.trace import supervised_loss
from atrous.verbs.train import train
from tests.conftest import SMALL

STAGES = (Stage("head", 0.25, encoder=0.0), Stage("upper", 0.25, 0.5, encoder=0.5), Stage("all", 0.5, 0.1))


def step(network) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    F.cross_entropy(network(torch.randn(2, 1, 32, 32)), torch.randint(0, 3, (2, 32, 32))).backward()
    optimizer.step()


def changed(network, before) -> set[str]:
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def snapshot(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_the_head_learns_over_a_still_encoder():
    torch.manual_seed(0)
    network = fcn(ResNet(2, 1, depth=10, width=8), 3, width=16)
    before = snapshot(network)
    learning = enter(network, STAGES[0])
    step(network)
    names = changed(network, before)
    assert names
    assert not [name for name in names if name.startswith("encoder")]
    assert learning.parameters == sum(p.numel() for n, p in network.named_parameters() if not n.startswith("encoder"))
    assert learning.all_parameters == sum(p.numel() for p in network.parameters())


def test_upper_layers_then_all():
    torch.manual_seed(0)
    network = fcn(ResNet(2, 1, depth=10, width=8), 3, width=16)
    before = snapshot(network)
    enter(network, STAGES[1])
    step(network)
    names = changed(network, before)
    assert any(name.startswith("encoder.stages.3") for name in names)
    assert not [name for name in names if name.startswith(("encoder.stem", "encoder.stages.0"))]
    assert enter(network, STAGES[2]).parameters == sum(p.numel() for p in network.parameters())
    step(network)
    assert "encoder.stem.1.running_mean" in changed(network, before)


def test_skips_are_switched_on_one_by_one():
    torch.manual_seed(0)
    network = fcn8s(ResNet(2, 1, depth=10, width=8), 3)
    for skips in (0, 1, 2):
        enter(network, Stage("", 1.0, skips=skips))
        step(network)
        on = [bool(skip.weight.abs().sum() > 0) for skip in network.decoder.skips]
        assert on == [True] * skips + [False] * (2 - skips)
    with torch.no_grad():
        assert not torch.equal(network.decoder.up[0].weight, fcn8s(network.encoder, 3).decoder.up[0].weight)


def test_places():
    assert [place(STAGES, p)[0] for p in (0.0, 0.2, 0.25, 0.49, 0.5, 0.99, 1.0)] == [0, 0, 1, 1, 2, 2, 2]
    assert place(STAGES, 0.75) == (2, 0.5)


def test_coarser_outputs_weigh_less():
    task = Semantic(("a", "b"))
    target = torch.randint(0, 2, (1, 8, 8))
    first, second = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 8, 8)
    want = (task.loss(first, target) + 0.5 * task.loss(second, target)) / 1.5
    torch.testing.assert_close(supervised_loss(task, [first, second], target), want)
    torch.testing.assert_close(supervised_loss(task, first, target), task.loss(first, target))


def test_a_staged_run_resumes_bit_for_bit(digits, tmp_path, monkeypatch):
    """The run is stopped in the second stage; the third one begins after it has resumed."""
    messages: list[str] = []
    arguments = {"epochs": 6, "settings": [*SMALL, "train.validations=2"], "stages": True, "report": False}
    train(digits, out=tmp_path / "whole", say=messages.append, **arguments)
    heads = [line for line in messages if line.startswith("stage ")]
    assert [line.split(":")[0] for line in heads] == [
        "stage 1 of 3, head", "stage 2 of 3, upper layers", "stage 3 of 3, all layers",
    ]  # fmt: skip
    assert "parameters in" in heads[0]
    run = Learner.step

    def stopping(learner, batch, number, *rates):
        if number == 5:
            raise KeyboardInterrupt
        return run(learner, batch, number, *rates)

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(Learner, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(digits, out=tmp_path / "broken", **arguments)
    monkeypatch.setattr(Learner, "step", run)
    again: list[str] = []
    train(resume=tmp_path / "broken", say=again.append, report=False)
    assert [line.split(":")[0] for line in again if line.startswith("stage ")] == [
        "stage 2 of 3, upper layers", "stage 3 of 3, all layers",
    ]  # fmt: skip
    want, _ = read_tensors(tmp_path / "whole" / "checkpoint" / "state.safetensors")
    got, facts = read_tensors(tmp_path / "broken" / "checkpoint" / "state.safetensors")
    assert facts["stage"] == 2
    assert [name for name in want if not torch.equal(want[name], got[name])] == []
