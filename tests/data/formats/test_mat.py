"""MATLAB's files: what is read equals what was saved; what a hostile file declares is refused before it is unpacked."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import eye_array

from atrous.data.formats import base
from atrous.data.formats.mat import read_mat
from atrous.errors import UserError

RNG = np.random.default_rng(0)
VALUES = {
    "uint8": RNG.integers(0, 255, (4, 7), dtype=np.uint8),
    "uint16": RNG.integers(0, 60000, (4, 7)).astype(np.uint16),
    "double": RNG.normal(size=(4, 7)),
    "small double": np.ones((1, 1)),
    "logical": RNG.random((4, 7)) > 0.5,
    "complex": RNG.normal(size=(3, 3)) + 1j,
    "volume": RNG.normal(size=(2, 3, 4)),
    "empty": np.zeros((0, 0)),
}


def saved(path, value, name="a", **options):
    savemat(path, {name: value}, **options)
    return path


def cells(*values):
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", VALUES)
def test_numbers_are_read_as_they_were_saved(tmp_path, kind, packed):
    read = read_mat(saved(tmp_path / "x.mat", VALUES[kind], do_compression=packed), "a")
    np.testing.assert_array_equal(read, VALUES[kind])


def test_cells_of_structures_are_read(tmp_path):
    value = cells({"Boundaries": VALUES["uint8"], "n": 3.0}, {"Boundaries": VALUES["logical"], "n": 4.0})
    savemat(tmp_path / "x.mat", {"other": np.ones(3), "a": value, "last": np.ones(3)}, do_compression=True)
    read = read_mat(tmp_path / "x.mat", "a")
    assert read.shape == (1, 2)
    np.testing.assert_array_equal(read[0, 1]["Boundaries"][0, 0], VALUES["logical"])
    assert read[0, 0]["n"][0, 0].item() == 3


def test_what_is_not_there_or_of_another_kind_is_said(tmp_path):
    path = saved(tmp_path / "x.mat", VALUES["double"], "b")
    with pytest.raises(UserError, match=r"x.mat: it has no variable 'a' \(it has b\): save it under the name 'a'"):
        read_mat(path, "a")
    with pytest.raises(UserError, match=r"no.mat: no such file"):
        read_mat(tmp_path / "no.mat", "a")
    with pytest.raises(UserError, match=r"x.mat: a is text, which is not read: save arrays of numbers"):
        read_mat(saved(path, "some text"), "a")
    saved(path, cells(eye_array(3, format="csc")))
    with pytest.raises(UserError, match=r"a part of it is a sparse array, which is not read"):
        read_mat(path, "a")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(UserError, match=r"version 7.3 \(HDF5\), which is not read: save it with the option -v7"):
        read_mat(path, "a")
    path.write_bytes(b"\x89PNG" + bytes(400))
    with pytest.raises(UserError, match=r"not a mat file \(its header is not that of version 5 to 7\)"):
        read_mat(path, "a")


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(kind, shape, *parts, name=b"a", size=None):
    """An array of MATLAB's version 5, with any shape and any declared size."""
    sizes = np.array(shape, "<i4").tobytes()
    body = element(6, struct.pack("<II", kind, 0)) + element(5, sizes) + element(1, name) + b"".join(parts)
    return struct.pack("<II", 14, len(body) if size is None else size) + body


def mat_file(path, *variables):
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(variables))
    return path


def packed(data):
    data = zlib.compress(data, 9)
    return struct.pack("<II", 15, len(data)) + data


def test_what_is_made_here_is_a_mat_file(tmp_path):
    array = matrix(9, (2, 2), element(2, bytes([1, 2, 3, 4])))
    for variable in (array, packed(array)):
        assert read_mat(mat_file(tmp_path / "x.mat", variable), "a").T.ravel().tolist() == [1, 2, 3, 4]


DOUBLE = element(9, bytes(8))
HOSTILE = {
    "more numbers than there are": matrix(6, (60000, 60000), DOUBLE),
    "fewer numbers": matrix(6, (0, 5), DOUBLE),
    "negative": matrix(6, (-1, -5), DOUBLE),
    "cells without end": matrix(1, (60000, 60000), matrix(6, (1, 1), DOUBLE)),
    "a part beyond the end": matrix(6, (1, 1), struct.pack("<II", 9, 1 << 31) + bytes(8)),
    "a variable beyond the end": matrix(6, (1, 1), DOUBLE, size=1 << 20),
    "structures without end": matrix(2, (60000, 60000), element(5, struct.pack("<i", 8)), element(1, bytes(8))),
    "names of no length": matrix(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, bytes(8))),
    "no matrix inside": matrix(1, (1, 1), DOUBLE),
    "one axis": matrix(6, (1,), DOUBLE),
    "type of no number": matrix(6, (1, 1), element(18, bytes(8))),
    "unknown element": element(99, bytes(8)),
    "cut short": packed(matrix(6, (1, 1), DOUBLE))[:20],
    "packed twice": packed(packed(matrix(6, (1, 1), DOUBLE))),
    "packed, and declares more": packed(matrix(6, (1, 1), DOUBLE, size=1 << 20)),
}


def nested(levels):
    array = matrix(6, (1, 1), DOUBLE, name=b"")
    for _ in range(levels):
        array = matrix(1, (1, 1), array, name=b"")
    return matrix(1, (1, 1), array)


@pytest.mark.parametrize("kind", HOSTILE)
def test_sizes_that_do_not_fit_are_refused(tmp_path, kind):
    path = mat_file(tmp_path / "x.mat", HOSTILE[kind])
    with pytest.raises(UserError, match=r"x.mat: cannot be read, it is damaged") as raised:
        read_mat(path, "a")
    assert "\n" not in str(raised.value)


def test_cells_too_deep_in_each_other_are_refused(tmp_path):
    read_mat(mat_file(tmp_path / "x.mat", nested(3)), "a")
    with pytest.raises(UserError, match="8 deep in each other"):
        read_mat(mat_file(tmp_path / "x.mat", nested(5000)), "a")


@pytest.mark.parametrize("declared", ["all of it", "little"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, declared):
    monkeypatch.setattr(base, "memory_limit", lambda: 10**8)
    size = 1 << 28
    body = matrix(9, (1, size), struct.pack("<II", 2, size), size=size + 56 if declared == "all of it" else 100)
    bomb = packed(body + bytes(size))
    assert len(bomb) < 1 << 20
    path = mat_file(tmp_path / "x.mat", bomb)
    tracemalloc.start()
    try:
        said = "a variable needs 805 MB, and this process may use 100 MB" if declared == "all of it" else "declares"
        with pytest.raises(UserError, match=said):
            read_mat(path, "a")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_complex_numbers_that_grow_when_they_are_read_are_refused(tmp_path, monkeypatch):
    """Two bytes in the file are 16 in memory, and as many while they are added."""
    monkeypatch.setattr(base, "memory_limit", lambda: 40 << 20)
    part = element(2, bytes(4 << 20))
    path = mat_file(tmp_path / "x.mat", packed(matrix(0x0806, (2048, 2048), part, part)))
    with pytest.raises(UserError, match="an array of complex numbers needs 168 MB"):
        read_mat(path, "a")


def test_many_empty_arrays_are_refused(tmp_path):
    many = 200_000
    variable = packed(matrix(1, (1, many), struct.pack("<II", 14, 0) * many))
    with pytest.raises(UserError, match="holds more than 100000 arrays"):
        read_mat(mat_file(tmp_path / "x.mat", variable), "a")
