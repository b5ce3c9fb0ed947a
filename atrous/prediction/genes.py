"""Genes along a sequence, from the probabilities that come strip by strip."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atrous.data.genomes.labels import CODING
from atrous.data.genomes.runs import ChannelInterval, ChannelIntervals, FirstRows
from atrous.errors import UserError
from atrous.objects.genes import Gene, GeneFinder, GeneRules
from atrous.objects.genetic_code import BASES
from atrous.objects.orfs import EVIDENCE
from atrous.prediction.inputs import Opened


class GeneStrips(ChannelIntervals):
    """A sink `(K + 10, L)` of the probabilities of classes and of the evidence for genes, which arrive in order.

    Coding sequences are genes with exact ends; the other classes are intervals at or above the threshold.

    Args:
        opened: the sequence, whose first four channels are the shares of A, C, G and T.
        classes: names of the K classes, each a feature and a strand.
        rules: what genes must fulfil.
        threshold: probability from which a base has a class.
        shortest: bases, per class, of the shortest interval that is kept; empty: any.
        also: what is given each strip of the classes, as `add(start, values)`.
    """

    def __init__(
        self,
        opened: Opened,
        classes: Sequence[str],
        rules: GeneRules,
        threshold: float,
        shortest: Sequence[int] = (),
        also: Sequence[Any] = (),
    ) -> None:
        self._opened, self._classes = opened, tuple(classes)
        count, length = len(classes), int(opened.source.shape[1])
        shortest = (*shortest, *[1] * EVIDENCE) if shortest else ()
        super().__init__(count + EVIDENCE, length, threshold, [FirstRows(taker, count) for taker in also], shortest)
        self._finder = GeneFinder(rules)

    def _take(self, values: np.ndarray) -> None:
        for number, name in enumerate(self._classes):
            if name[:-1] != CODING:
                self._scan(number, values[number])
        bases = base_numbers(self._opened.source[0:4, self.at : self.at + values.shape[1]])
        try:
            self._finder.add(bases, values[len(self._classes) :])
        except ValueError as error:
            raise UserError(f"{self._opened.name}: {error}: train with train.precision=32-true") from None

    def finish(self) -> list[ChannelInterval]:
        """Return genes and intervals, by start.

        Raises:
            ValueError: bases are missing.
        """
        return sorted([*super().finish(), *map(self._interval, self._finder.finish())])

    def _interval(self, gene: Gene) -> ChannelInterval:
        left, right = (gene.cut_start, gene.cut_stop)[:: 1 if gene.strand == "+" else -1]
        notes = {
            "partial": f"{left:d}{right:d}",  # as Prodigal says it: whether the gene runs off on the left, on the right
            "start_type": "Edge" if gene.cut_start else self._start_codon(gene),
            "transl_table": str(gene.code),
            "log_odds": f"{gene.score:.1f}",
        }
        channel = self._classes.index(f"{CODING}{gene.strand}")
        return ChannelInterval(gene.start, gene.end, channel, gene.coding, gene.phase, tuple(notes.items()))

    def _start_codon(self, gene: Gene) -> str:
        start = gene.start if gene.strand == "+" else gene.end - 3
        bases = base_numbers(self._opened.source[0:4, start : start + 3])
        read = bases if gene.strand == "+" else 5 - bases[::-1]
        return "".join(BASES[base - 1] for base in read)


def base_numbers(shares: Any) -> np.ndarray:
    """Return 1 to 4 for A, C, G, T, and 0 for what stands for several, of shares `(4, n)`.

    >>> base_numbers(np.array([[1, 0, 0.5], [0, 0, 0.5], [0, 1, 0], [0, 0, 0]])).tolist()
    [1, 3, 0]
    """
    shares = np.asarray(shares)
    return np.where(shares.max(axis=0) >= 1, shares.argmax(axis=0) + 1, 0).astype(np.uint8)
