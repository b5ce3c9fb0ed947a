"""Views cut out of samples, against plain slicing and exact turns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.cut import cut_values
from atrous.data.feed.augment import Color, recolor
from atrous.data.feed.decode import Decoded
from atrous.data.feed.views import Geometry, draw_view
from atrous.data.targets.labels import Labels
from atrous.data.view import View
from atrous.labels import IGNORE


def cut(image, label, view, crop):
    return cut_values(image, view, crop, "bilinear", border=True), Labels.cut(label, view, crop)


def sample(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (2, *shape)).astype(np.uint8), rng.integers(0, 5, shape).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.data())
def test_a_plain_view_is_a_slice(ndim, data):
    shape, crop = (19, 14, 12)[:ndim], (8, 6, 4)[:ndim]
    image, label = sample(shape)
    start = [data.draw(st.integers(0, n - c)) for n, c in zip(shape, crop, strict=True)]
    center = np.array([s + c / 2 for s, c in zip(start, crop, strict=True)])
    window = tuple(slice(s, s + c) for s, c in zip(start, crop, strict=True))
    pixels, classes = cut(image, label, View(0, center, np.eye(ndim)), crop)
    torch.testing.assert_close(pixels, torch.from_numpy(image[(slice(None), *window)]).float(), atol=1e-2, rtol=0)
    np.testing.assert_array_equal(classes.numpy(), label[window])


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_mirrors_and_quarter_turns_are_exact(ndim):
    shape = (8, 8, 8)[:ndim]
    image, label = sample(shape)
    center = np.full(ndim, 4.0)
    mirrored, classes = cut(image, label, View(0, center, -np.eye(ndim)), shape)
    axes = tuple(range(ndim))
    torch.testing.assert_close(
        mirrored, torch.from_numpy(np.flip(image, [a + 1 for a in axes]).copy()).float(), atol=1e-2, rtol=0
    )
    np.testing.assert_array_equal(classes.numpy(), np.flip(label, axes))
    if ndim > 1:
        turn = np.eye(ndim)
        turn[-2:, -2:] = [[0, -1], [1, 0]]
        _, classes = cut(image, label, View(0, center, turn), shape)
        want = np.rot90(label, 1, (-2, -1))
        assert (classes.numpy() == want).all() or (classes.numpy() == np.rot90(label, -1, (-2, -1))).all()
        # image and label turn the same way
        check = cut(label[None].astype(np.float32), label, View(0, center, turn), shape)
        torch.testing.assert_close(check[0][0], check[1].float(), atol=1e-2, rtol=0)


def test_outside_is_void_and_void_stays_void():
    image, label = sample((10, 10))
    label[:3] = IGNORE
    _, classes = cut(image, label, View(0, np.array([0.0, 5.0]), np.eye(2)), (8, 10))
    assert (classes[:7] == IGNORE).all()
    assert (classes[7] == torch.from_numpy(label[3])).all()


def test_every_class_number_survives():
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    _, classes = cut(label[None], label, View(0, np.array([8.0, 8.0]), np.eye(2)), (16, 16))
    np.testing.assert_array_equal(classes.numpy(), label)


def test_color_keeps_shape_and_none_changes_nothing():
    rng = np.random.default_rng(0)
    image = torch.rand(3, 9, 7)
    torch.testing.assert_close(recolor(rng, image, Color(0, 0, 0, 0, 0), 1.0), image)
    varied = recolor(rng, image, Color(), 1.0)
    assert varied.shape == image.shape
    assert not torch.equal(varied, image)


@pytest.mark.parametrize(
    ("ndim", "about", "turned"), [(2, (0,), {0, 1}), (3, (0,), {1, 2}), (3, (2,), {0, 1}), (3, (), set())]
)
def test_crops_turn_about_the_axes_named_alone(ndim, about, turned):
    geometry = Geometry((9,) * ndim, (1.0, 1.0), 30.0, (False,) * ndim, 0.0, about)
    decoded = Decoded(("a",), (np.zeros((1, *(20,) * ndim)),), (np.zeros((20,) * ndim, np.uint8),), ({},), Labels)
    matrix = draw_view(np.random.default_rng(0), 0, decoded.size(0), decoded.places[0], geometry).matrix
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(ndim), atol=1e-12)
    assert {a for a in range(ndim) if abs(matrix[a, a] - 1) > 1e-9} == turned


def test_turns_about_all_axes_are_rotations():
    geometry = Geometry((9, 9, 9), (1.0, 1.0), 30.0, (False,) * 3, 0.0, (0, 1, 2))
    decoded = Decoded(("a",), (np.zeros((1, 20, 20, 20)),), (np.zeros((20, 20, 20), np.uint8),), ({},), Labels)
    matrix = draw_view(np.random.default_rng(1), 0, decoded.size(0), decoded.places[0], geometry).matrix
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert (np.abs(matrix[~np.eye(3, dtype=bool)]) > 1e-4).all()


def test_gamma_keeps_the_ends_and_the_order():
    image = torch.rand(2, 30) * 7 - 3
    color = Color(0, 0, 0, 0, 0, gamma=0.5)
    seen = [recolor(np.random.default_rng(seed), image, color, 1.0) for seed in range(30)]
    bent = [s for s in seen if not torch.allclose(s, image, atol=1e-5)]
    assert 3 < len(bent) < 20
    for found in bent:
        torch.testing.assert_close(found.amin(1), image.amin(1))
        torch.testing.assert_close(found.amax(1), image.amax(1))
        assert (found.argsort(1) == image.argsort(1)).all()


def test_clips_have_whole_frames_and_one_change_for_all():
    video = np.arange(10, dtype=np.float32)[None, :, None, None] * np.ones((1, 10, 40, 40), np.float32)
    label = np.zeros((10, 40, 40), np.uint8)
    decoded = Decoded(("a",), (video,), (label,), ({},), Labels)
    geometry = Geometry((4, 16, 16), scale=(0.5, 2.0), rotate=20, flip=(False, False, True), about=(0,), keep=(0,))
    rng, seen = np.random.default_rng(0), set()
    for _ in range(20):
        view = draw_view(rng, 0, decoded.size(0), decoded.places[0], geometry)
        clip, _ = cut(video, label, view, geometry.crop)
        times = clip[0, :, 8, 8].numpy()
        np.testing.assert_allclose(times, np.round(times[0]) + np.arange(4), atol=1e-4)
        np.testing.assert_allclose(clip[0, 1].numpy(), times[1], atol=1e-4)
        assert not np.allclose(np.linalg.norm(view.matrix[1:, 1:], axis=0), 1, atol=1e-3)
        seen.add(round(float(times[0])))
    assert len(seen) > 3


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("start", [-1, 0, 2, 4])
def test_whole_frames_are_cut_as_by_an_interpolation_over_all_axes(mode, start):
    clip = np.random.default_rng(0).integers(0, 200, (3, 6, 30, 40)).astype(np.uint8)
    turned = np.array([[1.0, 0, 0], [0, 0.8, 0.3], [0, -0.3, -0.8]])
    view = View(0, np.array([start + 1.5, 14.3, 21.7]), turned)
    nearly = View(0, view.center + np.array([1e-7, 0, 0]), turned)  # blended, of one frame nearly nothing
    found, expected = (cut_values(clip, one, (3, 16, 24), mode, border=False) for one in (view, nearly))
    assert found.shape == (3, 3, 16, 24)
    assert (found - expected).abs().quantile(0.98) < 0.05


def test_a_mirrored_view_of_whole_positions_is_the_slice_itself():
    values = np.random.default_rng(0).integers(0, 255, (2, 9, 12), np.uint8)
    mirrored = View(0, np.array([4.5, 7.0]), np.diag([-1.0, 1.0]))
    assert np.array_equal(cut_values(values, mirrored, (9, 4), "bilinear", border=True), values[:, ::-1, 5:9])
    beside = View(0, np.array([4.5, 7.0 + 1e-9]), np.diag([-1.0, 1.0]))  # blended, by almost nothing
    blended = cut_values(values, beside, (9, 4), "bilinear", border=True)
    assert float((blended - cut_values(values, mirrored, (9, 4), "bilinear", border=True)).abs().max()) < 1e-2
