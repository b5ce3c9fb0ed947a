"""Operators between two convolutions: streamed in float64 they equal the whole input, or are refused by name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.geometry import certify
from atrous.stream import Refused, Session, prepare, stream
from tests.toy_models import Lambda

HEIGHT, WIDTH = 31, 22
TABLE = torch.randn(8, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def written(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    x = x.clone()
    x[mask] = value
    return x


def channel_written(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 1][x[:, 0] > 0] = 0.25
    return x


def masked_behind(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, torch.ones(4, HEIGHT, WIDTH).tril() > 0] = 0.5
    return x


LOCAL = {
    "and": lambda x: x * ((x > 0) & (x < 1)),
    "or": lambda x: x * ((x > 1) | (x < 0)),
    "xor": lambda x: x * ((x > 0) ^ (x < 1)),
    "not": lambda x: x * ~(x > 0),
    "bits of whole numbers": lambda x: x * ((((x.abs() * 40).int() & 5) | 8) << 1),
    "value where a mask is true": lambda x: written(x, x > 0, 0.5),
    "tensor where a mask is true": lambda x: written(x, x > 0, torch.tensor(2.0, dtype=x.dtype)),
    "zeros for what is no number": lambda x: written(x.log(), x.log().isnan(), 0.0),
    "a mask of one channel": channel_written,
    "a mask without channels": lambda x: written(x.movedim(1, -1), x[:, 0] > 0, 0.0).movedim(-1, 1),
    "a vector where a mask is true": lambda x: written(x.movedim(1, -1), x[:, 0] > 0, TABLE[0]).movedim(-1, 1),
    "a mask by index_put": lambda x: x.index_put((x > 0,), torch.tensor(0.25, dtype=x.dtype)),
    "norm of channels": lambda x: x / torch.linalg.norm(x, dim=1, keepdim=True),
    "norm of one order": lambda x: x / (1 + torch.linalg.vector_norm(x, ord=3, dim=1, keepdim=True)),
    "cosine similarity": lambda x: x * F.cosine_similarity(x, x * 2 + 1, dim=1)[:, None],
    "distance": lambda x: x * F.pairwise_distance(x.movedim(1, -1), 2 * x.movedim(1, -1))[:, None],
    "tile of channels": lambda x: x.tile((1, 2, 1, 1))[:, 2:6],
    "tile of one channel": lambda x: torch.tile(x[:, :1], (4, 1, 1)),
    "difference of channels": lambda x: torch.cat([x[:, :1], x.diff(dim=1)], 1),
    "difference along both axes": lambda x: F.pad(x.diff(dim=2).abs(), (0, 0, 0, 1)) + F.pad(x.diff(dim=3), (0, 1)),
    "second difference": lambda x: F.pad(x.diff(n=2, dim=2), (0, 0, 1, 1)),
    "difference with a row in front": lambda x: torch.diff(x, dim=2, prepend=torch.zeros(1, 4, 1, WIDTH).to(x)),
    "gradient": lambda x: torch.gradient(x, dim=2)[0] + torch.gradient(x, dim=3)[0],
    "embedding of labels": lambda x: F.embedding(x.argmax(1), TABLE).permute(0, 3, 1, 2),
    "rows of a table": lambda x: TABLE[x.argmax(1)].movedim(-1, 1),
    "one-hot labels": lambda x: F.one_hot(x.argmax(1), 4).movedim(-1, 1).to(x.dtype),
    "scatter over channels": lambda x: torch.zeros_like(x).scatter_(1, x.argmax(1, keepdim=True), 1.0),
    "gather over channels": lambda x: x * x.gather(1, x.argmax(1, keepdim=True)),
    "sorted by themselves": lambda x: torch.take_along_dim(x, x.argsort(1), 1),
    "roll of channels": lambda x: x.roll(1, 1),
    "one of a list": lambda x: torch.isin((x * 3).int(), torch.arange(WIDTH).int()).to(x.dtype),
    "place among borders": lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0]).to(x)).to(x.dtype),
    "count over channels": lambda x: x * torch.count_nonzero(x > 0, dim=1)[:, None],
    "kronecker product": lambda x: F.avg_pool2d(torch.kron(x, torch.ones(1, 1, 2, 2).to(x)), 2),
}
WHOLE = {  # these need the whole extent, so windows and sessions refuse them
    "norm over positions": lambda x: x / torch.linalg.norm(x, dim=(2, 3), keepdim=True),
    "norm of a matrix": lambda x: x / torch.linalg.norm(x, ord="fro", dim=(2, 3), keepdim=True),
    "norm of order three": lambda x: x / torch.linalg.vector_norm(x, ord=3, dim=(1, 2, 3), keepdim=True),
    "norm of order zero": lambda x: x / (1 + torch.linalg.vector_norm(F.relu(x), ord=0, dim=(2, 3), keepdim=True)),
    "norm of a negative order": lambda x: x / torch.linalg.vector_norm(x.abs() + 1, ord=-2, dim=(2, 3), keepdim=True),
    "layer norm of positions": lambda x: F.layer_norm(x, x.shape[2:]),
    "layer norm with weights": lambda x: F.layer_norm(
        x, x.shape[2:], torch.linspace(0, 1, HEIGHT * WIDTH).view(HEIGHT, WIDTH).to(x), torch.ones(HEIGHT, WIDTH).to(x)
    ),
    "root mean square of positions": lambda x: F.rms_norm(x, x.shape[2:]),
    "a tiled vector": lambda x: x + x.mean((2, 3), keepdim=True).tile((1, 1, HEIGHT, WIDTH)),
}
REFUSED = {
    "roll of both axes": (lambda x: x.roll((1, 1), (2, 3)), "moves the rows around in a circle"),
    "roll of everything": (lambda x: x.roll(1), "over all dimensions together"),
    "masked scatter": (lambda x: x.masked_scatter(x > 0, x), "reads at positions that the data decide"),
    "channels of a group": (
        lambda x: x.mT @ x[:, :1],
        "multiplies channels with channels and sums over all positions, in a form",
    ),
    "nuclear norm": (lambda x: x / torch.linalg.norm(x, ord="nuc", dim=(2, 3), keepdim=True), "svd"),
}


def network(function) -> nn.Module:
    torch.manual_seed(0)
    parts = {"first": nn.Conv2d(3, 4, 3, padding=1), "last": nn.Conv2d(4, 2, 3, padding=1)}
    return Lambda(lambda m, x: m.last(function(m.first(x))), **parts).double().eval()


def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, HEIGHT, WIDTH))


def check(net: nn.Module, cuts) -> None:
    x = image()
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)[None])[0].numpy()
    ready = prepare(net, x.shape)
    for cut in cuts:
        np.testing.assert_allclose(stream(ready, x, **cut), wanted, rtol=1e-9, atol=1e-10, err_msg=str(cut))


FLATTENED = {  # positions as one dimension: only the first axis is left to cut
    "channels attend": (lambda x: _attended(x.flatten(2), x.flatten(2), x), 2),
    "channels of two maps attend": (lambda x: _attended(x.flatten(2), torch.tanh(x).flatten(2), x), 2),
    "channels attend in heads": (lambda x: _attended(*[x.unflatten(1, (2, 2)).flatten(3)] * 2, x), 2),
    "cross-covariance attention": (lambda x: _attended(*[F.normalize(x.flatten(2), dim=-1)] * 2, x), 3),
}


def _attended(q, k, x):
    return ((q @ k.mT).softmax(-1) @ k).reshape(x.shape)


CUTS = [{"strip": 7, "axis": 0}, {"strip": 5, "axis": 1}, {"strip": 9, "blocks": 2}]


@pytest.mark.parametrize("name", LOCAL)
def test_what_reads_rows_nearby_is_exact_however_it_is_cut(name):
    net = network(LOCAL[name])
    assert certify(net, (3, HEIGHT, WIDTH)).passes == 1
    check(net, CUTS if "in front" in name else [*CUTS, {"strategy": "windows"}])  # rows of zeros have a place


@pytest.mark.parametrize("name", ["value where a mask is true", "second difference", "gradient", "embedding of labels"])
def test_what_reads_rows_nearby_runs_live(name):
    net, x = network(LOCAL[name]), image()
    session = Session(net, (3, HEIGHT, WIDTH))
    found = np.concatenate([*(session.push(x[:, i : i + 4]) for i in range(0, HEIGHT, 4)), session.close()], 1)
    np.testing.assert_allclose(found, net(torch.from_numpy(x)[None])[0].detach().numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_the_whole_extent_is_exact_in_two_passes(name):
    net = network(WHOLE[name])
    assert certify(net, (3, HEIGHT, WIDTH)).passes == 2
    check(net, CUTS)
    with pytest.raises(Refused, match="needs the whole extent"):
        Session(net, (3, HEIGHT, WIDTH))


@pytest.mark.parametrize("name", FLATTENED)
def test_channels_that_attend_to_channels_are_exact(name):
    function, passes = FLATTENED[name]
    net = network(function)
    assert certify(net, (3, HEIGHT, WIDTH)).passes == passes
    check(net, [{"strip": 7}, {"strip": HEIGHT}, {"strip": 1}])
    with pytest.raises(Refused, match="mixes positions with other dimensions"):
        stream(net, image(), axis=1)


@pytest.mark.parametrize("name", ["rows", "tiled rows"])
def test_copies_of_the_axis_stream_along_the_other(name):
    net = network(lambda x: x.repeat(1, 1, 2, 1) if name == "rows" else x.tile((2, 1)))
    check(net, [{"strip": 5}])
    with pytest.raises(Refused, match="repeats the axis"):
        stream(net, image(), axis=0)


def test_a_roll_streams_along_the_other_axis():
    net = network(lambda x: x.roll(2, 2))
    check(net, [{"strip": 5}])
    with pytest.raises(Refused, match="the first rows need the last"):
        stream(net, image(), axis=0)


def test_a_group_norm_of_rows_streams_along_the_other_axis():
    net = network(lambda x: F.group_norm(x[:, :, :30].permute(0, 2, 3, 1), 3).permute(0, 3, 1, 2))
    check(net, [{"strip": 5, "axis": 1}])
    with pytest.raises(Refused, match="of which the axis is none"):
        stream(net, image(), axis=0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_mixes_positions_otherwise_is_refused_by_name(name):
    function, text = REFUSED[name]
    with pytest.raises(Refused, match=text) as caught:
        stream(Lambda(lambda m, x: function(x)), image())
    assert "\n" not in str(caught.value)
