"""What every format must do, and the traps of each."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from atrous.data.formats import (
    code_color,
    color_code,
    image_shape,
    read_header,
    read_image,
    read_label,
    read_values,
    write_label,
)
from atrous.errors import UserError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (7, 9), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (7, 9), dtype=np.uint16)
DEEP_COLOR = RNG.integers(0, 65536, (7, 9, 3), dtype=np.uint16)
FLOAT = RNG.random((7, 9), dtype=np.float32)


def put(path: Path, array: np.ndarray) -> Path:
    """Write the pixels `(H, W)` or `(H, W, C)` in the format of the suffix."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".zarr":
        zarr.save_array(path, array)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack", compression="zlib")
    else:
        lossless = {"lossless": True} if path.suffix == ".webp" else {}
        Image.fromarray(array).save(path, **lossless)
    return path


CASES = [
    *[(suffix, GRAY) for suffix in (".png", ".gif", ".bmp", ".tif", ".npy", ".zarr")],
    *[(suffix, COLOR) for suffix in (".png", ".webp", ".bmp", ".tif", ".npy", ".zarr")],
    *[(suffix, DEEP) for suffix in (".png", ".tif", ".npy", ".zarr")],
    *[(suffix, DEEP_COLOR) for suffix in (".tif", ".npy", ".zarr")],
    *[(suffix, FLOAT) for suffix in (".tif", ".npy", ".zarr")],
]


@pytest.mark.parametrize(("suffix", "array"), CASES)
def test_an_image_keeps_its_numbers_and_type_and_the_header_agrees(tmp_path, suffix, array):
    path = put(tmp_path / f"a{suffix}", array)
    truth = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    image, header = read_image(path), read_header(path)
    assert image.dtype == truth.dtype
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, truth)
    assert (header.shape, header.dtype) == (truth.shape, str(truth.dtype))
    assert image_shape(path) == truth.shape


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


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped_and_told(tmp_path, suffix):
    rgba = RNG.integers(0, 256, (7, 9, 4), dtype=np.uint8)
    if suffix == ".tif":
        tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    else:
        Image.fromarray(rgba).save(tmp_path / "a.png")
    path = tmp_path / f"a{suffix}"
    np.testing.assert_array_equal(read_image(path), np.moveaxis(rgba[..., :3], -1, 0))
    assert read_header(path).kind == "rgb+alpha"
    assert read_header(path).shape == (3, 7, 9)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif"])
def test_a_palette_gives_colors_to_an_image_and_indices_to_a_label(tmp_path, suffix):
    indices = GRAY % 3
    palette = np.array([[10, 0, 0], [0, 200, 30], [7, 8, 255]], dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        table = np.zeros((3, 256), dtype=np.uint16)
        table[:, :3] = palette.T.astype(np.uint16) * 257
        tifffile.imwrite(path, indices, photometric="palette", colormap=table)
    else:
        image = Image.fromarray(indices)
        image.putpalette([int(level) for color in palette for level in color])
        image.save(path)
    np.testing.assert_array_equal(read_image(path), np.moveaxis(palette[indices], -1, 0))
    np.testing.assert_array_equal(read_label(path), indices)
    header = read_header(path)
    assert header.palette is not None
    assert header.palette[:3] == tuple(map(tuple, palette.tolist()))


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


def test_a_gray_mask_saved_as_rgb_is_one_channel_and_a_color_mask_needs_a_palette(tmp_path):
    put(tmp_path / "gray.png", np.repeat((GRAY % 5)[..., None], 3, axis=-1))
    np.testing.assert_array_equal(read_label(tmp_path / "gray.png"), GRAY % 5)
    palette = [(0, 0, 0), (128, 0, 0), (0, 128, 128)]
    path = put(tmp_path / "color.png", np.array(palette, dtype=np.uint8)[GRAY % 3])
    with pytest.raises(UserError, match=r"color\.png: stores colors"):
        read_label(path)
    np.testing.assert_array_equal(read_label(path, palette), GRAY % 3)
    with pytest.raises(UserError, match=r"\(0, 128, 128\) is not in the palette"):
        read_label(path, palette[:2])


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_label_of_floats_must_be_whole(tmp_path, value):
    np.save(tmp_path / "a.npy", FLOAT.round())
    assert read_label(tmp_path / "a.npy").dtype.kind == "i"
    np.save(tmp_path / "b.npy", np.full((3, 3), value))
    with pytest.raises(UserError, match=r"b\.npy: a label file with fractions"):
        read_label(tmp_path / "b.npy")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".npy"])
@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_damaged_file_is_named(tmp_path, suffix, damage):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    path = put(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes({"half": data[: len(data) // 2], "empty": b"", "text": b"not an image at all"}[damage])
    with pytest.raises(UserError, match=f"a{suffix}: cannot be read") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_an_unknown_suffix_and_a_zarr_group_are_named(tmp_path):
    zarr.open_group(tmp_path / "g.zarr", mode="w")
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"a\.docx: \.docx is not a format that is read"):
        read_header(tmp_path / "a.docx")
    with pytest.raises(UserError, match=r"g\.zarr: a zarr group without OME-Zarr's multiscales"):
        read_values(tmp_path / "g.zarr")


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


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_color_codes_and_colors_are_one_to_one(color):
    assert code_color(color_code(color)) == color


def test_large_images_are_read_without_a_warning_and_pillow_is_left_as_it_was(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "a.png"
    Image.new("1", (12000, 12000)).save(path)
    assert image_shape(path) == (1, 12000, 12000)
    assert limit == Image.MAX_IMAGE_PIXELS
