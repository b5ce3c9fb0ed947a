"""Masks on disk: ordinary files that hold every write, in tiles at every level."""

import numpy as np
import pytest

from atrous.data.formats import read_values
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.serve.levels import NoTile
from atrous.serve.paint_masks import ChunkedMask, PictureMask, mask_name, open_mask

RNG = np.random.default_rng(0)


def boxes(size):
    """A few regions with labels, some of them erased again."""
    for label in (3, 0, 7, IGNORE, 1):
        start = [int(RNG.integers(0, length - 2)) for length in size]
        region = tuple(
            slice(a, int(RNG.integers(a + 1, min(length, a + 300) + 1))) for a, length in zip(start, size, strict=True)
        )
        yield region, np.full([part.stop - part.start for part in region], label, np.uint8)


@pytest.mark.parametrize(
    ("kind", "suffix", "size"),
    [(PictureMask, ".png", (300, 700)), (ChunkedMask, ".zarr", (700, 1100)), (ChunkedMask, ".zarr", (20, 90, 150))],
)
def test_every_write_is_on_the_disk_at_once(tmp_path, kind, suffix, size):
    mask, want = kind(tmp_path / f"a{suffix}", size), np.full(size, IGNORE, np.uint8)
    assert (mask.read(tuple(slice(0, length) for length in size)) == IGNORE).all()
    assert not mask.path.exists()
    for region, labels in boxes(size):
        mask.write(region, labels)
        want[region] = labels
        np.testing.assert_array_equal(read_values(mask.path), want)
    again = kind(mask.path, size)
    for one in (mask, again):
        np.testing.assert_array_equal(
            one.read((slice(5, 15), *(slice(3, 60),) * (len(size) - 1))),
            want[5:15, 3:60][(slice(None), slice(None), *(slice(3, 60),) * (len(size) - 2))],
        )
        counts = np.bincount(want.ravel(), minlength=256)
        counts[IGNORE] = 0
        np.testing.assert_array_equal(one.counts(), counts)
    assert [path.name for path in tmp_path.iterdir()] == [mask.path.name]  # nothing is left beside it


@pytest.mark.parametrize(
    ("kind", "suffix", "size"), [(PictureMask, ".png", (600, 520)), (ChunkedMask, ".zarr", (1030, 700))]
)
def test_tiles_show_the_least_label_that_was_painted(tmp_path, kind, suffix, size):
    mask, want = kind(tmp_path / f"a{suffix}", size), np.full(size, IGNORE, np.uint8)
    for region, labels in boxes(size):
        mask.write(region, labels)
        want[region] = labels
    for level, row, column in ((0, 0, 1), (0, 2, 2), (1, 0, 0), (1, 1, 1), (2, 0, 0)):
        side = 2**level
        padded = np.pad(want, [(0, -length % side) for length in size], constant_values=IGNORE)
        shape = (padded.shape[0] // side, side, padded.shape[1] // side, side)
        reduced = padded.reshape(shape).min((1, 3))
        part = reduced[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256]
        np.testing.assert_array_equal(mask.tile((0, 0), level, row, column), part)
    with pytest.raises(NoTile):
        mask.tile((0, 0), 9, 0, 0)
    with pytest.raises(NoTile):
        mask.tile((1, 0), 0, 0, 0)


def test_planes_of_a_volume_are_cut_along_every_axis(tmp_path):
    mask, want = ChunkedMask(tmp_path / "a.zarr", (20, 90, 150)), np.full((20, 90, 150), IGNORE, np.uint8)
    for region, labels in boxes(want.shape):
        mask.write(region, labels)
        want[region] = labels
    for axis, index in ((0, 7), (1, 40), (2, 90)):
        np.testing.assert_array_equal(mask.tile((axis, index), 0, 0, 0), want.take(index, axis))


def test_a_mask_of_another_image_is_refused(tmp_path):
    open_mask(tmp_path, "a", (30, 40)).write((slice(0, 2), slice(0, 2)), np.zeros((2, 2), np.uint8))
    with pytest.raises(UserError, match="move it away"):
        open_mask(tmp_path, "a", (30, 41))
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        ChunkedMask(tmp_path / "b.zarr", (30, 40))


def test_a_large_image_has_a_mask_in_chunks():
    assert mask_name("a", (4096, 1024)) == "a.png"
    assert mask_name("a", (4096, 1025)) == "a.zarr"
