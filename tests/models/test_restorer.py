"""The network of restorations: any size in any dimension, streamed equals whole, finer grids, and its start."""

import pytest
import torch
from torch import nn

from atrous.models.restorer import Restorer
from atrous.nn.blocks import resize
from atrous.stream import prepare, stream
from tests.toy_models import difference


def restorer(ndim, **options):
    torch.manual_seed(0)
    network = Restorer(ndim, 2, 2, width=4, blocks=1, mean=[3.0, 4.0], std=[2.0, 2.0], **options)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    return network.eval()


@pytest.mark.parametrize(
    "options", [{}, {"factor": 2}, {"factor": 3, "levels": 1}, {"stride": 2, "levels": 2}], ids=str
)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_streamed_equals_whole_at_any_size(ndim, options):
    network, factor = restorer(ndim, **options), options.get("factor", 1)
    x = torch.randn(1, 2, *[(37, 29, 11)[axis] if ndim > 1 else 301 for axis in range(ndim)])
    with torch.inference_mode():
        whole = network(x)[0].numpy()
    assert whole.shape == (2, *(n * factor for n in x.shape[2:]))
    found = stream(prepare(network, tuple(x.shape[1:])), x[0].numpy(), strip=5)
    assert difference(torch.from_numpy(found), torch.from_numpy(whole)) < 1e-4


@pytest.mark.parametrize(("factor", "stride"), [(1, 1), (3, 1), (1, 2)])
def test_it_starts_as_the_resized_input(factor, stride):
    network = Restorer(2, 1, 1, width=4, factor=factor, stride=stride, mean=[10.0], std=[5.0]).eval()
    x = torch.rand(1, 1, 13, 21) * 100
    wanted = (x - 10) / 5
    wanted = wanted if factor == 1 else resize(wanted, (39, 63))
    torch.testing.assert_close(network(x), wanted)


def test_without_the_input_it_does_not_depend_on_a_position_alone():
    network = restorer(2, residual=False)
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"blocks": 6, "levels": 4}, {"factor": 3}], ids=str)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_features_of_a_new_network_have_about_the_deviation_of_the_input(ndim, options):
    torch.manual_seed(0)
    network = Restorer(ndim, 1, 1, width=16, residual=False, **options).eval()
    x = torch.randn(2, 1, *(32,) * ndim)
    with torch.inference_mode():
        assert 0.5 < float(network._features(x).std()) < 3
        assert 0.02 < float(network(x).std()) < 0.5


def test_contrasts_scale():
    """Without biases and normalization the answer to twice the contrast is twice the answer."""
    network = Restorer(2, 1, 1, width=4).eval()
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    x = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(network(2 * x), 2 * network(x), rtol=1e-4, atol=1e-4)


def test_other_outputs_cannot_be_added():
    with pytest.raises(ValueError, match=r"3 outputs cannot be added to 1 channels: set model.residual = false"):
        Restorer(2, 1, 3)
    assert Restorer(2, 1, 3, residual=False, width=4)(torch.zeros(1, 1, 9, 9)).shape == (1, 3, 9, 9)


def test_other_inputs_are_refused():
    with pytest.raises(ValueError, match="the network reads"):
        restorer(2)(torch.zeros(1, 3, 8, 8))
