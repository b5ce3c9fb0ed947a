"""Pictures of labels over their image."""

import numpy as np
import pytest
from PIL import Image

from atrous.prediction.inputs import Opened
from atrous.prediction.labels import LabelFile
from atrous.prediction.overlay import OverlayPicture, draw_overlay

PALETTE = ((0, 0, 0), (255, 0, 0))


def test_a_picture_has_the_size_of_the_image_and_shows_the_labels(tmp_path):
    opened = Opened(np.full((3, 10, 20), 200, np.uint8), (10, 20))
    labels = LabelFile(tmp_path / "out" / "a.png", tmp_path / "a.png", ("no", "yes"), PALETTE)
    picture = OverlayPicture(tmp_path / "out" / "a_overlay.png", labels, PALETTE)
    assert picture.drawn_from is labels
    for output in (picture, labels):
        output.begin(opened, streamed=False)
    labels.sink[...] = np.repeat(np.uint8([[0, 1]]), 10, axis=1).repeat(10, axis=0)
    picture.finish()
    pixels = np.asarray(Image.open(tmp_path / "out" / "a_overlay.png"))
    assert pixels.shape == (10, 20, 3)
    assert pixels[0, 0].tolist() == [100, 100, 100]
    assert pixels[0, 19].tolist() == [228, 100, 100]


@pytest.mark.parametrize(("size", "drawn"), [((64, 64), (22, 22)), ((600,), (48, 200))])
def test_of_a_large_input_every_third_position_is_drawn(size, drawn):
    opened = Opened(np.zeros((1, *size), np.uint8), size)
    largest = 600 if len(size) == 2 else 200
    assert draw_overlay(opened, np.zeros(size, np.uint8), PALETTE, largest).shape == (*drawn, 3)


def test_a_resampled_input_is_drawn_on_the_grid_of_its_file():
    opened = Opened(np.full((1, 5, 8), 50, np.uint8), (10, 8))
    assert draw_overlay(opened, np.zeros((10, 8), np.uint8), PALETTE).shape == (10, 8, 3)
