"""Lazily sliced files are the files."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.formats import open_source, read_image
from atrous.data.source import AllValid, AsChannels, AsSlices, ChannelFirst, LazySource, Squeezed, Stacked

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
    assert source[0:0].shape == (0, 5, 6)
    with pytest.raises(ValueError, match="different sizes"):
        Stacked([parts[0], parts[1][:, :4]])


class Recorded(LazySource):
    """An array that remembers the keys with which it was read."""

    def __init__(self, array):
        super().__init__(array.shape, array.dtype)
        self.array, self.keys = array, []

    def _read(self, key):
        self.keys.append(key)
        return self.array[key]


def test_only_the_files_whose_channels_are_asked_for_are_read():
    parts = [Recorded(RNG.normal(size=(n, 5, 6))) for n in (1, 2)]
    Stacked(parts)[1:, 2]
    assert not parts[0].keys
    assert parts[1].keys == [(slice(0, 2), 2, slice(None))]


def test_a_key_reaches_a_source_whole_with_numbers_from_the_start():
    source = Recorded(RNG.normal(size=(4, 5, 6)))
    for key in [*KEYS, -1, (..., -2), (slice(None), np.int64(3)), (slice(3, 0, -2), -5), (slice(2, 2),)]:
        np.testing.assert_array_equal(source[key], source.array[key])
        assert len(source.keys[-1]) == 3
        assert all(isinstance(entry, slice) or entry >= 0 for entry in source.keys[-1])


@pytest.mark.parametrize("key", [4, (0, -6), (0, 0, 0, 0), None, [0, 1], True, np.array([0, 1])])
def test_a_key_that_a_source_cannot_read_is_refused(key):
    with pytest.raises(IndexError):
        Recorded(RNG.normal(size=(4, 5, 6)))[key]


def test_axes_of_length_one_can_be_left_out():
    array = RNG.normal(size=(1, 4, 1, 5, 6))
    source, expected = Squeezed(array, (1, 3, 4)), array[0, :, 0]
    assert source.shape == expected.shape
    for key in KEYS:
        np.testing.assert_array_equal(source[key], expected[key])


def test_slices_are_read_as_channels_and_channels_as_slices():
    array = RNG.normal(size=(1, 4, 5, 6))
    channels = AsChannels(array)
    slices = AsSlices(channels)
    assert (channels.shape, slices.shape) == ((4, 5, 6), (1, 4, 5, 6))
    for key in KEYS:
        np.testing.assert_array_equal(channels[key], array[0][key])
    for key in [..., 0, (0, 2), (slice(None), slice(1, 3)), (slice(None, None, -1), -1)]:
        np.testing.assert_array_equal(slices[key], array[key])


def test_a_position_is_valid_where_all_masks_are():
    masks = [RNG.random((9, 8)) > 0.4 for _ in range(3)]
    np.testing.assert_array_equal(AllValid(masks)[2:7, ::2], (masks[0] & masks[1] & masks[2])[2:7, ::2])
