"""Zarr arrays that would run code are refused before a chunk is decoded; usual codecs are read."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import zarr

from atrous.data.formats import open_source, read_header, read_image, read_values
from atrous.errors import UserError
from tests.data.formats.pictures import GRAY

READS = (read_header, read_image, read_values, open_source)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


def write_v2(path, **changes):
    path.mkdir(parents=True)
    metadata = {
        "zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "|O", "fill_value": None, "order": "C",
        "filters": [{"id": "pickle", "protocol": 5}], "compressor": None,
    }  # fmt: skip
    (path / ".zarray").write_text(json.dumps(metadata | changes))
    (path / "0").write_bytes(pickle.dumps(Bomb(path.parent / "ran")))


@pytest.mark.parametrize("changes", [
    {},
    {"dtype": "|u1"},
    {"dtype": "|u1", "filters": None, "compressor": {"id": "pickle"}},
    {"dtype": "|u1", "filters": [{"id": "json2"}]},
    {"dtype": "|u1", "filters": [{"id": "vlen-array", "dtype": "|u1"}]},
    {"filters": [{"id": "vlen-utf8"}]},
])  # fmt: skip
@pytest.mark.parametrize("in_group", [False, True])
def test_objects_and_codecs_that_run_code_are_refused(tmp_path, changes, in_group):
    path = tmp_path / "a.zarr"
    if in_group:
        zarr.open_group(path, mode="w", zarr_format=2).attrs["multiscales"] = [
            {"version": "0.4", "axes": [{"name": "x"}], "datasets": [{"path": "0"}]}
        ]
    write_v2(path / "0" if in_group else path, **changes)
    for read in READS:
        with pytest.raises(UserError, match=r"a.zarr: .*(could run code|cannot be read)"):
            read(path)
    assert not list(tmp_path.rglob("ran"))


def test_a_pickle_codec_of_version_3_is_refused_in_shards_too(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(8, 8), dtype="u1", chunks=(4, 4), shards=(8, 8))
    array[...] = 3
    assert read_image(tmp_path / "a.zarr").max() == 3
    file = tmp_path / "a.zarr/zarr.json"
    metadata = json.loads(file.read_text())
    metadata["codecs"][0]["configuration"]["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
    file.write_text(json.dumps(metadata))
    for read in READS:
        with pytest.raises(UserError, match=r"a.zarr: "):
            read(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", [2, 3])
def test_usual_codecs_are_read(tmp_path, version):
    import numcodecs

    more = [{"compressors": None}, {}]
    if version == 2:
        more += [{"compressors": codec} for codec in (numcodecs.Zstd(), numcodecs.GZip(), numcodecs.LZ4())]
        more += [{"filters": [numcodecs.Delta(dtype="u1")]}]
    else:
        more += [{"compressors": zarr.codecs.ZstdCodec()}, {"compressors": zarr.codecs.GzipCodec()}]
    for i, given in enumerate(more):
        path = tmp_path / f"{i}.zarr"
        zarr.create_array(path, shape=GRAY.shape, dtype="u1", chunks=(4, 4), zarr_format=version, **given)[...] = GRAY
        np.testing.assert_array_equal(read_image(path)[0], GRAY)


def test_a_group_that_names_an_array_elsewhere_is_refused(tmp_path):
    zarr.create_array(tmp_path / "secret.zarr", shape=(4, 4), dtype="u1", zarr_format=2)[...] = 1
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).attrs["multiscales"] = [
        {"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "../secret.zarr"}]}
    ]
    with pytest.raises(UserError, match=r"a.zarr: "):
        read_image(tmp_path / "a.zarr")


@pytest.mark.parametrize("kind", ["chunk", "shard", "metadata", "folder"])
def test_a_chunk_that_is_a_link_out_of_the_folder_is_refused(tmp_path, kind):
    shards = {"shards": (8, 8)} if kind == "shard" else {}
    for name in ("a.zarr", "secret.zarr"):
        array = zarr.create_array(tmp_path / name, shape=(8, 8), dtype="u1", chunks=(4, 4), **shards)
        array[...] = 1 + np.arange(64).reshape(8, 8)
    path = {"chunk": "c/0/1", "shard": "c/0/0", "metadata": "zarr.json", "folder": "c"}[kind]
    inside, outside = tmp_path / "a.zarr" / path, tmp_path / "secret.zarr" / path
    (shutil.rmtree if inside.is_dir() else os.remove)(inside)
    inside.symlink_to(outside)
    for read in (read_image, read_values, lambda path: open_source(path)[:, :, 5:]):
        with pytest.raises(UserError, match=r"is a link that leaves the folder|is outside of the folder"):
            read(tmp_path / "a.zarr")
