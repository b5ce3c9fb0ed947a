import gzip

import pytest

from atrous.data.genomes.annotation import Feature, read_features
from atrous.errors import UserError
from tests.genomes import write_gff


def test_gff_counts_from_one_and_includes_its_end(tmp_path):
    rows = [
        ("s", "gene", 1, 9, "+", "ID=g"),
        ("s", "CDS", 1, 9, "+", "ID=c1;transl_table=11"),
        ("s", "CDS", 20, 22, "-", "ID=c2;pseudo=true"),
        ("s", "CDS", 30, 35, "+", "ID=c3"),
        ("s", "CDS", 37, 42, "+", "ID=c3"),
        ("t%20x", "tRNA", 5, 5, "?", "Name=a%3Bb"),
    ]
    assert read_features(write_gff(tmp_path / "x.gff3.gz", rows)) == [
        Feature("s", "gene", ((0, 9),), "+"),
        Feature("s", "CDS", ((0, 9),), "+"),
        Feature("s", "CDS", ((19, 22),), "-", pseudo=True),
        Feature("s", "CDS", ((29, 35), (36, 42)), "+"),
        Feature("t x", "tRNA", ((4, 5),), "."),
    ]


def test_bed_counts_from_zero_and_excludes_its_end(tmp_path):
    text = "track name=a\ns\t0\t9\tCDS\t7\t+\ns\t3\t4\ns\t10\t30\ttx\t0\t-\t10\t30\t0\t2\t5,5,\t0,15,\n"
    for path, data in ((tmp_path / "x.bed", text.encode()), (tmp_path / "x.bed.gz", gzip.compress(text.encode()))):
        path.write_bytes(data)
        assert read_features(path) == [
            Feature("s", "CDS", ((0, 9),), "+"),
            Feature("s", "feature", ((3, 4),), "."),
            Feature("s", "tx", ((10, 15), (25, 30)), "-"),
        ]


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("x.gff", "s\ttest\tCDS\t1\t9", "line 1 has 5 columns"),
        ("x.gff", "s\ttest\tCDS\t0\t9\t.\t+\t0\tID=a", "interval 0..9"),
        ("x.gff", "s\ttest\tCDS\t9\t3\t.\t+\t0\tID=a", "interval 9..3"),
        ("x.gff", "s\ttest\tCDS\tone\t3\t.\t+\t0\tID=a", "interval one..3"),
        ("x.gff", "s\ttest\tCDS\t1\t3\t.\tplus\t0\tID=a", "strand 'plus'"),
        ("x.bed", "s\t5\t5", "interval 5..5"),
        ("x.bed", "s\t5", "2 columns"),
        ("x.gff.gz", "not gzip", "cannot be read"),
    ],
)
def test_faults_name_file_and_line(name, line, said, tmp_path):
    (tmp_path / name).write_text(line + "\n")
    with pytest.raises(UserError, match=said) as caught:
        read_features(tmp_path / name)
    assert name in str(caught.value)
