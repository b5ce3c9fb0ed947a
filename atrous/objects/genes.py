"""Genes of bacteria from the scores of a network: the best chain of open reading frames, exact at any size of a piece.

Every open reading frame with a positive score (`orfs.py`) may be a gene. Of all chains of candidates, ordered by their
ends, the one with the greatest sum of scores is chosen by dynamic programming, as in Prodigal (Hyatt et al. 2010, BMC
Bioinformatics 11: 119). Neighbors in a chain may overlap by a few bases, at a cost for each base; none lies within
another.

Candidates that overlap, directly or by way of others, are a component. No choice in one component changes the best
choice in another. A component is decided and forgotten once no later candidate can reach it, so that memory is bounded
by the longest component and the longest gene, and the answer does not depend on how the sequence is divided.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from atrous.objects.genetic_code import genetic_code
from atrous.objects.orfs import (
    ALIKE,
    CODING,
    COLUMNS,
    CUT,
    END,
    EVIDENCE,
    PHASE,
    SCALE,
    SCORE,
    START,
    STRAND,
    EvidenceStream,
    OrfScanner,
)

OVERLAP_COST = SCALE // ALIKE
"""What a base that two neighbors share costs, in thousandths: its evidence counts once."""
LONGEST = 150_000
"""Bases of the longest gene that is looked for; the longest known gene of a bacterium has 110 418."""
SHORTEST = 60
"""Bases of the shortest gene where nothing else is said."""
_PIECE = 1 << 17


@dataclass(frozen=True, order=True)
class Gene:
    """A coding sequence.

    Attributes:
        start: its first base in the file's direction, counted from 0.
        end: the base after its last one.
        strand: `+` or `-`.
        score: log-odds (natural logarithm) for it, above 0.
        coding: probability whose log-odds are the mean evidence of its bases (`orfs.coding_odds`).
        phase: bases, in the direction of reading, before the first whole codon; 0 unless its start is cut.
        cut_start: whether it begins beyond the end of the sequence.
        cut_stop: whether it ends beyond the end of the sequence.
        code: the genetic code by which it is read.
    """

    start: int
    end: int
    strand: str
    score: float = 0.0
    coding: float = 1.0
    phase: int = 0
    cut_start: bool = False
    cut_stop: bool = False
    code: int = 11

    @property
    def first(self) -> int:
        """The base that is read first."""
        return self.start if self.strand == "+" else self.end - 1

    @property
    def last(self) -> int:
        """The base that is read last: the 3' end."""
        return self.end - 1 if self.strand == "+" else self.start


@dataclass(frozen=True)
class GeneRules:
    """What a gene must fulfil.

    Attributes:
        codes: NCBI's numbers of genetic codes. Of several, each sequence takes the one with the greatest sum of scores.
        shortest: least number of bases.
        overlap: greatest number of bases by which neighbors may overlap.
        longest: greatest number of bases.
    """

    codes: tuple[int, ...]
    shortest: int = SHORTEST
    overlap: int = 60
    longest: int = LONGEST


def best_chain(candidates: np.ndarray, overlap: int) -> tuple[list[int], int]:
    """Return which candidates the best chain has, and the sum of their scores less the cost of overlaps.

    A chain's candidates ascend in both start and end, and neighbors overlap by at most `overlap` bases.

    Args:
        candidates: `(n, 7)` with positive scores, ordered by end, then start.
        overlap: greatest overlap of neighbors.

    >>> rows = np.zeros((3, 7), np.int64)
    >>> rows[:, START], rows[:, END], rows[:, SCORE] = [0, 50, 96], [100, 160, 200], [900, 1000, 800]
    >>> best_chain(rows, overlap=10)
    ([0, 2], 1568)
    """
    starts, ends, scores = (candidates[:, column].tolist() for column in (START, END, SCORE))
    sums: list[int] = []  # of the best chain that ends with each candidate
    before: list[int] = []  # the one before it in that chain; -1 for none
    top = [(0, -1)]  # the best sum of the first k candidates, and its last candidate
    for number, (start, end, score) in enumerate(zip(starts, ends, scores, strict=True)):
        apart = bisect_right(ends, start, 0, number)  # those before this one end where it starts, or earlier
        gain, previous = top[apart]
        for other in range(apart, number):
            shared = ends[other] - start
            if shared > overlap:
                break
            if ends[other] < end and starts[other] < start and sums[other] - OVERLAP_COST * shared > gain:
                gain, previous = sums[other] - OVERLAP_COST * shared, other
        sums.append(score + gain)
        before.append(previous)
        top.append((sums[-1], number) if sums[-1] > top[-1][0] else top[-1])
    total, number = top[-1]
    chain = []
    while number >= 0:
        chain.append(number)
        number = before[number]
    return chain[::-1], total


@dataclass
class _Track:
    """The work for one genetic code.

    Attributes:
        code: its number.
        scanner: finds candidates.
        waiting: candidates of components that are not complete.
        chosen: candidates that are genes, in pieces.
        total: sum of their scores.
    """

    code: int
    scanner: OrfScanner
    waiting: np.ndarray = field(default_factory=lambda: np.zeros((0, COLUMNS), np.int64))
    chosen: list[np.ndarray] = field(default_factory=list)
    total: int = 0

    def settle(self, fresh: np.ndarray, frontier: int | None, overlap: int) -> None:
        """Decide the components that end at or before the frontier; all of them if it is None."""
        rows = np.concatenate([self.waiting, fresh])
        rows = rows[np.lexsort((rows[:, CUT], rows[:, STRAND], rows[:, END], rows[:, START]))]
        reach = np.maximum.accumulate(rows[:, END])
        edges = np.flatnonzero(rows[1:, START] >= reach[:-1]) + 1
        done = 0
        for low, high in zip([0, *edges], [*edges, len(rows)], strict=True):
            if high == low or (frontier is not None and reach[high - 1] > frontier):
                break
            part = rows[low:high]
            part = part[np.lexsort((part[:, CUT], part[:, STRAND], part[:, START], part[:, END]))]
            chain, total = best_chain(part, overlap)
            self.chosen.append(part[chain])
            self.total += total
            done = high
        self.waiting = rows[done:]


class GeneFinder:
    """Finds the genes of a sequence whose bases and probabilities arrive in order, in pieces of any size.

    Args:
        rules: what a gene must fulfil.

    Raises:
        UserError: there is no such genetic code.

    >>> finder = GeneFinder(GeneRules((11,), shortest=9))
    >>> bases = np.array(["ACGT".index(letter) + 1 for letter in "CCATGGCGTAACC"])
    >>> evidence = np.full((10, 13), 0.01)
    >>> for place in range(2, 11):
    ...     evidence[2 * ((place - 2) % 3), place] = 0.99  # in frame on `+`
    >>> evidence[6, 2] = evidence[8, 10] = 0.99  # start and stop
    >>> finder.add(bases[:5], evidence[:, :5])
    >>> finder.add(bases[5:], evidence[:, 5:])
    >>> [(gene.start, gene.end, gene.strand, round(gene.score, 1)) for gene in finder.finish()]
    [(2, 11, '+', 5.5)]
    """

    def __init__(self, rules: GeneRules) -> None:
        self._rules, self._stream = rules, EvidenceStream()
        self._tracks = [
            _Track(number, OrfScanner(genetic_code(number), max(3, rules.shortest), rules.longest))
            for number in rules.codes
        ]

    def add(self, bases: np.ndarray, evidence: np.ndarray) -> None:
        """Take the next part of the sequence.

        Args:
            bases: `(n,)`, 1 to 4 for A, C, G, T, and 0 where they are not known.
            evidence: probabilities `(10, n)`: whether a base is the first, second or third of a codon on `+` and `-`
                (first on `+`, first on `-`, second on `+`, ...), the first of a gene on both, the last of a gene on
                both.

        Raises:
            ValueError: the shapes do not fit, or a probability is not finite.
        """
        if evidence.shape != (EVIDENCE, len(bases)):
            raise ValueError(f"evidence is {evidence.shape} for {len(bases)} bases: give {EVIDENCE} rows")
        for start in range(0, len(bases), _PIECE):
            part = np.asarray(evidence[:, start : start + _PIECE])
            if not np.isfinite(part).all():
                raise ValueError("the network's output is not finite (nan or infinite)")
            piece = self._stream.push(bases[start : start + _PIECE], part)
            for track in self._tracks:
                track.settle(track.scanner.add(piece), track.scanner.frontier, self._rules.overlap)

    def finish(self) -> list[Gene]:
        """Return the genes of the whole sequence, by start."""
        for track in self._tracks:
            track.settle(track.scanner.finish(self._stream.sums), None, self._rules.overlap)
        best = max(self._tracks, key=lambda track: track.total)  # the first of equal ones
        return sorted(_gene(row, best.code) for rows in best.chosen for row in rows.tolist())


def _gene(row: Sequence[int], code: int) -> Gene:
    """The gene that a candidate is."""
    start, end = row[START], row[END]
    coding = 1 / (1 + np.exp(-row[CODING] / SCALE / (end - start)))
    cut = row[CUT]
    return Gene(
        start, end, "+-"[row[STRAND]], row[SCORE] / SCALE, float(coding), row[PHASE], bool(cut & 1), bool(cut & 2), code
    )
