"""Checkpoints hold the complete state and are never half-written."""

import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.training.average import averaged
from atrous.training.checkpoint import pack, read_tensors, unpack, write_tensors


def parts(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    return network, averaged(network), torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)


def step(network, average, optimizer, seed):
    torch.manual_seed(seed)
    network(torch.randn(2, 2, 9, 7)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    average.update_parameters(network)


def test_the_next_step_is_the_same_bit_for_bit(tmp_path):
    first = parts(0)
    for seed in range(3):
        step(*first, seed)
    write_tensors(tmp_path / "deep" / "state.safetensors", pack(*first), {"step": 3})
    second = parts(1)
    tensors, facts = read_tensors(tmp_path / "deep" / "state.safetensors")
    unpack(tensors, *second)
    assert facts == {"step": 3}
    step(*first, 7)
    step(*second, 7)
    want, got = pack(*first), pack(*second)
    assert want.keys() == got.keys()
    assert all(torch.equal(want[key], got[key]) for key in want)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["state.safetensors"]


def test_damage_and_absence_are_said(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_tensors(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(UserError, match="cannot be read as a safetensors file"):
        read_tensors(tmp_path / "bad.safetensors")


def test_another_networks_checkpoint_is_refused():
    network, average, optimizer = parts(0)
    tensors = pack(network, average, optimizer)
    tensors["network/0.weight"] = torch.zeros(1, 1, 1)
    with pytest.raises(UserError, match="does not fit"):
        unpack(tensors, network, average, optimizer)
