"""Fixed kernels that a network makes in its forward pass stream exactly: blurs as torchvision and kornia write them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as T
from torch import Tensor, nn

from atrous.geometry import certify
from atrous.stream import Session, prepare, stream
from tests.toy_models import Lambda


def gaussian(size: int, sigma: float) -> Tensor:
    """A Gaussian window `(1, size)`, as kornia's `get_gaussian_kernel1d` computes it."""
    x = (torch.arange(size) - size // 2).expand(1, -1)
    window = torch.exp(-x.pow(2.0) / (2 * torch.tensor([[sigma]]).pow(2.0)))
    return window / window.sum(-1, keepdim=True)


def filtered(x: Tensor, kernel: Tensor, padding: str = "reflect") -> Tensor:
    """kornia's `filter2d`: one kernel `(1, kh, kw)` for all channels, spread over them by `expand`."""
    n, c, h, w = x.shape
    spread = kernel[:, None].expand(-1, c, -1, -1)
    kh, kw = kernel.shape[-2:]
    padded = F.pad(x, [kw // 2, kw // 2, kh // 2, kh // 2], mode=padding)
    spread = spread.reshape(-1, 1, kh, kw)
    padded = padded.view(-1, spread.size(0), padded.size(-2), padded.size(-1))
    return F.conv2d(padded, spread, groups=spread.size(0), padding=0, stride=1).view(n, c, h, w)


def unfolded_median(x: Tensor) -> Tensor:
    """kornia's `median_blur`: nine kernels pick the neighbours, whose median follows."""
    kernel = torch.eye(9).view(9, 1, 3, 3)
    n, c, h, w = x.shape
    return F.conv2d(x.reshape(n * c, 1, h, w), kernel, padding=1).view(n, c, -1, h, w).median(2)[0]


def pooled_kernel(x: Tensor) -> Tensor:
    """kornia's `blur_pool2d`: a binomial kernel, repeated for each channel, with stride 2."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (row[:, None] * row[None] / 256)[None, None].repeat((x.size(1), 1, 1, 1))
    return F.conv2d(x, kernel, padding=2, stride=2, groups=x.size(1))


BLURS = {
    "torchvision": lambda x: T.gaussian_blur(x, [5, 7], [1.0, 2.0]),
    "a kernel of one number": lambda x: F.conv2d(
        x, torch.ones(1, 1, 1, 1).expand(3, 1, 5, 5) / 25, padding=2, groups=3
    ),
    "a repeated number": lambda x: F.conv2d(x, torch.full((1, 1, 1, 1), 0.04).repeat(3, 1, 5, 5), padding=2, groups=3),
    "a box": lambda x: filtered(x, torch.tensor(1 / 15).expand(1, 3, 5), "replicate"),
    "separable": lambda x: filtered(filtered(x, gaussian(7, 1.5)[..., None, :]), gaussian(5, 1.0)[..., None]),
    "two-dimensional": lambda x: filtered(x, gaussian(5, 1.0)[..., None] * gaussian(5, 2.0)[..., None, :]),
    "unsharp mask": lambda x: x + 0.5 * (x - filtered(x, gaussian(9, 2.0)[..., None] * gaussian(9, 2.0)[..., None, :])),
    "median": unfolded_median,
    "blur pool": pooled_kernel,
    "transposed": lambda x: F.conv_transpose2d(x, torch.ones(1, 1, 1, 1).expand(3, 1, 4, 4) / 4, stride=2, groups=3),
    "a resized kernel": lambda x: F.conv2d(
        x, F.interpolate(torch.ones(1, 1, 1, 1), size=(5, 5)).expand(3, -1, -1, -1) / 25, padding=2, groups=3
    ),
    "a bias of one number": lambda x: F.conv2d(x, torch.ones(2, 3, 1, 1), torch.ones(1).expand(2)),
    "gradients of an image": lambda x: F.conv3d(
        F.pad(x, (1, 1, 1, 1), "replicate")[:, :, None],
        torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None, None].expand(3, 1, 1, 3, 3),
        groups=3,
    )[:, :, 0],
}


@pytest.mark.parametrize("name", BLURS)
def test_a_kernel_that_is_spread_over_the_channels_is_no_grid(name):
    net = Lambda(lambda m, x: F.max_pool2d(BLURS[name](x * 2), 3, 1, 1))
    x = np.random.default_rng(0).normal(size=(3, 61, 47)).astype("f4")
    wanted = net(torch.from_numpy(x)[None])[0].numpy()
    assert certify(net, x.shape).passes == 1
    ready = prepare(net, x.shape)
    for options in ({"strip": 7}, {"strip": 8, "axis": 1}, {"strip": 9, "blocks": 2}, {"strategy": "windows"}):
        np.testing.assert_allclose(stream(ready, x, **options), wanted, atol=2e-5)
    session = Session(net, (3, None, 47))
    parts = [session.push(x[:, i : i + 13]) for i in range(0, 61, 13)] + [session.close()]
    np.testing.assert_allclose(np.concatenate(parts, 1), wanted, atol=2e-5)


def test_a_signal_and_a_volume_are_blurred_alike():
    for ndim, conv in ((1, F.conv1d), (3, F.conv3d)):
        net = Lambda(
            lambda m, x, n=ndim, f=conv: f(x, torch.ones((1,) * (n + 2)).expand(2, 1, *[3] * n), padding=1, groups=2)
        )
        x = np.random.default_rng(0).normal(size=(2, 17, 9, 8)[: 1 + ndim])
        wanted = net(torch.from_numpy(x).float()[None])[0].numpy()
        np.testing.assert_allclose(stream(net, x, strip=4), wanted, atol=1e-4)


def test_a_pooled_vector_that_is_spread_over_the_grid_still_becomes_rows():
    net = Lambda(
        lambda m, x: m.a(x.mean((2, 3), keepdim=True).expand(1, 3, *x.shape[2:]) + x), a=nn.Conv2d(3, 2, 3, padding=1)
    )
    net.eval()
    x = np.random.default_rng(0).normal(size=(3, 61, 47)).astype("f4")
    wanted = net(torch.from_numpy(x)[None])[0].detach().numpy()
    np.testing.assert_allclose(stream(net, x, strip=8), wanted, atol=1e-5)
    tall, taller = (certify(net, (3, rows, 64), memory="4MiB").peak_streamed for rows in (4096, 65536))
    assert taller == tall
