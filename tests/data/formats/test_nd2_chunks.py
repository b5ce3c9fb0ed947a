"""Where the chunks of ND2 files lie; what is damaged, old or unpacks to too much is refused before it is read."""

import numpy as np
import pytest

from atrous.data.formats import nd2_chunks
from atrous.data.formats.base import FileFault
from atrous.data.formats.nd2_chunks import TIME, planes, read_chunks
from tests.microscopes import write_nd2

STACK = np.random.default_rng(0).integers(0, 4096, (3, 6, 8, 2)).astype(np.uint16)


def test_planes_lie_where_the_map_says(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK, left_out=(1,))
    chunks = read_chunks(path)
    assert sorted(planes(chunks)) == [0, 2]
    assert {name for name in chunks if not name.startswith(b"ImageDataSeq")} == {
        b"ImageAttributesLV!", b"ImageMetadataSeqLV|0!", b"ImageMetadataLV!",
    }  # fmt: skip
    chunk = planes(chunks)[2]
    assert chunk.size == TIME + STACK[2].nbytes
    content = path.read_bytes()[chunk.start + TIME : chunk.start + chunk.size]
    np.testing.assert_array_equal(np.frombuffer(content, np.uint16).reshape(STACK[2].shape), STACK[2])


@pytest.mark.parametrize("head", [b"\0\0\0\x0cjP", b"Ver2.1"])
def test_older_versions_say_how_to_convert_them(tmp_path, head):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK)
    content = path.read_bytes()
    path.write_bytes(content[:48] + head + content[54:] if head[:1] == b"V" else head + content)
    with pytest.raises(FileFault, match=r"a\.nd2: it is an ND2 file of a version before 3: convert it: bioformats2raw"):
        read_chunks(path)


@pytest.mark.parametrize("content", [b"", b"\xda\xce\xbe\x0a", b"<xml/>" * 9, b"\xda\xce\xbe\x0a" + bytes(200)])
def test_what_is_no_file_of_this_kind_is_refused(tmp_path, content):
    (tmp_path / "a.nd2").write_bytes(content)
    with pytest.raises((ValueError, nd2_chunks.struct.error)):
        read_chunks(tmp_path / "a.nd2")


def test_chunks_that_are_elsewhere_than_the_map_says_are_refused(tmp_path):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK)
    content = path.read_bytes()
    first = content.index(b"ImageDataSeq|0!")
    for damaged, line in (
        (content[: first - 16] + b"????" + content[first - 12 :], "there is no chunk at byte 112"),
        (content[:first] + b"ImageDataSeq|7!" + content[first + 15 :], r"there is no ImageDataSeq\|0! at byte 112"),
        (content[: first - 8] + b"\xff" * 8 + content[first:], r"the chunk ImageDataSeq\|0! goes beyond its end"),
        (content[:-8] + b"\xff" * 8, "a chunk begins beyond its end"),
        (content[:-8] + bytes(8), "there is no map of its chunks where its end says"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=line):
            read_chunks(path)


def test_metadata_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    path = write_nd2(tmp_path / "a.nd2", "Z", STACK, packed=True)
    read_chunks(path)
    monkeypatch.setattr(nd2_chunks, "MOST_METADATA", 500)
    with pytest.raises(FileFault, match=r"a\.nd2: its metadata Image.*LV.* has more than 0 MB: convert it"):
        read_chunks(path)
