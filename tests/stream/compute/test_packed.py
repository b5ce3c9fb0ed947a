"""Packed weights give what the weights themselves give."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from atrous.stream import prepare, stream
from atrous.stream.compute import compute, packed
from atrous.stream.compute.packed import PackedWeight, can_pack
from atrous.stream.compute.sliding import packed_weight
from tests.toy_models import difference

LAYERS = {
    "line": (nn.Conv1d(8, 5, 7, 2, 3), (40,)),
    "image": (nn.Conv2d(8, 6, 3, padding=2, dilation=2), (12, 10)),
    "groups": (nn.Conv2d(8, 8, 3, groups=8), (12, 10)),
    "one tap": (nn.Conv2d(8, 3, 1), (5, 6)),
    "volume": (nn.Conv3d(8, 4, 3, padding=1), (5, 6, 7)),
    "transposed line": (nn.ConvTranspose1d(8, 5, 4, 2, 1), (20,)),
    "transposed image": (nn.ConvTranspose2d(8, 5, 3, 2, 1, 1), (7, 6)),
    "transposed volume": (nn.ConvTranspose3d(8, 3, 2, 2), (3, 4, 5)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LAYERS)
def test_packed_weights_compute_the_same(name, dtype):
    if not can_pack(dtype):
        pytest.skip("this processor packs no weights of this type")
    layer, size = LAYERS[name]
    graph = prepare(layer, (8, *size)).graph
    op = graph.ops[graph.output]
    values = {i: graph.ops[i].tensor.to(dtype) for i in op.inputs if graph.ops[i].tensor is not None}
    values[0] = torch.randn(1, 8, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight = op.arguments["weight"].index
    wanted = deepcopy(layer).double()(values[0].double()).detach()
    with torch.inference_mode():
        found = packed_weight(op, values[weight], values[0])
        assert isinstance(found, PackedWeight)
        assert torch.equal(found, values[weight])
        assert difference(compute(op, values | {weight: found}, ()), wanted) <= (
            1e-5 if dtype == torch.float32 else 3e-2
        )


def test_streams_go_on_where_nothing_can_be_packed(monkeypatch):
    monkeypatch.setattr(packed, "can_pack", lambda dtype: False)
    monkeypatch.setattr("atrous.stream.compute.sliding.can_pack", lambda dtype: False)
    network, x = nn.Conv2d(8, 3, 3, padding=1).eval(), torch.randn(8, 30, 12)
    wanted = network(x[None])[0].detach()
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=7)), wanted) <= 1e-5


def test_numbers_that_onednn_does_not_compute_in_are_not_packed():
    assert not can_pack(torch.float64)
