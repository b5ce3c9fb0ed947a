"""The fast depthwise backward against torch's own in float64 and float32."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers.conv2d_same import Conv2dSame
from torch.nn import functional as F

from atrous.nn.depthwise import depthwise_conv2d, dilated_depthwise_conv2d, fast_depthwise
from atrous.surgery import dilate


def gradients(function, x, weight, grad):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    output = function(x, weight)
    output.backward(grad)
    return output.detach(), x.grad, weight.grad


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
    pad=st.booleans(),
    height=st.integers(7, 17),
    width=st.integers(7, 17),
    seed=st.integers(0, 99),
)
def test_gradients_equal_torchs_own(kernel, stride, pad, height, width, seed):
    torch.manual_seed(seed)
    padding = kernel // 2 if pad else 0
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    weight = torch.randn(3, 1, kernel, kernel, dtype=torch.float64)
    grad = torch.randn_like(F.conv2d(x, weight, None, stride, padding, 1, 3))
    want = gradients(lambda a, b: F.conv2d(a, b, None, stride, padding, 1, 3), x, weight, grad)
    got = gradients(lambda a, b: depthwise_conv2d(a, b, stride, padding), x.float(), weight.float(), grad.float())
    for ours, truth in zip(got, want, strict=True):
        torch.testing.assert_close(ours.double(), truth, rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    dilation=st.integers(2, 4),
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    seed=st.integers(0, 99),
)
def test_dilated_gradients_equal_torchs_own(kernel, dilation, height, width, seed):
    torch.manual_seed(seed)
    padding = dilation * (kernel // 2)
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    weight = torch.randn(3, 1, kernel, kernel, dtype=torch.float64)
    grad = torch.randn_like(x)
    want = gradients(lambda a, b: F.conv2d(a, b, None, 1, padding, dilation, 3), x, weight, grad)
    got = gradients(lambda a, b: dilated_depthwise_conv2d(a, b, dilation), x.float(), weight.float(), grad.float())
    for ours, truth in zip(got, want, strict=True):
        torch.testing.assert_close(ours.double(), truth, rtol=1e-4, atol=1e-4)


def test_dilated_convolutions_that_keep_the_size_take_part():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(4, 4, 3, dilation=2, padding=2, groups=4, bias=False)
    x = torch.randn(1, 4, 9, 6)
    want = network(x)
    with fast_depthwise(network) as count:
        assert count == 1
        torch.testing.assert_close(network(x), want)


def test_dilated_convolutions_take_any_padding():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 11, 14, dtype=torch.float64), torch.randn(3, 1, 4, 4, dtype=torch.float64)
    for padding in (0, 1, 3):
        want = F.conv2d(x, weight, None, 1, 2 * padding, 2, 3)
        torch.testing.assert_close(dilated_depthwise_conv2d(x, weight, 2, padding), want)


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_a_network_whose_strides_became_dilation_trains_alike(size):
    torch.manual_seed(0)
    layers = [
        Conv2dSame(3, 3, kernel, 2, groups=3, bias=False, dtype=torch.float64) for kernel in (3, 5, 3)
    ]  # the second loses its stride and is dilated by nothing, the third by two
    network = dilate(torch.nn.Sequential(*layers), 2, shape=(3, 32, 32)).network
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    want = torch.autograd.grad(network(x).square().sum(), list(network.parameters()))
    with fast_depthwise(network) as count:
        assert count == 3
        found = torch.autograd.grad(network(x).square().sum(), list(network.parameters()))
    for ours, truth in zip(found, want, strict=True):
        torch.testing.assert_close(ours, truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_a_whole_network_trains_alike_and_is_left_as_found(size):
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    x = torch.randn(1, 3, *size)

    def run():
        network.zero_grad()
        sum(level.square().mean() for level in network(x)).backward()
        return {name: p.grad.clone() for name, p in network.named_parameters()}

    want = run()
    with fast_depthwise(network) as count:
        assert count == 16
        got = run()
    for name, truth in want.items():
        torch.testing.assert_close(got[name], truth, rtol=1e-3, atol=1e-4 * float(truth.abs().max()), msg=name)
    assert not any("forward" in vars(module) for module in network.modules())


def test_convolutions_it_cannot_do_are_left_alone():
    dilated = torch.nn.Conv2d(4, 4, 3, dilation=2, groups=4, bias=False)
    biased = torch.nn.Conv2d(4, 4, 3, groups=4)
    grouped = torch.nn.Conv2d(4, 4, 3, groups=2, bias=False)
    with fast_depthwise(torch.nn.Sequential(dilated, biased, grouped)) as count:
        assert count == 0


def test_elsewhere_than_on_a_cpu_torchs_own_run():
    """A training moves its network to the device within the block."""
    layer = torch.nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    with fast_depthwise(torch.nn.Sequential(layer)) as count:
        assert count == 1
        on_cpu = layer(torch.zeros(1, 4, 8, 8)).grad_fn
        layer.to("meta")
        elsewhere = layer(torch.zeros(1, 4, 8, 8, device="meta")).grad_fn
    assert type(on_cpu).__name__ != type(elsewhere).__name__ == "ConvolutionBackward0"
