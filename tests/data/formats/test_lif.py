"""LIF files: axes, micrometers and channel names; several images and other files are refused."""

import numpy as np
import pytest

from atrous.data.formats import base, label_suffix, open_source, read_header, read_image, read_label, write_label
from atrous.errors import UserError
from tests.microscopes import write_lif

RNG = np.random.default_rng(0)
APART = {"X": 65e-9, "Y": 65e-9, "Z": 0.3e-6, "T": 2.0}
STACK = RNG.integers(0, 4096, (5, 2, 30, 40)).astype(np.uint16)  # Z C Y X


def test_a_stack_has_its_axes_its_scale_and_its_channels(tmp_path):
    path = write_lif(tmp_path / "a.lif", {"Series 1": ("ZCYX", STACK)}, apart=APART)
    header, image, source = read_header(path), read_image(path), open_source(path)
    assert (header.shape, header.dtype, header.axes, header.unit) == ((2, 5, 30, 40), "uint16", "ZYX", "µm")
    assert header.spacing == pytest.approx((0.3, 0.065, 0.065))
    assert header.names == ("Blue", "Green")
    np.testing.assert_array_equal(image, STACK.swapaxes(0, 1))
    np.testing.assert_array_equal(source[1, 2:4, ::3], image[1, 2:4, ::3])
    assert source.shape == image.shape


@pytest.mark.parametrize(
    ("axes", "shape", "expected", "letters"),
    [
        ("YX", (30, 40), (1, 30, 40), "YX"),
        ("CYX", (3, 30, 40), (3, 30, 40), "YX"),
        ("TYX", (4, 30, 40), (1, 4, 30, 40), "TYX"),
        ("CZYX", (2, 6, 30, 40), (2, 6, 30, 40), "ZYX"),
        ("TCZYX", (1, 2, 6, 30, 40), (2, 6, 30, 40), "ZYX"),
        ("YXS", (30, 40, 3), (3, 30, 40), "YX"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_axes(tmp_path, axes, shape, expected, letters, dtype):
    values = RNG.integers(0, 200, shape).astype(dtype)
    path = write_lif(tmp_path / "a.lif", {"one": (axes, values)}, names=("a", "b", "c"), apart=APART)
    header, image = read_header(path), read_image(path)
    assert (header.shape, header.axes, header.dtype) == (expected, letters, dtype)
    assert image.dtype == dtype
    channel = next((axes.index(letter) for letter in "CS" if letter in axes), None)
    moved = values[None] if channel is None else np.moveaxis(values, channel, 0)
    np.testing.assert_array_equal(image, moved.reshape(expected))
    np.testing.assert_array_equal(open_source(path)[...], image)


def test_labels_keep_axes_and_scale(tmp_path):
    path = write_lif(tmp_path / "a.lif", {"one": ("ZCYX", STACK)}, apart=APART)
    assert label_suffix(path, 3) == ".tif"
    labels = RNG.integers(0, 3, (5, 30, 40)).astype(np.uint8)
    write_label(tmp_path / "labels.tif", labels, like=path)
    header = read_header(tmp_path / "labels.tif")
    assert header.axes == "ZYX"
    assert header.spacing == pytest.approx((0.3, 0.065, 0.065))
    np.testing.assert_array_equal(read_label(tmp_path / "labels.tif"), labels)


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (
            {"A": ("YX", STACK[0, 0]), "B": ("YX", STACK[0, 1])},
            r"it has 2 images \(A, B\): convert it \(bioformats2raw",
        ),
        ({"A": ("TZYX", STACK)}, "have both T and Z beside Y and X: save each time point"),
        ({"A": ("MYX", STACK[0])}, r"it has axes that are not read \(M of 2\): export one position"),
    ],
)
def test_what_is_more_than_one_image_takes_one_line(tmp_path, images, line):
    path = write_lif(tmp_path / "a.lif", images)
    with pytest.raises(UserError, match=rf"a\.lif: .*{line}"):
        read_header(path)


def test_a_file_that_names_other_files_is_refused_before_they_are_opened(tmp_path):
    other = write_lif(tmp_path / "other.lif", {"A": ("YX", STACK[0, 0])})
    path = write_lif(tmp_path / "a.lif", {}, more=f'<Reference File="{other}"/>')
    with pytest.raises(UserError, match=r"a\.lif: it names other files"):
        read_header(path)


@pytest.mark.parametrize("content", [b"", b"p\0\0\0", b"<xml/>" * 9, b"p\0\0\0\0\0\0\0*\xff\xff\xff\x7f" + b"x" * 99])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "a.lif").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.lif: "):
        read_header(tmp_path / "a.lif")


def test_a_file_that_was_cut_short_is_named(tmp_path):
    path = write_lif(tmp_path / "a.lif", {"A": ("YX", STACK[0, 0])})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a\.lif: "):
        read_image(path)


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = write_lif(tmp_path / "a.lif", {"A": ("ZCYX", STACK)})
    monkeypatch.setattr(base, "memory_limit", lambda: 45_000)
    monkeypatch.setattr(base, "ALWAYS", 0)
    with pytest.raises(UserError, match="it declares 5 x 2 x 30 x 40 of uint16"):
        read_image(path)
