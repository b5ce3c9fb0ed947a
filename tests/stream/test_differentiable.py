"""A network prepared for gradients knows where its constants come from, and is left as it was."""

import pytest
import torch
from torch import nn

from atrous.stream import Refused, prepare_gradient
from tests.toy_models import settled, unet, weight_norms


def test_every_constant_is_the_networks_own():
    network = settled(unet(2))
    ready = prepare_gradient(network, (2, 32, 32))
    constants = {op.index: op.module for op in ready.graph.ops if op.kind == "constant"}
    assert set(constants) == set(ready.parameters) | set(ready.buffers)
    assert {id(p) for p in ready.parameters.values()} == {id(p) for p in network.parameters()}
    assert set(ready.buffers.values()) == {"norm.running_mean", "norm.running_var"}
    network.first.weight.data = network.first.weight.data + 1  # as an optimizer that replaces the storage
    index = next(i for i, p in ready.parameters.items() if p is network.first.weight)
    torch.testing.assert_close(ready.constants()[index], network.first.weight)


def test_parametrized_weights_lead_to_their_originals():
    network = weight_norms().eval()
    ready = prepare_gradient(network, (2, 32, 32))
    assert {id(p) for p in ready.parameters.values()} == {id(p) for p in network.parameters()}


def test_batch_norms_in_training_mode_become_barriers_and_keep_their_statistics():
    network = settled(unet(2)).train()
    network.third.weight.requires_grad_(False)
    before = network.norm.running_mean.clone()
    ready = prepare_gradient(network, (2, 32, 32))
    assert list(ready.norms.values()) == [network.norm]
    assert ready.axis.passes == 2
    assert network.training
    assert network.norm.training
    torch.testing.assert_close(network.norm.running_mean, before)
    network.eval()
    assert prepare_gradient(network, (2, 32, 32)).axis.passes == 1


def test_a_classifier_is_dense_no_more():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert not prepare_gradient(network, (1, 20, 20)).dense
    with pytest.raises(Refused, match="mixes positions"):
        prepare_gradient(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(36, 2)), (1, 20))
