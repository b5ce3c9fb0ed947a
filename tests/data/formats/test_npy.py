"""NumPy files: pickles are named as such and never loaded; whatever numpy writes is read."""

import pickle

import numpy as np
import pytest

from atrous.data.formats import open_source, read_header, read_image, read_values, read_words
from atrous.errors import UserError
from tests.data.formats.pictures import GRAY


@pytest.mark.parametrize("kind", ["object", "dict", "fields", "raw pickle"])
def test_pickles_are_named_as_what_they_are(tmp_path, kind):
    path = tmp_path / "a.npy"
    if kind == "raw pickle":
        path.write_bytes(pickle.dumps(GRAY))
    else:
        values = {"object": GRAY.astype(object), "dict": {"masks": GRAY}, "fields": np.zeros(3, [("a", "O")])}[kind]
        np.save(path, np.array(values), allow_pickle=True)
    for read in (read_header, read_image, read_values, open_source):
        with pytest.raises(UserError, match=r"a.npy: it holds Python objects \(a pickle\), which .*: save an array of"):
            read(path)


@pytest.mark.parametrize("name", ["signal", "label", "rate"])
def test_pickles_in_npz_are_named_too(tmp_path, name):
    arrays = {"signal": np.zeros((2, 9)), "label": np.zeros(9, int), "rate": np.array(10.0)}
    arrays[name] = np.array(arrays[name], dtype=object)
    np.savez(tmp_path / "a.npz", allow_pickle=True, **arrays)
    for read in (read_header, read_image) if name != "label" else (read_values, read_words):
        with pytest.raises(UserError, match=rf"a.npz: its array '{name}' holds Python objects \(a pickle\)"):
            read(tmp_path / "a.npz")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_version_and_order_is_read(tmp_path, version, order):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.asarray(GRAY, order=order), version=version)
    np.testing.assert_array_equal(read_image(path)[0], GRAY)


@pytest.mark.parametrize(("content", "said"), [
    (b"", "empty"),
    (b"\x93NUMPY\x09\x00\x00\x00", "does not begin"),
    (b"\x93NUMPY\x01\x00\x10\x00__import__('os')", "header that cannot be read"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header of 4294967295 bytes"),
])  # fmt: skip
def test_damaged_headers_are_refused(tmp_path, content, said):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_header(tmp_path / "a.npy")


def test_an_array_without_values_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((0, 5)))
    with pytest.raises(UserError, match=r"it is empty, its shape is \(0, 5\)"):
        read_image(tmp_path / "a.npy")
