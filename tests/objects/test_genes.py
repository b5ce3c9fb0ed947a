"""Chains of genes, against every possible chain; and genes at any size of a piece."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import UserError
from atrous.objects import genes as module
from atrous.objects.genes import OVERLAP_COST, Gene, GeneFinder, GeneRules, best_chain
from atrous.objects.orfs import COLUMNS, END, EVIDENCE, SCORE, START
from tests.genomes import evidence_for, flipped, genome, numbers, random_bases


def found(text, evidence, rules, edges=()):
    finder = GeneFinder(rules)
    for start, stop in zip([0, *edges], [*edges, len(text)], strict=True):
        finder.add(numbers(text[start:stop]), evidence[:, start:stop])
    return finder.finish()


def places(genes):
    return [(gene.start, gene.end, gene.strand) for gene in genes]


@given(st.data())
@settings(deadline=None, max_examples=80)
def test_the_chain_is_the_best_of_all(data):
    count, overlap = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 6))
    rows = np.zeros((count, COLUMNS), np.int64)
    for row in rows:
        row[START] = data.draw(st.integers(0, 30))
        row[END] = row[START] + data.draw(st.integers(1, 15))
        row[SCORE] = data.draw(st.integers(1, 400))
    rows = rows[np.lexsort((rows[:, START], rows[:, END]))]

    def value(chain):
        total = int(rows[list(chain), SCORE].sum())
        for one, two in pairwise(chain):
            shared = rows[one, END] - rows[two, START]
            if rows[one, START] >= rows[two, START] or rows[one, END] >= rows[two, END] or shared > overlap:
                return -1
            total -= OVERLAP_COST * max(0, int(shared))
        return total

    chain, total = best_chain(rows, overlap)
    assert value(chain) == total
    assert total == max(value(chosen) for size in range(1, count + 1) for chosen in combinations(range(count), size))


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 400), max_size=8), st.sampled_from([(11,), (11, 4)]))
@settings(deadline=None, max_examples=40)
def test_genes_do_not_depend_on_the_size_of_pieces(seed, edges, codes):
    rng = np.random.default_rng(seed)
    text = "".join(rng.choice(list("ATGC"), 400))
    evidence = (rng.random((EVIDENCE, 400)) ** 0.4).astype(np.float32)
    rules = GeneRules(codes, shortest=12, overlap=int(rng.integers(0, 20)), longest=int(rng.integers(60, 300)))
    assert found(text, evidence, rules, sorted(edges)) == found(text, evidence, rules)


def test_pieces_of_the_finder_itself_do_not_matter(monkeypatch):
    rng = np.random.default_rng(5)
    text, evidence = random_bases(rng, 3000), rng.random((EVIDENCE, 3000)).astype(np.float32) ** 0.4
    rules = GeneRules((11,), shortest=30)
    want = found(text, evidence, rules)
    assert len(want) > 5
    monkeypatch.setattr(module, "_PIECE", 100)
    assert found(text, evidence, rules) == want


def test_components_are_decided_as_the_whole():
    """The sum over components is that of one chain over all candidates."""
    rng = np.random.default_rng(3)
    text, evidence = random_bases(rng, 4000), rng.random((EVIDENCE, 4000)).astype(np.float32) ** 0.4
    kept = []

    class Recording(module.OrfScanner):
        def add(self, piece):
            kept.append(super().add(piece))
            return kept[-1]

        def finish(self, sums):
            kept.append(super().finish(sums))
            return kept[-1]

    scanner, module.OrfScanner = module.OrfScanner, Recording
    try:
        genes = found(text, evidence, GeneRules((11,), shortest=30), edges=(1000, 1001, 2500))
    finally:
        module.OrfScanner = scanner
    rows = np.concatenate(kept)
    rows = rows[np.lexsort((rows[:, START], rows[:, END]))]
    _, total = best_chain(rows, 60)
    cost = sum(OVERLAP_COST * max(0, one.end - two.start) for one, two in pairwise(genes))
    assert round(1000 * sum(gene.score for gene in genes)) - cost == total


def test_genes_are_found_with_both_ends_on_either_strand():
    rng = np.random.default_rng(0)
    text, truth = genome(rng, 3000)
    genes = found(text, evidence_for(len(text), truth), GeneRules((11,)))
    assert places(genes) == truth
    assert {gene.strand for gene in genes} == {"+", "-"}
    assert all(gene.score > 0 and gene.coding > 0.9 and gene.phase == 0 for gene in genes)
    assert [gene.last for gene in genes] == [end - 1 if strand == "+" else start for start, end, strand in truth]
    assert [gene.first for gene in genes] == [start if strand == "+" else end - 1 for start, end, strand in truth]


def test_the_other_strand_gives_the_same_genes_mirrored():
    rng = np.random.default_rng(4)
    text, evidence = random_bases(rng, 2000), rng.random((EVIDENCE, 2000)).astype(np.float32) ** 0.4
    rules = GeneRules((11,), shortest=30)
    mirrored = found(flipped(text), evidence[[k ^ 1 for k in range(EVIDENCE)]][:, ::-1], rules)
    plain = places(found(text, evidence, rules))
    want = sorted((2000 - end, 2000 - start, "-" if strand == "+" else "+") for start, end, strand in plain)
    assert len(want) > 5
    assert places(mirrored) == want


def test_of_several_start_codons_the_evidence_chooses():
    text = "CC" + "ATGGCGGCG" * 12 + "TAACC"
    end = len(text) - 2
    for start in (2, 2 + 9 * 3):
        evidence = evidence_for(len(text), [(start, end, "+")])
        assert places(found(text, evidence, GeneRules((11,), shortest=30))) == [(start, end, "+")]


def test_overlapping_genes_are_apart():
    first = "ATG" + "GCG" * 30 + "GAATGA"  # ends in ...ATGA: the second one begins at its ATG
    text = "CC" + first + "AA" + "GCG" * 30 + "TAACC"
    start = text.index("ATGAAAGCG")
    truth = [(2, 2 + len(first), "+"), (start, len(text) - 2, "+")]
    assert truth[0][1] - truth[1][0] == 4
    evidence = np.maximum(*(evidence_for(len(text), [gene]) for gene in truth))
    assert places(found(text, evidence, GeneRules((11,), overlap=4))) == truth
    assert len(found(text, evidence, GeneRules((11,), overlap=3))) == 1


@pytest.mark.parametrize("strand", "+-")
def test_genes_that_the_sequence_cuts_are_partial(strand):
    gene = "ATG" + "GCG" * 60 + "TAA"
    whole = "CC" + gene + "CC"
    truth = (2, 2 + len(gene), "+")
    if strand == "-":
        whole, truth = flipped(whole), (2, 2 + len(gene), "-")
    evidence = evidence_for(len(whole), [truth])
    low, high = 40, len(whole) - 40
    [left] = found(whole[low:], evidence[:, low:], GeneRules((11,)))
    [right] = found(whole[:high], evidence[:, :high], GeneRules((11,)))
    [both] = found(whole[low:high], evidence[:, low:high], GeneRules((11,)))
    assert places([left, right, both]) == [
        (0, truth[1] - low, strand), (2, high, strand), (0, high - low, strand)
    ]  # fmt: skip
    cuts = [(gene.cut_start, gene.cut_stop) for gene in (left, right, both)]
    assert cuts == [(strand == "+", strand == "-"), (strand == "-", strand == "+"), (True, True)]
    first_codon = {"+": (-(low - 2)) % 3, "-": (-(len(whole) - 2 - high)) % 3}[strand]
    assert both.phase == first_codon
    assert [left.phase, right.phase] == ([first_codon, 0] if strand == "+" else [0, first_codon])


def test_each_sequence_takes_the_code_that_fits():
    rng = np.random.default_rng(2)
    text, truth, at = "", [], 0
    for _ in range(4):
        codons = ["GCG", "TGA", "GAA", "CTG"]
        gene = "ATG" + "".join(rng.choice(codons, 60)) + "TAA"
        text += random_bases(rng, 40) + gene
        truth.append((at + 40, at + 40 + len(gene), "+"))
        at = len(text)
    evidence = evidence_for(len(text), truth)
    genes = found(text, evidence, GeneRules((11, 4)))
    assert places(genes) == truth
    assert {gene.code for gene in genes} == {4}
    assert places(found(text, evidence, GeneRules((11,)))) != truth
    text, truth = genome(rng, 2000)
    assert {gene.code for gene in found(text, evidence_for(len(text), truth), GeneRules((11, 4)))} == {11}


def test_what_does_not_fit_is_refused():
    finder = GeneFinder(GeneRules((11,)))
    with pytest.raises(ValueError, match="give 10 rows"):
        finder.add(numbers("ACGT"), np.zeros((9, 4)))
    with pytest.raises(ValueError, match="not finite"):
        finder.add(numbers("ACGT"), np.full((10, 4), np.nan))
    with pytest.raises(UserError, match="no genetic code"):
        GeneFinder(GeneRules((99,)))
    assert GeneFinder(GeneRules((11, 4))).finish() == []
    assert Gene(3, 9, "-").last == 3
