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
        Feature("s", "CDS", ((29, 35), (36, 42)), "+", phases=(0, 0)),
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
        ("x.gff", "s\ttest\tCDS\t1\t\u00b3\t.\t+\t0\tID=a", "interval 1..\u00b3"),
        pytest.param("x.gff", f"s\ttest\tCDS\t1\t{'9' * 5000}\t.\t+\t0\tID=a", "interval 1..9", id="long"),
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


def write_lines(path, lines):
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_parts_on_both_strands_are_kept_apart_with_their_phases(tmp_path):
    """rps12 of chloroplasts: the first exon lies on the other strand."""
    lines = [
        ("s", "x", "CDS", 101, 114, ".", "-", 0, "ID=c;exception=trans-splicing"),
        ("s", "x", "CDS", 501, 532, ".", "+", 1, "ID=c;exception=trans-splicing"),
        ("s", "x", "CDS", 601, 626, ".", "+", 2, "ID=c;exception=trans-splicing"),
    ]
    assert read_features(write_lines(tmp_path / "x.gff3", lines)) == [
        Feature("s", "CDS", ((100, 114),), "-", phases=(0,), bases=72),
        Feature("s", "CDS", ((500, 532), (600, 626)), "+", phase=1, phases=(1, 2), bases=72),
    ]
    lines[1] = (*lines[1][:7], ".", lines[1][8])
    with pytest.raises(
        UserError, match="line 1: the parts of a CDS are on both strands, and do not all say their phase"
    ):
        read_features(write_lines(tmp_path / "x.gff3", lines))


@pytest.mark.parametrize("turned", [False, True])
def test_the_phase_of_a_feature_is_that_of_its_first_exon(tmp_path, turned):
    lines = [("s", "x", "CDS", 1, 10, ".", "-", 1, "ID=c"), ("s", "x", "CDS", 21, 31, ".", "-", 2, "ID=c")]
    feature = read_features(write_lines(tmp_path / "x.gff", lines[::-1] if turned else lines))[0]
    assert feature.phase == 2
    assert dict(zip(feature.parts, feature.phases, strict=True)) == {(0, 10): 1, (20, 31): 2}


@pytest.mark.parametrize("name", ["x.gtf", "x.gtf.gz", "x.gff", "x.GTF"])
def test_gtf_joins_the_lines_of_a_transcript(tmp_path, name):
    a, b = 'gene_id "g;1"; transcript_id "t1";', 'gene_id "g;1"; transcript_id "t2"; exon_number 2'
    lines = [
        ("s", "ens", "gene", 1, 300, ".", "+", ".", 'gene_id "g;1";'),
        ("s", "ens", "CDS", 1, 100, ".", "+", 0, a),
        ("s", "ens", "CDS", 131, 160, ".", "+", 2, a),
        ("s", "ens", "CDS", 1, 40, ".", "+", 0, b),
        ("s", "ens", "exon", 1, 43, ".", "+", ".", b),
    ]
    assert read_features(write_lines(tmp_path / name, lines)) == [
        Feature("s", "gene", ((0, 300),), "+"),
        Feature("s", "CDS", ((0, 100), (130, 160)), "+", phases=(0, 2)),
        Feature("s", "CDS", ((0, 40),), "+"),
        Feature("s", "exon", ((0, 43),), "+"),
    ]


@pytest.mark.parametrize(("strand", "stop", "parts"), [
    ("+", (61, 63), ((0, 20), (40, 63))),
    ("-", (-2, 0), ((7, 30), (50, 70))),
    ("+", (58, 60), ((0, 20), (40, 60))),
    ("+", (81, 83), ((0, 20), (40, 60), (80, 83))),
])  # fmt: skip
def test_stop_codons_of_gtf_belong_to_their_cds(tmp_path, strand, stop, parts):
    shift, more = (10 if strand == "-" else 0), 'gene_id "g"; transcript_id "t";'
    exons = [(1 + shift, 20 + shift), (41 + shift, 60 + shift)]
    lines = [("s", "x", "CDS", *exon, ".", strand, 0, more) for exon in exons]
    lines.append(("s", "x", "stop_codon", stop[0] + shift, stop[1] + shift, ".", strand, 0, more))
    feature = read_features(write_lines(tmp_path / "x.gtf", lines))[0]
    assert feature.parts == parts


def test_circular_sequences_are_those_that_say_so(tmp_path):
    lines = [
        ("c", "x", "region", 1, 90, ".", "+", ".", "ID=c:1..90;Is_circular=true;genome=chromosome"),
        ("c", "x", "CDS", 80, 100, ".", "+", 0, "ID=a"),
        ("l", "x", "region", 1, 90, ".", "+", ".", "ID=l:1..90"),
        ("l", "x", "CDS", 80, 100, ".", "+", 0, "ID=b"),
    ]
    found = [f for f in read_features(write_lines(tmp_path / "x.gff", lines)) if f.kind == "CDS"]
    assert [feature.circular for feature in found] == [True, False]


@pytest.mark.parametrize(("name", "names", "kinds"), [
    ("x.bed", [f"s_peak_{i}" for i in range(9)], {"peak"}),
    ("x.narrowPeak", [f"s{i}" for i in range(9)], {"peak"}),
    ("x.broadPeak.gz", ["."] * 9, {"peak"}),
    ("x.bed", [f"gene{i}" for i in range(9)], {"feature"}),
    ("x.bed", ["CDS", "tRNA", "rRNA"] * 3, {"CDS", "tRNA", "rRNA"}),
    ("x.bed", ["a", "b", "c"], {"a", "b", "c"}),
    ("x.bed", ["."] * 9, {"feature"}),
])  # fmt: skip
def test_names_that_only_tell_rows_apart_are_one_kind(tmp_path, name, names, kinds):
    lines = [("s", 10 * i, 10 * i + 5, n, 0, ".", 5.8, 8.6, 5.9, 2) for i, n in enumerate(names)]
    found = read_features(write_lines(tmp_path / name, lines))
    assert {feature.kind for feature in found} == kinds
    assert [feature.parts for feature in found] == [((10 * i, 10 * i + 5),) for i in range(len(names))]


def test_names_of_columns_in_bed_are_no_row(tmp_path):
    (tmp_path / "x.bed").write_text("chrom\tstart\tend\ns\t1\t5\n")
    assert read_features(tmp_path / "x.bed") == [Feature("s", "feature", ((1, 5),))]
