import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.color import ERROR, VOID, default_palette
from atrous.report.pictures import (
    banded,
    boxed,
    busiest,
    colorize,
    errors,
    flat,
    numbered,
    overlay,
    resized,
    signal,
    to_rgb,
    upright,
)

RNG = np.random.default_rng(0)
TYPES = [np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TYPES), st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 6))
def test_any_image_becomes_rgb(dtype, shape, channels):
    image = (RNG.normal(size=(channels, *shape)) * 100).astype(dtype)
    rgb = to_rgb(image)
    assert rgb.dtype == np.uint8
    assert rgb.shape == (*shape, 3)
    if channels == 1:
        assert (rgb[..., :1] == rgb).all()


def test_uint8_is_shown_as_it_is():
    image = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(to_rgb(image), np.moveaxis(image[:3], 0, -1))


def test_stretch_uses_the_whole_range_whatever_the_unit():
    ramp = np.linspace(0, 1, 1001).reshape(1, -1)
    one = to_rgb((ramp * 40000).astype(np.uint16))
    np.testing.assert_allclose(one.astype(int), to_rgb(ramp.astype(np.float32) * 3e-5 - 7e-5), atol=1)
    assert one.min() == 0
    assert one.max() == 255


def test_one_hot_pixel_does_not_darken_the_rest():
    image = RNG.uniform(0, 1, (1, 50, 50))
    image[0, 0, 0] = 1e6
    assert np.median(to_rgb(image)) == pytest.approx(127, abs=10)


def test_values_that_are_not_finite_are_black_and_harm_no_others():
    image = np.linspace(0, 1, 100).reshape(1, 100)
    image[0, :3] = np.nan, np.inf, -np.inf
    rgb = to_rgb(image)
    assert (rgb[:3] == 0).all()
    assert rgb.max() == 255
    assert (to_rgb(np.full((1, 4), np.nan)) == 0).all()


def test_a_constant_image_is_black():
    assert (to_rgb(np.full((1, 3, 3), 7.0)) == 0).all()


def test_overlay_mixes_and_leaves_void_unpainted():
    image = np.full((3, 1, 3), 100, np.uint8)
    palette = ((0, 0, 0), (200, 0, 50))
    painted = overlay(image, np.array([[0, 1, 255]], np.uint8), palette, alpha=0.5)
    assert painted[0].tolist() == [[50, 50, 50], [150, 50, 75], [100, 100, 100]]
    assert (overlay(image, np.zeros((1, 3), np.uint8), palette, alpha=0) == 100).all()


def test_overlay_of_other_size_is_refused():
    with pytest.raises(ValueError, match="differ in size"):
        overlay(np.zeros((3, 4, 5)), np.zeros((5, 4), np.uint8), default_palette(2))


def test_errors_are_red_and_void_is_grey():
    truth = np.array([0, 1, 255, 1], np.uint8)
    picture = errors(np.full((1, 4), 200, np.uint8), truth, np.array([0, 0, 0, 1], np.uint8))
    assert picture.tolist() == [[70] * 3, list(ERROR), list(VOID), [70] * 3]


def test_planes_of_a_volume_are_the_volume_cut_at_the_point():
    volume = RNG.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    picture = flat(volume, (1, 2, 3))
    np.testing.assert_array_equal(picture[:5, :6], volume[1])
    np.testing.assert_array_equal(picture[-4:, :6], volume[:, 2])
    np.testing.assert_array_equal(picture[:5, -4:], volume[:, :, 3].swapaxes(0, 1))


def test_busiest_planes_hold_the_small_object():
    label = np.zeros((9, 8, 7), np.uint8)
    label[6, 1, 4] = 2
    label[0] = 255
    assert busiest(label) == (6, 1, 4)
    assert busiest(np.zeros((9, 8), np.uint8)) == (4, 4)


def test_a_track_is_a_band_and_a_long_one_is_thinned():
    label = np.repeat([0, 1], 5000).astype(np.uint8)
    band = flat(colorize(label, default_palette(2)))
    assert band.shape == (48, 960, 3)
    assert (band[0, 0] == default_palette(2)[0]).all()
    assert (band[0, -1] == default_palette(2)[1]).all()


def test_more_axes_than_three_are_refused():
    with pytest.raises(ValueError, match="1 to 3 axes"):
        flat(np.zeros((2, 2, 2, 2, 3), np.uint8))


@pytest.mark.parametrize("length", [5, 960, 100_003])
def test_signal_draws_each_channel_from_bottom_to_top(length):
    ramp = np.linspace(-3, 5, length)
    picture = signal(np.stack([ramp, -ramp]).astype(np.float32))
    assert picture.shape == (96, min(length, 960), 3)
    dark = picture[..., 0] < 100
    up, down = dark[:48], dark[48:]
    assert up[:, 0].argmax() > up[:, -1].argmax()
    assert down[:, 0].argmax() < down[:, -1].argmax()


def test_a_curve_on_a_given_scale_is_gray_where_nothing_is_known():
    values = np.full((2, 90), 5.0)
    values[0, 30:60] = np.nan
    picture = signal(values, scale=np.array([[0.0, 5.0], [5.0, 10.0]]))[..., 0]
    dark = picture < 100
    assert (picture[:48, 30:60] == VOID[0]).all()
    assert dark[:10, :30].any(0).all()  # at the top of its scale
    assert dark[-10:, :].any(0).all()  # at the bottom


def test_a_short_peak_in_a_long_signal_is_not_lost():
    pulse = np.zeros((1, 200_000), np.float32)
    pulse[0, 123_456] = 1
    assert (signal(pulse)[4, :, 0] < 100).any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((10, 20), (320, 640)), ((400, 400), (400, 400)), ((1280, 640), (640, 320)), ((1, 9999), (1, 640))],
)
def test_resized_fits_the_limit(shape, expected):
    assert resized(np.zeros((*shape, 3), np.uint8), 640).shape == (*expected, 3)


def test_resizing_a_label_map_makes_no_new_colors():
    picture = colorize(RNG.integers(0, 5, (900, 700)), default_palette(5))
    colors = {tuple(color) for color in resized(picture, 300, smooth=False).reshape(-1, 3).tolist()}
    assert colors == set(default_palette(5))


def test_a_coarse_axis_is_drawn_out():
    picture = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    canvas, gap = flat(picture, (1, 2, 3), (3.0, 1.0, 1.0)), 4
    assert canvas.shape == (6 + gap + 15, 7 + gap + 15, 3)
    np.testing.assert_array_equal(canvas[:6, :7], picture[1])
    np.testing.assert_array_equal(canvas[6 + gap :: 3, :7], picture[:, 2])


def test_a_bare_class_is_not_painted():
    image, label = np.full((1, 4, 4), 100, np.uint8), np.eye(4, dtype=np.uint8)
    painted = overlay(image, label, ((0, 0, 0), (255, 0, 0)), bare=0)
    assert (painted[label == 0] == 100).all()
    assert (painted[label == 1, 0] > 100).all()


def test_curves_lie_over_bands_of_their_labels():
    label = np.repeat([0, 1, 255], 40).astype(np.uint8)
    drawn = banded(np.linspace(0, 1, 120)[None], label, ((255, 255, 255), (0, 0, 255)))
    light = drawn[:, 60][drawn[:, 60].min(1) >= 128]
    assert drawn.shape[1] == 120
    assert (light[:, 2] > light[:, 0]).all()
    assert (drawn < 128).all(2).any(0).all()


def test_a_jump_is_drawn_without_a_gap():
    step = np.repeat([0.0, 1.0, 0.0], 50)[None]
    dark = signal(step)[..., 0] < 128
    for column in (50, 100):
        assert dark[2:-3, column].all()


@pytest.mark.parametrize(
    ("signs", "mirrored"), [((1, 1, 1), (0, 1, 2)), ((-1, -1, 1), (0,)), ((-1, -1, -1), ()), ((1, -1, -1), (2,))]
)
def test_head_and_front_are_up_and_the_right_side_is_on_the_left(signs, mirrored):
    affine = np.diag([*(2.0 * s for s in signs), 1.0])
    affine[0, 1] = 0.3  # a little oblique
    assert upright(affine.tolist()) == mirrored


def test_small_boxes_are_drawn_over_large_ones_and_the_picture_is_kept():
    picture = np.zeros((30, 40, 3), np.uint8)
    boxes = np.array([[4.0, 4, 10, 12], [4, 4, 25, 36], [-9, -9, -2, -2]])
    shown = boxed(picture, boxes, [(255, 0, 0), (0, 255, 0), (0, 0, 255)])
    assert not picture.any()
    assert shown[4, 4].tolist() == shown[9, 11].tolist() == [255, 0, 0]
    assert shown[24, 35].tolist() == [0, 255, 0]
    assert not shown[25:].any()
    assert not shown[5:9, 5:11].any()


@pytest.mark.parametrize("box", [(40, 30, 60, 50), (0, 0, 12, 10), (50, 88, 70, 100)])
def test_the_number_of_a_box_is_legible_and_inside_of_the_picture(box):
    gray = np.full((72, 100, 3), 90, np.uint8)
    drawn = numbered(gray, np.array([box]), [7])
    assert (gray == 90).all()
    white = (drawn > 200).all(-1)
    assert white.sum() > 8
    rows, columns = np.nonzero(white)
    assert np.ptp(rows) >= 6  # as high as a figure
    other = numbered(gray, np.array([box]), [1])
    assert ((other > 200).all(-1) != white).any()
    around = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].reshape(-1, 3)
    assert (around.max(1) < 140).sum() > 4  # on a dark ground


def test_a_number_has_its_color_in_every_picture():
    gray = np.full((72, 100, 3), 90, np.uint8)
    one = numbered(gray, np.array([[40, 30, 60, 50]]), [3])
    both = numbered(gray, np.array([[40, 30, 60, 50], [10, 70, 20, 90]]), [3, 4])
    np.testing.assert_array_equal(one[59, 35], both[59, 35])
    assert (both[59, 35] != both[19, 75]).any()
