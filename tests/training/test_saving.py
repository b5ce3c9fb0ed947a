"""Files that are written beside the training: what they hold is what the tensors were, and errors are told."""

import pytest
import torch

from atrous.errors import UserError
from atrous.training import saving
from atrous.training.checkpoint import read_tensors
from atrous.training.saving import Saver


def test_a_file_holds_what_was_there_when_it_was_asked_for(tmp_path):
    weight = torch.zeros(3)
    with Saver() as saver:
        for step in range(3):
            saver.save(tmp_path / f"{step}.safetensors", {"weight": weight}, {"step": step})
            weight += 1
    for step in range(3):
        tensors, facts = read_tensors(tmp_path / f"{step}.safetensors")
        assert tensors["weight"].tolist() == [step] * 3
        assert facts == {"step": step}


def test_what_could_not_be_written_is_told_at_the_next_occasion(tmp_path, monkeypatch):
    def full(path, tensors, facts):
        raise UserError(f"{path}: the disk is full")

    monkeypatch.setattr(saving, "write_tensors", full)
    with Saver() as saver:
        saver.save(tmp_path / "a", {}, {})
        with pytest.raises(UserError, match="a: the disk is full"):
            saver.save(tmp_path / "b", {}, {})
        saver.wait()
