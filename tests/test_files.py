"""Files and folders appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from atrous.files import Replacement, remove, replacing

KILLED = """
import os, signal, sys
from atrous.files import replacing
with replacing(sys.argv[1]) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
SLOW = """
import sys
from atrous.files import replacing
with replacing(sys.argv[1]) as beside:
    beside.write_text("A" * 100_000)
    print(beside.name, flush=True)
    sys.stdin.readline()
"""


def test_the_path_beside_is_hidden_unique_and_keeps_the_suffix(tmp_path):
    with replacing(tmp_path / "ct.nii.gz") as beside:
        assert beside.parent == tmp_path
        assert beside.name.startswith(".")
        assert str(os.getpid()) in beside.name
        assert beside.name.endswith("ct.nii.gz")
        beside.write_text("new")
        assert not (tmp_path / "ct.nii.gz").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]


def test_a_file_replaces_the_old_one(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("old")
    with replacing(place) as beside:
        beside.write_text("new")
        assert place.read_text() == "old"
    assert place.read_text() == "new"


def test_a_folder_appears_whole(tmp_path):
    place = tmp_path / "a.zarr"
    with replacing(place) as beside:
        (beside / "c").mkdir(parents=True)
        (beside / "c" / "0").write_text("chunk")
        assert not place.exists()
    assert (place / "c" / "0").read_text() == "chunk"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_folder_with_files_is_never_replaced(tmp_path):
    place = tmp_path / "a.zarr"
    place.mkdir()
    (place / "kept").write_text("old")
    with pytest.raises(OSError, match="not empty"), replacing(place) as beside:
        beside.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]
    assert (place / "kept").read_text() == "old"


def _write_half(place, error, folder):
    with replacing(place) as beside:
        if folder:
            beside.mkdir()
            (beside / "half").write_text("x")
        else:
            beside.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_an_exception_removes_what_was_written_and_keeps_the_old_file(tmp_path, error, folder):
    place = tmp_path / "a"
    place.write_text("old")
    with pytest.raises(error):
        _write_half(place, error, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert place.read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("old", [None, "old"])
def test_a_killed_process_leaves_no_file_or_the_old_one(tmp_path, old):
    place = tmp_path / "a.txt"
    if old is not None:
        place.write_text(old)
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert done.returncode == -9
    assert (place.read_text() if place.exists() else None) == old
    with replacing(place) as beside:  # what the killed process left does not disturb the next one
        beside.write_text("new")
    assert place.read_text() == "new"


def test_what_a_process_of_the_same_number_left_is_removed(tmp_path):
    left = Replacement(tmp_path / "a.zarr").beside
    left.mkdir()
    (left / "stale").touch()
    with replacing(tmp_path / "a.zarr") as beside:
        beside.mkdir()
    assert not list((tmp_path / "a.zarr").iterdir())


def test_two_processes_write_the_same_file_at_the_same_time(tmp_path):
    place = tmp_path / "a.txt"
    command = [sys.executable, "-c", SLOW, str(place)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None
    assert other.stdout is not None
    name = other.stdout.readline().strip()
    with replacing(place) as beside:
        assert beside.name != name
        beside.write_text("B" * 100_000)
    assert set(place.read_text()) == {"B"}
    other.communicate("go\n", timeout=60)
    assert other.returncode == 0
    assert place.read_text() == "A" * 100_000  # the last one wins, whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_replacement_is_finished_or_discarded(tmp_path):
    first, second = Replacement(tmp_path / "a"), Replacement(tmp_path / "b")
    first.beside.write_text("a")
    second.beside.write_text("b")
    first.finish()
    second.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_remove_takes_files_folders_links_and_nothing(tmp_path):
    target = tmp_path / "kept"
    target.mkdir()
    (target / "file").touch()
    (tmp_path / "link").symlink_to(target)
    remove(tmp_path / "link")
    remove(tmp_path / "nothing")
    assert (target / "file").exists()
    remove(target)
    assert not list(tmp_path.iterdir())
