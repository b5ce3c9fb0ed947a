import numpy as np
import pytest

from atrous.color import BACKGROUND, VOID, default_palette


@pytest.mark.parametrize("n", [1, 2, 11, 30, 255])
def test_colors_differ_from_each_other_and_from_void(n):
    palette = default_palette(n)
    assert len({*palette, VOID}) == n + 1
    assert palette[0] == BACKGROUND
    assert all(0 <= part <= 255 for color in palette for part in color)


def test_a_longer_palette_begins_with_the_shorter():
    assert default_palette(40)[:12] == default_palette(12)


def test_few_colors_are_far_apart():
    palette = np.array((*default_palette(20), VOID), float)
    distance = np.linalg.norm(palette[:, None] - palette[None], axis=-1)
    assert distance[~np.eye(len(palette), dtype=bool)].min() > 40


@pytest.mark.parametrize("n", [0, 257])
def test_numbers_that_no_label_map_can_have_are_refused(n):
    with pytest.raises(ValueError, match="1 to 256"):
        default_palette(n)


def test_without_a_background_no_color_is_nearly_black():
    palette = default_palette(30, background=False)
    assert len(set(palette)) == 30
    assert min(sum(color) for color in palette) > 150
