"""The record of a run in units: what is done, what was gathered, and to which run it belongs."""

import numpy as np
import pytest
import torch
import zarr

from atrous.errors import UserError
from atrous.stream.unit_record import UnitRecord


def test_what_is_done_is_found_again_until_it_is_removed(tmp_path):
    sink = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), chunks=(4, 4), dtype="u1")
    record = UnitRecord.beside(sink, 4, "mine")
    state = {7: [torch.tensor(3), torch.rand(2, dtype=torch.float64)], 9: [torch.rand(1, 2, 1, 1)]}
    record.mark(2)
    record.keep(0, 1, state)
    again = UnitRecord.beside(zarr.open_array(tmp_path / "a.zarr"), 4, "mine")
    assert again.done == {2}
    assert again.kept(0, 0) is None
    kept = again.kept(0, 1)
    assert kept is not None
    assert kept.keys() == state.keys()
    assert all(torch.equal(a, b) for i in state for a, b in zip(kept[i], state[i], strict=True))
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr")[...], 0)  # the record is no part of the array
    again.remove()
    assert not (tmp_path / "a.zarr" / ".units").exists()
    assert UnitRecord.beside(sink, 4, "other").done == set()


def test_nothing_of_a_record_stays_at_a_url():
    files = pytest.importorskip("fsspec").filesystem("memory")
    try:
        sink = zarr.create_array("memory://records/a.zarr", shape=(8, 8), chunks=(4, 4), dtype="u1")
        record = UnitRecord.beside(sink, 4, "mine")
        record.mark(2)
        record.keep(0, 1, {7: [torch.tensor(3)]})
        assert UnitRecord.beside(sink, 4, "mine").done == {2}
        record.remove()
        assert [path for path in files.find("/records") if ".units" in path] == []
        assert zarr.open_array("memory://records/a.zarr").shape == (8, 8)
        assert UnitRecord.beside(sink, 4, "other").done == set()
    finally:
        files.rm("/records", recursive=True)


def test_two_jobs_that_begin_at_once_keep_one_record(tmp_path, monkeypatch):
    sink = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), chunks=(4, 4), dtype="u1")
    first = UnitRecord.beside(sink, 4, "mine")
    first.mark(1)
    monkeypatch.setattr(zarr.Group, "__contains__", lambda self, name: False)  # the other one looked before
    second = UnitRecord.beside(sink, 4, "mine")
    second.mark(2)
    assert second.done == {1, 2}
    monkeypatch.undo()
    assert UnitRecord.beside(sink, 4, "mine").done == {1, 2}


def test_another_run_and_damage_are_told(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (8,))
    record = UnitRecord.beside(array, 2, "mine")
    with pytest.raises(UserError, match=r"a.npy.units: belongs to another run"):
        UnitRecord.beside(array, 2, "other")
    record.keep(0, 1, {3: [torch.rand(4)]})
    chunk = next((tmp_path / "a.npy.units" / "state-0-1" / "c").iterdir())
    chunk.write_bytes(chunk.read_bytes()[:20])
    assert UnitRecord.beside(array, 2, "mine").kept(0, 1) is None
    (tmp_path / "a.npy.units" / "zarr.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        UnitRecord.beside(array, 2, "mine")
    for sink in (np.zeros(3), zarr.zeros((3,))):
        with pytest.raises(UserError, match="outlives the process"):
            UnitRecord.beside(sink, 2, "mine")
