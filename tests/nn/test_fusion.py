"""Fusion of two paths."""

import pytest
import torch
from torch import nn

from atrous.nn.fusion import fusion


@pytest.mark.parametrize(("kind", "channels"), [("sum", 4), ("concat", 8), ("gated", 4)])
def test_channels(kind, channels):
    assert fusion(kind, 2, 4)(torch.ones(1, 4, 3, 2), torch.ones(1, 4, 3, 2)).shape == (1, channels, 3, 2)


def test_a_gate_lies_between_its_inputs():
    torch.manual_seed(0)
    module = fusion("gated", 1, 4)
    nn.init.normal_(module.gate.weight)
    a, b = torch.randn(2, 4, 9), torch.randn(2, 4, 9)
    found = module(a, b)
    assert bool(((found >= torch.minimum(a, b) - 1e-6) & (found <= torch.maximum(a, b) + 1e-6)).all())
