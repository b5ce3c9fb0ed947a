"""The layout of a result is checked: streamed it is the network's, whatever it lost, or it is refused by name."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.analysis import equivariance
from atrous.errors import UserError
from atrous.geometry import certify
from atrous.geometry.axis import Refused
from atrous.geometry.graph import export_graph
from atrous.geometry.layout import followed, layout_fault
from atrous.stream import Session, plan, stream
from tests.toy_models import Lambda

RIGHT = {
    "batch taken off by index": lambda y: y[0],
    "batch taken off by squeeze": lambda y: y.squeeze(0),
    "batch flattened with the channels": lambda y: y.flatten(0, 1),
    "labels": lambda y: y.argmax(1),
    "labels without batch": lambda y: y[0].argmax(0),
    "one map without channels and batch": lambda y: y[:, :1].squeeze(),
    "a further axis of one": lambda y: y[:, :, None],
    "channels in two axes": lambda y: y.unflatten(1, (2, 2)),
    "channels in two axes without batch": lambda y: y[:, :1, None][0, 0],
    "one channel": lambda y: y.mean(1, keepdim=True),
}
REFUSED = {
    "two results in one batch": (lambda y: torch.cat([y, -y]), "batch of 2 for one input"),
    "stacked results": (lambda y: torch.stack([y, -y]), "batch of 2 for one input"),
    "channels as batch": (lambda y: y.transpose(0, 1), "batch of 4 for one input"),
    "batch lost, axis of one added": (lambda y: y[0][:, None], "batch of 4 for one input"),
    "channels last": (lambda y: y.permute(0, 2, 3, 1), "axis 0 in dimension 1, axis 1 in dimension 2: permute it"),
    "channels last without batch": (lambda y: y[0].permute(1, 2, 0), "axis 0 in dimension 0, axis 1 in dimension 1"),
    "axes exchanged": (lambda y: y.transpose(2, 3), "axis 0 in dimension 3, axis 1 in dimension 2: permute it"),
    "an axis lost": (lambda y: y.mean(3), r"lost axis 1: keep that axis with one position \(keepdim=True\)"),
    "classifier": (lambda y: y.mean((2, 3)), "no positions along the input's axes: convert the classifier"),
    "one number": (lambda y: y.mean(), "no positions along the input's axes"),
}


def network(function) -> nn.Module:
    torch.manual_seed(0)
    return Lambda(lambda m, x: function(m.a(x)), a=nn.Conv2d(3, 4, 3, padding=1)).eval()


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether the result is the network's, the batch axis of one aside."""
    return found.shape in (wanted.shape, wanted.shape[1:]) and np.allclose(
        found, wanted if found.shape == wanted.shape else wanted[0], atol=1e-5
    )


@pytest.mark.parametrize("name", RIGHT)
def test_a_layout_that_can_be_streamed_gives_the_networks_result(name):
    net, x = network(RIGHT[name]), image(3, 61, 47)
    wanted = net(torch.from_numpy(x)[None]).detach().numpy()
    assert certify(net, x.shape).exact
    for options in ({"strip": 16}, {"strip": 9, "axis": 1}, {"blocks": 2, "strip": 16}, {"strategy": "windows"}):
        assert same(stream(net, x, **options), wanted), options
    rows, columns = slice(20, 40), slice(3, 30)
    assert same(stream(net, x, region=(rows, columns)), wanted[..., rows, columns])
    session = Session(net, (3, None, 47))
    parts = [session.push(x[:, i : i + 20]) for i in range(0, 61, 20)] + [session.close()]
    assert same(np.concatenate(parts, -2), wanted)


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_layout_is_refused_by_name(name):
    function, reason = REFUSED[name]
    net, x = network(function), image(3, 61, 47)
    certificate = certify(net, x.shape)
    assert not certificate.exact
    assert certificate.plan is None
    for run in (
        lambda: stream(net, x, strip=16),
        lambda: stream(net, x, strategy="windows"),
        lambda: plan(net, x.shape),
        lambda: Session(net, (3, None, 47)),
        lambda: Session(net, x.shape),
    ):
        with pytest.raises(Refused, match=reason) as caught:
            run()
        assert "\n" not in str(caught.value)


def test_an_axis_with_one_position_left_is_not_cut():
    net, x = network(lambda y: y.mean(3, keepdim=True)), image(3, 61, 47)
    wanted = net(torch.from_numpy(x)[None])[0].detach().numpy()
    certificate = certify(net, x.shape)
    assert certificate.exact
    assert "no positions along axis 1" in certificate.refused[1]
    np.testing.assert_allclose(stream(net, x, strip=16), wanted, atol=1e-5)
    with pytest.raises(Refused, match="no positions along axis 1"):
        stream(net, x, axis=1)


@pytest.mark.parametrize("shape", [(2, 30), (2, 9, 8), (2, 6, 5, 4)])
def test_the_batch_axis_is_put_back_on_every_grid(shape):
    net = Lambda(lambda m, x: (x * 2)[0])
    graph, axes, refused = followed(export_graph(net, shape))
    assert graph.ops[graph.output].shape == (1, *shape)
    assert (len(axes), refused) == (len(shape) - 1, {})
    assert layout_fault(graph, axes) is None
    x = image(*shape)
    np.testing.assert_array_equal(stream(net, x, strip=2), x * 2)


def test_labels_of_a_result_without_batch():
    net, x = network(lambda y: y[0]), image(3, 61, 47)
    wanted = net(torch.from_numpy(x)[None]).argmax(0).numpy()
    np.testing.assert_array_equal(stream(net, x, strip=16, post="argmax"), wanted)


def test_analyses_ask_for_one_result_per_input():
    with pytest.raises(UserError, match="batch of 2 for one input"):
        equivariance(network(lambda y: torch.cat([y, -y])), (3, 64, 64))
    with pytest.raises(UserError, match="return one result per input"):
        equivariance(network(lambda y: y[0]), (3, 64, 64))
