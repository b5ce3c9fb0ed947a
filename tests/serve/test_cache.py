"""Entries of the cache stay while they are used; the least used go first."""

import os
import shutil

import pytest

from atrous.errors import UserError
from atrous.serve.cache import CacheFolder, bytes_on_disk, default_folder


def test_the_least_used_entries_are_removed_and_those_in_use_stay(tmp_path):
    def names():
        return sorted(path.name for path in tmp_path.iterdir())

    earlier = CacheFolder(tmp_path)
    for time, name in enumerate(("b", "a", "c")):
        (earlier.entry(name) / "values").write_bytes(os.urandom(100_000))
        os.utime(tmp_path / name, (time, time))
    cache = CacheFolder(tmp_path, 250_000)
    mine = cache.entry("mine")
    assert names() == ["a", "c", "mine"]
    (mine / "values").write_bytes(os.urandom(300_000))
    cache.entry("more")
    assert names() == ["mine", "more"]


def test_what_was_never_written_takes_no_room(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**8)
    assert bytes_on_disk(tmp_path) < 10**6


def test_entries_that_another_process_removes_meanwhile_are_no_error(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (CacheFolder(tmp_path).entry(name) / "values").write_bytes(os.urandom(100_000))

    def sizes(folder):
        if folder.name == "a" and folder.exists():
            shutil.rmtree(folder)
        return bytes_on_disk(folder)

    monkeypatch.setattr("atrous.serve.cache.bytes_on_disk", sizes)
    assert CacheFolder(tmp_path, 10).entry("mine").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="give another folder with --cache"):
        CacheFolder(tmp_path / "file" / "cache")


def test_the_folder_is_where_the_system_keeps_such_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_folder() == tmp_path / "atrous" / "serve"
