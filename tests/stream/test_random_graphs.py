"""Random networks: whatever the branches, strides, dilations, resizes and paddings, streamed equals whole."""

import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

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
    region = (slice(lo, random.randrange(lo, wanted.shape[1]) + 1), slice(2, 7))
    part = torch.from_numpy(stream(ready, x.numpy(), axis=0, strip=strip, region=region))
    assert float((part - wanted[:, *region]).abs().max()) <= 5e-5 * float(wanted.abs().max())
