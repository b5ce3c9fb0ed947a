"""Devices that this machine does not have are refused by name."""

from types import SimpleNamespace

import pytest
import torch

from atrous.device import check_device, device_memory
from atrous.errors import UserError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foo", "no device has this name"),
        ("cuda", "torch finds no cuda on this machine: it has cpu"),
        ("meta", "finds no meta"),
    ],
)
def test_devices_that_are_not_there(name, message, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    with pytest.raises(UserError, match=f"--device {name}: .*{message}"):
        check_device(name)


def test_devices_that_are_there_are_counted(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    check_device("cuda")
    check_device("cuda:1")
    with pytest.raises(UserError, match="it has cpu and cuda"):
        check_device("mps")
    with pytest.raises(UserError, match=r"train\.accelerator = cuda:2: this machine has 2"):
        check_device("cuda:2", "train.accelerator =")


def test_a_gpu_has_its_own_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=8 + index))
    assert (device_memory("cuda"), device_memory("cuda:1")) == (8, 9)
