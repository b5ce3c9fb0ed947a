import gzip

import pytest

from atrous.data.genomes.variants import Variant, read_variants
from atrous.errors import UserError

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def written(path, *rows):
    content = HEAD + "".join("\t".join(row) + "\t.\tPASS\t.\n" for row in rows)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix.endswith("gz") else content.encode())
    return path


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz", "x.vcf.bgz"])
def test_each_alternative_is_a_variant(name, tmp_path):
    path = written(
        tmp_path / name, ("s", "3", "rs1", "A", "c,GT"), ("s", "9", ".", "ACG", "A,<DEL>,*"), ("t", "1", "", "N", "T")
    )
    assert list(read_variants(path)) == [
        Variant("s", 2, "rs1", "A", "C", 3),
        Variant("s", 2, "rs1", "A", "GT", 3),
        Variant("s", 8, ".", "ACG", "A", 4),
        Variant("t", 0, ".", "N", "T", 5),
    ]
    assert Variant("s", 8, ".", "ACG", "A", 4).end == 11


def test_breakends_at_telomeres_are_left_out(tmp_path):
    path = written(tmp_path / "x.vcf", ("s", "0", "end", "N", ".[t:9["), ("s", "1", ".", "A", "C"))
    assert list(read_variants(path)) == [Variant("s", 0, ".", "A", "C", 4)]


def test_long_replacements_are_left_out_and_the_others_read(tmp_path):
    long = "A" * 10_001
    rows = ("s", "1", ".", long, "A"), ("s", "1", ".", "A", long), ("s", "2", ".", "C", "T")
    path = written(tmp_path / "x.vcf", *rows)
    assert list(read_variants(path)) == [Variant("s", 1, ".", "C", "T", 5)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("s", "0", ".", "A", "C"), "line 3 has POS 0 and REF A"),
        (("s", "x", ".", "A", "C"), "line 3 has POS x"),
        (("s", "1", ".", "A-", "C"), "REF A-"),
        (("s", "²", ".", "A", "C"), "line 3 has POS ²"),
        pytest.param(("s", "9" * 5000, ".", "A", "C"), "line 3 has POS 9", id="long"),
    ],
)
def test_lines_that_are_none_are_named(row, said, tmp_path):
    with pytest.raises(UserError, match=said):
        list(read_variants(written(tmp_path / "x.vcf", row)))


def test_files_that_are_none_are_named(tmp_path):
    (tmp_path / "x.vcf").write_text("s 1 . A C\n")
    with pytest.raises(UserError, match="line 1 has 1 columns, VCF has at least 8"):
        list(read_variants(tmp_path / "x.vcf"))
    (tmp_path / "x.vcf.gz").write_bytes(gzip.compress(b"s\t1")[:-6])
    with pytest.raises(UserError, match="cannot be read"):
        list(read_variants(tmp_path / "x.vcf.gz"))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_variants(tmp_path / "missing.vcf"))
