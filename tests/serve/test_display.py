"""Values become colors by windows, and what a client says of channels is checked."""

import io

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.serve.display import WHITE, Shown, default_shown, draw, parse_shown, png

RNG = np.random.default_rng(0)
COLOR = "0:0:255:ff0000,1:0:255:00ff00,2:0:255:0000ff"


def test_an_8_bit_color_image_is_shown_as_it_is():
    values = RNG.integers(0, 256, (3, 7, 9)).astype(np.uint8)
    np.testing.assert_array_equal(draw(values, parse_shown(COLOR, 3)), np.moveaxis(values, 0, -1))
    assert ",".join(one.text() for one in default_shown(values.reshape(3, -1), "rgb")) == COLOR


def test_a_window_is_linear_and_clips_and_nan_is_black():
    values = np.array([[[5.0, 10.0, 15.0, 20.0, 25.0, np.nan]]], np.float32)
    assert draw(values, [Shown(0, 10, 20, WHITE)])[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert draw(values, [Shown(0, 10, 10, WHITE)])[0, 2, 0] == 255


def test_gamma_bends_what_lies_between_black_and_the_full_color():
    values = np.array([[[0.0, 1.0, 4.0, 16.0, 20.0, np.nan]]], np.float32)
    shown = parse_shown("0:0:16:ffffff:0.5", 1)
    assert draw(values, shown)[0, :, 0].tolist() == [0, 64, 128, 255, 255, 0]
    assert shown[0].text() == "0:0:16:ffffff:0.5"


def test_the_first_window_leaves_outliers_out():
    values = RNG.normal(1000, 10, (1, 100_000)).astype(np.float32)
    values[0, :100] = 1e6
    shown = default_shown(values, "gray")[0]
    assert 960 < shown.low < 990
    assert 1010 < shown.high < 1040
    assert shown.color == WHITE
    photograph = default_shown(np.stack([values[0], 2 * values[0], values[0] + 5]), "rgb")
    assert len({(one.low, one.high) for one in photograph}) == 1


def test_a_png_holds_the_picture():
    picture = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


@pytest.mark.parametrize(
    "text",
    [
        "3:0:1:ffffff", "0:0:1", "0:a:1:ffffff", "0:0:1:fffff", "0:0:1:ffffff,", "0:1e:1:ffffff",
        "0:0:1:ffffff:0", "0:0:1:ffffff:1.2.3", "0:0:1:ffffff:99",
        ",".join(["0:0:1:ffffff"] * 17),
    ],
)  # fmt: skip
def test_other_text_is_refused(text):
    with pytest.raises(UserError, match="channels: "):
        parse_shown(text, 3)


def test_no_channel_is_black():
    assert draw(np.ones((1, 2, 2), np.uint8), parse_shown("", 1)).max() == 0
