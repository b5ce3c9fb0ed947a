"""Two images of a sample are cut by one view, and vary apart where that is wanted."""

import numpy as np
import pytest
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, recolor
from atrous.data.feed.batches import Batches
from atrous.data.feed.decode import Decoded
from atrous.data.feed.pairs import Apart, cut_pair, recolor_pair
from atrous.data.feed.views import Geometry
from atrous.data.targets.labels import Labels
from atrous.data.view import View

RAMP = np.stack([np.arange(40.0)] * 40)[None].repeat(4, 0).astype(np.float32)
"""Two images of two channels whose value is their column."""
VIEW = View(0, np.array([20.0, 20.0]), np.eye(2))


def test_at_most_one_image_is_shifted_and_by_no_more_than_is_said():
    rng, moves, still = np.random.default_rng(0), [], cut_values(RAMP[:2], VIEW, (8, 8), "bilinear", border=True)
    for _ in range(200):
        crop = cut_pair(rng, RAMP, VIEW, (8, 8), Apart(shift=2.0))
        first, second = (float((part - still).mean()) for part in crop.chunk(2))
        assert abs(first) < 1e-4 or abs(second) < 1e-4
        moves.append(first - second)
    shifted = [move for move in moves if abs(move) > 1e-4]
    assert 60 < len(shifted) < 140
    assert max(map(abs, shifted)) <= 2.0
    assert max(shifted) > 1.5
    assert min(shifted) < -1.5


def test_time_is_not_shifted():
    clip = np.broadcast_to(np.arange(6.0, dtype=np.float32)[None, :, None, None], (2, 6, 12, 12))
    view = View(0, np.array([3.0, 6.0, 6.0]), np.eye(3))
    for seed in range(6):
        crop = cut_pair(np.random.default_rng(seed), clip, view, (2, 8, 8), Apart(shift=2.0, keep=(0,)))
        torch.testing.assert_close(crop[:, :, 4, 4], torch.tensor([[2.0, 3.0]] * 2))


def test_one_frame_is_cut_as_a_picture():
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(2, 1, 30, 40)).astype(np.float32)
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[1:, 1:] = turn
    crop = cut_values(frame, View(0, np.array([0.5, 14.0, 22.0]), matrix), (1, 16, 24), "bilinear", border=True)
    picture = cut_values(frame[:, 0], View(0, np.array([14.0, 22.0]), turn), (16, 24), "bilinear", border=True)
    assert torch.equal(crop[:, 0], picture)
    view = View(0, np.array([1.0, 14.0, 22.0]), matrix)
    doubled = cut_values(frame.repeat(2, 1), view, (2, 16, 24), "bilinear", border=True)
    torch.testing.assert_close(doubled[:, 0], picture, atol=1e-4, rtol=1e-4)  # as volumes are cut


@pytest.mark.parametrize("alike", [True, False])
def test_intensities_vary_in_both_images_alike_or_in_each_by_itself(alike):
    image = torch.rand(3, 8, 8).repeat(2, 1, 1)
    changed = recolor_pair(np.random.default_rng(3), image, Color(noise=0.0), 1.0, Apart(color=not alike))
    first, second = changed.chunk(2)
    assert not torch.allclose(first, image[:3])
    assert torch.allclose(first, second, atol=1e-5) == alike
    if alike:  # as an image of three channels with the positions of both
        both = recolor(np.random.default_rng(3), torch.stack(image.chunk(2), dim=1), Color(noise=0.0), 1.0)
        torch.testing.assert_close(first, both[:, 0])


def test_batches_of_pairs_are_the_same_for_a_step():
    labels = np.zeros((40, 40), np.uint8)
    decoded = Decoded(("a",), (RAMP,), (labels,), ({0: np.array([[5, 5]])},), Labels)
    one, other = (
        Batches(decoded, Geometry((16, 16)), Color(), 2, 0, 1.0, apart=Apart(2.0, color=True)) for _ in range(2)
    )
    assert torch.equal(one[3].images, other[3].images)
    assert one[3].images.shape == (2, 4, 16, 16)
