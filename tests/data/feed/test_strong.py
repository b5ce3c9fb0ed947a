"""Strong changes: each against its formula, the same for the same draw, and none by default."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from atrous.data.feed.strong import (
    COUNT,
    OPERATIONS,
    StrongChange,
    applicable,
    draw_strong,
    smoothed,
    strongly_changed,
)
from atrous.data.feed.views import Geometry
from tests.data.feed.test_batches import batches

NUMBERS = np.array([0.5, -0.25, 1.0, 0.75])


def change(name, amount=0.5):
    return StrongChange(name, amount, NUMBERS, 7)


def crop(*size, channels=3):
    torch.manual_seed(0)
    return 50 * torch.rand(channels, *size)


def changed(name, image, amount=0.5, spread=10.0):
    return strongly_changed(image, (change(name, amount),), spread)


@pytest.mark.parametrize("size", [(40,), (12, 15), (6, 7, 8)])
def test_a_blur_is_scipys(size):
    image = crop(*size)
    want = gaussian_filter(image.numpy(), (0, *[0.8] * len(size)), mode="nearest", truncate=3.0 / 0.8)
    torch.testing.assert_close(smoothed(image, 0.8), torch.from_numpy(want), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(changed("blur", image), smoothed(image, 1.0))
    torch.testing.assert_close(changed("sharpen", image), 2 * image - smoothed(image, 1.0))


def test_intensities_follow_their_formulas():
    image = crop(8, 9)
    mean = image.mean((1, 2), keepdim=True)
    torch.testing.assert_close(changed("contrast", image), mean + 1.2 * (image - mean))
    torch.testing.assert_close(changed("gray", image), 0.5 * image + 0.5 * image.mean(0))
    torch.testing.assert_close(changed("tint", image), image + 3.0 * torch.tensor([0.5, -0.25, 1.0]).view(3, 1, 1))
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    bent = low + (high - low) * ((image - low) / (high - low)) ** float(np.exp(0.25))
    torch.testing.assert_close(changed("gamma", image), bent)
    noise = np.random.default_rng(7).standard_normal((3, 8, 9), np.float32)
    torch.testing.assert_close(changed("noise", image), image + 1.5 * torch.from_numpy(noise))


def test_light_is_a_ramp_across_the_crop():
    added = changed("light", torch.zeros(2, 5, 7))
    assert added[0, 0, 0] == pytest.approx(4.0 * (-2 / 3 + 1 / 3))
    assert added[1, 4, 6] == pytest.approx(4.0 * (2 / 3 - 1 / 3))
    assert added[0, 2, 3] == pytest.approx(0.0, abs=1e-6)


def test_a_box_shows_the_mean_and_the_rest_stays():
    image = crop(8, 12)
    found = changed("cutout", image)
    different = (found != image).all(0)
    rows, columns = different.any(1), different.any(0)
    assert (int(rows.sum()), int(columns.sum()), int(different.sum())) == (2, 3, 6)
    torch.testing.assert_close(found[:, different], image.mean((1, 2))[:, None].expand(3, 6))


def test_jpeg_keeps_the_range_and_loses_more_the_stronger_it_is():
    image = smoothed(crop(32, 32), 2.0) - 100
    errors = [float((changed("jpeg", image, amount) - image).abs().mean()) for amount in (0.0, 1.0)]
    assert 0 < errors[0] < errors[1] < float(image.max() - image.min()) / 10


def test_fewer_positions_keep_what_is_even():
    ramp = torch.arange(20.0).expand(1, 20, 20)
    found = changed("coarse", ramp, 0.5)
    torch.testing.assert_close(found[:, 2:-2, 2:-2], ramp[:, 2:-2, 2:-2], atol=0.6, rtol=0)
    assert not torch.equal(found, ramp)
    assert torch.equal(changed("coarse", ramp, 0.0), ramp)


@pytest.mark.parametrize(
    ("shape", "name"), [(shape, name) for shape in [(1, 33), (3, 17, 20), (2, 5, 8, 9)] for name in applicable(shape)]
)
def test_any_grid_and_nothing_at_amount_zero(shape, name):
    image = crop(*shape[1:], channels=shape[0])
    found = changed(name, image)
    assert (found.shape, found.dtype) == (image.shape, torch.float32)
    assert bool(found.isfinite().all())
    if name not in ("jpeg", "cutout"):
        torch.testing.assert_close(changed(name, image, 0.0), image)


@pytest.mark.parametrize("name", ["blur", "sharpen", "coarse"])
def test_frames_of_a_video_are_not_blended(name):
    video = torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 9, 9).contiguous()
    found = changed(name, video)
    assert not torch.allclose(found, video)
    kept = strongly_changed(video, (replace(change(name), keep=(0,)),), 10.0)
    torch.testing.assert_close(kept, video)
    video[0, 2, 4, 4] = 9.0
    of_frames = strongly_changed(video, (replace(change(name), keep=(0,)),), 10.0)
    torch.testing.assert_close(of_frames[:, 2], changed(name, video[:, 2]))
    assert not torch.allclose(of_frames, video)


def test_two_different_ones_are_drawn_up_to_the_strength():
    rng = np.random.default_rng(0)
    drawn = [draw_strong(rng, (3, 8, 8), 0.6) for _ in range(300)]
    assert {len({one.name for one in both}) for both in drawn} == {COUNT}
    assert {one.name for both in drawn for one in both} == set(OPERATIONS)
    amounts = [one.amount for both in drawn for one in both]
    assert 0 <= min(amounts) < 0.05
    assert 0.55 < max(amounts) < 0.6


def test_batches_are_changed_where_it_is_asked_for_and_labels_are_not():
    plain = batches([(20, 20)] * 4)
    strong = replace(plain, strong=0.8)
    assert not torch.equal(plain[0].images[0], strong[0].images[0])
    # what is drawn for the first crop of a step comes before its strong changes
    assert torch.equal(plain[0].targets[0], strong[0].targets[0])
    assert torch.equal(strong[0].images[1:], strong.part(0, range(1, 3)).images)


def test_batches_of_videos_keep_time():
    video = batches([(4, 12, 12)] * 2)
    video = replace(video, strong=0.8, geometry=Geometry((2, 8, 8), (1.0, 1.0), 0.0, (False,) * 3, keep=(0,)))
    with patch("atrous.data.feed.batches.strongly_changed", side_effect=strongly_changed) as called:
        video[0]
    assert {one.keep for call in called.call_args_list for one in call.args[1]} == {(0,)}
