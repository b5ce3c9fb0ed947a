"""Small files that declare gigabytes: refused through the API before they are decoded. PNG stands in `test_app.py`."""

import json
import zipfile

import numpy as np
import pytest
import tifffile

from atrous.data.formats import base
from atrous.serve.cache import CacheFolder
from atrous.serve.found import find_files
from atrous.serve.viewer import Viewer

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from atrous.serve.app import create_app

TOKEN = "a-token-of-24-letters"


def tiff(path):
    tifffile.imwrite(path, np.zeros((40, 50), np.uint8), metadata=None, rowsperstrip=40)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for code in (256, 257, 278):  # columns, rows, rows of a strip
            file.pages.first.tags[code].overwrite(60_000)


def npz(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("signal.npy", "w") as part:
        np.lib.format.write_array_header_1_0(
            part, {"descr": "<f8", "fortran_order": False, "shape": (1, 3_000_000_000)}
        )
        part.write(bytes(1 << 20))


def zarr(path):
    path.mkdir()
    shape = {"zarr_format": 2, "shape": [60_000, 60_000], "chunks": [60_000, 60_000], "dtype": "|u1", "fill_value": 0}
    (path / ".zarray").write_text(json.dumps(shape | {"order": "C", "filters": None, "compressor": {"id": "zlib"}}))
    (path / "0.0").write_bytes(bytes(100))


@pytest.mark.parametrize(("make", "path"), [
    (tiff, "tiles/0/0/0"), (tiff, "value?row=0&column=0"), (npz, "curves?start=0&stop=100"), (zarr, "tiles/0/0/0"),
])  # fmt: skip
def test_a_bomb_is_refused(tmp_path, monkeypatch, make, path):
    monkeypatch.setattr(base, "memory_limit", lambda: 10**9)
    file = tmp_path / {"tiff": "a.tif", "npz": "a.npz", "zarr": "a.zarr"}[make.__name__]
    make(file)
    viewer = Viewer(find_files([file], None, print), CacheFolder(tmp_path / "cache"))
    app = create_app(viewer, TOKEN, frozenset({"127.0.0.1"}))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1", headers=headers) as client:
        answer = client.get(f"/api/inputs/0/{path}")
    assert answer.status_code == 422, answer.text
    assert file.name in answer.json()["detail"]
    assert "GB" in answer.json()["detail"]
