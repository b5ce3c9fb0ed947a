"""How a prediction shows itself in a notebook."""

import base64
import io
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from atrous.prediction.inputs import Opened
from atrous.prediction.predictor import load
from atrous.prediction.result import DRAWN, SHOWN, Prediction

PALETTE = ((0, 0, 0), (255, 0, 0))
CLASSES = ("back & ground", "cell")


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def shown(labels, image=None, **options):
    opened = None if image is None else lambda: Opened(image, labels.shape)
    return Prediction(labels, None, CLASSES, PALETTE, image=opened, **options)


def test_an_image_is_shown_under_its_labels():
    labels = np.zeros((320, 640), np.uint8)
    labels[:, 320:] = 1
    picture = decoded(shown(labels, np.full((3, 320, 640), 200, np.uint8))._repr_png_())
    assert picture.shape == (320, 640, 3)
    assert picture[5, 5].tolist() == [100, 100, 100]  # half black, half light
    assert picture[5, 500].tolist() == [228, 100, 100]  # half red


def test_labels_without_their_input_are_shown_alone():
    labels = np.array([[0, 1], [1, 255]], np.uint8).repeat(400, 0).repeat(400, 1)
    picture = decoded(shown(labels)._repr_png_())
    assert max(picture.shape) == SHOWN
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, -1].tolist() == [255, 0, 0]


def test_of_a_large_image_only_some_positions_are_read():
    class Counting:
        shape, dtype, read = (1, 4000, 4000), np.dtype(np.uint8), 0

        def __getitem__(self, key):
            values = np.broadcast_to(np.uint8(9), self.shape)[key]
            self.read += values.size
            return values

    source = Counting()
    picture = decoded(shown(np.zeros((4000, 4000), np.uint8), source)._repr_png_())
    assert max(picture.shape) <= SHOWN
    assert 0 < source.read <= DRAWN


def test_a_volume_is_shown_as_three_planes_and_a_signal_as_curves():
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[7] = 1
    volume = decoded(shown(labels, np.zeros((1, 20, 30, 40), np.uint8))._repr_png_())
    red = (volume[..., 0] > 100) & (volume[..., 1] < 50)
    scale = max(1, int(SHOWN / 64))
    assert red.sum() == (30 * 40 + 30 + 40) * scale**2  # a whole plane, and a line in each of the other two
    signal = decoded(shown(np.repeat(np.uint8([0, 1]), 300), np.sin(np.arange(600.0))[None])._repr_png_())
    assert signal.shape == (96, 600, 3)


def test_sets_of_classes_are_shown_as_a_band_each():
    labels = np.array([0, 1, 2, 3, 255], np.uint8)
    result = shown(labels, bits=True)
    picture = decoded(result._repr_png_())
    first, second = picture[0], picture[-1]
    assert [color.tolist() for color in first[[1, 3]]] == [[0, 0, 0]] * 2
    assert [color.tolist() for color in second[[2, 3]]] == [[255, 0, 0]] * 2
    assert first[0].tolist() == second[1].tolist() == [245, 245, 245]
    assert result.shares() == {CLASSES[0]: 0.5, CLASSES[1]: 0.5}


def test_the_table_names_classes_colors_and_shares():
    text = shown(np.array([[0, 1], [1, 1]], np.uint8), np.zeros((1, 2, 2), np.uint8))._repr_html_()
    assert "back &amp; ground</td><td>25.0%" in text
    assert "cell</td><td>75.0%" in text
    assert "rgb(255, 0, 0)" in text
    assert "2 x 2" in text
    encoded = re.search(r"base64,([^\"]+)", text)
    assert encoded is not None
    assert decoded(base64.b64decode(encoded[1])).ndim == 3


def test_void_is_not_counted():
    assert shown(np.array([0, 255, 255, 1], np.uint8)).shares() == {CLASSES[0]: 0.5, CLASSES[1]: 0.5}
    assert shown(np.array([255], np.uint8)).shares() == {CLASSES[0]: 0.0, CLASSES[1]: 0.0}


@pytest.mark.parametrize("kind", ["path", "array"])
def test_predictions_of_files_and_arrays_show_themselves_and_can_be_pickled(trained, digits, kind):
    path = sorted((digits / "images" / "test").iterdir())[0]
    predictor = load(trained)
    result = predictor.predict(path if kind == "path" else np.asarray(Image.open(path)).transpose(2, 0, 1))
    again = pickle.loads(pickle.dumps(result))
    assert again._repr_html_() == result._repr_html_()
    assert result.palette == predictor.palette
    assert "background" in result._repr_html_()
