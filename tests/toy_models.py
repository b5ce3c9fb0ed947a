"""Small networks, one for each kind of operator, and helpers for tests that compare streamed with whole outputs."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torch.nn.utils.parametrize
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Lambda(nn.Module):
    """A module that calls `function(self, x)`, with submodules that are given by name."""

    def __init__(self, function: Callable[..., Tensor], **modules: nn.Module):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def settled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return the network in evaluation mode, with random batch-norm statistics instead of the initial identity."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if mean is not None and var is not None:
            mean.copy_(0.3 * torch.randn(mean.shape, generator=generator))
            var.copy_(0.5 + torch.rand(var.shape, generator=generator))
            if module.weight is not None:
                module.weight.data.copy_(0.5 + torch.rand(mean.shape, generator=generator))
                module.bias.data.copy_(0.3 * torch.randn(mean.shape, generator=generator))
    return network.eval()


def difference(output: Tensor, expected: Tensor) -> float:
    """Return the largest |output - expected|, divided by the largest |expected|."""
    return float((output.double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-30))


def _conv(n: int, *args, **kwargs) -> nn.Module:
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[n - 1](*args, **kwargs)


def _up(n: int, *args, **kwargs) -> nn.Module:
    return (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[n - 1](*args, **kwargs)


def _norm(n: int, channels: int) -> nn.Module:
    return (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[n - 1](channels)


def unet(n: int) -> nn.Module:
    """A U-Net of two levels; inputs are padded to a multiple of 4, and outputs cropped back."""
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]

    def forward(m, x):
        size = x.shape[2:]
        x = F.pad(x, [p for s in reversed(size) for p in (0, -s % 4)])
        a = F.relu(m.norm(m.first(x)))
        b = F.relu(m.second(pool(a, 2)))
        c = F.relu(m.third(pool(b, 2)))
        b = F.relu(m.fourth(torch.cat([F.interpolate(c, scale_factor=2), b], 1)))
        x = m.head(torch.cat([m.up(b), a], 1))
        return x[(..., *(slice(0, s) for s in size))]

    return Lambda(
        forward,
        first=_conv(n, 2, 4, 3, padding=1),
        norm=_norm(n, 4),
        second=_conv(n, 4, 6, 3, padding=1),
        third=_conv(n, 6, 8, 3, padding=2, dilation=2),
        fourth=_conv(n, 14, 6, 3, padding=1),
        up=_up(n, 6, 4, 2, stride=2),
        head=_conv(n, 8, 3, 1),
    )


def chain(n: int, function: Callable[[Tensor], Tensor], channels: int = 4) -> nn.Module:
    """A convolution, one function, a convolution."""
    return Lambda(
        lambda m, x: m.after(function(m.before(x))),
        before=_conv(n, 2, 4, 3, padding=1),
        after=_conv(n, channels, 3, 3, padding=1),
    )


def module_chain(module: nn.Module, channels: int = 4, n: int = 2) -> nn.Module:
    """A convolution, one module, a convolution."""
    return nn.Sequential(_conv(n, 2, 4, 3, padding=1), module, _conv(n, channels, 3, 3, padding=1))


def segnet() -> nn.Module:
    """A SegNet: it unpools with the indices of its pools."""

    def forward(m, x):
        x = F.relu(m.a(x))
        x, i = F.max_pool2d(x, 2, return_indices=True)
        size = x.shape[2:]
        x, j = F.max_pool2d(F.relu(m.b(x)), 2, return_indices=True)
        x = F.max_unpool2d(x, j, 2, output_size=size)
        return m.d(F.max_unpool2d(F.relu(m.c(x)), i, 2, output_size=(size[0] * 2, size[1] * 2)))

    return Lambda(
        forward,
        a=nn.Conv2d(2, 4, 3, padding=1),
        b=nn.Conv2d(4, 4, 3, padding=1),
        c=nn.Conv2d(4, 4, 3, padding=1),
        d=nn.Conv2d(4, 3, 3, padding=1),
    )


def squeeze_excitation() -> nn.Module:
    """Channels are gated by the mean twice, and the maximum is added: three barriers in a row."""

    def forward(m, x):
        x = F.relu(m.a(x))
        x = x * torch.sigmoid(m.gate(x.mean((2, 3), keepdim=True)))
        x = F.relu(m.b(x))
        x = x * torch.sigmoid(m.gate2(F.adaptive_avg_pool2d(x, 1)))
        return m.c(x + F.adaptive_max_pool2d(x, 1))

    return Lambda(
        forward,
        a=nn.Conv2d(2, 4, 3, padding=1),
        gate=nn.Conv2d(4, 4, 1),
        b=nn.Conv2d(4, 4, 3, stride=2, padding=1),
        gate2=nn.Conv2d(4, 4, 1),
        c=nn.Conv2d(4, 3, 3, padding=1),
    )


def pyramid() -> nn.Module:
    """Pyramid pooling: adaptive pools of several sizes, resized back and concatenated."""

    def forward(m, x):
        x = F.relu(m.a(x))
        pools = [F.interpolate(m.b(F.adaptive_avg_pool2d(x, k)), size=x.shape[2:], mode="bilinear") for k in (1, 2, 3)]
        return m.c(torch.cat([x, *pools], 1))

    return Lambda(forward, a=nn.Conv2d(2, 4, 3, padding=1), b=nn.Conv2d(4, 2, 1), c=nn.Conv2d(10, 3, 3, padding=1))


def attention() -> nn.Module:
    """Attention of all positions to all positions, which cannot be streamed."""

    def forward(m, x):
        q, k = m.q(x).flatten(2), m.k(x).flatten(2)
        return (x.flatten(2) @ (q.transpose(1, 2) @ k).softmax(-1)).view_as(x)

    return Lambda(forward, q=nn.Conv2d(2, 2, 1), k=nn.Conv2d(2, 2, 1))


def channels_last_block() -> nn.Module:
    """A ConvNeXt-like block: depthwise, permute, layer norm, linear, permute back; then a channel shuffle."""

    def forward(m, x):
        y = m.linear(m.norm(m.depthwise(m.a(x)).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        n, c, h, w = y.shape
        return m.b(F.gelu(y.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)))

    return Lambda(
        forward,
        a=nn.Conv2d(2, 4, 1),
        depthwise=nn.Conv2d(4, 4, 7, padding=3, groups=4),
        norm=nn.LayerNorm(4),
        linear=nn.Linear(4, 6),
        b=nn.Conv2d(6, 3, 1),
    )


def tokens() -> nn.Module:
    """Linear layers over flattened positions: exact along the first axis, mixed along the second."""
    return Lambda(
        lambda m, x: m.linear(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:]),
        linear=nn.Linear(2, 3),
    )


def patches() -> nn.Module:
    """Space to depth and back, by views and permutations."""

    def forward(m, x):
        n, c, h, w = x.shape
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)
        x = m.a(x)
        return x.view(n, 2, 2, 3, h // 2, w // 2).permute(0, 3, 4, 1, 5, 2).reshape(n, 3, h, w)

    return Lambda(forward, a=nn.Conv2d(8, 12, 3, padding=1))


def joined() -> nn.Module:
    """Rows joined along the axis: channels shifted by one row each way, a border of zeros, the first row at the end."""

    def forward(m, x):
        x = m.a(x)
        zeros = torch.zeros_like(x[:, :, :1])
        left, right = x.chunk(2, 1)
        down, up = torch.cat([zeros[:, :2], left[:, :, :-1]], 2), torch.cat([right[:, :, 1:], zeros[:, 2:]], 2)
        x = torch.cat([down, up], 1)
        return m.b(torch.cat([x.new_zeros(1, 4, 2, x.shape[3]), x, x[:, :, :1]], 2))

    return Lambda(forward, a=nn.Conv2d(2, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1))


def coordinates() -> nn.Module:
    """Maps of coordinates beside the input, computed from its size."""

    def forward(m, x):
        h, w = x.shape[2:]
        y = torch.linspace(-1, 1, h)[None, None, :, None].expand(1, 1, h, w)
        grid = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
        return m.a(torch.cat([x, y, torch.stack(grid)[None]], 1))

    return Lambda(forward, a=nn.Conv2d(5, 3, 3, padding=1))


def statistics() -> nn.Module:
    """Means, variances and extremes, over channels and over positions, in all forms that torch has of them."""

    def forward(m, x):
        x = m.a(x)
        var, mean = torch.var_mean(x, 1, keepdim=True)
        x = (x - mean) / (var + 0.1).sqrt() + x.var(dim=1, unbiased=False, keepdim=True)
        var, mean = torch.var_mean(x, (2, 3), keepdim=True)
        x = torch.max(x - mean, 0.1 * x) / (var + x.std((2, 3), unbiased=False, keepdim=True))
        low, high = x.aminmax(dim=1, keepdim=True)
        sparse = (x > 0).sum((2, 3), keepdim=True)
        least = torch.linalg.vector_norm(x, -torch.inf, (2, 3), True)
        return m.b(x / (high - low + 0.1) + sparse / x[0, 0].numel() + least)

    return Lambda(forward, a=nn.Conv2d(2, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1))


def chosen() -> nn.Module:
    """Channels are picked, overwritten, sorted and repeated; rows are repeated; constants have the input's size."""

    def forward(m, x):
        x = m.a(x)[:, [2, 0, 3, 1]]
        y = x.clone()
        y[:, :2] = x[:, 2:] * 2
        y[:, 3] = x[:, 0]
        x = torch.cat([y.topk(2, 1)[0], y.cumsum(1)[:, :1], y.repeat_interleave(2, 1)[:, 3:4]], 1)
        x = torch.einsum("...chw,oc->...ohw", x, m.b.weight[:, :, 0, 0]).repeat_interleave(2, 2)
        x = torch.cat([x, x[:, :1]], 1)
        x = x + F.rrelu(x) + x.new_full((1, 4, *x.shape[2:]), 0.3) + torch.where(x > 0, 1.0, -0.5)
        return m.b(x + x.mean((2, 3), keepdim=True).repeat(1, 1, *x.shape[2:]))

    return Lambda(forward, a=nn.Conv2d(2, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1))


def weight_norms() -> nn.Module:
    """Computed weights, before batch norms that therefore cannot be folded into them."""
    first, second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    return nn.Sequential(
        parametrizations.weight_norm(first), nn.BatchNorm2d(4), nn.ReLU(), parametrizations.spectral_norm(second),
        nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1),
    )  # fmt: skip


def computed_norms() -> nn.Module:
    """Batch norms whose weight, variance and bias are computed, from parameters and from the input's mean."""

    class Positive(nn.Module):
        def forward(self, x):
            return F.softplus(x)

    def forward(m, x):
        x = m.norm(m.a(x))
        x = F.batch_norm(x, m.b.bias[:4], m.a.bias.abs() + 0.3, x.mean((0, 2, 3)))
        return m.b(F.batch_norm(x, m.a.bias[:4] + 0.1, m.a.bias.abs() + 0.3, None, m.a.bias.exp()))

    norm = nn.BatchNorm2d(4)
    nn.utils.parametrize.register_parametrization(norm, "weight", Positive())
    return Lambda(forward, a=nn.Conv2d(2, 4, 3, padding=1), norm=norm, b=nn.Conv2d(4, 4, 3, padding=1))


def frames(norm: bool = True) -> nn.Module:
    """A 2-D network on each frame of `(2, T, H, W)`, then a convolution over time."""

    def forward(m, x):
        n, c, t, h, w = x.shape
        y = m.up(m.norm(F.max_pool2d(F.relu(m.a(x.transpose(1, 2).reshape(n * t, c, h, w))), 3, 1, 1)))
        y = F.interpolate(y, scale_factor=2, mode="bilinear")
        return m.b(y.reshape(n, t, 4, *y.shape[2:]).transpose(1, 2))

    return Lambda(
        forward,
        a=nn.Conv2d(2, 4, 3, stride=2, padding=1),
        norm=nn.GroupNorm(2, 4) if norm else nn.Identity(),
        up=nn.ConvTranspose2d(4, 4, 2, 2),
        b=nn.Conv3d(4, 3, (3, 1, 1), padding=(1, 0, 0)),
    )


def two_dimensional() -> dict[str, nn.Module]:
    """Return networks for inputs `(2, H, W)`, H and W divisible by 4, that must stream exactly.

    There is one for each kind of operator.
    """
    up = F.interpolate
    return {
        "unet": unet(2),
        "strided": module_chain(nn.Conv2d(4, 4, 3, stride=2, padding=1)),
        "grouped": module_chain(nn.Conv2d(4, 8, (5, 3), stride=(3, 2), padding=(2, 1), dilation=(2, 1), groups=2), 8),
        "same": module_chain(nn.Conv2d(4, 4, (4, 3), padding="same", dilation=(1, 2))),
        "valid": module_chain(nn.Conv2d(4, 4, 5, padding="valid")),
        "reflect": module_chain(nn.Conv2d(4, 4, 5, padding=2, padding_mode="reflect")),
        "replicate": module_chain(nn.Conv2d(4, 4, 5, padding=2, padding_mode="replicate")),
        "circular": module_chain(nn.Conv2d(4, 4, 5, padding=2, padding_mode="circular")),
        "transposed": module_chain(nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1)),
        "transposed gaps": module_chain(nn.ConvTranspose2d(4, 4, 2, stride=3, output_padding=1, groups=2)),
        "transposed wide": module_chain(
            nn.Sequential(nn.ConvTranspose2d(4, 4, 5, stride=2, dilation=2), nn.BatchNorm2d(4))
        ),
        "max pool": module_chain(nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
        "max pool dilated": module_chain(nn.MaxPool2d(3, 1, 1, dilation=2)),
        "avg pool": module_chain(nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
        "avg pool inner": module_chain(nn.AvgPool2d(4, 3, 2, ceil_mode=True, count_include_pad=False)),
        "adaptive bins": chain(2, lambda x: F.adaptive_avg_pool2d(x, (x.shape[2] * 2 // 5, x.shape[3] // 3))),
        "segnet": segnet(),
        "nearest": chain(2, lambda x: up(x, scale_factor=3)),
        "nearest down": chain(2, lambda x: up(x, size=(x.shape[2] * 3 // 7, x.shape[3] // 2))),
        "nearest exact": chain(2, lambda x: up(x, size=(x.shape[2] * 5 // 3, x.shape[3]), mode="nearest-exact")),
        "bilinear": chain(2, lambda x: up(x, scale_factor=2, mode="bilinear")),
        "bilinear corners": chain(2, lambda x: up(x, scale_factor=2, mode="bilinear", align_corners=True)),
        "bilinear odd": chain(2, lambda x: up(x, size=(x.shape[2] * 7 // 5, x.shape[3] * 2 // 3), mode="bilinear")),
        "bilinear factor": chain(2, lambda x: up(x, scale_factor=1.3, mode="bilinear")),
        "bicubic": chain(2, lambda x: up(x, scale_factor=(2, 1.7), mode="bicubic")),
        "bicubic corners": chain(2, lambda x: up(x, scale_factor=2, mode="bicubic", align_corners=True)),
        "shuffle": chain(2, lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 4), 16),
        "batch norm alone": module_chain(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))),
        "group norm": module_chain(nn.GroupNorm(2, 4)),
        "instance norm": module_chain(nn.InstanceNorm2d(4, affine=True)),
        "stored instance norm": module_chain(nn.InstanceNorm2d(4, track_running_stats=True)),
        "unstored batch norm": module_chain(nn.BatchNorm2d(4, track_running_stats=False)),
        "whole layer norm": chain(2, lambda x: F.layer_norm(x, x.shape[1:])),
        "spread": chain(2, lambda x: x / (x.std((2, 3), keepdim=True) + x.norm(p=2, dim=(2, 3), keepdim=True))),
        "squeeze excitation": squeeze_excitation(),
        "pyramid": pyramid(),
        "global pool": chain(2, lambda x: x - F.avg_pool2d(x, x.shape[2:])),
        "expand": chain(2, lambda x: torch.cat([x, x.amax((2, 3), keepdim=True).expand_as(x)], 1), 8),
        "channels last": channels_last_block(),
        "tokens": tokens(),
        "patches": patches(),
        "pad and crop": chain(2, lambda x: F.pad(F.pad(x, (3, 1, 2, 5), value=0.7), (-2, 0, -4, 1))),
        "crop between": chain(2, lambda x: F.pad(x, (-1, -2, -3, -1))),
        "joined": joined(),
        "coordinates": coordinates(),
        "statistics": statistics(),
        "chosen": chosen(),
        "weight norms": weight_norms(),
        "computed norms": computed_norms(),
        "slices": chain(2, lambda x: x[:, :, 1::2, ::3] + x[:, :, 0::2, ::3]),
        "splits": chain(2, lambda x: torch.cat([F.glu(x, 1), *x.chunk(2, 1)], 1), 6),
        "mean over width": chain(2, lambda x: x + x.mean(3, keepdim=True)),
        "prelu": module_chain(nn.Sequential(nn.PReLU(4), nn.Hardswish(), nn.SiLU(), nn.Softmax(1))),
        "in place": chain(2, lambda x: F.relu_(x.clone().mul_(2)).add_(x)),
        "spatial attention": chain(2, lambda x: x * torch.sigmoid(x.mean(1, True) + x.amax(1, True))),
    }


def refused() -> dict[str, tuple[nn.Module, str]]:
    """Return networks that must be refused, each with the operator that the refusal must name."""
    return {
        "attention": (attention(), "matmul"),
        "flip": (chain(2, lambda x: x + x.flip(2, 3)), "flip"),
        "fft": (chain(2, lambda x: torch.fft.rfft2(x, norm="ortho").abs()), "fft_rfft2"),
        "softmax over positions": (chain(2, lambda x: x.softmax(2) + x.softmax(3)), "softmax"),
        "random": (chain(2, lambda x: x + torch.randn(1, 4, 1, 1)), "randn"),
        "dropout at work": (chain(2, lambda x: F.dropout(x, 0.5, training=True)), "native_dropout"),
        "patches": (chain(2, lambda x: F.unfold(x, 3, padding=1).view(1, 36, *x.shape[2:]), 36), "im2col"),
        "antialias": (
            chain(2, lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)),
            "_upsample_bilinear2d_aa",
        ),
        "roll": (chain(2, lambda x: x.roll((1, 1), (2, 3))), "roll"),
        "cumulative": (chain(2, lambda x: x.cumsum(2) + x.cumsum(3)), "cumsum"),
    }
