"""The network of style transfer: any size, streamed equals whole, few passes, and its start."""

import pytest
import torch
from torch import nn

from atrous.geometry import certify
from atrous.models.stylizer import Stylizer
from atrous.stream import plan, prepare, stream
from tests.toy_models import difference


def stylizer(ndim, outputs=3, **options):
    torch.manual_seed(0)
    network = Stylizer(ndim, 2, outputs, width=4, blocks=1, mean=[3.0, 4.0], std=[2.0, 2.0], **options)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.2)
    return network.eval()


@pytest.mark.parametrize(("ndim", "size"), [(1, (203,)), (2, (61, 37)), (3, (19, 11, 12))])
def test_streamed_equals_whole(ndim, size):
    network = stylizer(ndim)
    x = torch.randn(1, 2, *size)
    with torch.inference_mode():
        whole = network(x)[0]
    assert whole.shape == (3, *size)
    for strip in (4, 16):
        found = stream(prepare(network, (2, *size)), x[0].numpy(), strip=strip)
        assert difference(torch.from_numpy(found), whole) < 5e-5


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5, 3)])
def test_it_takes_the_smallest_pictures(size):
    network, x = stylizer(2), torch.randn(1, 2, *size)
    with torch.inference_mode():
        whole = network(x)[0]
    assert whole.shape == (3, *size)
    assert difference(torch.from_numpy(stream(prepare(network, (2, *size)), x[0].numpy(), strip=4)), whole) < 5e-5


def test_a_stream_reads_four_times_and_computes_little_more():
    network, shape = Stylizer(2, 3, 3), (3, 2048, 2048)
    assert certify(network, shape).passes == 4
    found = plan(network, shape, strip=64)
    assert len(found.passes) == 4
    assert found.macs < 1.2 * found.macs_whole


def test_brightness_and_contrast_of_the_picture_do_not_matter():
    """The first instance norm takes both away."""
    network, x = stylizer(2), torch.randn(1, 2, 24, 24)
    torch.testing.assert_close(network(x), network(3 * x + 5), rtol=1e-2, atol=1e-2)


def test_it_begins_near_gray():
    torch.manual_seed(0)
    network = Stylizer(2, 3, 3, width=8).eval()
    with torch.no_grad():
        assert float(network(torch.rand(1, 3, 32, 32)).abs().mean()) < 0.5


def test_other_inputs_are_refused():
    with pytest.raises(ValueError, match="the network reads"):
        stylizer(2)(torch.zeros(1, 3, 8, 8))
