"""What moves in a frame by itself, and not because the camera moves: the flow that is left after the camera's."""

import torch

from atrous.nn.flow import dense_flow, warp

PLANES = 4
"""What `camera_motion` gives of each frame: motion down, motion right, how fast, how much the pixel changed."""
FITTED = 32
"""Pixels along the shorter side on which the motion of the camera is fitted."""
ROUNDS = 8
"""Rounds of the robust fit."""
STILL = 0.15
"""Pixels by which a still scene may seem to move: less than that is no motion."""
UNCHANGED = 0.05
"""Deviations by which a pixel may change without anything having moved."""


def camera_motion(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Return how each pixel moves against the camera's motion, planes `(N, 4, H, W)`.

    The camera's motion is an affine map of the frame, fitted to the optical flow (`fit_camera`). What the flow differs
    from it, `r = (down, right)` in pixels, and by how much a pixel differs from the one before when the camera's motion
    is undone, `d`, are given in units of what is usual in this frame, and large values are compressed:

        l(down / s), l(right / s), l(|r| / s), l(d / t), with l(x) = sign(x) log(1 + |x|),
        s = max(median |r|, 0.15 pixels), t = max(median d, 0.05 standard deviations of the frame).

    Thus slow and fast objects, and noisy and clear videos, look alike. All planes are 0 where `previous` is the same
    everywhere: before the first frame there is none.

    It is one operator of torch, so that a network is exported and streamed with it. It has no gradient.

    Args:
        current: frames `(N, C, H, W)`.
        previous: the frame before each.

    >>> camera_motion(torch.rand(2, 3, 32, 40), torch.zeros(2, 3, 32, 40)).abs().max().item()
    0.0
    """
    return _camera_motion(current.detach(), previous.detach())


@torch.library.custom_op("atrous::camera_motion", mutates_args=())
def _camera_motion(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
        here, before = (x.float().mean(1, keepdim=True) for x in (current, previous))
        here, before = (x - x.mean(dim=(2, 3), keepdim=True) for x in (here, before))
        known = before.flatten(1).abs().amax(1) > 0
        flow = dense_flow(here, before)
        camera = fit_camera(flow)
        apart = flow - camera
        speed = apart.square().sum(1, keepdim=True).sqrt()  # faster than a norm
        warped, inside = warp(before, camera)
        change = (warped - here).abs() * inside / (here.std(dim=(2, 3), keepdim=True) + 1e-6)
        slow, same = _median(speed).clamp_min(STILL), _median(change).clamp_min(UNCHANGED)
        planes = torch.cat([apart / slow, speed / slow, change / same], 1)
        planes = torch.log1p(planes.abs()).copysign(planes)
        return (planes * known.view(-1, 1, 1, 1)).to(current.dtype)


@_camera_motion.register_fake
def _(current: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    return current.new_empty((current.shape[0], PLANES, *current.shape[2:]))


def fit_camera(flow: torch.Tensor) -> torch.Tensor:
    """Return the flow `(N, 2, H, W)` of the affine map of the frame that fits most of a flow best.

    Least squares with weights that fall with the residual `r` (Geman and McClure), round by round:

        w = 1 / (1 + (r / 2s)^2)^2, s the median of r.

    Pixels at the border count up to four times as much as those in the middle, where objects mostly are.

    >>> rows = torch.linspace(-1, 1, 40)[None, None, :, None].expand(1, 1, 40, 50)
    >>> flow = torch.cat([3 + 2 * rows, 1 - rows], 1)
    >>> flow[..., 10:20, 10:20] += 5  # an object
    >>> round(float((fit_camera(flow) - torch.cat([3 + 2 * rows, 1 - rows], 1)).abs().max()), 2)
    0.0
    """
    design = _design(flow)  # (3, H, W)
    step = max(1, min(flow.shape[2:]) // FITTED)
    points = design[:, step // 2 :: step, step // 2 :: step].flatten(1).T  # (P, 3)
    values = flow[..., step // 2 :: step, step // 2 :: step].flatten(2).transpose(1, 2)  # (N, P, 2)
    border = 1 + 3 * points[:, 1:].abs().amax(1) ** 2
    ridge = 1e-6 * torch.eye(3, dtype=flow.dtype, device=flow.device)
    fitted = values.median(dim=1, keepdim=True).values  # the first guess: a shift
    for _ in range(ROUNDS):
        far = (values - fitted).square().sum(2, keepdim=True).sqrt()  # (N, P, 1)
        spread = far.median(dim=1, keepdim=True).values + 0.02
        weight = border[:, None] / (1 + (far / (2 * spread)) ** 2) ** 2
        weight = weight / weight.sum(dim=1, keepdim=True)
        normal = (weight * points).transpose(1, 2) @ points + ridge
        solved = torch.linalg.solve(normal, (weight * points).transpose(1, 2) @ values)  # (N, 3, 2)
        fitted = points @ solved
    return torch.einsum("khw,nkc->nchw", design, solved)


def _design(flow: torch.Tensor) -> torch.Tensor:
    """1, row and column of each pixel, in -1..1, `(3, H, W)`."""
    rows, columns = (torch.linspace(-1, 1, n, dtype=flow.dtype, device=flow.device) for n in flow.shape[2:])
    down, right = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([torch.ones_like(down), down, right])


def _median(x: torch.Tensor) -> torch.Tensor:
    """The median of each `(N, 1, H, W)`, of every second pixel along each axis where there are many, `(N, 1, 1, 1)`."""
    step = 2 if min(x.shape[2:]) >= 2 * FITTED else 1
    return x[..., ::step, ::step].flatten(1).median(dim=1).values.view(-1, 1, 1, 1)
