"""Images at URLs are read as those on disk; what is not there, not allowed or damaged is told in one line."""

import numpy as np
import pytest
import tifffile
import zarr

from atrous.data.formats import remote
from atrous.data.formats.remote import open_remote, shown
from atrous.errors import UserError

fsspec = pytest.importorskip("fsspec")
VALUES = np.random.default_rng(0).integers(0, 255, (3, 70, 90), np.uint8)


@pytest.fixture
def place(monkeypatch, request):
    """A folder of fsspec's file system in memory, which stands for an object store."""
    monkeypatch.setattr(remote, "SCHEMES", (*remote.SCHEMES, "memory"))
    name = f"/{request.node.name}"
    yield f"memory:/{name}"
    fsspec.filesystem("memory").rm(name, recursive=True) if fsspec.filesystem("memory").exists(name) else None


def write_tiff(url, **more):
    with fsspec.open(url, "wb") as file:
        tifffile.imwrite(file, np.moveaxis(VALUES, 0, -1), photometric="rgb", **more)


def test_zarr_ome_zarr_and_tiff_are_read_by_parts(place):
    zarr.create_array(f"{place}/a.zarr", data=VALUES, chunks=(3, 32, 32))
    group = zarr.create_group(f"{place}/b.zarr")
    group.create_array("0", data=VALUES, chunks=(1, 32, 32))
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    write_tiff(f"{place}/c.tif", tile=(32, 32), compression="zlib")
    for name in ("a.zarr", "b.zarr", "c.tif"):
        source, header = open_remote(f"{place}/{name}")
        assert header.shape == source.shape == VALUES.shape
        np.testing.assert_array_equal(source[:, 20:50, 31:70], VALUES[:, 20:50, 31:70])
        np.testing.assert_array_equal(source[...], VALUES)
    assert open_remote(f"{place}/b.zarr")[1].spacing == (0.5, 0.5)


def test_what_cannot_be_read_is_told_without_credentials(place):
    for name in ("a.zarr", "a.tif"):
        with pytest.raises(UserError, match=rf"{name}: there is nothing there: check the URL$"):
            open_remote(f"{place}/{name}")
    with fsspec.open(f"{place}/b.tif", "wb") as file:
        file.write(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"b.tif: it cannot be read \("):
        open_remote(f"{place}/b.tif")
    write_tiff(f"{place}/c.tif", rowsperstrip=8)
    content = fsspec.filesystem("memory").cat(f"{place}/c.tif")
    with fsspec.open(f"{place}/c.tif", "wb") as file:
        file.write(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"c.tif: it cannot be read"):
        open_remote(f"{place}/c.tif")[0][...]
    zarr.create_array(f"{place}/d.zarr", shape=(4, 4), chunks=(2, 2), dtype="complex64")
    with pytest.raises(UserError, match=r"d.zarr: it cannot be read \(its type is complex64"):
        open_remote(f"{place}/d.zarr")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/a.tif", "this kind of URL is not opened: use s3, gs"),
        ("simplecache::s3://bucket/a.tif", "this kind of URL"),
        ("s3://bucket/zip://a.tif::b", "this kind of URL"),
        ("s3://bucket/a.png", ".png is not a format that is read from a URL"),
        ("https://me:secret@host/a?signature=secret", "https://host/a: no suffix is not a format"),
        ("https://me:secret@[host/a.tif", "https://[host/a.tif: is no URL (Invalid IPv6 URL): write it as"),
    ],
)
def test_other_urls_are_refused(url, said):
    with pytest.raises(UserError) as error:
        open_remote(url)
    assert said in str(error.value)
    assert "secret" not in str(error.value)
    assert "secret" not in shown(url)
