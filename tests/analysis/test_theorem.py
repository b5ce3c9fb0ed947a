"""Layers are products in frequency; padding with zeros changes the outputs that read zeros, and no others."""

import pytest
import torch
import torchvision
from torch import nn

from atrous._nd import CONV
from atrous.analysis import convolution_theorem
from atrous.errors import UserError


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_layers_of_every_kind(ndim):
    torch.manual_seed(0)
    network = nn.Sequential(
        CONV[ndim](2, 4, 3, padding=1),
        CONV[ndim](4, 20, 4, padding="same", dilation=2),
        CONV[ndim](20, 4, 2, stride=2, groups=2),
        CONV[ndim](4, 2, 3, stride=2, padding=2, padding_mode="circular"),
    )
    checks = convolution_theorem(network, (2, *[16] * ndim))
    assert [check.reach for check in checks.values()] == [((a, b),) * ndim for a, b in ((1, 1), (3, 3), (0, 0), (0, 0))]
    for name, check in checks.items():
        assert check.name == name
        assert check.circular < 1e-10
        assert check.inside < 1e-10
        assert (check.border > 0.1) == (check.reach[0] != (0, 0))


def test_a_real_network():
    checks = convolution_theorem(torchvision.models.squeezenet1_1(weights=None).features[:5], (3, 64, 64))
    assert len(checks) > 5
    assert max(check.circular for check in checks.values()) < 1e-10


def test_a_wrong_kernel_is_noticed(monkeypatch):
    """With taps in reverse order the two differ: torch's convolution is a correlation."""
    from atrous.analysis import theorem

    right = theorem.fourier_convolution
    monkeypatch.setattr(theorem, "fourier_convolution", lambda x, w, *rest: right(x, w.flip(2), *rest))
    torch.manual_seed(0)
    assert convolution_theorem(nn.Conv1d(1, 1, 3, padding=1), (1, 16))["Conv1d"].circular > 0.01


def test_no_convolution():
    with pytest.raises(UserError, match="no convolution"):
        convolution_theorem(nn.ReLU(), (1, 16))
