"""Damaged Blosc blocks are refused by their header: C-Blosc itself would read past the end of the bytes."""

import struct

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies

from atrous.data.formats import open_source, read_image
from atrous.data.formats.zarr_blosc import SoundBlosc, require_sound
from atrous.errors import UserError

VALUES = np.arange(32 * 32, dtype="u2").reshape(32, 32) // 5


def chunk_of(path, version, shards):
    kinds = {"compressors": zarr.codecs.BloscCodec(cname="lz4")} if version == 3 else {
        "compressors": numcodecs.Blosc("lz4")
    }  # fmt: skip
    if shards:
        kinds["shards"] = (32, 32)
    zarr.create_array(path, shape=(32, 32), chunks=(16, 16), dtype="u2", zarr_format=version, **kinds)[...] = VALUES
    return path / ("0.0" if version == 2 else "c/0/0")


@pytest.mark.parametrize(("version", "shards"), [(2, False), (3, False), (3, True)])
@pytest.mark.parametrize(("place", "value"), [(12, 2**20), (12, 16), (4, 2**32 - 5), (8, 0), (8, 2**20)])
def test_a_chunk_with_other_sizes_in_its_header_is_refused(tmp_path, version, shards, place, value):
    chunk = chunk_of(tmp_path / "a.zarr", version, shards)
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr")[0], VALUES)
    content = bytearray(chunk.read_bytes())
    content[place : place + 4] = struct.pack("<I", value)
    chunk.write_bytes(content)
    for read in (read_image, lambda path: open_source(path)[:, :4]):
        with pytest.raises((UserError, ValueError), match="Blosc block is damaged"):
            read(tmp_path / "a.zarr")


@pytest.mark.parametrize("length", [0, 15, 16, 40])
def test_a_chunk_cut_short_is_refused(tmp_path, length):
    chunk = chunk_of(tmp_path / "a.zarr", 2, False)
    chunk.write_bytes(chunk.read_bytes()[:length])
    with pytest.raises(UserError, match=r"a.zarr: .*damaged"):
        read_image(tmp_path / "a.zarr")


@given(
    strategies.binary(min_size=8, max_size=5000), strategies.sampled_from(numcodecs.blosc.list_compressors()),
    strategies.sampled_from([1, 2, 4, 8]), strategies.integers(0, 9), strategies.sampled_from([0, 1, 2]),
)  # fmt: skip
def test_every_sound_block_is_read(content, name, size, level, shuffle):
    values = np.frombuffer(content[: len(content) // size * size], f"u{size}")
    block = numcodecs.Blosc(name, level, shuffle).encode(values)
    require_sound(block)
    assert SoundBlosc().decode(block) == values.tobytes()
