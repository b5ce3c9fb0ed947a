"""Clips in which nothing moves but the camera: one frame along a path, without labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.cut import cut_values
from atrous.data.feed.batches import Batches
from atrous.data.feed.decode import Decoded
from atrous.data.feed.still import SPEED, cut_still, draw_still, unlabelled
from atrous.data.feed.views import Geometry
from atrous.data.targets.labels import Labels
from atrous.data.view import View
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.recipe.agree import agree_with_data
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.clips import write_panning

CROP = (4, 24, 32)


def cut(values):
    return lambda view, size: cut_values(values, view, size, "bilinear", border=True)


def test_the_first_frame_is_the_views_own_and_all_frames_show_that_one():
    """Frame t of the sample has the value t everywhere: a still clip has the first one alone."""
    values = np.broadcast_to(np.arange(9, dtype=np.float32).reshape(1, 9, 1, 1), (1, 9, 60, 80))
    view = View(0, np.array([5.0, 30.0, 40.0]), np.eye(3))  # frames 3 to 6
    path = draw_still(np.random.default_rng(0), view, CROP)
    clip = cut_still(cut(values), path, CROP)
    assert clip.shape == (1, *CROP)
    torch.testing.assert_close(clip, torch.full_like(clip, 3.0))
    place = np.random.default_rng(1).random((1, 9, 60, 80), np.float32)
    first = cut_still(cut(place), path, CROP)[:, 0]
    torch.testing.assert_close(first, cut(place)(view, CROP)[:, 0])


@pytest.mark.parametrize("seed", range(3))
def test_the_camera_moves_evenly_and_in_the_axes_of_the_crop(seed):
    """A sample whose values are its rows and columns says where the camera looks."""
    rows, columns = np.mgrid[:200, :200].astype(np.float32)
    values = np.broadcast_to(np.stack([rows, columns])[:, None], (2, 5, 200, 200))
    matrix = np.diag([1.0, 0.5, -0.5])  # twice as large, mirrored
    path = draw_still(np.random.default_rng(seed), View(0, np.array([2.0, 100.0, 100.0]), matrix), CROP)
    middle = cut_still(cut(values), path, CROP).mean(dim=(2, 3)).numpy()  # (2, 4)
    steps = np.diff(middle, axis=1)
    assert 0 < np.abs(steps).max() < 6 * SPEED * 24
    assert np.abs(steps - steps.mean(1, keepdims=True)).max() < SPEED * 24


def test_labels_are_gone_and_void_stays():
    assert unlabelled(torch.tensor([[3, IGNORE], [0, 1]])).tolist() == [[0, IGNORE], [0, 0]]


@pytest.fixture
def batches():
    """Two videos in which an object of its own brightness moves by two pixels a frame."""
    images, values, places = [], [], []
    for number in range(2):
        labels = np.zeros((8, 48, 64), np.uint8)
        for time in range(8):
            labels[time, 8:16, 4 + 2 * time + 24 * number : 12 + 2 * time + 24 * number] = 1
        images.append(np.where(labels, 100 + 100 * number, 10)[None].astype(np.uint8))
        values.append(labels)
        places.append({1: np.argwhere(labels == 1)})
    decoded = Decoded(("a", "b"), tuple(images), tuple(values), tuple(places), Labels)
    geometry = Geometry((4, 48, 64), (1.0, 1.0), 0.0, (False, False, False), 0.0, (0,), (0,))
    return Batches(decoded, geometry, None, 6, 0, 1.0, still=1.0)


def test_the_pasted_object_alone_is_labelled(batches):
    batch = batches[0]
    for image, target, name in zip(batch.images, batch.targets, batch.names, strict=True):
        other = 200.0 if name == "a" else 100.0
        assert torch.equal(target == 1, image[0] == other)
        assert bool((target == 1).any())
        assert float(image.max()) >= other


def test_half_of_the_batch_is_the_same_whoever_makes_it(batches):
    some = replace(batches, still=0.5)
    whole, part = some[3], some.part(3, range(3, 6))
    assert torch.equal(whole.images[3:], part.images)
    assert torch.equal(whole.targets[3:], part.targets)


def test_what_is_no_video_is_refused(tmp_path, squares):
    videos = check(write_panning(tmp_path / "videos", clips=2, frames=3))
    plan = KINDS[videos.dataset.kind].plan(videos.dataset, videos.fingerprint, Request(epochs=1))
    agree_with_data(override(plan.recipe, ["augment.still=0.5"]), videos.dataset, videos.fingerprint)
    images = check(squares)
    plan = KINDS[images.dataset.kind].plan(images.dataset, images.fingerprint, Request(epochs=1))
    with pytest.raises(UserError, match=r"augment\.still is for videos"):
        agree_with_data(override(plan.recipe, ["augment.still=0.5"]), images.dataset, images.fingerprint)
