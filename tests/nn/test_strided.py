"""Strided 1x1 convolutions of few channels: values and gradients of torch's own, and no corrupted memory."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from atrous.nn.strided import CHANNELS, safe_strided

OFTEN = """
import torch
from atrous.nn.strided import safe_strided
network = torch.nn.Conv2d({inputs}, 16, 1, stride=2).to(memory_format=torch.channels_last)
with safe_strided(network):
    for _ in range(10):
        x = torch.randn(4, {inputs}, 96, 96).to(memory_format=torch.channels_last).requires_grad_()
        network(x).sum().backward()
print("ended")
"""


@pytest.mark.parametrize("stride", [2, 3, (1, 2), (3, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_torchs_own(stride, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 1, stride=stride, bias=bias, dtype=torch.float64)
    results = []
    for safe in (False, True):
        x = torch.randn(2, 5, 13, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        conv.zero_grad()
        if safe:
            with safe_strided(conv) as changed:
                assert changed == 1
                output = conv(x)
        else:
            output = conv(x)
        output.square().sum().backward()
        results.append((output.detach(), x.grad, *(weight.grad.clone() for weight in conv.parameters())))
    for ours, truth in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(ours, truth)
    assert "forward" not in vars(conv)


def test_all_other_convolutions_stay():
    others = [
        nn.Conv2d(CHANNELS, 8, 1, stride=2),
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Conv2d(8, 8, 1, stride=2, padding=1),
        nn.Conv2d(8, 8, 1, stride=2, groups=2),
        nn.Conv1d(8, 8, 1, stride=2),
    ]
    with safe_strided(nn.Sequential(*others)) as changed:
        assert changed == 0


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [4, 8, 15])
def test_a_process_outlives_many_backward_passes(inputs):
    done = subprocess.run(
        [sys.executable, "-c", OFTEN.format(inputs=inputs)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ended"), done.stderr[-500:]
