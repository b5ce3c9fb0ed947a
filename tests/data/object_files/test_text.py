"""Hostile annotation files are refused in one line, before they take memory."""

import pytest

from atrous.data.formats import FileFault
from atrous.data.object_files.text import contains, number, numbers, read_json, read_lines, read_xml

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "{0}">]><annotation>&b;</annotation>'


def write(tmp_path, content, name="a.xml"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_entities_are_refused_in_every_encoding(tmp_path, encoding):
    path = write(tmp_path, BOMB.format("x" * 10).encode(encoding))
    with pytest.raises(FileFault, match=r"a\.xml: declares a document type or entities"):
        read_xml(path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("<annotation><object></annotation>", "is no valid XML"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "is no valid XML"),
        (b"\xff\xfe\x00", "is no valid XML"),
        ("<a>" * 100_000, "is no valid XML"),
    ],
)
def test_damaged_xml_is_refused(tmp_path, content, what):
    with pytest.raises(FileFault, match=what) as caught:
        read_xml(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_deep_xml_is_read(tmp_path):
    assert read_xml(write(tmp_path, "<a>" * 10_000 + "</a>" * 10_000)).tag == "a"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is empty"),
        ("{", "is no valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "is no valid JSON"),
        (b'{"a": "\xe9"}', "not UTF-8"),
    ],
)
def test_damaged_json_is_refused(tmp_path, content, what):
    with pytest.raises(FileFault, match=what) as caught:
        read_json(write(tmp_path, content, "a.json"))
    assert "\n" not in str(caught.value)


def test_files_beyond_the_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = write(tmp_path, "{}", "a.json")
    monkeypatch.setattr("atrous.data.formats.base.ALWAYS", 1)
    monkeypatch.setattr("atrous.data.formats.base.memory_limit", lambda: 10)
    for read in (read_json, read_xml, read_lines):
        with pytest.raises(FileFault, match="reading its annotations needs"):
            read(path)


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    assert read_json(write(tmp_path, b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize("gap", [300_000, (1 << 20) - 16])  # the second divides the word between two blocks
def test_keys_are_found_wherever_they_stand(tmp_path, gap):
    path = write(tmp_path, '{"images": [' + " " * gap + '], "categories": [' + " " * gap + "]}")
    assert contains(path, "images", "annotations", "categories") == 2


def test_numbers_are_finite():
    assert [number(value) for value in ("1e999", "1e10", float("nan"), [], 10**400)] == [None] * 5
    assert numbers([1, "2"], 2) == [1, 2]
    assert numbers([1, "b"]) is None
    assert numbers([1, 2.5]) == [1, 2.5]
    assert numbers([]) == []
    for wrong in (float("nan"), float("inf"), -1e10, 10**400):
        assert numbers([1.5, wrong, 2]) is None
    assert numbers("12", 2) is None
