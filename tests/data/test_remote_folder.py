"""Data sets at URLs are read as folders on disk are; files are fetched when they are read, within a limit."""

import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Barrier, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from atrous.data import remote_folder, shards
from atrous.data.dataset import open_dataset
from atrous.data.formats import mirrored, open_source, read_header, read_image
from atrous.data.formats import remote as urls
from atrous.data.formats.mirrored import MIRRORS, here, mirror_of, with_urls
from atrous.data.root_folder import data_folder
from atrous.data.shards import keep_shards, place_in_shard
from atrous.errors import UserError
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.search import search
from atrous.verbs.train import train
from tests.conftest import SMALL
from tests.data.test_shards import web_shards
from tests.slides import write_svs

fsspec = pytest.importorskip("fsspec")
URL = "memory://bucket/digits"


@pytest.fixture
def memory(monkeypatch):
    """fsspec's file system in memory, which is empty."""
    monkeypatch.setattr(urls, "SCHEMES", (*urls.SCHEMES, "memory"))
    monkeypatch.setattr(remote_folder, "WAITS", (0.0, 0.0))
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()
    for mirror in list(MIRRORS.values()):
        mirror.remove()


@pytest.fixture
def url(memory, digits):
    """The digit scenes in it."""
    put(memory, digits, "/bucket/digits")
    return URL


def put(files, folder, place):
    """Copy a folder into a store."""
    for path in folder.rglob("*"):
        if path.is_file():
            files.pipe(f"{place}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def test_a_data_set_at_a_url_is_that_on_disk_and_is_fetched_when_it_is_read(url, digits):
    root = data_folder(url)
    mirror = mirror_of(root)
    assert mirror is not None
    assert root.name == "digits"
    assert data_folder(f"{url}/") == root  # the same files: the same mirror
    at_once = mirror.fetched
    assert at_once == sum(path.suffix == ".toml" for path in digits.rglob("*.*"))
    there, local = open_dataset(url), open_dataset(digits)
    assert mirror.fetched <= at_once + 1  # dataset.toml names the classes; the first image may name its channels
    assert there.classes == local.classes
    assert {split: [sample.name for sample in samples] for split, samples in there.splits.items()} == {
        split: [sample.name for sample in samples] for split, samples in local.splits.items()
    }
    for mine, its in zip(there.samples, local.samples, strict=True):
        np.testing.assert_array_equal(mine.image.load(), its.image.load())
        assert mine.target is not None
        assert its.target is not None
        np.testing.assert_array_equal(mine.target.read(), its.target.read())
    assert mirror.fetched == at_once + 2 * len(local.samples)


def test_the_check_is_that_of_the_folder_and_names_the_url(url, digits):
    there, local = check(url), check(digits)
    assert there.to_dict() | {"root": ""} == local.to_dict() | {"root": ""}
    assert there.to_dict()["root"] == url
    assert url in there.text()
    assert "atrous-url-" not in there.text()
    assert {name: header.size for name, header in there.headers.items()} == {
        sample.name: (64, 64) for sample in local.dataset.samples
    }


def test_files_beyond_the_limit_are_fetched_again(url, monkeypatch):
    monkeypatch.setattr(mirrored, "RECENT", 1)
    root = data_folder(url)
    mirror, images = mirror_of(root), sorted(path for path in root.rglob("*.png") if "images" in path.parts)
    assert mirror is not None
    mirror.limit = mirror.held + 6 * max(path.stat().st_size for path in images)
    before, start = mirror.limit, mirror.fetched
    first = [read_image(path) for path in images]
    assert mirror.held <= before
    for path, image in zip(images, first, strict=True):
        np.testing.assert_array_equal(read_image(path), image)
        assert mirror.held <= before
    assert len(images) < mirror.fetched - start < 2 * len(images)  # some stayed
    assert sum(path.stat().st_blocks * 512 > 0 for path in images) < len(images)
    with here(images[0]), here(images[1]), here(root / "images"):  # what is being read is not removed
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in images)


def test_a_check_fetches_ahead_and_each_file_once(url, memory, monkeypatch):
    mirror, places, gate = mirror_of(data_folder(url)), count(), Barrier(4, timeout=60)
    assert mirror is not None
    fetch = mirror._fetch

    def together(name, path):
        if next(places) < gate.parties:  # more than there are threads that decode
            gate.wait()
        fetch(name, path)

    texts = mirror.fetched
    open_dataset(url)  # it may read an image
    monkeypatch.setattr(mirror, "_fetch", together)
    found = check(url)
    assert next(places) >= gate.parties
    assert mirror.fetched - texts == 2 * len(found.dataset.samples)


def test_sources_and_zarr_arrays_are_fetched_as_they_are_sliced(memory, tmp_path):
    zarr = pytest.importorskip("zarr")
    values = np.arange(3 * 32 * 32, dtype=np.uint8).reshape(3, 32, 32)
    zarr.create_array(tmp_path / "set" / "a.zarr", data=values, chunks=(3, 16, 16))
    np.save(tmp_path / "set" / "b.npy", values)
    put(memory, tmp_path / "set", "/bucket/set")
    root = data_folder("memory://bucket/set")
    mirror = mirror_of(root)
    assert mirror is not None
    assert mirror.fetched == 1  # zarr.json
    for name in ("a.zarr", "b.npy"):
        source = open_source(root / name)
        assert read_header(root / name).shape == values.shape
        mirror.limit = 0
        np.testing.assert_array_equal(source[:, 3:20, 5:9], values[:, 3:20, 5:9])
        np.testing.assert_array_equal(read_image(root / name), values)


def test_shards_are_fetched_whole_when_a_sample_of_them_is_read(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "HELD", 0)
    put(memory, web_shards(tmp_path / "set", name="train-{:04d}.tar"), "/bucket/set")
    put(memory, web_shards(tmp_path / "more", count=1, name="val-{:04d}.tar"), "/bucket/set")
    memory.pipe("/bucket/set/dataset.toml", b'classes = ["a", "b", "c"]')
    dataset = open_dataset("memory://bucket/set")
    assert dataset.classes == ("a", "b", "c")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 12, "val": 4}
    samples = dataset.splits["train"]
    places = [place for sample in samples if (place := place_in_shard(sample.image.path)) is not None]
    mirror = mirror_of(places[0].shard)
    assert mirror is not None
    assert mirror.fetched == 5  # the shards, to be listed, and dataset.toml
    keep_shards([sample.image.path for sample in samples], 20)
    assert mirror.recent == 20
    mirror.limit, before = 2 * places[0].shard.stat().st_size, mirror.fetched
    for i in range(4):  # of two shards in turn
        samples[i].image.load()
        samples[4 + i].image.load()
    assert mirror.fetched - before <= 2
    message = "memory://bucket/set/train/0000.jpg"
    assert with_urls(str(samples[0].image.path)) == message


def test_slides_are_fetched_when_they_are_read(memory, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (128, 192, 3), np.uint8)
    (tmp_path / "set").mkdir()
    for name in "abcd":
        write_svs(tmp_path / "set" / f"{name}.svs", pixels)
    (tmp_path / "set" / "labels.csv").write_text("file,tumor\na,0\nb,1\nc,0\nd.svs,1\n")
    (tmp_path / "set" / "dataset.toml").write_text('task = "classification"\n')
    put(memory, tmp_path / "set", "/bucket/slides")
    mirror = mirror_of(data_folder("memory://bucket/slides"))
    assert mirror is not None
    assert mirror.fetched == 2  # the texts
    there, local = open_dataset("memory://bucket/slides"), open_dataset(tmp_path / "set")
    assert len(there.samples) == 4
    for mine, its in zip(there.samples, local.samples, strict=True):
        np.testing.assert_array_equal(mine.image.load(), its.image.load())


def test_what_changed_at_the_url_is_read_anew(url, memory):
    first = data_folder(url)
    memory.pipe("/bucket/digits/images/train/more.png", b"another")
    assert data_folder(url) != first
    assert (data_folder(url) / "images" / "train" / "more.png").stat().st_size == 7


def test_a_connection_that_the_store_ends_is_tried_again(url, memory, monkeypatch):
    root, tries = data_folder(url), []
    path = next(root.rglob("*.png"))
    get_file = type(memory).get_file

    def broken(self, place, to, **options):
        tries.append(place)
        if len(tries) < 3:
            raise ConnectionResetError("connection reset by peer")
        get_file(self, place, to, **options)

    monkeypatch.setattr(type(memory), "get_file", broken)
    assert read_image(path).shape == (3, 64, 64)
    assert len(tries) == 3

    def short(self, place, to, **options):
        with open(to, "wb") as file:
            file.write(b"half")

    monkeypatch.setattr(type(memory), "get_file", short)
    other = next(path for path in root.rglob("*.png") if not path.stat().st_blocks)
    with pytest.raises(UserError, match=r"^memory://bucket/digits/images/\S+png: it cannot be read \(4 of \d+ bytes"):
        read_image(other)
    assert "\n" not in with_urls(str(other))
    assert not list(root.rglob(".part.*"))  # what came is not left on the disk


def test_the_processes_of_a_training_share_the_disk(url, memory, monkeypatch):
    disk = SimpleNamespace(free=4_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: disk)
    alone = mirror_of(data_folder(url))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "5")
    memory.pipe("/bucket/digits/more.txt", b"another")
    shared = mirror_of(data_folder(url))
    assert alone is not None
    assert shared is not None
    assert (alone.limit, shared.limit) == (1_000_000, 200_000)


def test_mistakes_name_the_url(memory):
    with pytest.raises(UserError, match=r"^memory://bucket/absent: there is nothing there: check the URL"):
        check("memory://bucket/absent")
    with pytest.raises(UserError, match="ftp://host/a: this kind of URL is not opened"):
        check("ftp://host/a")
    memory.pipe("/bucket/text/notes.txt", b"no images")
    with pytest.raises(UserError, match=r"^memory://bucket/text") as told:
        check("memory://bucket/text")
    assert "atrous-url-" not in str(told.value)


def test_the_folder_of_a_mirror_has_no_token_in_its_name(memory, digits):
    put(memory, digits, "/bucket/cells?key=secret")
    assert data_folder("memory://bucket/cells?key=secret").name == "cells"


def test_a_name_that_leaves_the_folder_is_refused(memory, monkeypatch):
    found = {"/bucket/bad/../../evil.toml": {"type": "file", "size": 3, "name": "/bucket/bad/../../evil.toml"}}
    monkeypatch.setattr(type(memory), "find", lambda self, place, **options: found)
    with pytest.raises(UserError, match="leaves the folder"):
        data_folder("memory://bucket/bad")


def test_a_web_server_that_lists_its_folders(memory, digits, monkeypatch):
    web, late = pytest.importorskip("fsspec.implementations.http").HTTPFileSystem, []
    listed = web._ls_real

    async def slow(self, url, detail=True, **options):
        if url.rstrip("/").endswith("masks/val") and not late:
            late.append(url)
            raise TimeoutError("no answer")
        links = await listed(self, url, detail=detail, **options)
        return [*links, {"name": f"{url.rstrip('/')}/?C=N;O=D", "size": None, "type": "file"}] if detail else links

    monkeypatch.setattr(web, "_ls_real", slow)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=digits.parent)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            there = open_dataset(f"http://127.0.0.1:{server.server_port}/digits")
            local = open_dataset(digits)
            assert [sample.name for sample in there.samples] == [sample.name for sample in local.samples]
            np.testing.assert_array_equal(there.samples[0].image.load(), local.samples[0].image.load())
            assert len(late) == 1
            assert {split: len(samples) for split, samples in there.splits.items()} == {"train": 8, "val": 3, "test": 2}
            assert not [path for path in there.root.rglob("*") if "?" in path.name]
        finally:
            server.shutdown()


@pytest.mark.slow
def test_a_training_from_a_url_holds_few_samples_and_is_evaluated_there(url, trained, digits, tmp_path):
    settings = (*SMALL, "data.window=3", "data.cache=0")
    done = train(url, out=tmp_path / "run", epochs=1, settings=settings, report=False, say=lambda text: None)
    recipe = done.run.recipe
    assert (recipe.data.root, recipe.data.description, recipe.data.window) == (url, None, 3)
    again = evaluate(tmp_path / "run")  # finds the data at the URL
    assert again.scores.miou == done.scores.miou
    assert evaluate(trained, url).scores.miou == evaluate(trained, digits).scores.miou


@pytest.mark.slow
def test_a_search_finds_its_data_at_the_url_again(url, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr("atrous.verbs.search._search", lambda *given: True)  # nothing is trained
    monkeypatch.setattr("atrous.verbs.search_report.report", lambda folder, ladder, **given: folder)
    said = []
    options = {"minutes": 1, "settings": SMALL, "vary": ("dice",), "say": said.append}
    folder = search(url, out=tmp_path / "s", **options)
    assert (folder.order.data, folder.order.description, folder.recipe.data.root) == (url, None, url)
    assert any(line.startswith(f"{url}: ") for line in said)
    for again in (search(f"{url}/", out=tmp_path / "s", **options), search(resume=tmp_path / "s", say=said.append)):
        assert again.order.data == url
    assert not any("atrous-url-" in line for line in said)


@pytest.mark.slow
def test_an_s3_server(s3, digits, monkeypatch):
    s3.mkdir("data")
    put(s3, digits, "data/digits")
    try:
        assert check("s3://data/digits").to_dict()["classes"] == check(digits).to_dict()["classes"]
        with pytest.raises(UserError, match=r"^s3://no-such-bucket/digits: there is nothing there: check the URL"):
            check("s3://no-such-bucket/digits")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setitem(os.environ, "AWS_EC2_METADATA_DISABLED", "true")
        type(s3).clear_instance_cache()
        with pytest.raises(UserError, match=r"^s3://data/digits: it cannot be read \(Unable to locate credentials\)"):
            check("s3://data/digits")
    finally:
        for mirror in list(MIRRORS.values()):
            mirror.remove()
