"""Validation of samples with one label, which have no windows."""

import numpy as np
import pytest
import torch

from atrous.data.feed.decode import Decoded
from atrous.data.targets.whole import WholeClasses, WholeLabel
from atrous.encoders.strided import Strided
from atrous.models.evidence import EvidenceNetwork
from atrous.tasks.classification import ClassificationTask
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
