"""Networks with modules that run on each phase of a finer grid: on the coarse grid against the original."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.stream import stream
from atrous.surgery import dilate
from tests.surgery.networks import randomized
from tests.surgery.test_dilate import on_grid
from tests.toy_models import Lambda, difference


class CrossCovariance(nn.Module):
    """Channels attend to channels: sums over all positions, after norms over positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x):
        n, count, channels = x.shape
        q, k, v = self.qkv(x).reshape(n, count, 3, 2, channels // 2).permute(2, 0, 3, 4, 1)
        scores = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * 3).softmax(-1)
        return (scores @ v).permute(0, 3, 1, 2).reshape(n, count, channels)


class ChannelAttention(nn.Module):
    """A block of EdgeNeXt: a convolution, a code of the places, and cross-covariance attention over one dimension."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm, self.attend = nn.LayerNorm(channels), CrossCovariance(channels)

    def forward(self, x):
        y = self.conv(x).flatten(2).transpose(1, 2)
        y = y + torch.linspace(-1, 1, y.shape[1]).to(x)[:, None]
        return x + (y + self.attend(self.norm(y))).transpose(1, 2).reshape(x.shape)


class PositionAttention(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.attend = nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        return self.attend(y, y, y, need_weights=False)[0].transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(
    "block",
    [
        ChannelAttention(4),
        PositionAttention(4),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        Lambda(lambda m, x: m.last(F.interpolate(F.max_pool2d(x, 2), x.shape[2:])), last=nn.Conv2d(4, 4, 3, padding=1)),
    ],
    ids=lambda block: type(block).__name__,
)
def test_a_block_that_keeps_the_grid_runs_on_each_phase(block, stride):
    stem = [nn.Conv2d(3, 4, 4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)]
    network = randomized(nn.Sequential(*stem, copy.deepcopy(block), nn.Conv2d(4, 4, 3, padding=1)))
    done = dilate(network, stride, shape=(3, 64, 64))
    assert "phases of the grid by itself" in done.certificate.text()
    assert list(done.network.state_dict()) == list(network.state_dict())
    done.network.load_state_dict(network.state_dict())
    for size in ((64, 48), (70, 67)):
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            assert on_grid(done.network(x), network(x), 8 // stride) < 1e-5


def test_the_phases_are_those_of_shift_and_stitch():
    network = randomized(nn.Sequential(nn.Conv2d(3, 4, 2, 2), ChannelAttention(4)))
    network[1].conv = nn.Identity()  # padding would differ between a phase and a shifted input
    dense = dilate(network, 1, shape=(3, 32, 32)).network
    x = torch.randn(1, 3, 24, 20)
    with torch.no_grad():
        for i in range(2):
            for j in range(2):
                found = dense(x)[..., i::2, j::2]
                shifted = network(F.pad(x[..., i:, j:], (0, j, 0, i)))
                assert difference(found, shifted) < 1e-5


@pytest.mark.slow
def test_a_block_on_phases_is_dilated_again_trains_and_streams():
    network = randomized(nn.Sequential(nn.Conv2d(3, 4, 4, 4), ChannelAttention(4), nn.Conv2d(4, 4, 2, 2)))
    once = dilate(network, 2, shape=(3, 64, 64)).network
    done = dilate(once, 1, shape=(3, 64, 64)).network
    assert done[1].rates == (4, 4)
    x = torch.randn(1, 3, 50, 44)
    assert on_grid(done(x), network(x), 8) < 1e-5
    whole = copy.deepcopy(done)(x)[0].detach()
    assert difference(torch.from_numpy(stream(done, x[0].numpy(), strip=13)), whole) < 5e-5
    exported = torch.export.export(done, (x,)).module()
    assert difference(exported(x)[0].detach(), whole) < 1e-6
    done.train()(x).sum().backward()
    assert done[1].attend.qkv.weight.grad is not None
    assert network[1].attend.qkv.weight.grad is None


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)])
def test_norms_on_phases_stream(norm):
    network = randomized(nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), norm, nn.Conv2d(4, 4, 3, 2, 1)))
    done = dilate(network, 1, shape=(3, 32, 32)).network
    x = torch.randn(3, 45, 30)
    whole = done(x[None])[0].detach()
    for axis in (0, 1):
        assert difference(torch.from_numpy(stream(done, x.numpy(), strip=8, axis=axis)), whole) < 5e-5


@pytest.mark.slow
def test_edgenext_of_timm_is_the_same_on_the_coarse_grid():
    timm = pytest.importorskip("timm")
    small = {"depths": (1, 2, 2, 2), "dims": (8, 16, 24, 32), "heads": (2, 2, 2, 2)}
    network = timm.create_model("edgenext_xx_small", features_only=True, pretrained=False, **small)
    done = dilate(randomized(network), 8, shape=(3, 64, 64))
    assert done.certificate.max_error < 5e-5
    on_phases = [change.module for change in done.certificate.changes if "phases" in change.what]
    assert on_phases == ["stages_2.blocks.1", "stages_3.blocks.1"]
    x = torch.randn(1, 3, 97, 70)
    with torch.no_grad():
        pairs = list(zip(done.network(x), network(x), (1, 1, 2, 4), strict=True))
    assert [on_grid(found, wanted, rate) < 5e-5 for found, wanted, rate in pairs] == [True] * 4
