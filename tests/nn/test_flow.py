"""Optical flow against motions that are known in closed form."""

import pytest
import torch

from atrous.nn.flow import box_sum, dense_flow, phase_shift, warp


def waves(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """A picture with a value at every place, whole or not, `(1, 1, H, W)`."""
    total = torch.zeros_like(rows + columns)
    generator = torch.Generator().manual_seed(0)
    for _ in range(24):
        down, right, phase = (torch.rand(3, generator=generator) - 0.5).tolist()
        total = total + torch.sin(1.2 * down * rows + 1.2 * right * columns + 12 * phase)
    return total[None, None]


def places(height: int = 96, width: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(height, dtype=torch.float32)[:, None], torch.arange(width, dtype=torch.float32)[None]


@pytest.mark.parametrize(
    ("matrix", "shift"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], (0.4, -0.7)),  # parts of a pixel
        ([[0.04, 0.0], [0.0, 0.04]], (-2.0, -3.0)),  # zoom
        ([[0.0, 0.05], [-0.05, 0.0]], (0.0, 0.0)),  # turn
    ],
)
def test_the_flow_of_an_affine_motion_is_that_motion(matrix, shift):
    rows, columns = places()
    down = matrix[0][0] * (rows - 48) + matrix[0][1] * (columns - 64) + shift[0]
    right = matrix[1][0] * (rows - 48) + matrix[1][1] * (columns - 64) + shift[1]
    previous, current = waves(rows, columns), waves(rows + down, columns + right)
    found = dense_flow(current, previous)
    true = torch.stack([down.expand(96, 128), right.expand(96, 128)])[None]
    inside = slice(16, -16), slice(28, -28)  # what was in the frame before
    error = (found - true)[..., inside[0], inside[1]].norm(dim=1)
    assert error.median() < 0.15
    assert error.quantile(0.95) < 0.3


@pytest.mark.parametrize("shift", [(-9, 21), (15, -30)])
def test_a_camera_that_turns_fast_is_followed(shift):
    generator = torch.Generator().manual_seed(0)
    ground = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 160, 200, generator=generator), 5, 1, 2)
    previous, current = (ground[..., 32 + down : 128 + down, 36 + right : 164 + right]
                         for down, right in ((0, 0), shift))  # fmt: skip
    found = dense_flow(current, previous)
    inside = found[..., 20:-20, 36:-36].flatten(2).median(2).values[0]
    assert abs(inside[0] - shift[0]) < 0.1
    assert abs(inside[1] - shift[1]) < 0.1


def test_each_frame_of_a_batch_has_its_own_flow():
    rows, columns = places(48, 64)
    frames = torch.cat([waves(rows, columns), waves(rows + 2, columns)])
    found = dense_flow(waves(rows, columns).expand(2, -1, -1, -1), frames)
    alone = dense_flow(waves(rows, columns), frames[1:])
    torch.testing.assert_close(found[1:], alone, atol=1e-4, rtol=1e-4)
    assert found[0].abs().max() < 0.01
    assert abs(found[1, 0, 12:-12, 12:-12].mean() + 2) < 0.05


def test_a_shift_beyond_half_a_frame_is_told_by_its_sign():
    frame = torch.randn(2, 1, 40, 30, generator=torch.Generator().manual_seed(1))
    moved = torch.stack([torch.roll(frame[0], (-13, 4), (1, 2)), frame[1]])
    assert phase_shift(frame, moved).tolist() == [[-13.0, 4.0], [0.0, 0.0]]


def test_a_warp_by_whole_pixels_copies_them_and_says_what_is_outside():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    moved, inside = warp(image, torch.tensor([1.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4))
    torch.testing.assert_close(moved[0, 0, :2, 1:], image[0, 0, 1:, :3])
    assert inside[0, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_sums_over_windows_are_those_of_a_convolution(reach):
    x = torch.randn(2, 3, 11, 13, dtype=torch.float64)
    side = 2 * reach + 1
    expected = torch.nn.functional.avg_pool2d(x, side, 1, reach) * side**2
    torch.testing.assert_close(box_sum(x, reach), expected)
