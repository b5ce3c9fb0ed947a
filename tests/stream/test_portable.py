"""Sources and sinks go to other processes as the places where they lie."""

import pickle

import numpy as np
import pytest
import zarr

from atrous.errors import UserError
from atrous.stream import portable
from atrous.stream.portable import PartSink, opened_source, portable_source, shared_sink, write_chunks


def test_a_mapped_file_is_sent_as_its_place(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (3, 5))
    array[:] = np.arange(15).reshape(3, 5)
    sent = pickle.dumps(portable_source(array))
    assert len(sent) < 1000
    np.testing.assert_array_equal(opened_source(pickle.loads(sent)), array)
    shared_sink(array).open("r+")[1, 2] = 100
    assert array[1, 2] == 100
    with pytest.raises(UserError, match="a part of a mapped file"):
        portable_source(array[1:])


def test_large_arrays_in_memory_are_not_sent(monkeypatch):
    monkeypatch.setattr(portable, "SENT", 100)
    with pytest.raises(UserError, match="not sent to workers: write it to a zarr array"):
        portable_source(np.zeros((3, 20)))
    assert portable_source(zarr.zeros((3, 20))).shape == (3, 20)


def test_a_part_of_a_sink_keeps_its_chunks_and_settles(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(2, 20, 12), chunks=(1, 2, 3), shards=(2, 8, 6), dtype="f4")
    assert write_chunks(array, 2) == (8, 6)
    assert write_chunks(np.zeros((2, 3)), 2) is None
    part = PartSink(array, (slice(8, 16), slice(6, 12)))
    assert (part.shape, part.shards) == ((2, 8, 6), (2, 8, 6))
    part[:, 2:4, 0:6] = np.ones((2, 2, 6), np.float32)
    part.settle()
    assert float(np.asarray(array[:, 10:12, 6:]).min()) == 1
    assert float(np.asarray(array[...]).sum()) == 24
    assert shared_sink(array) is array
    assert shared_sink(np.zeros(3)) is None
    assert shared_sink(zarr.zeros((3,))) is None
