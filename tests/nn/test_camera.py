"""What moves by itself is told from what the camera does."""

import numpy as np
import pytest
import torch

from atrous.nn.camera import PLANES, camera_motion, fit_camera
from tests.clips import make_panning


def pair(pan=(1, 2), seed=0, time=3):
    """Two frames `(1, 3, H, W)` of a camera that pans, and where the square is in the later one, `(H, W)`."""
    pictures, labels = make_panning(seed, pan=pan, size=(96, 128))
    frames = torch.from_numpy(np.moveaxis(pictures, -1, 1).astype(np.float32))
    return frames[time : time + 1], frames[time - 1 : time], labels[time] > 0


@pytest.mark.parametrize("pan", [(1, 2), (0, 0), (-1, -2)])
def test_a_square_is_separated_from_a_background_of_the_same_texture(pan):
    current, previous, square = pair(pan)
    planes = camera_motion(current, previous)[0].numpy()
    assert planes.shape == (PLANES, 96, 128)
    speed = np.expm1(planes[2])
    moves = speed > np.median(speed[square]) / 2
    assert (moves & square).sum() / (moves | square).sum() > 0.6
    assert planes[3][square].mean() > 1.5 * planes[3][~square].mean()


def test_the_direction_is_that_of_the_object_against_the_camera():
    current, previous, square = pair((1, 2))
    planes = camera_motion(current, previous)[0].numpy()
    # In the frame the square moves by (-1, 1), the ground by (-1, -2): it came from 3 columns further left than that.
    assert abs(np.median(planes[0][square])) < 0.7
    assert np.median(planes[1][square]) < -2


def test_light_that_changes_and_a_still_scene_do_not_move():
    current, previous, _ = pair((2, 1))
    brighter = camera_motion(current + 20, previous)[0].numpy()
    np.testing.assert_allclose(brighter, camera_motion(current, previous)[0].numpy(), atol=0.01)
    assert camera_motion(current, current).abs().max() < 0.05


def test_before_the_first_frame_nothing_is_known():
    current, _, _ = pair()
    both = torch.cat([current, current])
    planes = camera_motion(both, torch.cat([torch.zeros_like(current), pair()[1]]))
    assert planes[0].abs().max() == 0
    assert planes[1].abs().max() > 1


def test_half_precision_is_computed_in_full():
    current, previous, square = pair()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(camera_motion(current, previous), camera_motion(current, previous).float())
    half = camera_motion(current.bfloat16(), previous.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half[0, 2].float().numpy()[square] > 1).mean() > 0.8


def test_the_camera_is_fitted_though_a_third_of_the_frame_moves_by_itself():
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(-1, 1, 90), indexing="ij")
    camera = torch.stack([4 - rows + 0.5 * columns, -3 + 2 * columns])[None]
    flow = camera.clone()
    flow[..., 15:45, 20:80] += torch.tensor([6.0, -9.0]).view(1, 2, 1, 1)
    assert (fit_camera(flow) - camera).abs().max() < 0.05


def test_torch_finds_nothing_wrong_with_the_operator():
    current, previous, _ = pair()
    small = current[..., :40, :48].contiguous(), previous[..., :40, :48].contiguous()
    torch.library.opcheck(torch.ops.atrous.camera_motion.default, small, test_utils=("test_schema", "test_faketensor"))
