"""What a worker gathers and computes of its units is the part of the whole, without any cluster."""

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from atrous.errors import UserError
from atrous.stream import Options, prepare, stream
from atrous.stream.cluster import gathered
from atrous.stream.dispatch import Here
from atrous.stream.units import cut_units
from atrous.stream.worker import StreamWork, layout, require_alike
from tests.toy_models import Lambda, difference


class Gate(nn.Module):
    """Squeeze-excitation between two convolutions, a group norm, and a maximum over one axis."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.GroupNorm(2, 4)
        self.inner, self.last = nn.Linear(4, 4), nn.ConvTranspose2d(4, 3, 2, stride=2)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        x = x * self.inner(x.mean((2, 3))).sigmoid()[:, :, None, None]
        return self.last(x - x.amax((2, 3), keepdim=True) + x.var((2, 3), keepdim=True))


@pytest.fixture(scope="module")
def scene():
    torch.manual_seed(0)
    network, image = Gate().eval(), np.random.default_rng(0).random((2, 84, 60), np.float32)
    return network, image, network(torch.from_numpy(image)[None]).detach()[0]


def test_units_of_a_network_with_barriers_give_the_whole(scene, tmp_path):
    network, image, expected = scene
    ready = prepare(network, image.shape)
    sink = zarr.create_array(tmp_path / "a.zarr", shape=(3, 84, 60), chunks=(1, 8, 8), shards=(3, 32, 16), dtype="f4")
    units = cut_units(ready, chunks=(32, 16), side=30)
    assert units.counts == (3, 2)
    work = StreamWork(network, image.shape, Options(axis=0), units, image, sink, layout(ready.graph))
    here, given = Here(work, units), {}
    known = gathered(here, ready, torch.float32, None)
    stream(ready, image, barriers=given)
    assert known.keys() == given.keys()
    for barrier, value in given.items():
        assert difference(known[barrier], value) < 1e-6
    assert [outcome.found for outcome in here.outcomes(None, range(6), known)] == [None] * 6
    assert difference(torch.from_numpy(np.asarray(sink[...])), expected) < 5e-6


def test_another_graph_is_refused(scene):
    network, image, _ = scene
    other = prepare(Lambda(lambda m, x: x + 1), image.shape)
    with pytest.raises(UserError, match="another graph"):
        require_alike(prepare(network, image.shape).graph, layout(other.graph))
