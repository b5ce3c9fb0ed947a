"""Optical flow: where each pixel of a frame was in the frame before, by Lucas and Kanade's method on a pyramid."""

import torch
from torch.nn import functional as F

REACH = 4
"""Pixels to either side of the window in which the flow is taken for constant."""
ITERATIONS = 3
"""Steps of the method on each level of the pyramid."""
COARSEST = 12
"""Pixels of the shorter side of the coarsest level, at least."""
CORRELATED = 64
"""Pixels of the longer side of the level, at most, on which the shift of the whole frame is found first."""
DAMPING = 0.05
"""Added to products of gradients, as a share of their mean: without texture the flow stays that of coarser levels."""


def dense_flow(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Return the flow `(N, 2, H, W)` in pixels, rows first, with `previous(x + flow(x)) = current(x)`.

    The flow minimizes the squared difference of both frames over a window around each pixel (Lucas and Kanade 1981, "An
    iterative image registration technique"), level by level of a pyramid (Bouguet 2000), from the coarsest to the
    finest one, at every pixel at once (Le Besnerais and Champagnat 2005, "Dense optical flow by iterative local window
    registration"). On a coarse level the shift of the whole frame, found by phase correlation, is where it begins: a
    camera may turn faster than a pyramid follows.

    Args:
        current: frames `(N, 1, H, W)`, float32.
        previous: the frame before each.

    >>> wave = torch.sin(torch.arange(48.0) / 4)
    >>> frame = wave[:, None] + wave
    >>> flow = dense_flow(frame[None, None, 3:43, 2:42], frame[None, None, :40, :40])
    >>> [round(float(flow[0, axis, 8:-8, 8:-8].mean()), 1) for axis in (0, 1)]
    [3.0, 2.0]
    """
    spread = current.std(dim=(2, 3), keepdim=True) + 1e-6
    levels = [(current / spread, previous / spread)]
    while min(levels[-1][0].shape[2:]) >= 2 * COARSEST:
        levels.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in levels[-1]))  # type: ignore[arg-type]
    coarse = next((n for n, (x, _) in enumerate(levels) if max(x.shape[2:]) <= CORRELATED), len(levels) - 1)
    shift = phase_shift(*levels[coarse])
    flow = torch.zeros_like(levels[-1][0]).repeat(1, 2, 1, 1) + shift[..., None, None] / 2 ** (len(levels) - 1 - coarse)
    for here, before in reversed(levels):
        if flow.shape[2:] != here.shape[2:]:
            flow = 2 * F.interpolate(flow, size=here.shape[2:], mode="bilinear", align_corners=False)
        flow = refined(here, before, flow)
    return flow


def refined(current: torch.Tensor, previous: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Return a flow `(N, 2, H, W)` after some steps of Lucas and Kanade's method.

    Let `g` be the gradient of the current frame, `f` the flow so far, and `e = previous(x + f(x)) - current(x)`. The
    new flow `f'` of a pixel is that of its whole window. With sums over the window, whose pixels have flows `f` of
    their own,

        (sum g g^T + c) f' = sum g (g^T f - e) + c f,

    where `c` keeps the flow where there is no texture. Pixels that were outside of the previous frame have `e = 0`.
    """
    padded = F.pad(current, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    columns = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    products = box_sum(torch.cat([rows * rows, rows * columns, columns * columns], 1), REACH)
    damping = DAMPING * (products[:, :1] + products[:, 2:]).mean(dim=(2, 3), keepdim=True) + 1e-6
    a, b, c = products[:, :1] + damping, products[:, 1:2], products[:, 2:] + damping
    scale = 1 / (a * c - b * b)
    gradient = torch.cat([rows, columns], 1)
    for _ in range(ITERATIONS):
        warped, inside = warp(previous, flow)
        along = (gradient * flow).sum(1, keepdim=True) - (warped - current) * inside
        sums = box_sum(gradient * along, REACH) + damping * flow
        y, x = sums[:, :1], sums[:, 1:]
        flow = torch.cat([c * y - b * x, a * x - b * y], 1) * scale
    return flow


def warp(image: torch.Tensor, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `image(x + flow(x))`, `(N, C, H, W)`, and whether `x + flow(x)` lies in the image, `(N, 1, H, W)`, 0 or 1.

    Args:
        image: `(N, C, H, W)`.
        flow: `(N, 2, H, W)` in pixels, rows first.

    >>> right = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    >>> warp(torch.arange(4.0).view(1, 1, 1, 4), right)[0].tolist()
    [[[[1.0, 2.0, 3.0, 3.0]]]]
    """
    height, width = image.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + 0.5
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device) + 0.5
    places = torch.stack([(flow[:, 1] + columns) * (2 / width) - 1, (flow[:, 0] + rows) * (2 / height) - 1], -1)
    inside = (places.abs() <= 1).all(-1).to(flow.dtype)[:, None]
    return F.grid_sample(image, places, mode="bilinear", padding_mode="border", align_corners=False), inside


def phase_shift(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Return the shift `(N, 2)` in whole pixels, rows first, that makes `previous(x + shift)` most like `current(x)`.

    A shift turns the phases of the Fourier transform alone: with `A` and `B` those of both frames, the peak of the
    inverse transform of `B conj(A) / |B conj(A)|` lies at the shift (Kuglin and Hines 1975). Where the frames differ
    less without it, the shift is 0.

    Args:
        current: frames `(N, 1, H, W)`.
        previous: the frame before each.

    >>> frame = torch.randn(1, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    >>> phase_shift(frame, torch.roll(frame, (5, -7), (2, 3))).tolist()
    [[5.0, -7.0]]
    """
    height, width = current.shape[2:]
    window = torch.hann_window(height + 2, False)[1:-1, None] * torch.hann_window(width + 2, False)[1:-1]
    spectra = [torch.fft.rfft2((x - x.mean(dim=(2, 3), keepdim=True)) * window.to(x)) for x in (current, previous)]
    cross = spectra[1] * spectra[0].conj()
    peak = torch.fft.irfft2(cross / (cross.abs() + 1e-9), s=(height, width)).flatten(1).argmax(1)
    shift = torch.stack([peak // width, peak % width], 1)
    size = torch.tensor([height, width], device=shift.device)
    shift = torch.where(2 * shift > size, shift - size, shift).to(current.dtype)
    moved, inside = warp(previous, shift[..., None, None].expand(-1, -1, height, width))
    after = ((moved - current).abs() * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3)).clamp_min(1)
    better = after < (previous - current).abs().mean(dim=(1, 2, 3))
    return shift * better[:, None]


def box_sum(x: torch.Tensor, reach: int) -> torch.Tensor:
    """Return sums over windows of `2 reach + 1` pixels a side around each pixel of `(N, C, H, W)`; outside are zeros.

    >>> box_sum(torch.ones(1, 1, 1, 4), 1).tolist()
    [[[[2.0, 3.0, 3.0, 2.0]]]]
    """
    count = 2 * reach + 1
    return _running_sums(_running_sums(F.pad(x, (reach,) * 4), count, 2), count, 3)


def _running_sums(x: torch.Tensor, count: int, dim: int) -> torch.Tensor:
    """Sums of `count` neighbors along a dimension, by sums of 1, 2, 4 ... of them: log(count) additions a pixel."""
    length, width, offset = x.shape[dim] - count + 1, 1, 0
    powers, total = x, None  # sums of `width` neighbors, from each position on
    while True:
        if count & width:
            part = powers.narrow(dim, offset, length)
            total = part if total is None else total + part
            offset += width
        if 2 * width > count:
            assert total is not None
            return total
        rest = powers.shape[dim] - width
        powers = powers.narrow(dim, 0, rest) + powers.narrow(dim, width, rest)
        width *= 2
