"""Folders of frames as videos."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import open_source, read_header, read_image, read_values
from atrous.data.formats.frames import frame_files
from atrous.data.formats.raster import RasterFormat
from atrous.errors import UserError
from tests.clips import make_clip


@pytest.fixture
def folder(tmp_path):
    pictures, _ = make_clip(0, frames=12)
    for time, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"f{time}.png")
    return tmp_path, pictures.transpose(3, 0, 1, 2)


def test_frames_are_in_the_order_of_their_numbers(folder):
    path, pictures = folder
    assert [file.name for file in frame_files(path)] == [f"f{i}.png" for i in range(12)]
    assert read_header(path).shape == pictures.shape
    np.testing.assert_array_equal(read_image(path), pictures)


@pytest.mark.parametrize(
    "key",
    [
        (slice(None), slice(3, 7)),
        (1, slice(0, 12, 3), slice(2, 9)),
        (slice(0, 2), 5, slice(None), slice(4, 6)),
        (slice(None), slice(7, 2, -2)),
        (0, -1),
        (slice(None), slice(4, 4)),
    ],
)
def test_slices_are_those_of_the_whole_array(folder, key):
    path, pictures = folder
    np.testing.assert_array_equal(open_source(path)[key], pictures[key])


def test_only_the_frames_asked_for_are_decoded(folder, monkeypatch):
    path, _ = folder
    source, seen = open_source(path), []
    read = RasterFormat.image
    monkeypatch.setattr(RasterFormat, "image", lambda self, file: seen.append(file.name) or read(self, file))
    source[:, 4:6]
    assert seen == ["f4.png", "f5.png"]


def test_masks_are_stacked(tmp_path):
    _, labels = make_clip(0, frames=4)
    for time, label in enumerate(labels):
        Image.fromarray(label).save(tmp_path / f"{time:03d}.png")
    np.testing.assert_array_equal(read_values(tmp_path), labels)


def test_a_frame_of_another_size_and_a_damaged_one_are_named(folder):
    path, _ = folder
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(path / "f3.png")
    with pytest.raises(UserError, match=r"f3\.png.*keep the frames of a clip at one size"):
        read_image(path)
    (path / "f3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"f3\.png: this frame cannot be read"):
        read_image(path)


def test_gray_frames_among_those_in_color_are_read_as_colors(folder):
    path, pictures = folder
    Image.fromarray(pictures[0, 5]).save(path / "f5.png")
    expected = pictures.copy()
    expected[:, 5] = pictures[0, 5]
    np.testing.assert_array_equal(read_image(path), expected)
    np.testing.assert_array_equal(open_source(path)[1, 5], pictures[0, 5])


def test_frames_that_cannot_be_read_as_the_first_are_named(folder):
    path, pictures = folder
    Image.fromarray(pictures[0, 0]).save(path / "f0.png")
    with pytest.raises(UserError, match=r"f1\.png: it is in color, f0\.png is gray: save all frames of a clip"):
        read_image(path)
    for time in range(1, 12):
        Image.fromarray(pictures[0, time]).save(path / f"f{time}.png")
    Image.fromarray(pictures[0, 3].astype(np.uint16) * 257).save(path / "f3.png")
    with pytest.raises(UserError, match=r"f3\.png: its values are uint16, those of f0\.png uint8: save"):
        read_image(path)


def test_masks_in_color_among_gray_ones_are_named(tmp_path):
    for time, shape in enumerate([(4, 6), (4, 6, 3)]):
        Image.fromarray(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)).save(tmp_path / f"{time}.png")
    with pytest.raises(UserError, match=r"1\.png: it is in color, 0\.png is gray: save all masks of a video in color"):
        read_values(tmp_path)


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(UserError, match="a folder without frames"):
        read_header(tmp_path)
