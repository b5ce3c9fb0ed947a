"""PNG, JPEG, WebP, GIF and BMP, and what is special in each of them."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.formats import (
    image_shape,
    read_header,
    read_image,
    read_label,
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
