import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import channels, label, with_bases
from atrous.data.genomes.letters import encode
from atrous.labels import IGNORE
from atrous.objects.genetic_code import genetic_code
from atrous.tasks.gene_ends import bases_of, end_loss, possible_ends, true_ends
from tests.genomes import flipped, genome, numbers


def labels_of(text, genes):
    features = [Feature("s", "CDS", ((start, end),), strand) for start, end, strand in genes]
    bits = with_bases(label(features, channels(("CDS",)), len(text)), encode(text.encode()))
    return torch.from_numpy(bits.astype(np.int64))


def possible_by_loop(text, codes):
    want = np.zeros((4, len(text)), bool)
    starts = {codon for number in codes for codon in genetic_code(number).starts}
    stops = {codon for number in codes for codon in genetic_code(number).stops}
    for at in range(len(text) - 2):
        codon, other = text[at : at + 3], flipped(text[at : at + 3])
        want[0, at], want[1, at + 2] = codon in starts, other in starts
        want[2, at + 2] |= codon in stops
        want[3, at] |= other in stops
    return want


@pytest.mark.parametrize("codes", [[11], [4], [11, 4], [2]])
def test_possible_ends_are_the_codons_of_the_codes(codes):
    text, genes = genome(np.random.default_rng(1), 800)
    text = text[:100] + "N" + text[101:]
    labels = torch.stack([labels_of(text, genes), labels_of(text[::-1], [])])
    assert bases_of(labels)[0].tolist() == numbers(text).tolist()
    found = possible_ends(labels, codes)
    np.testing.assert_array_equal(found[0].numpy(), possible_by_loop(text, codes))
    np.testing.assert_array_equal(found[1].numpy(), possible_by_loop(text[::-1], codes))


def test_true_ends_are_the_first_and_last_bases_of_genes():
    text, genes = genome(np.random.default_rng(2), 800)
    found = true_ends(labels_of(text, genes)[None])[0]
    want = torch.zeros(4, len(text), dtype=torch.bool)
    for start, end, strand in genes:
        want["+-".index(strand), start if strand == "+" else end - 1] = True
        want[2 + "+-".index(strand), end - 1 if strand == "+" else start] = True
    assert found.equal(want)
    assert (found & ~possible_ends(labels_of(text, genes)[None], [11])[0]).sum() == 0


def test_the_loss_is_the_mean_over_possible_ends_that_are_not_void():
    text, genes = genome(np.random.default_rng(3), 600)
    labels = labels_of(text, genes)
    labels[:150] = labels[:150] & ~0xFF | IGNORE
    torch.manual_seed(0)
    output = torch.randn(1, 4, len(text))
    counted = torch.from_numpy(possible_by_loop(text, [11]))
    counted[:, :150] = False
    truth = true_ends(labels[None])[0]
    want = F.binary_cross_entropy_with_logits(output[0][counted], truth[counted].float())
    assert end_loss(output, labels[None], [11]).item() == pytest.approx(want.item(), rel=1e-5)
    moved = output.clone()
    moved[0][~counted] += 100
    assert end_loss(moved, labels[None], [11]).item() == pytest.approx(want.item(), rel=1e-5)
    assert end_loss(output[..., :150], labels[None, :150], [11]).item() == 0
