"""Images and labels of every format are read as their libraries read them, and damage is named."""

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image

from atrous.data.formats import (
    image_shape,
    is_lossy,
    read_header,
    read_image,
    read_label,
    read_values,
)
from atrous.errors import UserError
from tests.data.formats.pictures import COLOR, DEEP, DEEP_COLOR, FLOAT, GRAY, RNG, put

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


@pytest.mark.parametrize(("suffix", "options", "lossy"), [
    (".png", {}, False),
    (".jpg", {}, True),
    (".webp", {"lossless": True}, False),
    (".webp", {"lossless": False}, True),
    (".bmp", {}, False),
])  # fmt: skip
@pytest.mark.parametrize("renamed", [".png", ".bmp", None])
def test_lossy_pictures_are_known_by_their_content(tmp_path, suffix, options, lossy, renamed):
    Image.fromarray(GRAY).save(tmp_path / f"a{suffix}", **options)
    path = (tmp_path / f"a{suffix}").rename(tmp_path / f"b{renamed or suffix}")
    assert is_lossy(path) == lossy


@pytest.mark.parametrize("compression", ["jpeg", "deflate", None])
def test_jpeg_in_tiff_is_lossy(tmp_path, compression):
    pixels = np.zeros((32, 32), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression)
    options = {"driver": "GTiff", "count": 1, "height": 32, "width": 32, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "map.tif", "w", transform=rasterio.Affine(2, 0, 0, 0, -2, 0), compress=compression, **options
    ) as file:
        file.write(pixels[None])
    assert [is_lossy(tmp_path / name) for name in ("a.tif", "map.tif")] == [compression == "jpeg"] * 2


@pytest.mark.parametrize(("value", "said"), [
    (0.5, "fractions, such as 0.5"),
    (np.nan, "9 values that are NaN or infinite: save class numbers as whole numbers, and 255 where"),
    (-np.inf, "9 values that are NaN or infinite"),
    (1e20, "the value 1e.20"),
])  # fmt: skip
def test_a_label_of_floats_must_be_whole(tmp_path, value, said):
    np.save(tmp_path / "a.npy", FLOAT.round())
    assert read_label(tmp_path / "a.npy").dtype.kind == "i"
    np.save(tmp_path / "b.npy", np.full((3, 3), value))
    with pytest.raises(UserError, match=rf"b\.npy: a label file with {said}"):
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
