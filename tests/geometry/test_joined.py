"""Split parts of joined values follow from one of them; coordinate attention streams because of that."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.geometry.graph import export_graph
from atrous.geometry.joined import part_by_part
from atrous.geometry.lower import lower
from atrous.stream import Refused, stream
from tests.geometry.truth import run_graph
from tests.toy_models import Lambda, settled


class CoordinateAttention(nn.Module):
    """Hou, Zhou and Feng 2021, "Coordinate attention for efficient mobile network design"."""

    def __init__(self, channels: int, activation=F.hardswish, pools=True):
        super().__init__()
        self.rows, self.columns = nn.AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((1, None))
        self.joined, self.norm = nn.Conv2d(channels, 6, 1), nn.BatchNorm2d(6)
        self.high, self.wide = nn.Conv2d(6, channels, 1), nn.Conv2d(6, channels, 1)
        self.activation, self.pools = activation, pools

    def forward(self, x):
        h, w = x.shape[2:]
        rows = self.rows(x) if self.pools else x.mean(3, keepdim=True)
        columns = (self.columns(x) if self.pools else x.mean(2, keepdim=True)).permute(0, 1, 3, 2)
        y = self.activation(self.norm(self.joined(torch.cat([rows, columns], 2))))
        rows, columns = torch.split(y, [h, w], dim=2) if self.pools else (y[:, :, :h], y[:, :, h:])
        return x * self.high(rows).sigmoid() * self.wide(columns.permute(0, 1, 3, 2)).sigmoid()


@pytest.mark.parametrize(
    "attention",
    [
        CoordinateAttention(4),
        CoordinateAttention(4, lambda y: y * F.relu6(y + 3) / 6),
        CoordinateAttention(4, F.relu, pools=False),
    ],
    ids=["hard swish", "written out", "slices"],
)
@pytest.mark.parametrize("size", [(31, 22), (24, 24)])
def test_coordinate_attention_is_exact(attention, size):
    net = settled(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), attention, nn.Conv2d(4, 2, 3, padding=1))).double()
    x = np.random.default_rng(0).normal(size=(3, *size))
    wanted = net(torch.from_numpy(x)[None])[0].detach().numpy()
    for cut in ({"strip": 7, "axis": 0}, {"strip": 5, "axis": 1}, {"strip": 9, "blocks": 2}):
        np.testing.assert_allclose(stream(net, x, **cut), wanted, rtol=1e-9, atol=1e-10)


def test_a_layer_that_mixes_the_joined_positions_is_left_and_refused():
    def forward(m, x):
        y = m.mix(torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).mT], 2))
        return x * y[:, :, : x.shape[2]] * y[:, :, x.shape[2] :].mT

    net = Lambda(forward, mix=nn.Conv2d(2, 2, (3, 1), padding=(1, 0)))
    with pytest.raises(Refused):
        stream(net, np.ones((2, 9, 8), "f4"))


@pytest.mark.parametrize(
    ("function", "cats"),
    [
        (lambda x: torch.cat([x, 2 * x], 1).relu().split(3, 1)[1], 0),  # both parts of the same size
        (lambda x: torch.cat([x, 2 * x], 1).relu()[:, 2:4], 1),  # over the border of two
        (lambda x: (torch.cat([x, 2 * x], 1) * torch.arange(6.0)[:, None])[:, 3:], 1),  # one number per position
        (lambda x: F.conv1d(torch.cat([x, 2 * x], 2), torch.ones(1, 3, 1))[:, :, 8:], 0),
        (lambda x: F.conv1d(torch.cat([x, 2 * x], 2), torch.ones(1, 3, 1), padding=1)[:, :, 8:], 1),
        (lambda x: torch.cat([x, 2 * x], 2)[:, :, ::2].relu()[:, :, 4:], 1),
    ],
)
def test_the_function_stays_the_same(function, cats):
    graph = lower(export_graph(Lambda(lambda m, x: function(x)), (3, 8)))
    assert sum(op.kind == "cat" for op in graph.ops) == cats
    x = torch.randn(1, 3, 8)
    torch.testing.assert_close(run_graph(graph, x)[graph.output], function(x))
    plain = export_graph(Lambda(lambda m, x: function(x)), (3, 8))
    written = part_by_part(plain)
    torch.testing.assert_close(run_graph(written, x)[written.output], function(x))


@pytest.mark.parametrize("padding", ["valid", 0])
def test_point_convolutions_of_joined_positions_may_name_their_padding(padding):
    def forward(m, x):
        y = m.mix(torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).mT], 2))
        return x * y[:, :, : x.shape[2]] * y[:, :, x.shape[2] :].mT

    net = settled(Lambda(forward, mix=nn.Conv2d(2, 2, 1, padding=padding))).double()
    x = np.random.default_rng(0).normal(size=(2, 21, 16))
    wanted = net(torch.from_numpy(x)[None])[0].detach().numpy()
    np.testing.assert_allclose(stream(net, x, strip=6), wanted, rtol=1e-9, atol=1e-10)
