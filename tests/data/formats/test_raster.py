"""PNG, JPEG, WebP, GIF and BMP, and what is special in each of them."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from atrous.data.formats import (
    image_shape,
    read_header,
    read_image,
    read_label,
    read_values,
)
from tests.data.formats.pictures import COLOR, DEEP_COLOR, put


def test_jpeg_is_read_as_pillow_reads_it(tmp_path):
    path = put(tmp_path / "a.jpg", COLOR)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(np.asarray(Image.open(path)), -1, 0))


def test_16_bit_color_png_keeps_all_bits(tmp_path):
    import imagecodecs

    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(DEEP_COLOR))
    np.testing.assert_array_equal(read_image(path), np.moveaxis(DEEP_COLOR, -1, 0))
    assert read_header(path).shape == (3, 7, 9)
    alpha = np.concatenate([DEEP_COLOR, DEEP_COLOR[..., :1]], axis=-1)
    path.write_bytes(imagecodecs.png_encode(alpha))
    np.testing.assert_array_equal(read_image(path), np.moveaxis(DEEP_COLOR, -1, 0))
    assert read_header(path).kind == "rgb+alpha"


def test_exif_rotation_is_obeyed_by_image_and_header(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOR).save(path, exif=exif)
    upright = np.rot90(np.asarray(Image.open(path)), -1)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(upright, -1, 0))
    assert read_header(path).shape == (3, 9, 7)
    assert read_header(path).rotated


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_gray_png_of_few_bits_gives_its_numbers(tmp_path, bits):
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    numbers = np.arange(8) % (1 << bits)
    packed = int("".join(f"{n:0{bits}b}" for n in numbers), 2).to_bytes(bits, "big")
    head = struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + packed)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png")[0], numbers)


def test_large_images_are_read_without_a_warning_and_pillow_is_left_as_it_was(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "a.png"
    Image.new("1", (12000, 12000)).save(path)
    assert image_shape(path) == (1, 12000, 12000)
    assert limit == Image.MAX_IMAGE_PIXELS


def turned_png(path, orientation, late):
    """A PNG whose chunk eXIf stands before its pixels, as Pillow writes it, or behind them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOR).save(path, exif=exif)
    if late:
        content = path.read_bytes()
        start = content.index(b"eXIf") - 4
        stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
        end = content.index(b"IEND") - 4
        path.write_bytes(content[:start] + content[stop:end] + content[start:stop] + content[end:])
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["a.png", "late.png", "a.webp", "a.jpg"])
def test_exif_orientation_is_obeyed_in_every_format_that_has_it(tmp_path, orientation, kind):
    path = tmp_path / kind
    if path.suffix == ".png":
        turned_png(path, orientation, kind == "late.png")
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(COLOR).save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))
    image = Image.open(path)
    image.load()
    truth = np.moveaxis(np.asarray(ImageOps.exif_transpose(image)), -1, 0)
    np.testing.assert_array_equal(read_image(path), truth)
    np.testing.assert_array_equal(read_values(path), truth)
    header = read_header(path)
    assert (header.shape, header.rotated) == (truth.shape, orientation > 1)


def test_exif_of_16_bit_png_and_of_masks_is_obeyed(tmp_path):
    import imagecodecs

    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(COLOR).save(tmp_path / "b.png", exif=exif)
    content = (tmp_path / "b.png").read_bytes()
    start = content.index(b"eXIf") - 4
    chunk = content[start : start + 12 + int.from_bytes(content[start : start + 4], "big")]
    deep = imagecodecs.png_encode(DEEP_COLOR)
    end = deep.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(deep[:end] + chunk + deep[end:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.moveaxis(np.rot90(DEEP_COLOR), -1, 0))
    Image.fromarray(COLOR[..., 0] % 3).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_label(tmp_path / "m.png"), np.rot90(COLOR[..., 0] % 3))


def test_cmyk_jpeg_is_read_as_pillow_shows_it(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOR).convert("CMYK").save(path, quality=98)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(np.asarray(Image.open(path).convert("RGB")), -1, 0))


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "alpha.png"])
def test_the_header_of_a_palette_picture_is_read_without_decoding_it(tmp_path, monkeypatch, name):
    image = Image.fromarray(COLOR).quantize(16)
    image.save(tmp_path / name, **({"transparency": 3} if name == "alpha.png" else {}))
    with Image.open(tmp_path / name) as opened:
        truth = np.array(opened.getpalette("RGB")).reshape(-1, 3)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    palette = np.array(read_header(tmp_path / name).palette)
    count = min(len(truth), len(palette), 16)
    np.testing.assert_array_equal(palette[:count], truth[:count])
