"""Dense maps of found objects: on disk while they are streamed, and kept for the next run of the same input."""

import numpy as np
import pytest

from atrous.data.formats import FileFault
from atrous.data.preprocess import Preparation
from atrous.prediction.dense import FoundFiles
from atrous.prediction.inputs import Opened, prepared
from atrous.prediction.jobs import exists
from atrous.stream.resume import record_beside
from atrous.tasks.instances import InstanceTask

SHAPE = (4, 30, 20)


class Found(FoundFiles):
    """Files of a test, which are never written."""

    def finish(self):
        """Do nothing."""


@pytest.fixture
def begin(tmp_path):
    """Return a function that begins the files of one input."""
    source = tmp_path / "in.npy"
    np.save(source, np.zeros((1, *SHAPE[1:]), np.float32))

    def begun(streamed=True, size=SHAPE[1:]):
        files = Found((tmp_path / "out" / "a.tif",), InstanceTask(ndim=2), (source,))
        files.begin(Opened(np.zeros((1, *size), np.float32), size), streamed)
        return files

    return begun


def hidden(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_an_interrupted_stream_leaves_its_maps_to_the_next_run(begin, tmp_path):
    files = begin()
    assert files.resumes
    files.sink[:, :10] = 3
    record = record_beside(tmp_path / "out" / ".a.tif.maps.npy")
    record.touch()
    files.pause()
    again = begin()
    assert again.sink.shape == SHAPE
    assert (again.sink[:, :10] == 3).all()
    assert record.exists()
    again.discard()
    assert hidden(tmp_path) == []


def test_maps_of_another_input_or_size_are_begun_anew(begin, tmp_path):
    files = begin()
    files.sink[...] = 3
    files.pause()
    assert begin(size=(30, 21)).sink.shape == (4, 30, 21)
    files = begin()
    files.sink[...] = 3
    record_beside(tmp_path / "out" / ".a.tif.maps.npy").touch()
    files.pause()
    np.save(tmp_path / "in.npy", np.ones((1, 40, 20), np.float32))
    assert not begin().sink.any()
    assert not record_beside(tmp_path / "out" / ".a.tif.maps.npy").exists()


def test_a_damaged_file_is_begun_anew(begin, tmp_path):
    begin().pause()
    (tmp_path / "out" / ".a.tif.maps.npy").write_bytes(b"\x93NUMPY")
    assert not begin().sink.any()


def test_maps_that_are_all_there_need_no_network(begin, tmp_path):
    files = begin()
    assert not files.complete
    files.sink[...] = 2
    files.end()
    files.pause()
    again = begin()
    assert again.complete
    assert (again.sink[...] == 2).all()
    again.discard()
    assert hidden(tmp_path) == []


def test_gaps_of_what_an_earlier_run_has_read_are_known(tmp_path):
    image = np.zeros((1, *SHAPE[1:]), np.float32)
    image[:, :5] = np.nan
    np.save(tmp_path / "in.npy", image)
    for missing in (0, 5 * SHAPE[2]):
        files = Found((tmp_path / "out" / "a.tif",), InstanceTask(ndim=2), (tmp_path / "in.npy",))
        opened = prepared(image, Preparation())
        files.begin(opened, True)
        assert np.count_nonzero(~np.asarray(opened.valid[...])) == missing  # known once something was read
        record_beside(tmp_path / "out" / ".a.tif.maps.npy").touch()
        files.pause()


def test_a_run_that_did_not_begin_keeps_what_an_earlier_one_left(begin, tmp_path):
    begin().pause()
    left = hidden(tmp_path)
    idle = Found((tmp_path / "out" / "a.tif",), InstanceTask(ndim=2), (tmp_path / "in.npy",))
    idle.pause()
    idle.discard()
    assert hidden(tmp_path) == left


def test_the_main_file_says_whether_the_output_exists(tmp_path):
    files = Found((tmp_path / "a.tif", tmp_path / "a.csv"), InstanceTask(ndim=2), ())
    (tmp_path / "a.csv").touch()
    assert not exists(files)  # it was killed before the main file, which is written last
    (tmp_path / "a.tif").touch()
    assert exists(files)


def test_maps_in_memory_leave_nothing(begin, tmp_path):
    files = begin(streamed=False)
    assert not files.resumes
    files.sink[...] = 1
    files.pause()
    assert hidden(tmp_path) == []


def test_maps_of_another_network_are_begun_anew(begin, tmp_path):
    def left_by(network):
        files = begin()
        files.made_by = lambda: network
        files.sink[...] = 2
        files.end()
        files.pause()

    left_by("one")
    source = (tmp_path / "in.npy",)
    for network, there in (("one", True), ("other", False)):
        files = Found((tmp_path / "out" / "a.tif",), InstanceTask(ndim=2), source)
        files.made_by = lambda network=network: network
        files.begin(Opened(np.zeros((1, *SHAPE[1:]), np.float32), SHAPE[1:]), streamed=True)
        assert (files.complete, bool(files.sink[...].any())) == (there, there)
        files.pause()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(begin, tmp_path, value):
    files = begin()
    files.sink[:, :2] = 1
    with pytest.raises(FileFault, match=r"in\.npy: the network's output is not finite"):
        files.sink[:, 2:4] = np.full((4, 2, 20), value, np.float32)
    files.discard()
    assert hidden(tmp_path) == []
