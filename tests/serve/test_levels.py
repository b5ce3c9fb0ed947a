"""A tile of a level is the mean over the area that it covers, whichever way it is computed."""

import numpy as np
import pytest

from atrous.serve.levels import DIRECT, TILE, Levels, NoTile, averaged, level_sizes, stored

RNG = np.random.default_rng(0)


class Counted:
    """A source that counts the values that are read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.read = values, values.shape, values.dtype, 0

    def __getitem__(self, key):
        part = self.values[key]
        self.read += part.size
        return part


def mean_of_blocks(values, factor):
    channels, height, width = values.shape
    blocks = values.reshape(channels, height // factor, factor, width // factor, factor)
    return blocks.astype(np.float64).mean((2, 4))


def test_tiles_together_are_the_picture_and_its_means(tmp_path):
    picture = RNG.integers(0, 65536, (2, 1024, 2048)).astype(np.uint16)
    levels = Levels(picture, folder=lambda: tmp_path)
    assert levels.sizes == [(1024, 2048), (512, 1024), (256, 512), (128, 256)]
    for level, (height, width) in enumerate(levels.sizes):
        rows = [
            np.concatenate([levels.tile(level, row, column) for column in range(-(-width // TILE))], axis=2)
            for row in range(-(-height // TILE))
        ]
        want = np.rint(mean_of_blocks(picture, 2**level))
        found = np.concatenate(rows, axis=1)
        assert found.dtype == np.uint16
        assert np.abs(found - want).max() <= 1


def test_coarse_levels_are_read_once_and_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.serve.levels.TILE", 8)
    values = RNG.integers(0, 256, (1, 256, 512)).astype(np.uint8)
    picture = Counted(values)
    levels = Levels(picture, folder=lambda: tmp_path)
    assert levels.share == 1
    assert len(levels.sizes) > DIRECT + 2
    level = DIRECT + 1
    first = levels.tile(level, 0, 0)
    assert np.abs(first - mean_of_blocks(values, 2**level)[:, :8, :8]).max() <= 1
    assert 0 < levels.share < 1
    assert picture.read < 2 * (8 * 2**level) ** 2
    coarsest = levels.tile(len(levels.sizes) - 1, 0, 0)
    assert levels.share == 1
    assert picture.read <= 1.2 * values.size
    again = Counted(values)
    np.testing.assert_array_equal(Levels(again, folder=lambda: tmp_path).tile(len(levels.sizes) - 1, 0, 0), coarsest)
    assert again.read == 0


def test_the_files_own_copies_are_used():
    picture = Counted(np.zeros((1, 2048, 2048), np.uint8))
    copy = Counted(np.full((1, 512, 512), 9, np.uint8))
    levels = Levels(picture, [copy])
    assert levels.tile(1, 0, 0).max() == 0
    before = picture.read
    assert levels.tile(2, 0, 0).min() == levels.tile(3, 0, 0).min() == 9
    assert picture.read == before


def test_memory_is_that_of_a_few_rows(monkeypatch):
    monkeypatch.setattr("atrous.serve.levels.PIECE", 2**12)
    picture = Counted(RNG.integers(0, 256, (1, 512, 512)).astype(np.uint8))
    found = averaged(picture, (64, 64), (slice(0, 64), slice(0, 64)))
    assert np.abs(found - mean_of_blocks(picture.values, 8)).max() <= 1


@pytest.mark.parametrize("place", [(5, 0, 0), (-1, 0, 0), (0, 4, 0), (0, 0, 1), (0, -1, 0)])
def test_there_is_no_tile_outside(place):
    with pytest.raises(NoTile):
        Levels(np.zeros((1, 1000, 200), np.uint8)).tile(*place)


def test_an_array_that_was_cut_short_is_made_anew(tmp_path):
    path = tmp_path / "a.npy"
    stored(path, (4, 5), np.uint8)[...] = 7
    assert stored(path, (4, 5), np.uint8).min() == 7
    path.write_bytes(path.read_bytes()[:100])
    assert stored(path, (4, 5), np.uint8).max() == 0
    assert stored(path, (4, 6), np.uint8).shape == (4, 6)


def test_levels_end_with_one_tile():
    assert level_sizes((1, 1)) == [(1, 1)]
    assert level_sizes((30000, 257))[-1] == (235, 3)
