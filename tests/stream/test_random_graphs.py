"""Random networks: whatever the branches, strides, dilations, resizes and paddings, streamed equals whole.

The receptive field that the graph gives contains the gradient's; where no weight is zero it is the gradient's.
"""

import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from atrous.geometry.field import depends_on
from atrous.stream import prepare, stream
from tests.toy_models import Lambda, difference, settled

CHANNELS = 3


@st.composite
def layers(draw):
    """One layer on CHANNELS channels that keeps at least a few rows of any input of 12 or more."""
    kind = draw(
        st.sampled_from(["conv", "same", "mode", "pool", "up", "resize", "norm", "crop", "bin", "gate", "group"])
    )
    k, d = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    s, p = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    mode = draw(st.sampled_from(["nearest", "bilinear", "bicubic"]))
    corners = draw(st.booleans()) if mode != "nearest" else None
    factor = draw(st.sampled_from([0.6, 1.5, 2.0]))
    pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
    border, ceil = draw(st.sampled_from(["reflect", "replicate"])), draw(st.booleans())
    c = CHANNELS

    def resized(_, x):
        return F.interpolate(x, size=(max(2, int(x.shape[2] * factor)), x.shape[3]), mode=mode, align_corners=corners)

    return {
        "conv": lambda: nn.Conv2d(c, c, (k, 3), stride=(s, 1), padding=(p, 1), dilation=(d, 1)),
        "same": lambda: nn.Conv2d(c, c, (k, 3), padding="same", dilation=(d, 1), groups=c),
        "mode": lambda: nn.Conv2d(c, c, 3, padding=1, padding_mode=border),
        "pool": lambda: pool((2, 3), stride=(s, 1), padding=(min(p, 1), 1), ceil_mode=ceil),
        "up": lambda: nn.ConvTranspose2d(
            c, c, (k, 1), stride=(2, 1), padding=(min(p, k // 2), 0), output_padding=(s - 1, 0)
        ),
        "resize": lambda: Lambda(resized),
        "norm": lambda: nn.Sequential(nn.BatchNorm2d(c), nn.LeakyReLU(0.1)),
        "crop": lambda: Lambda(lambda m, x: F.pad(x, (0, 0, k - 2, d - 2), value=0.5)),
        "bin": lambda: Lambda(lambda m, x: F.adaptive_avg_pool2d(x, (max(2, x.shape[2] * 2 // 5), x.shape[3]))),
        "gate": lambda: Lambda(lambda m, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True))),
        "group": lambda: nn.GroupNorm(1, c),
    }[kind]()


class Branching(nn.Module):
    """Each layer reads one of the values before it; the end resizes all unused ones to one size and adds them."""

    def __init__(self, parts: list[nn.Module], sources: list[int]):
        super().__init__()
        self.parts, self.sources = nn.ModuleList(parts), sources

    def forward(self, x):
        values = [x]
        for part, source in zip(self.parts, self.sources, strict=True):
            values.append(part(values[source % len(values)]))
        size = values[-1].shape[2:]
        return torch.cat([values[-1], *(F.interpolate(v, size=size, mode="bilinear") for v in values[1:-1])], 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(layers(), min_size=1, max_size=6),
    st.lists(st.integers(0, 6), min_size=6, max_size=6),
    st.integers(24, 45),
    st.sampled_from([1, 4, 11]),
    st.randoms(use_true_random=False),
)
def test_streamed_and_region_equal_whole(parts, sources, rows, strip, random):
    # a layer reads the value before it, or the one before that: deep enough, and branching
    network = settled(Branching(parts, [max(0, i - sources[i] % 2) for i in range(len(parts))]))
    x = torch.randn(CHANNELS, rows, 8, generator=torch.Generator().manual_seed(rows))
    with torch.inference_mode():
        wanted = network(x[None])[0]
    ready = prepare(network, tuple(x.shape))
    found = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip))
    assert difference(found, wanted) <= 5e-5
    lo = random.randrange(wanted.shape[1])
    cut = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip, blocks=2))
    assert difference(cut, wanted) <= 5e-5
    region = (slice(lo, random.randrange(lo, wanted.shape[1]) + 1), slice(2, 7))
    part = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip, region=region))
    assert float((part - wanted[:, *region]).abs().max()) <= 5e-5 * float(wanted.abs().max())


class Residual(nn.Module):
    """A layer that keeps the size, and the way past it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


@st.composite
def positive_layers(draw):
    """A layer on one channel, and whether every input that it reads has a weight above zero."""
    k, s, d = draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    mode = draw(st.sampled_from(["bilinear", "bicubic"]))
    size = draw(st.sampled_from([0.7, 1.5]))
    return {
        "conv": lambda: (nn.Conv2d(1, 1, (k, 1), stride=(s, 1), padding=(k // 2, 0), dilation=(d, 1)), True),
        "residual": lambda: (Residual(nn.Conv2d(1, 1, (2 * d + 1, 1), padding=(d, 0))), True),
        "pool": lambda: (nn.AvgPool2d((k, 1), stride=(s, 1), ceil_mode=d == 2), True),
        "up": lambda: (nn.ConvTranspose2d(1, 1, (s + d, 1), stride=(s, 1), padding=(d - 1, 0)), True),
        "nearest": lambda: (nn.Upsample(scale_factor=(2, 1)), True),
        "crop": lambda: (nn.ConstantPad2d((0, 0, -s, k - 2), 0.5), True),
        "gaps": lambda: (nn.ConvTranspose2d(1, 1, (2, 1), stride=(3, 1)), False),
        "resize": lambda: (Lambda(lambda m, x: F.interpolate(x, scale_factor=(size, 1), mode=mode)), False),
    }[draw(st.sampled_from(["conv", "residual", "pool", "up", "nearest", "crop", "gaps", "resize"]))]()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(positive_layers(), min_size=1, max_size=5), st.integers(60, 75))
def test_receptive_field_is_the_gradient_s(parts, rows):
    network = nn.Sequential(*(layer for layer, _ in parts)).eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.abs() + 0.1
    axis = prepare(network, (1, rows, 1)).axes[0]
    x = torch.rand(1, 1, rows, 1, requires_grad=True)
    out = network(x)
    for o in {0, out.shape[2] // 3, out.shape[2] // 2, out.shape[2] - 1}:
        (gradient,) = torch.autograd.grad(out[0, 0, o, 0], x, retain_graph=True)
        read = torch.nonzero(gradient[0, 0, :, 0]).flatten().tolist()
        lo, hi = depends_on(axis, o)
        if read:
            assert lo <= read[0]
            assert read[-1] < hi
            if lo >= 0 and hi <= rows and all(tight for _, tight in parts):  # else an end of it is padding
                assert (read[0], read[-1] + 1) == (lo, hi)
