"""Metrics of genes: how many are found by their 3' end, how many with both ends, and their bases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atrous.labels import BASE_BIT, IGNORE, START_BIT, STOP_BIT
from atrous.objects.genes import Gene, GeneFinder, GeneRules

GENE_CONVENTIONS = (
    " Genes are counted by their 3' end, of which each has one: a gene is found if a predicted one ends at the same "
    "base of the same strand, and with both ends if it begins there too. A gene that is cut by an end of the sequence "
    "ends there. Predicted genes of which more than half lies in pseudogenes do not count."
)


@dataclass(frozen=True, eq=False)
class GeneScores:
    """Counts of genes, and of their bases over both strands.

    Attributes:
        true: annotated genes.
        predicted: predicted genes that count.
        three_prime: predicted genes whose 3' end is right.
        both_ends: predicted genes of which both ends are right.
        bases: bases that are correctly predicted, true, and predicted.

    >>> GeneScores(10, 8, 6, 4).rates["both_ends"]
    {'precision': 0.5, 'recall': 0.4, 'f1': 0.4444444444444444}
    """

    true: int = 0
    predicted: int = 0
    three_prime: int = 0
    both_ends: int = 0
    bases: tuple[int, int, int] = (0, 0, 0)

    @property
    def rates(self) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 by 3' end, by both ends, and per base; nan where undefined."""
        correct, true, predicted = self.bases
        return {
            "three_prime": _rates(self.three_prime, self.true, self.predicted),
            "both_ends": _rates(self.both_ends, self.true, self.predicted),
            "per_base": _rates(correct, true, predicted),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return counts and rates for JSON; None where undefined."""
        rates = {
            name: {key: None if math.isnan(value) else value for key, value in row.items()}
            for name, row in self.rates.items()
        }
        return {"true": self.true, "predicted": self.predicted, **rates}

    def lines(self) -> list[str]:
        """Return the rates in words, a line each."""
        titles = {"three_prime": "3' end", "both_ends": "both ends", "per_base": "per base, stranded"}
        return [
            f"{titles[name]}: F1 {row['f1']:.4f}, precision {row['precision']:.4f}, recall {row['recall']:.4f}"
            for name, row in self.rates.items()
        ]


def _rates(correct: int, true: int, predicted: int) -> dict[str, float]:
    return {
        "precision": correct / predicted if predicted else math.nan,
        "recall": correct / true if true else math.nan,
        "f1": 2 * correct / (true + predicted) if true + predicted else math.nan,
    }


@dataclass
class GeneCounter:
    """Counts the genes of one sequence after another.

    Attributes:
        coding: numbers of the channels of coding sequence on `+` and `-`.
        counts: annotated and predicted genes, those whose 3' end is right, and those with both ends.
        bases: bases that are correctly predicted, true, and predicted.
    """

    coding: tuple[int, int]
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    bases: list[int] = field(default_factory=lambda: [0, 0, 0])

    def count(self, genes: Sequence[Gene], labels: np.ndarray) -> None:
        """Count the genes that were predicted on a sequence.

        Args:
            genes: the predicted ones.
            labels: `(L,)` integers (`data/genomes/labels.py`).
        """
        void = (labels & 0xFF) == IGNORE
        before = np.concatenate([[0], np.cumsum(void)])
        kept = [gene for gene in genes if 2 * (before[gene.end] - before[gene.start]) <= gene.end - gene.start]
        for number, strand in enumerate("+-"):
            starts, stops = (labels >> bit + number & 1 == 1 for bit in (START_BIT, STOP_BIT))
            stops &= ~void
            own = [gene for gene in kept if gene.strand == strand]
            found = [gene for gene in own if stops[gene.last]]
            whole = sum(bool(starts[gene.first]) for gene in found)
            predicted = np.zeros(len(labels), bool)
            for gene in own:
                predicted[gene.start : gene.end] = True
            predicted &= ~void
            true = (labels >> self.coding[number] & 1 == 1) & ~void
            for place, value in enumerate((int(stops.sum()), len(own), len(found), whole)):
                self.counts[place] += value
            for place, inside in enumerate((true & predicted, true, predicted)):
                self.bases[place] += int(inside.sum())

    def result(self) -> GeneScores:
        """Return the counts over all sequences so far."""
        true, predicted, three_prime, both_ends = self.counts
        return GeneScores(true, predicted, three_prime, both_ends, (self.bases[0], self.bases[1], self.bases[2]))


def decoded(evidence: np.ndarray, labels: np.ndarray, rules: GeneRules) -> list[Gene]:
    """Return the genes of a sequence, whose labels hold its bases.

    Args:
        evidence: probabilities `(10, L)` (`GeneFinder.add`).
        labels: `(L,)` integers.
        rules: what a gene must fulfil.
    """
    finder = GeneFinder(rules)
    finder.add((labels >> BASE_BIT & 7).astype(np.uint8), evidence)
    return finder.finish()
