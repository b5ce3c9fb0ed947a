"""Every tag of a TIFF that changes what a value or a place means: against Pillow, which obeys it too, or refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from rasterio.transform import Affine

from atrous.data.formats import open_source, read_header, read_image, read_label, read_values
from atrous.data.formats.tiff_tags import InkColors
from atrous.data.preprocess import Expected, Preparation
from atrous.errors import UserError
from atrous.prediction.inputs import Input, open_input
from atrous.verbs.check import check
from tests.data.formats.pictures import COLOR, DEEP, DEEP_COLOR, GRAY
from tests.maps import write_map

PIECES = [np.s_[:], np.s_[..., 1:4, 2:7], np.s_[0, 3], np.s_[..., ::2, ::-1], np.s_[..., -2], np.s_[..., 4:4, :]]


def shown(path):
    """The picture as Pillow shows it: it turns a TIFF when it loads it."""
    image = Image.open(path)
    image.load()
    return np.asarray(image)


def write(path, pixels, orientation=1, **more):
    tifffile.imwrite(path, pixels, extratags=[(274, "H", 1, orientation, True)], **more)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("tiled", [False, True])
def test_all_orientations_are_shown_as_viewers_show_them(tmp_path, orientation, tiled):
    more = {"tile": (16, 16)} if tiled else {}
    path = write(tmp_path / "a.tif", COLOR, orientation, photometric="rgb", **more)
    truth = np.moveaxis(shown(path), -1, 0)
    header, source = read_header(path), open_source(path)
    assert (header.shape, header.rotated) == (truth.shape, orientation > 1)
    np.testing.assert_array_equal(read_image(path), truth)
    assert source.shape == truth.shape
    for piece in PIECES:
        np.testing.assert_array_equal(source[piece], truth[piece])
    mask = write(tmp_path / "m.tif", GRAY % 3, orientation, photometric="minisblack", compression="zlib")
    np.testing.assert_array_equal(read_label(mask), shown(mask))


@pytest.mark.parametrize("orientation", [3, 6])
def test_every_page_of_a_volume_is_turned(tmp_path, orientation):
    pages = np.stack([GRAY, GRAY + 1, GRAY + 2])
    path = write(tmp_path / "a.tif", pages, orientation, photometric="minisblack")
    truth = np.stack([np.rot90(page, {3: 2, 6: -1}[orientation]) for page in pages])[None]
    assert read_header(path).shape == truth.shape
    np.testing.assert_array_equal(read_image(path), truth)
    np.testing.assert_array_equal(open_source(path)[:, 1:], truth[:, 1:])


@pytest.mark.parametrize("stored", [GRAY, DEEP, GRAY > 99], ids=["8 bits", "16 bits", "1 bit"])
def test_where_0_is_white_values_are_inverted(tmp_path, stored):
    top = 1 if stored.dtype == bool else np.iinfo(stored.dtype).max
    truth = (top - stored.astype(np.int64)) * (255 if stored.dtype == bool else 1)
    path = write(tmp_path / "a.tif", stored, photometric="miniswhite")
    assert read_header(path).inverted
    np.testing.assert_array_equal(read_image(path)[0], truth)
    np.testing.assert_array_equal(open_source(path)[0, 2:5], truth[2:5])
    np.testing.assert_array_equal(read_values(path), top - stored.astype(np.int64))
    if stored.dtype != DEEP.dtype:
        np.testing.assert_array_equal(np.asarray(Image.open(path)), truth.astype(bool) if top == 1 else truth)


def test_imagej_inverts_what_it_shows_and_not_the_values(tmp_path):
    path = tmp_path / "a.tif"
    write(path, GRAY, photometric="miniswhite", description="ImageJ=1.53t\nimages=1\n", metadata=None)
    np.testing.assert_array_equal(read_image(path)[0], GRAY)
    assert not read_header(path).inverted


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_where_0_is_white_and_no_value_is_black_is_refused(tmp_path, dtype):
    path = write(tmp_path / "a.tif", GRAY.astype(dtype), photometric="miniswhite")
    with pytest.raises(UserError, match="WhiteIsZero"):
        read_image(path)


def test_cmyk_becomes_rgb_as_pillow_does_it(tmp_path):
    inks = np.concatenate([COLOR, GRAY[..., None]], -1)
    path = write(tmp_path / "a.tif", inks, photometric="separated")
    truth = np.moveaxis(np.asarray(Image.open(path).convert("RGB")), -1, 0).astype(int)
    assert (read_header(path).shape, read_header(path).kind) == ((3, 7, 9), "cmyk")
    assert np.abs(read_image(path) - truth).max() <= 1  # Pillow rounds twice
    np.testing.assert_array_equal(open_source(path)[1, 2:4], read_image(path)[1, 2:4])
    np.testing.assert_array_equal(InkColors(np.array([[0], [0], [0], [0]], np.uint16))[:, 0], 65535)


@pytest.mark.parametrize(
    ("photometric", "word"), [(8, "CIE Lab"), (9, "ICC Lab"), (6, "YCbCr"), (32803, "CFA"), (32845, "LogLuv")]
)
def test_colors_that_are_not_read_are_refused_by_name(tmp_path, photometric, word):
    path = tmp_path / "a.tif"
    write(path, COLOR, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags[262].overwrite(photometric)
    for read in (read_header, read_image, read_values, open_source):
        with pytest.raises(UserError, match=f"a.tif: its .*{word}.*: .*save it as"):
            read(path)


def test_ycbcr_as_jpeg_is_decoded_to_rgb(tmp_path):
    path = tmp_path / "a.tif"
    color = np.full((32, 32, 3), (200, 60, 10), np.uint8)
    tifffile.imwrite(path, color, photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    assert read_header(path).kind == "rgb"
    assert np.abs(read_image(path).astype(int) - np.moveaxis(color, -1, 0)).max() < 8


def test_a_thumbnail_or_a_mask_before_the_image_is_left_out(tmp_path):
    for bit in (1, 4):
        path = tmp_path / f"{bit}.tif"
        with tifffile.TiffWriter(path) as writer:
            small = GRAY[:3, :4] > 99 if bit == 4 else COLOR[:3, :4]
            writer.write(small, subfiletype=bit, photometric="minisblack" if bit == 4 else "rgb", metadata=None)
            writer.write(COLOR, photometric="rgb", metadata=None)
        np.testing.assert_array_equal(read_image(path), np.moveaxis(COLOR, -1, 0))
        np.testing.assert_array_equal(open_source(path)[...], np.moveaxis(COLOR, -1, 0))
        np.testing.assert_array_equal(read_values(path), np.moveaxis(COLOR, -1, 0))
        assert read_header(path).shape == (3, 7, 9)


def test_of_a_thumbnail_with_its_image_in_a_sub_ifd_the_image_is_read(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(COLOR[:3, :4], subfiletype=1, subifds=1, photometric="rgb", metadata=None)
        writer.write(COLOR, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(COLOR, -1, 0))
    np.testing.assert_array_equal(open_source(path)[...], np.moveaxis(COLOR, -1, 0))


@pytest.mark.parametrize(("extra", "channels"), [((2,), 3), ((1,), 3), ((0,), 4), ((0, 0), 5), ((0, 2), 4)])
def test_alpha_is_dropped_and_channels_without_a_name_are_kept(tmp_path, extra, channels):
    pixels = np.concatenate([COLOR, *[GRAY[..., None]] * len(extra)], -1)
    path = write(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=extra)
    assert read_header(path).shape == (channels, 7, 9)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(pixels, -1, 0)[:channels])
    np.testing.assert_array_equal(open_source(path)[...], np.moveaxis(pixels, -1, 0)[:channels])


def test_planar_colors_and_gray_with_alpha(tmp_path):
    path = write(tmp_path / "a.tif", np.moveaxis(COLOR, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(path), np.moveaxis(COLOR, -1, 0))
    path = write(
        tmp_path / "b.tif",
        np.stack([GRAY, GRAY], -1),
        photometric="minisblack",
        extrasamples=(2,),
        planarconfig="contig",
    )
    np.testing.assert_array_equal(read_image(path), GRAY[None])
    np.testing.assert_array_equal(read_values(path), GRAY)


def test_complex_numbers_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GRAY.astype(np.complex64))
    with pytest.raises(UserError, match="complex64, not real numbers"):
        read_image(path)


def test_a_palette_of_8_bit_levels_is_not_black(tmp_path):
    path = tmp_path / "a.tif"
    levels = np.stack([np.arange(256)] * 3).astype(np.uint16)
    tifffile.imwrite(path, GRAY, photometric="palette", colormap=levels)
    np.testing.assert_array_equal(read_image(path), np.stack([GRAY] * 3))


@pytest.mark.parametrize("stored", [GRAY, DEEP], ids=["8 bits", "16 bits"])
def test_maps_in_which_0_is_white_are_inverted(tmp_path, stored):
    path = tmp_path / "a.tif"
    write_map(path, stored[None], Affine(2, 0, 0, 0, -2, 0), photometric="miniswhite")
    truth = np.iinfo(stored.dtype).max - stored
    assert (read_header(path).kind, read_header(path).inverted) == ("map", True)
    np.testing.assert_array_equal(read_image(path)[0], truth)
    np.testing.assert_array_equal(open_source(path)[0, 2:4], truth[2:4])
    np.testing.assert_array_equal(read_values(path), truth)


@pytest.mark.parametrize(
    ("code", "value", "word"), [(274, 6, "orientation 6"), (254, 1, "thumbnail"), (262, 8, "CIE Lab")]
)
def test_maps_refuse_what_would_move_or_change_them(tmp_path, code, value, word):
    path = tmp_path / "a.tif"
    write_map(path, DEEP_COLOR.transpose(2, 0, 1), Affine(2, 0, 0, 0, -2, 0), photometric="rgb")
    with tifffile.TiffFile(path) as file:  # write the file again, with the tag and the georeference
        tags = file.pages.first.tags
        geo = [
            (tag.code, int(tag.dtype), tag.count, tag.value, True) for tag in tags if tag.code in (33550, 33922, 34735)
        ]
    more = {"subfiletype": value} if code == 254 else {}
    tags = [*geo, (274, "H", 1, value, True)] if code == 274 else geo
    tifffile.imwrite(path, DEEP_COLOR, photometric="rgb", extratags=tags, metadata=None, **more)
    if code == 262:
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages.first.tags[262].overwrite(value)
    with pytest.raises(UserError, match=word):
        read_image(path)


def test_pages_of_other_sizes_are_said_to_be_left_out(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            with tifffile.TiffWriter(tmp_path / folder / f"{name}.tif") as file:
                file.write(np.eye(40, 48, dtype=np.uint8), metadata=None)
                file.write(np.eye(30, 24, dtype=np.uint8), metadata=None)
                file.write(np.zeros((10, 12), np.uint8), metadata=None, subfiletype=1)
    header = read_header(tmp_path / "images" / "a.tif")
    assert (header.size, header.unread) == ((40, 48), ("30 x 24",))
    line = "only its image of 40 x 48 is read, 1 more is left out (30 x 24): save each as a file of its own"
    notes = " ".join(check(tmp_path).notes)
    assert f"): {line}" in notes
    assert f"of its mask {line}" in notes
    opened = open_input(
        Input((tmp_path / "images" / "a.tif",), Path("a.tif")), expected=Expected(), preparation=Preparation(), ndim=2
    )
    assert opened.differences == (line,)


def test_series_of_other_sizes_in_ome_tiff_are_said_to_be_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for size in (32, 20):
            file.write(np.zeros((size, size), np.uint8), metadata={"axes": "YX"})
    assert read_header(tmp_path / "a.ome.tif").unread == ("20 x 20",)
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 32, 32), np.uint8))
    assert read_header(tmp_path / "b.tif").unread == ()
