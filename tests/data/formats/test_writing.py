"""Labels and probabilities are written whole or box by box, and read back by their libraries."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.formats import (
    open_labels,
    open_probabilities,
    read_header,
    read_image,
    read_label,
    write_label,
    write_probabilities,
)
from atrous.errors import UserError
from tests.data.formats.pictures import DEEP, FLOAT, GRAY, RNG


@pytest.mark.parametrize(("name", "label"), [
    ("a.png", GRAY),
    ("a.tif", GRAY),
    ("a.tif", DEEP),
    ("a.npy", DEEP.astype(np.int32)),
    ("a.tif", RNG.integers(0, 9, (4, 5, 6), dtype=np.uint8)),
])  # fmt: skip
def test_a_label_written_is_the_label_read(tmp_path, name, label):
    write_label(tmp_path / name, label)
    back = read_label(tmp_path / name)
    assert back.dtype == label.dtype
    np.testing.assert_array_equal(back, label)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_label_with_palette_shows_colors_and_keeps_numbers(tmp_path):
    write_label(tmp_path / "a.png", GRAY % 2, palette=[(1, 2, 3), (250, 0, 9)])
    np.testing.assert_array_equal(read_label(tmp_path / "a.png"), GRAY % 2)
    assert {tuple(color) for color in read_image(tmp_path / "a.png").reshape(3, -1).T.tolist()} == {
        (1, 2, 3),
        (250, 0, 9),
    }


@pytest.mark.parametrize(("name", "label"), [("a.png", DEEP), ("a.jpg", GRAY), ("a.tif", FLOAT), ("a.png", GRAY[None])])
def test_a_label_that_does_not_fit_its_format_is_refused_and_nothing_is_written(tmp_path, name, label):
    with pytest.raises(UserError, match=name):
        write_label(tmp_path / name, label)
    assert not list(tmp_path.iterdir())


CLASSES = ("background", "ball", "cube")


@pytest.mark.parametrize("shape", [(40,), (9, 12), (5, 9, 12)])
@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
def test_probabilities_of_any_grid_come_back_with_their_classes(tmp_path, shape, suffix):
    values = np.random.default_rng(0).random((3, *shape)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    write_probabilities(path, values, CLASSES)
    if suffix == ".zarr":
        array = zarr.open(path, mode="r")
        assert array.attrs["classes"] == list(CLASSES)
        np.testing.assert_array_equal(array[...], values)
    else:
        with tifffile.TiffFile(path) as file:
            np.testing.assert_array_equal(file.series[0].asarray(), values)
            assert file.series[0].axes == "C" + "ZYX"[-len(shape) :]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".npy", ".tif", ".zarr"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_labels_written_box_by_box_are_those_written_at_once(tmp_path, suffix, on_disk):
    sink = open_labels(tmp_path / f"a{suffix}", GRAY.shape, on_disk=on_disk)
    assert (sink.part is not None) == (suffix == ".zarr" or (on_disk and suffix != ".png"))
    for row in range(len(GRAY)):
        sink.array[row : row + 1] = GRAY[row : row + 1]
    assert not sink.path.exists()
    sink.finish(palette=[(1, 2, 3), (250, 0, 9)])
    np.testing.assert_array_equal(read_label(sink.path), GRAY)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_palette_given_to_a_sink_does_not_turn_the_numbers_of_a_png_into_colors(tmp_path):
    sink = open_labels(tmp_path / "a.png", GRAY.shape, on_disk=True)
    sink.array[...] = GRAY % 2
    sink.finish(palette=[(1, 2, 3), (250, 0, 9)])
    assert read_header(sink.path).kind == "gray"


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".zarr"])
def test_an_interrupted_sink_is_continued_and_a_discarded_one_leaves_nothing(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    first = open_labels(path, (4, 5), on_disk=True)
    first.array[:2] = np.ones((2, 5), np.uint8)
    if isinstance(first.array, np.memmap):
        first.array.flush()
    second = open_labels(path, (4, 5), on_disk=True)
    assert (first.begun, second.begun) == (False, True)
    assert np.asarray(second.array[:2]).all()
    second.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".zarr", ".tif"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_probabilities_written_box_by_box_come_back_with_their_classes(tmp_path, suffix, on_disk):
    values = np.random.default_rng(0).random((3, 9, 12)).astype(np.float32)
    sink = open_probabilities(tmp_path / f"a{suffix}", values.shape, on_disk=on_disk)
    assert (sink.part is not None) == on_disk
    for row in range(0, 9, 2):
        sink.array[:, row : row + 2] = values[:, row : row + 2]
    sink.finish(CLASSES)
    if suffix == ".zarr":
        assert zarr.open(sink.path, mode="r").attrs["classes"] == list(CLASSES)
        np.testing.assert_array_equal(zarr.open(sink.path, mode="r")[...], values)
    else:
        np.testing.assert_array_equal(tifffile.imread(sink.path), values)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("name", ["a.jpg", "a.docx", "a"])
def test_a_suffix_that_is_not_written_is_refused_with_those_that_are(tmp_path, name):
    with pytest.raises(UserError, match=rf"{name}: labels are written as .*\.png.*\.nii\.gz"):
        open_labels(tmp_path / name, (4, 5), on_disk=True)
    with pytest.raises(UserError, match=rf"{name}: probabilities are written as .*\.zarr"):
        write_probabilities(tmp_path / name, np.zeros((2, 4, 5), np.float32), CLASSES)
    assert not list(tmp_path.iterdir())
