import numpy as np
import pytest

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.codes import gene_bases, obeyed_codes
from atrous.data.genomes.letters import encode
from atrous.objects.genetic_code import BASES
from atrous.verbs.check import check
from tests.genomes import flipped, numbers, write_fasta, write_genomes, write_gff

GENE = "ATGGCGTGGTAA"


def read(text, *features):
    genes = gene_bases(features, encode(text.encode()), len(text))
    return ["".join(BASES[base - 1] if base else "N" for base in gene) for gene in genes]


def test_genes_are_read_on_either_strand_and_joined():
    text = "CCCC" + GENE + "CCCC" + flipped(GENE) + "CCCCNRCCC"
    features = [
        Feature("s", "CDS", ((4, 16),), "+"),
        Feature("s", "CDS", ((20, 32),), "-"),
        Feature("s", "CDS", ((4, 7), (10, 16)), "+"),
        Feature("s", "CDS", ((26, 32), (20, 23)), "-"),
        Feature("s", "CDS", ((35, 38),), "+"),
    ]
    assert read(text, *features) == [GENE, GENE, GENE[:3] + GENE[6:], GENE[:6] + GENE[9:], "CNN"]


def test_what_is_no_whole_gene_is_left_out():
    text = "CCCC" + GENE + "CCCC"
    features = [
        Feature("s", "CDS", ((2, 14),), "+"),
        Feature("s", "CDS", ((4, 18),), "+"),
        Feature("s", "CDS", ((4, 16),), "+", phase=1),
        Feature("s", "CDS", ((4, 16),), "+", pseudo=True),
        Feature("s", "CDS", ((4, 16),), "."),
        Feature("s", "CDS", ((4, 16),), "+", bases=20),
        Feature("s", "tRNA", ((4, 16),), "+"),
    ]
    assert read(text, *features) == []
    assert len(read(text, Feature("s", "CDS", ((2, 14),), "+", circular=True))) == 1


@pytest.mark.parametrize(
    ("genomes", "codes"),
    [
        ([["ATGGCGTAA"]], (11,)),
        ([["GTGGCGTGA"]], (11,)),
        ([["ATGTGAGCGTAA"] * 3], (4,)),
        ([["ATGTGAGCGTAG"] * 3, ["ATGGCGTGA"] * 5], (11, 4)),
        ([["ATGAGATAA"], ["ATGGCGAGA"]], (11, 2)),
        ([["ATGGCGTA"] * 3], ()),
        ([["ATGGCGGCG"]], ()),
        ([["ATGGCGTAA"] * 7 + ["ATGTGAGCGTGA"] * 3], ()),
        ([["ATGGCGTAA"] * 9 + ["ATGTGAGCGTGA"]], (11,)),
        ([[]], ()),
        ([], ()),
    ],
)
def test_the_code_is_the_one_that_genes_obey(genomes, codes):
    assert obeyed_codes([[numbers(gene) for gene in genes] for genes in genomes]) == codes


def test_the_check_finds_the_code_of_a_folder(tmp_path):
    assert check(write_genomes(tmp_path / "a", 2, 1500)).fingerprint.codes == (11,)
    rng = np.random.default_rng(0)
    gene = "ATG" + "".join(rng.choice(["GCG", "TGA", "GAA"], 60)) + "TAA"
    for name in "xy":
        write_fasta(tmp_path / "b" / f"{name}.fa", {name: "CCCC" + gene + "CCCC"})
        write_gff(tmp_path / "b" / f"{name}.gff", [(name, "CDS", 5, 4 + len(gene), "+", "ID=1")])
    assert check(tmp_path / "b").fingerprint.codes == (4,)
