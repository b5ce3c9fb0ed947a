"""What a file says of its windows is what geometry proves, at sizes that are padded too."""

import pytest
import torch
from torch import nn

from atrous.encoders.resnet import ResNet
from atrous.exporting.window_facts import window_facts
from atrous.models.deeplab import deeplab
from atrous.stream import prepare
from tests.exporting.conftest import small_network


def test_stride_period_and_halo_of_a_network_that_pads_itself():
    network = small_network()
    facts = window_facts(network, 1, 2, (1, 1))
    fields = prepare(network, (1, 512, 512)).fields
    for axis, found in enumerate(facts["axes"]):
        assert (found["period"], found["stride"]) == (4, 1.0)
        assert found["halo"][0] >= fields[axis].halo[0]
        assert found["halo"][1] >= fields[axis].halo[1]
        assert max(found["halo"]) < 120
    assert facts["bytes_per_position"] > 0


def test_a_barrier_is_named():
    torch.manual_seed(0)
    network = deeplab(ResNet(2, in_channels=1, depth=10, width=4, strides=(2, 2)), 2, width=8).eval()
    facts = window_facts(network, 1, 2, (1, 1))
    assert "needs the whole extent" in facts["refused"]


def test_a_network_that_reads_its_size_is_refused():
    class Scaled(nn.Module):
        def forward(self, x):
            return x / x.shape[2]

    assert "computes something else at another size" in window_facts(Scaled(), 1, 1, (1,))["refused"]


@pytest.mark.parametrize("stride", [2, 3])
def test_a_coarse_output(stride):
    facts = window_facts(nn.Conv1d(1, 1, 5, stride=stride, padding=2), 1, 1, (stride,))
    assert (facts["axes"][0]["period"], facts["axes"][0]["stride"]) == (stride, float(stride))
