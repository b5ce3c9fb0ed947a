"""Rows written where they are to lie are the rows that are computed and joined."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.stream import run, stream
from atrous.stream.compute.place import with_room
from tests.toy_models import difference, settled

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
SHAPES = {1: (3, 300), 2: (3, 90, 22), 3: (3, 40, 8, 10)}


class Around(nn.Module):
    """A function between two convolutions that keep rows."""

    def __init__(self, between, ndim: int):
        super().__init__()
        self.first = CONVOLUTIONS[ndim](3, 8, 3, padding=1)
        self.last = CONVOLUTIONS[ndim](8, 2, 3, padding=1)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


def enlarged(mode: str, factor: int = 2, **more):
    return lambda x: F.interpolate(x, scale_factor=factor, mode=mode, **more)


@pytest.mark.parametrize("dim", [2, 3, 4])
@pytest.mark.parametrize(("rank", "layout"), [(4, torch.channels_last), (5, torch.channels_last_3d)])
def test_rows_of_any_axis_stay_in_their_order(rank, layout, dim):
    """Kept rows are a part of their memory. Along other axes than the first it has gaps."""
    if dim >= rank:
        pytest.skip("there is no such axis")
    memory = torch.randn(1, 8, *[6] * (rank - 2)).contiguous(memory_format=layout)
    for whole, first in ((memory, True), (memory.contiguous(), False)):
        held = whole.narrow(dim, 1, 3)
        grown, _ = with_room(held, dim, 4)
        assert torch.equal(grown.narrow(dim, 0, 3), held)
        assert (grown.stride(1) == 1) == first


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(
    "between",
    [
        F.relu, F.silu, F.hardswish, F.hardtanh, F.leaky_relu, torch.sigmoid, lambda x: x + x.abs(), lambda x: x + 0.5,
        lambda x: x * x.tanh(), lambda x: torch.cat([x[:, :5], x[:, 5:].cos()], 1), enlarged("nearest", 8),
    ],
    ids=["relu", "silu", "hardswish", "hardtanh", "leaky", "sigmoid", "add", "add number", "mul", "cat", "nearest"],
)  # fmt: skip
def test_written_rows_are_those_of_the_whole(between, ndim, monkeypatch):
    written = []

    def write(op, tensors, spans, place):
        before = place.data_ptr()
        original(op, tensors, spans, place)
        written.append(op.kind)
        assert place.data_ptr() == before  # nothing was resized

    original = run.write
    monkeypatch.setattr(run, "write", write)
    network = settled(Around(between, ndim))
    x = torch.randn(SHAPES[ndim], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=8)), wanted) <= 5e-5
    assert written


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_enlarged_rows_that_are_cut(mode):
    network = settled(Around(enlarged(mode, align_corners=False), 2))
    x = torch.randn(SHAPES[2], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=8)), wanted) <= 5e-5


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_room_is_laid_out_as_the_rows_are(layout):
    held = torch.randn(1, 3, 4, 5).contiguous(memory_format=layout)
    grown, room = with_room(held, 2, 6)
    assert grown.is_contiguous(memory_format=layout)
    assert torch.equal(grown[:, :, :4], held)
    room.fill_(7)
    assert bool((grown[:, :, 4:] == 7).all())
    lines = torch.randn(1, 9, 4).transpose(1, 2)
    assert with_room(lines, 2, 3)[0].stride(1) == 1
