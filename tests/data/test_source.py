"""Lazily sliced files are the files."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.formats import open_source, read_image
from atrous.data.source import ChannelFirst, Stacked

RNG = np.random.default_rng(0)
KEYS = [..., (slice(None), slice(1, 5)), (0,), (slice(1, 2), 3), (slice(None, None, -1), slice(2, 4)), (..., 2)]


@pytest.mark.parametrize("shape", [(9, 8), (3, 9, 8), (9, 8, 3), (40, 9, 34)])
@pytest.mark.parametrize("suffix", [".npy", ".zarr", ".tif", ".png"])
def test_a_source_sliced_is_the_image_sliced(tmp_path, shape, suffix):
    values, path = RNG.integers(0, 255, shape).astype(np.uint8), tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".zarr":
        zarr.create_array(path, data=values, chunks=tuple(min(4, n) for n in shape))
    elif suffix == ".tif":
        photometric = "rgb" if 3 in (shape[0], shape[-1]) else "minisblack"
        tifffile.imwrite(path, values, photometric=photometric, compression="zlib", rowsperstrip=2)
    else:
        from PIL import Image

        Image.fromarray(values if (shape[-1] in (3, 8) and len(shape) == 2) or shape[-1] == 3 else values[0]).save(path)
    image, source = read_image(path), open_source(path)
    assert tuple(source.shape) == image.shape
    for key in KEYS:
        if isinstance(key, tuple) and isinstance(key[0], slice) and key[0].start == 1 and len(image) == 1:
            continue
        np.testing.assert_array_equal(np.asarray(source[key]), image[key])


@pytest.mark.parametrize("axis", [0, 1, 2, None])
def test_channels_on_any_axis(axis):
    array = RNG.normal(size=(4, 5, 6))
    expected = array[None] if axis is None else np.moveaxis(array, axis, 0)
    source = ChannelFirst(array, axis)
    assert source.shape == expected.shape
    keys = [*KEYS, (slice(None), 1, slice(2, 4))] if axis is not None else [..., (0, 1), (slice(None), slice(1, 3))]
    for key in keys:
        np.testing.assert_array_equal(source[key], expected[key])


def test_files_stacked_are_one_image():
    parts = [RNG.normal(size=(n, 5, 6)) for n in (1, 2)]
    source, whole = Stacked(parts), np.concatenate(parts)
    assert source.shape == whole.shape
    for key in KEYS:
        np.testing.assert_array_equal(source[key], whole[key])
    with pytest.raises(ValueError, match="different sizes"):
        Stacked([parts[0], parts[1][:, :4]])
