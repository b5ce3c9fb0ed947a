import json

import numpy as np
import pytest
import torch

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import channels, label, with_bases
from atrous.data.genomes.letters import encode
from atrous.objects.genes import Gene, GeneRules
from atrous.tasks.gene_metrics import GeneCounter, GeneScores, decoded
from atrous.tasks.stranded_metrics import StrandedMetrics
from atrous.tasks.task import NotFinite
from tests.genomes import evidence_for, genome

NAMES = channels(("tRNA", "CDS"))


def labels_of(genes, length, text=None, pseudo=()):
    features = [Feature("s", "CDS", ((a, b),), s, pseudo=(a, b, s) in pseudo) for a, b, s in (*genes, *pseudo)]
    text = text or "A" * length
    return with_bases(label(features, NAMES, length), encode(text.encode()))


def test_genes_worked_out_by_hand():
    truth = [(0, 30, "+"), (40, 70, "+"), (80, 110, "-"), (120, 150, "-")]
    labels = labels_of(truth, 300, pseudo=[(200, 260, "+")])
    predicted = [
        Gene(0, 30, "+"),  # right
        Gene(46, 70, "+"),  # its 3' end alone
        Gene(80, 104, "-"),  # its 3' end alone
        Gene(123, 150, "-"),  # its start alone: nothing
        Gene(120, 150, "+"),  # the wrong strand
        Gene(210, 240, "+"),  # in a pseudogene: does not count
        Gene(250, 290, "-"),  # a quarter of it in a pseudogene
    ]
    counter = GeneCounter((NAMES.index("CDS+"), NAMES.index("CDS-")))
    counter.count(predicted, labels)
    scores = counter.result()
    assert (scores.true, scores.predicted, scores.three_prime, scores.both_ends) == (4, 6, 3, 1)
    assert scores.rates["three_prime"] == {"precision": 3 / 6, "recall": 3 / 4, "f1": 6 / 10}
    assert scores.rates["both_ends"]["f1"] == 2 / 10
    correct, true, found = 30 + 24 + 24 + 27, 4 * 30, 30 + 24 + 24 + 27 + 30 + 30
    assert scores.bases == (correct, true, found)
    assert scores.rates["per_base"]["precision"] == correct / found


def test_counts_add_up_over_sequences():
    counter = GeneCounter((2, 3))
    for _ in range(2):
        counter.count([Gene(0, 30, "+")], labels_of([(0, 30, "+")], 50))
    assert counter.result().three_prime == 2


def test_rates_that_are_undefined_are_null():
    content = json.loads(json.dumps(GeneScores().to_dict(), allow_nan=False))
    assert content["three_prime"] == {"precision": None, "recall": None, "f1": None}
    assert len(GeneScores(3, 3, 2, 1, (5, 6, 7)).lines()) == 3


def test_genes_are_decoded_from_the_evidence_and_the_bases_of_the_labels():
    text, genes = genome(np.random.default_rng(0), 2000)
    labels, evidence = labels_of(genes, len(text), text), evidence_for(len(text), genes)
    rules = GeneRules((11,))
    assert [(gene.start, gene.end, gene.strand) for gene in decoded(evidence, labels, rules)] == genes
    probabilities = torch.cat([torch.full((4, len(text)), 0.1), torch.from_numpy(evidence)])
    target = torch.from_numpy(labels.astype(np.int64))
    metrics = StrandedMetrics(NAMES, rules=rules)
    metrics.update("a", probabilities, target)
    scores = metrics.result(0.0)
    assert scores.to_dict()["genes"]["both_ends"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert scores.features["CDS"]["recall"] == 0  # the channels of the classes say nothing here
    assert "genes    both ends: F1 1.0000" in scores.text()
    assert "Genes, 3' end: F1 1.0000" in scores.sentences()[0]
    assert "3' end" in scores.conventions
    with pytest.raises(NotFinite):
        metrics.update("b", torch.cat([probabilities[:4], probabilities[4:] * torch.nan]), target)
