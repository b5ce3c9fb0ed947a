"""Networks with one more axis: an image repeated gives the answer repeated, away from the new borders."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.surgery import inflate
from tests.surgery.networks import randomized
from tests.toy_models import Lambda, difference


def encoder() -> nn.Module:
    def forward(m, x):
        x = torch.relu(m.norm(m.stem(x)))
        y = m.conv(m.pool(x))
        y = torch.cat([m.up(y), x, m.smooth(m.mean(x))], 1)
        return m.head(m.pad(y * torch.sigmoid(m.gate(y))))

    return Lambda(
        forward,
        stem=nn.Conv2d(3, 4, 3, 1, 1, bias=False),
        norm=nn.BatchNorm2d(4),
        pool=nn.MaxPool2d(3, 2, 1),
        conv=nn.Conv2d(4, 4, 3, padding="same", groups=2),
        up=nn.ConvTranspose2d(4, 3, 4, 2, 1),
        mean=nn.AvgPool2d(2),
        smooth=nn.Upsample(scale_factor=2, mode="bilinear"),
        gate=nn.AdaptiveAvgPool2d(1),
        pad=nn.ZeroPad2d(1),
        head=nn.Conv2d(11, 2, 3),
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("weights", ["mean", "center"])
def test_fixed_point_on_repeated_images(axis, weights):
    network = randomized(encoder())
    done = inflate(network, axis=axis, weights=weights, shape=(3, 16, 20))
    assert done.certificate.max_error < 1e-5
    x = torch.randn(1, 3, 16, 20)
    network.gate, plain = nn.Identity(), copy.deepcopy(done.network)
    plain.gate = nn.Identity()
    with torch.no_grad():
        wanted = network(x)
        found = plain(x.unsqueeze(2 + axis).repeat_interleave(24, 2 + axis))
    assert found.shape[2 + axis] == 24
    assert difference(found.select(2 + axis, 12), wanted) < 1e-5
    at_the_border = difference(found.select(2 + axis, 0), wanted)
    assert at_the_border > 1e-3 if weights == "mean" else at_the_border < 1e-5
    assert list(done.network.state_dict()) == list(network.state_dict())


def test_kernels_of_one_move_nothing_along_the_new_axis():
    network = randomized(encoder())
    done = inflate(network, kernel=1, shape=(3, 16, 20))
    done.network.gate, network.gate = nn.Identity(), nn.Identity()
    x = torch.randn(1, 3, 5, 16, 20)
    with torch.no_grad():
        found = done.network(x)
        each = torch.stack([network(x[:, :, i]) for i in range(5)], 2)
    assert difference(found, each) < 1e-5
    assert done.network.stem.weight.shape == (4, 3, 1, 3, 3)


def test_from_one_axis_to_two_and_it_trains():
    network = nn.Sequential(nn.Conv1d(1, 2, 3, 2, 1), nn.BatchNorm1d(2), nn.ReLU(), nn.AvgPool1d(3, 2, 1))
    network.train()
    done = inflate(network, 2)
    assert done.network.training
    assert network.training
    assert isinstance(network[1], nn.BatchNorm1d)
    done.network(torch.randn(2, 1, 16, 16)).sum().backward()
    assert done.network[0].weight.grad is not None
    assert network[0].weight.grad is None


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Sequential(nn.Conv2d(4, 4, 3), nn.PixelShuffle(2)), "^1 .PixelShuffle"),
        (Lambda(lambda m, x: m.c(x).mean((2, 3)), c=nn.Conv2d(3, 4, 3)), "differs from the original"),
        (Lambda(lambda m, x: torch.max_pool2d(m.c(x), 2), c=nn.Conv2d(3, 4, 3)), "function in it"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3, 2)), "ConvTranspose2d"),
        (nn.Conv3d(1, 1, 1), "3 spatial axes"),
        (Lambda(lambda m, x: m.c(F.pad(x, (1, 1, 1, 1))), c=nn.Conv2d(3, 4, 3)), "62 positions along the new axis"),
    ],
)
def test_what_has_no_form_with_another_axis_is_refused(network, said):
    with pytest.raises(UserError, match=said):
        inflate(network)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_functions_that_pad_the_original_axes_only_are_refused(axis):
    network = Lambda(lambda m, x: m.c(F.pad(x, (1, 1, 1, 1))), c=nn.Conv2d(3, 4, 3))
    with pytest.raises(UserError, match=r"14 positions along the new axis|differs from the original"):
        inflate(network, axis=axis, shape=(3, 16, 16))


@pytest.mark.parametrize("pad", [nn.ConstantPad2d(1, 0.5), nn.ZeroPad2d(1), nn.ReflectionPad2d(1)])
def test_padding_layers_pad_the_new_axis_too(pad):
    done = inflate(nn.Sequential(pad, nn.Conv2d(3, 4, 3)), shape=(3, 16, 16))
    assert done.network(torch.randn(1, 3, 16, 16, 16)).shape == (1, 4, 16, 16, 16)
    assert getattr(done.network[0], "value", 0) == getattr(pad, "value", 0)


def test_weights_computed_by_a_hook_are_refused_and_other_hooks_stay():
    network, calls = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)), []
    network[1].register_forward_hook(lambda *_: calls.append(1))
    done = inflate(network, shape=(1, 16, 16))
    calls.clear()
    done.network(torch.zeros(1, 1, 4, 8, 8))
    assert calls == [1]
    with pytest.warns(FutureWarning):
        torch.nn.utils.weight_norm(network[0])
    with pytest.raises(UserError, match=r"^0 .Conv2d.: its weight is computed"):
        inflate(network, shape=(1, 16, 16))
    with torch.no_grad():
        network(torch.zeros(1, 1, 16, 16))
    with pytest.raises(UserError, match=r"^0 .Conv2d.: its parameters are bias, weight_g, weight_v"):
        inflate(network, shape=(1, 16, 16))


def test_tied_weights_stay_tied_and_few_digits_are_proved_in_float32():
    network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)).bfloat16()
    network[2].weight = network[0].weight
    done = inflate(network, shape=(3, 16, 16))
    assert done.network[2].weight is done.network[0].weight
    assert done.network[0].weight.dtype == torch.bfloat16
    assert done.certificate.max_error < 1e-5
    assert done.certificate.tolerance == 1e-4
