"""Which format reads or writes a file, what every format answers, and what is imported for it."""

import subprocess
import sys

import numpy as np
import pytest
import zarr

from atrous.data.formats import (
    SUFFIXES,
    Format,
    Header,
    LabelDetails,
    add_format,
    format_of,
    is_video,
    label_suffix,
    open_source,
    read_header,
    read_image,
    read_label,
    stem,
    suffix_of,
    table,
    write_label,
)
from atrous.data.formats.base import Library
from atrous.errors import UserError
from tests.data.formats.pictures import GRAY

FORMATS = list(dict.fromkeys(format_ for formats in table._READERS.values() for format_ in formats))


class BytesFormat(Format):
    """Square gray images as plain bytes."""

    name = "plain bytes"
    suffixes = (".square.raw",)
    label_suffixes = (".square.raw",)

    def header(self, path):
        side = int(path.stat().st_size ** 0.5)
        return Header((1, side, side), "uint8", "gray")

    def image(self, path):
        return np.frombuffer(path.read_bytes(), np.uint8).reshape(self.header(path).shape)

    def values(self, path):
        return self.image(path)[0]

    def label_suffix(self, suffix, ndim):
        return suffix

    def encode(self, path, labels, details):
        return labels.astype(np.uint8).tobytes()


class PickyFormat(BytesFormat):
    """The same, but only of files that begin with a zero."""

    name = "picky bytes"

    def claims(self, path):
        return path.read_bytes()[:1] == b"\0"

    def image(self, path):
        return super().image(path) + np.uint8(1)


@pytest.fixture
def own_table(monkeypatch):
    monkeypatch.setattr(table, "_READERS", {suffix: list(formats) for suffix, formats in table._READERS.items()})
    monkeypatch.setattr(table, "_WRITERS", dict(table._WRITERS))


def test_importing_the_formats_imports_none_of_their_libraries():
    libraries = ("rasterio", "av", "pydicom", "pyedflib", "wfdb", "zarr", "tifffile", "nibabel", "PIL", "torch")
    code = f"import sys, atrous.data.formats; sys.exit(', '.join(m for m in {libraries} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", ["rasterio", "av", "pydicom", "wfdb"])
def test_a_library_that_is_absent_is_named_with_the_command_that_installs_it(tmp_path, library, monkeypatch):
    name = {"rasterio": "a.jp2", "av": "a.mp4", "pydicom": "series", "wfdb": "a.hea"}[library]
    path = tmp_path / name
    if library == "pydicom":
        path.mkdir()
        (path / "IM0").write_bytes(bytes(128) + b"DICM")
    else:
        path.write_bytes(b"content")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=r'pip install "atrous\[(geo|video|medical|signals)\]"'):
        read_header(path)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: type(format_).__name__)
def test_every_format_answers_every_question(tmp_path, format_):
    path = tmp_path / f"a{(format_.suffixes or ('',))[0]}"
    assert format_.name
    assert format_.errors
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in format_.suffixes)
    assert format_.suffixes or format_.folder
    written = format_.label_suffix((format_.suffixes or ("",))[0], 2)
    assert written in table._WRITERS
    refusals = [lambda: format_.values(path)] if type(format_).values is Format.values else []
    if type(format_).annotations is Format.annotations:
        refusals.append(lambda: format_.annotations(path, "atr"))
        assert not format_.has_annotations(path, "atr")
    if not format_.label_suffixes:
        refusals.append(lambda: format_.encode(path, GRAY, LabelDetails()))
    if not format_.probability_suffixes:
        refusals.append(lambda: format_.write_probabilities(path, np.zeros((2, 3, 4)), ("a", "b"), None))
    for refuse in refusals:
        with pytest.raises(UserError, match=format_.name):
            refuse()


def test_suffixes_of_two_parts_are_known():
    assert suffix_of("x/A.NII.GZ") == ".nii.gz"
    assert suffix_of("x/a.tar.gz") == ".gz"
    assert stem(table.Path("x/a.b.nii.gz")) == "a.b"


def test_an_unknown_suffix_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"a\.docx: \.docx is not a format that is read: use \.png"):
        format_of(tmp_path / "a.docx")
    with pytest.raises(UserError, match=r"a: no suffix is not a format that is read"):
        format_of(tmp_path / "a")
    with pytest.raises(UserError, match=r"give the folder of the series"):
        format_of(tmp_path / "IM1.dcm")
    assert label_suffix(tmp_path / "a.docx") == ".png"


def test_folders_are_told_apart_by_what_is_in_them(tmp_path):
    for name in ("frames", "scan", "a.zarr", "g.zarr"):
        (tmp_path / name).mkdir()
    (tmp_path / "scan" / "IM0").write_bytes(bytes(128) + b"DICM")
    zarr.create_array(tmp_path / "a.zarr" / "b.zarr", shape=(2, 3), dtype="uint8")
    zarr.open_group(tmp_path / "g.zarr", mode="w")
    names = {path: format_of(tmp_path / path).name for path in ("frames", "scan", "a.zarr/b.zarr", "g.zarr")}
    assert names == {"frames": "a folder of frames", "scan": "DICOM", "a.zarr/b.zarr": "zarr", "g.zarr": "OME-Zarr"}
    assert is_video(tmp_path / "frames")
    assert is_video("x.mp4")
    assert not any(is_video(tmp_path / name) for name in ("scan", "g.zarr", "a.png", "none"))


def test_a_format_of_ones_own_is_read_written_and_listed(tmp_path, own_table):
    add_format(BytesFormat())
    path = tmp_path / "a.square.raw"
    labels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    write_label(path, labels)
    np.testing.assert_array_equal(read_label(path), labels)
    np.testing.assert_array_equal(open_source(path)[0, 2:4], labels[2:4])
    assert (suffix_of(path), stem(path), label_suffix(path)) == (".square.raw", "a", ".square.raw")
    assert ".square.raw" in SUFFIXES
    assert SUFFIXES[-1] == ".square.raw"
    assert len(SUFFIXES) == len(set(SUFFIXES))
    path.write_bytes(b"12345678")
    with pytest.raises(UserError, match=r"a\.square\.raw: cannot be read"):
        read_image(path)


def test_of_formats_that_share_a_suffix_the_one_that_claims_the_file_reads_it(tmp_path, own_table):
    add_format(BytesFormat())
    add_format(PickyFormat())
    (tmp_path / "a.square.raw").write_bytes(bytes([0, 1, 2, 3]))
    (tmp_path / "b.square.raw").write_bytes(bytes([5, 1, 2, 3]))
    assert read_image(tmp_path / "a.square.raw").ravel().tolist() == [1, 2, 3, 4]
    assert read_image(tmp_path / "b.square.raw").ravel().tolist() == [5, 1, 2, 3]


def test_a_library_that_is_missing_is_asked_for_where_it_is_used_alone():
    library = Library("no_such_library", "these files need it: pip install it")
    assert not hasattr(library, "__wrapped__")  # doctest asks this of everything in a module
    with pytest.raises(UserError, match=r"^these files need it: pip install it$"):
        library.read()
