"""Validation in windows, and of samples with one label, which have no windows."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from atrous.data.feed.decode import Decoded
from atrous.data.targets.labels import Labels
from atrous.data.targets.whole import WholeClasses, WholeLabel
from atrous.encoders.strided import Strided
from atrous.models.evidence import EvidenceNetwork
from atrous.tasks.classification import ClassificationTask
from atrous.tasks.semantic import Semantic
from atrous.training import validation
from atrous.training.validation import validate


def test_a_large_sample_with_one_label_goes_through_in_strips(monkeypatch):
    rng, task = np.random.default_rng(0), ClassificationTask(("a",), exclusive=False, stride=(4, 4), positions=9.0)
    values = tuple(WholeLabel((50, 41), np.array([number], np.float32)) for number in (0, 1, 1))
    images = tuple(rng.normal(size=(1, 50, 41)).astype(np.float32) for _ in values)
    held_out = Decoded(("x", "y", "z"), images, values, ({},) * 3, WholeClasses)
    torch.manual_seed(0)
    network = EvidenceNetwork(Strided(2, 1, width=4, strides=(2, 2)), 1).eval()
    for parameter in network.head.parameters():
        torch.nn.init.normal_(parameter)
    with torch.inference_mode():
        whole = validate(network, task, held_out, (50, 41))
        monkeypatch.setattr(validation, "WHOLE", 100)
        assert validate(network, task, held_out, (50, 41)) == pytest.approx(whole, rel=1e-5)


class _NotExportable(nn.Module):
    """What it does depends on the values, which no strips can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, -x], 1) if float(x.sum()) < 1e9 else torch.cat([-x, x], 1)


def test_a_large_window_goes_through_any_network_in_one_piece(monkeypatch):
    monkeypatch.setattr(validation, "WHOLE", 100)
    image = np.random.default_rng(0).normal(size=(1, 20, 20)).astype(np.float32)
    held_out = Decoded(("clip",), (image,), ((image[0] < 0).astype(np.uint8),), ({},), Labels)
    with torch.inference_mode():
        assert validate(_NotExportable().eval(), Semantic(("up", "down")), held_out, (20, 20))["miou"] == 1


def test_windows_of_a_training_on_whole_samples_go_through_in_strips(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)).eval()
    image = np.random.default_rng(0).normal(size=(1, 60, 40)).astype(np.float32)
    held_out = Decoded(("scan",), (image,), ((image[0] < 0).astype(np.uint8),), ({},), Labels)
    task, streamed = Semantic(("up", "down")), Mock(wraps=validation.stream)
    monkeypatch.setattr(validation, "stream", streamed)
    with torch.inference_mode():
        whole = validate(network, task, held_out, (60, 40), bounded=True)
        assert not streamed.called
        monkeypatch.setattr(validation, "BOUNDED", 100)
        assert validate(network, task, held_out, (60, 40), bounded=True) == pytest.approx(whole, rel=1e-5)
    assert streamed.call_count == 1
    monkeypatch.setattr(validation, "MEMORY", "1KiB")  # a limit within which nothing fits is given up
    with torch.inference_mode():
        assert validate(network, task, held_out, (60, 40), bounded=True) == pytest.approx(whole, rel=1e-5)
