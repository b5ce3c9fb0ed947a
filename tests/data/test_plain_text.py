"""Text of users in the encodings that their editors write, read by everything that reads text."""

import gzip
import json

import numpy as np
import pytest

from atrous.data import plain_text
from atrous.data.dataset import open_dataset
from atrous.data.description import read_description
from atrous.data.formats import read_image
from atrous.data.genomes.annotation import read_features
from atrous.data.genomes.fasta import sequence_lengths
from atrous.data.layouts.nnunet import read_nnunet
from atrous.data.plain_text import read_text, text_encoding, why_not_text
from atrous.errors import UserError
from atrous.recipe.schema import Recipe, read_recipe, to_toml
from tests.data.data_folders import picture, save, stripes

READ = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
TEXT = 'classes = ["Müller", "細胞"]\r\n'


@pytest.mark.parametrize("encoding", READ)
def test_every_unicode_encoding_is_read(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert read_text(path) == TEXT.replace("\r\n", "\n")
    assert path.read_bytes().decode(text_encoding(path)) == TEXT


@pytest.mark.parametrize("encoding", READ)
def test_the_description_and_its_lists(tmp_path, encoding):
    (tmp_path / "dataset.toml").write_bytes((TEXT + '[splits]\nval = "names.txt"\n').encode(encoding))
    (tmp_path / "names.txt").write_bytes("Größe 1\r\nb\r\n".encode(encoding))
    described = read_description(tmp_path)
    assert described.classes == ("Müller", "細胞")
    assert described.splits == {"val": ("Größe 1", "b")}


def test_old_encodings_are_named_with_the_line(tmp_path):
    path = tmp_path / "dataset.toml"
    path.write_bytes('task = "semantic"\nclasses = ["Müller"]\n'.encode("latin-1"))
    with pytest.raises(
        UserError, match=r"dataset\.toml: not UTF-8 text \(line 2 has the byte 0xfc, .*: save it as UTF-8$"
    ):
        read_description(tmp_path)
    path.write_bytes("classes = []".encode("utf-16")[:-1])
    with pytest.raises(UserError, match=r"not UTF-16-LE text, as which it begins \(truncated data at byte \d+\)"):
        read_description(tmp_path)


@pytest.mark.parametrize("encoding", READ)
def test_tables_recipes_and_cases(tmp_path, encoding):
    table = tmp_path / "a.csv"
    table.write_bytes("größe,label\n1.5,a\n2.5,b\n".encode(encoding))
    np.testing.assert_array_equal(read_image(table), [[1.5, 2.5]])
    recipe = tmp_path / "recipe.toml"
    made = Recipe.model_validate({"data": {"root": "größe"}, "task": {"classes": ["a", "細胞"]}})
    recipe.write_bytes(to_toml(made).encode(encoding))
    assert read_recipe(recipe) == made
    for i in range(2):
        save(tmp_path / f"set/imagesTr/{i}_0000.png", picture(i))
        save(tmp_path / f"set/labelsTr/{i}.png", stripes())
    described = {"labels": {"Müller": 0, "b": 1, "c": 2}, "channel_names": {"0": "x"}, "file_ending": ".png"}
    (tmp_path / "set/dataset.json").write_bytes(json.dumps(described, ensure_ascii=False).encode(encoding))
    assert read_nnunet(tmp_path / "set").classes == ("Müller", "b", "c")
    assert open_dataset(tmp_path / "set").classes == ("Müller", "b", "c")


def test_annotations_in_old_encodings_say_so(tmp_path):
    line = "chr1\tx\tgene\t1\t9\t.\t+\t.\tNote=Müller\n"
    path = tmp_path / "a.gff"
    path.write_bytes(line.encode("utf-16"))
    assert [feature.kind for feature in read_features(path)] == ["gene"]


LATIN = [
    ("a.csv", "a,b,label\n1,2,x\n1,2,ü\n", read_image),
    ("a.tsv", "ä\tb\n1\t2\n", read_image),
    ("a.gff", "##gff-version 3\n# Müller\n", read_features),
    ("a.gff3.gz", "##gff-version 3\n" * 90_000 + "# Müller\n", read_features),
    ("a.bed", "chr1\t1\t9\tMüller\n", read_features),
    ("a.fa", ">a\nACGT\n>Müller\nACGT\n", sequence_lengths),
    ("a.fa.gz", ">a\nACGT\n>Müller\nACGT\n", sequence_lengths),
]


@pytest.mark.parametrize(("name", "text", "read"), LATIN, ids=[name for name, *_ in LATIN])
def test_every_reader_of_text_names_the_line_and_the_byte_of_an_old_encoding(tmp_path, name, text, read):
    path, content = tmp_path / name, text.encode("latin-1")
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    at = next(i for i, byte in enumerate(content) if byte > 127)
    line = content.count(b"\n", 0, at) + 1
    where = f"line {line} has the byte 0x{content[at]:02x}, as Latin-1"
    with pytest.raises(UserError, match=rf"{name}: it is not UTF-8 text \({where} .*\): save it as UTF-8"):
        read(path)


def test_a_letter_across_two_pieces_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_text, "PIECE", 3)
    path = tmp_path / "a.txt"
    path.write_bytes("aaü\nü\n".encode() + b"\xfc\n")
    assert why_not_text(path).startswith("not UTF-8 text (line 3 has the byte 0xfc")
    path.write_bytes("a\nb".encode("utf-16") + b"\0")
    assert why_not_text(path) == "not UTF-16-LE text, as which it begins (truncated data at byte 2)"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8-sig", "begins with a byte order mark: remove it"),
        ("utf-16", "its text is UTF-16, not ASCII: save it as"),
    ],
)
def test_sequences_are_plain_text(tmp_path, encoding, said):
    path = tmp_path / "a.fa"
    path.write_bytes(">a\nACGT\n".encode(encoding))
    with pytest.raises(UserError, match=said):
        sequence_lengths(path)
