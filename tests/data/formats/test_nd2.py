"""ND2 files: axes, micrometers and channel names, read plane by plane; damaged and older files are refused."""

import zlib

import numpy as np
import pytest

from atrous.data.formats import (
    base,
    label_suffix,
    open_source,
    read_header,
    read_image,
    read_label,
    write_label,
)
from atrous.errors import UserError
from tests.microscopes import write_nd2

nd2 = pytest.importorskip("nd2")

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (5, 30, 40, 2)).astype(np.uint16)  # Z Y X C


def test_a_stack_has_its_axes_its_scale_and_its_channels(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK, ("DAPI", "GFP"))
    header, image, source = read_header(path), read_image(path), open_source(path)
    assert (header.shape, header.dtype, header.axes, header.unit) == ((2, 5, 30, 40), "uint16", "ZYX", "µm")
    assert header.spacing == pytest.approx((0.3, 0.1, 0.1))
    assert header.names == ("DAPI", "GFP")
    np.testing.assert_array_equal(image, np.moveaxis(STACK, -1, 0))
    for key in (np.s_[1, 2:4, ::3], np.s_[:, 3], np.s_[..., 7], np.s_[:, 1:1], np.s_[::-1, ::-2, 4:2:-1], np.s_[0, -1]):
        np.testing.assert_array_equal(source[key], image[key])
    with nd2.ND2File(path) as file:  # the library reads the same
        np.testing.assert_array_equal(file.asarray(), np.moveaxis(STACK, -1, 1))


@pytest.mark.parametrize(
    ("loops", "shape", "expected", "letters", "unit"),
    [
        ("", (30, 40, 1), (1, 30, 40), "YX", "µm"),
        ("", (30, 40, 3), (3, 30, 40), "YX", "µm"),
        ("T", (4, 30, 40, 1), (1, 4, 30, 40), "TYX", "s, µm"),
        ("TZ", (1, 6, 30, 40, 2), (2, 6, 30, 40), "ZYX", "µm"),
        ("TPZ", (4, 1, 1, 30, 40, 2), (2, 4, 30, 40), "TYX", "s, µm"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("packed", "padding"), [(False, 0), (False, 4), (True, 0)])
def test_axes(tmp_path, loops, shape, expected, letters, unit, dtype, packed, padding):
    values = RNG.integers(0, 200, shape).astype(dtype)
    path = write_nd2(tmp_path / "a.nd2", loops, values, packed=packed, padding=padding)
    header, image = read_header(path), read_image(path)
    assert (header.shape, header.axes, header.dtype, header.unit) == (expected, letters, dtype, unit)
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, np.moveaxis(values.reshape(*expected[1:], -1), -1, 0))
    np.testing.assert_array_equal(open_source(path)[...], image)


def test_pixels_of_unknown_size_have_no_spacing(tmp_path):
    header = read_header(write_nd2(tmp_path / "a.nd2", "Z", STACK, apart=(0, 0.3, 2.0)))
    assert (header.spacing, header.unit) == (None, None)


def test_labels_keep_axes_and_scale(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK)
    assert label_suffix(path, 3) == ".tif"
    labels = RNG.integers(0, 3, (5, 30, 40)).astype(np.uint8)
    write_label(tmp_path / "labels.tif", labels, like=path)
    header = read_header(tmp_path / "labels.tif")
    assert (header.axes, header.spacing) == ("ZYX", pytest.approx((0.3, 0.1, 0.1)))
    np.testing.assert_array_equal(read_label(tmp_path / "labels.tif"), labels)


@pytest.mark.parametrize(
    ("loops", "shape", "more", "line"),
    [
        ("TZ", (2, 5, 8, 9, 1), {}, "have both T and Z beside Y and X: save each time point"),
        ("P", (3, 8, 9, 1), {}, r"it has several positions or other series \(XYPosLoop\): export each"),
        (
            "Z",
            (5, 8, 9, 1),
            {"left_out": (2, 4)},
            "2 of 5 planes are missing, the first is number 2: the",
        ),
        ("", (8, 9, 3), {"names": ["color"]}, r"channels of several parts, as colors have \(3 in 1\): export it"),
        ("", (8, 9, 1), {"names": ["a", "b"]}, r"channels of several parts, as colors have \(1 in 2\)"),
    ],
)
def test_what_is_more_than_one_image_takes_one_line(tmp_path, loops, shape, more, line):
    path = write_nd2(tmp_path / "a.nd2", loops, RNG.integers(0, 9, shape).astype(np.uint16), **more)
    with pytest.raises(UserError, match=rf"a\.nd2: .*{line}"):
        read_header(path)


@pytest.mark.parametrize("cut", [1, 100, 2000])
def test_a_file_that_was_cut_short_is_named(tmp_path, cut):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=r"a\.nd2: "):
        read_image(path)


def test_a_plane_that_unpacks_to_too_little_is_named(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK, packed=True)
    content, name = path.read_bytes(), b"ImageDataSeq|1!"
    start = content.index(name.ljust(4072, b"\0")) + 4072 + 8
    path.write_bytes(content[:start] + zlib.compress(b"x") + content[start + len(zlib.compress(b"x")) :])
    source = open_source(path)
    np.testing.assert_array_equal(source[:, 0], np.moveaxis(STACK[0], -1, 0))
    with pytest.raises(UserError, match=r"a\.nd2: plane 1 is cut short: copy it again"):
        source[:, 1]


def test_what_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK)
    monkeypatch.setattr(base, "memory_limit", lambda: 45_000)
    monkeypatch.setattr(base, "ALWAYS", 0)
    with pytest.raises(UserError, match="it declares 2 x 5 x 30 x 40 of uint16"):
        read_image(path)
