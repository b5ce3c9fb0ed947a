"""Open reading frames of a sequence that arrives piece by piece, each with the evidence that it is a gene.

A candidate begins at a start codon and ends at the first stop codon in its frame. A network gives, at every base and
for both strands, the probability of each position within a codon, and of being the first and the last base of a gene.
With l(p) = log(p / (1 - p)), the score of a candidate with the start codon c and the stop codon s is

    score(c, s) = l(stop at s) + [l(start at c) - max over c' of l(start at c')] + sum over bases of e / 30

The stop codon says whether there is a gene at all: each gene has one. The start codons of an open reading frame compete
for it, so that only their differences count. A base gives the log-odds that it is coding on this strand, whichever the
frame, and the logarithm of the part that the candidate's frame has of that: with p_k for position k within the codon,

    e = l(p_1 + p_2 + p_3) + log(p_k / (p_1 + p_2 + p_3))

The network finds neighboring bases coding for the same reasons: `ALIKE` of them count as one piece of evidence.

Log-odds are whole thousandths. Sums of whole numbers are exact, so every score is the same for pieces of any size.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from atrous.objects.genetic_code import GeneticCode, codon_numbers, codon_table

FRAMES, ENDS = 6, 4
"""Rows of the evidence: first, second and third base of a codon on `+` and `-`; start on `+` and `-`, stop on both."""
EVIDENCE = FRAMES + ENDS
SCALE = 1000
"""Log-odds (natural logarithm) are counted in thousandths."""
ALIKE = 30
"""So many neighboring bases count as one piece of evidence."""
MOST_OF_A_BASE, MOST_OF_AN_END = 3 * SCALE, 10 * SCALE
"""Greatest log-odds of a base that is coding, and of a start or stop."""
MOST_OF_A_FRAME = 6 * SCALE
"""The part of a frame counts as at least exp(-6)."""
_GRAIN = 1 << 18
_LOG_3 = round(SCALE * math.log(3))
PLUS, MINUS = 0, 1
START, END, STRAND, SCORE, CODING, PHASE, CUT = range(7)
"""Columns of candidates: first base; base after the last; strand; score; sum of the evidence of the bases; bases before
the first whole codon; whether its start (1) or its stop (2) lies beyond the sequence."""
COLUMNS = 7


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities in thousandths, int64, within `MOST_OF_AN_END` of 0.

    Probabilities are rounded to 2^-18 first, which is exact, and looked up: equal ones give equal numbers anywhere.

    >>> log_odds(np.array([0.5, 1.0, 0.1])).tolist()
    [0, 10000, -2197]
    """
    return _tables()[0][_rounded(probabilities)]


def coding_odds(frames: np.ndarray) -> np.ndarray:
    """Return the evidence that bases are coding in a frame, in thousandths, int64 `(3, ...)`.

    Args:
        frames: probabilities of being the first, second and third base of a codon, `(3, ...)`.

    >>> coding_odds(np.array([0.3, 0.3, 0.3])).tolist(), coding_odds(np.array([0.98, 0.01, 0.01])).tolist()
    ([1098, 1098, 1098], [2980, -1605, -1605])
    """
    total = frames[0] + frames[1] + frames[2]
    logarithms = _tables()[1]
    part = logarithms[_rounded(frames)] - logarithms[_rounded(total / 3)] - _LOG_3
    coding = np.clip(log_odds(np.minimum(total, 1)), -MOST_OF_A_BASE, MOST_OF_A_BASE)
    return coding + np.clip(part, -MOST_OF_A_FRAME, 0)


def _rounded(probabilities: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(probabilities) * _GRAIN).astype(np.int64)


@lru_cache(1)
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and logarithms of all rounded probabilities, in thousandths."""
    share = np.clip(np.arange(_GRAIN + 1) / _GRAIN, 0.5 / _GRAIN, 1 - 0.5 / _GRAIN)
    odds, logarithms = (np.rint(SCALE * row).astype(np.int64) for row in (np.log(share / (1 - share)), np.log(share)))
    return np.clip(odds, -MOST_OF_AN_END, MOST_OF_AN_END), logarithms


@dataclass(frozen=True)
class EvidencePiece:
    """Part of a sequence with its evidence; it begins two bases before what is new, for the codons across its edge.

    Attributes:
        first: its first base.
        stop: the base after its last one.
        codons: number of the codon that begins at each base but the last two, `(n - 2,)`.
        ends: probabilities of start on `+` and `-`, and of stop on both, `(4, n)`.
        sums: `(2, 3, n + 1)` int64: for each strand and frame, the evidence of all bases of the sequence before base k.
    """

    first: int
    stop: int
    codons: np.ndarray
    ends: np.ndarray
    sums: np.ndarray


class EvidenceStream:
    """Makes pieces of evidence of bases and probabilities that arrive in order.

    A gene on `+` that begins at base c has the frame c mod 3; on `-`, where base e is the first that is read, e mod 3.
    """

    def __init__(self) -> None:
        self.at = 0
        self._bases, self._ends = np.zeros(0, np.uint8), np.zeros((ENDS, 0), np.float32)
        self._sums = np.zeros((2, 3, 1), np.int64)

    def push(self, bases: np.ndarray, evidence: np.ndarray) -> EvidencePiece:
        """Return the next piece.

        Args:
            bases: `(n,)`, 1 to 4 for A, C, G, T, and 0 where they are not known.
            evidence: probabilities `(10, n)`.
        """
        count = len(bases)
        places = np.arange(self.at, self.at + count)
        odds = coding_odds(np.asarray(evidence[:FRAMES]).reshape(3, 2, count))
        values = np.empty((2, 3, count), np.int64)
        for frame in range(3):
            for strand, position in ((PLUS, (places - frame) % 3), (MINUS, (frame - places) % 3)):
                values[strand, frame] = np.take_along_axis(odds[:, strand], position[None], 0)[0]
        bases = np.concatenate([self._bases, np.asarray(bases, np.uint8)])
        ends = np.concatenate([self._ends, evidence[FRAMES:EVIDENCE]], axis=1)
        sums = np.concatenate([self._sums, self._sums[..., -1:] + np.cumsum(values, axis=-1)], axis=-1)
        first, self.at = self.at - len(self._bases), self.at + count
        kept = min(2, len(bases))
        self._bases, self._ends = bases[len(bases) - kept :], ends[:, ends.shape[1] - kept :]
        self._sums = sums[..., sums.shape[-1] - kept - 1 :]
        return EvidencePiece(first, self.at, codon_numbers(bases), ends, sums)

    @property
    def sums(self) -> np.ndarray:
        """`(2, 3)`: for each strand and frame, the evidence of all bases that have arrived."""
        return self._sums[..., -1]


class OrfScanner:
    """Finds the candidates of one genetic code whose score is above 0, in pieces of any size.

    Genes may be cut by either end of the sequence; the log-odds of a start or stop beyond it are 0.

    Args:
        code: the genetic code.
        shortest: least number of bases of a gene.
        longest: greatest number of bases of a gene; it bounds the memory.
    """

    def __init__(self, code: GeneticCode, shortest: int, longest: int) -> None:
        self._shortest, self._longest = shortest, longest
        self._is_start = codon_table(code.starts), codon_table(code.starts, reverse=True)
        self._is_stop = codon_table(code.stops), codon_table(code.stops, reverse=True)
        # Starts and stops are columns (place, log-odds, sum of evidence before the place, whether it is cut). In every
        # frame there is one at the edge of the sequence: a start on `+`, and a stop on `-`.
        edge = np.array([[0], [0], [0], [1]], np.int64)
        self._starts = {(PLUS, frame): edge for frame in range(3)}
        self._starts |= {(MINUS, frame): edge[:, :0] for frame in range(3)}
        self._open_stop = dict.fromkeys(range(3), edge)
        self._at = 0

    def add(self, piece: EvidencePiece) -> np.ndarray:
        """Return the candidates `(n, 7)` that are complete with this piece."""
        self._at = piece.stop
        return np.concatenate([find(piece, frame) for find in (self._plus, self._minus) for frame in range(3)])

    @property
    def frontier(self) -> int:
        """No candidate that will still be found begins before this base."""
        starts = [int(self._starts[PLUS, frame][0].min(initial=self._at)) for frame in range(3)]
        stops = [int(stop[0, 0]) for stop in self._open_stop.values() if stop[0, 0] + self._longest >= self._at]
        return min([*starts, *stops, max(0, self._at - 2)])

    def finish(self, sums: np.ndarray) -> np.ndarray:
        """Return the candidates that are cut by the end of the sequence, `(n, 7)`.

        Args:
            sums: `(2, 3)`, those of the whole sequence.
        """
        found, length = [], self._at
        for frame in range(3):
            starts = self._starts[PLUS, frame]
            stop = np.array([[length], [0], [sums[PLUS, frame]], [1]], np.int64)
            found.append(self._candidates(PLUS, frame, starts, stop, np.zeros(starts.shape[1], np.int64)))
            cut = np.array([[length], [0], [sums[MINUS, (frame + 2) % 3]], [1]], np.int64)
            starts = np.concatenate([self._starts[MINUS, frame], cut], axis=1)
            stop = self._open_stop[frame]
            found.append(self._candidates(MINUS, frame, starts, stop, np.zeros(starts.shape[1], np.int64)))
        return np.concatenate(found)

    def _plus(self, piece: EvidencePiece, frame: int) -> np.ndarray:
        """Candidates on `+` whose start lies `frame` bases behind a multiple of three."""
        places, codons = _codons(piece, frame)
        begins, ends = places[self._is_start[PLUS][codons]], places[self._is_stop[PLUS][codons]]
        fresh = _ends(begins, piece.ends[0, begins - piece.first], piece.sums[PLUS, frame, begins - piece.first])
        starts = np.concatenate([self._starts[PLUS, frame], fresh], axis=1)
        past = ends + 3 - piece.first
        stops = _ends(ends + 3, piece.ends[2, past - 1], piece.sums[PLUS, frame, past])
        owner = np.searchsorted(ends, starts[0])  # the first stop codon behind each start
        closed = owner < len(ends)
        self._starts[PLUS, frame] = starts[:, ~closed & (starts[0] + self._longest >= piece.stop)]
        return self._candidates(PLUS, frame, starts[:, closed], stops, owner[closed])

    def _minus(self, piece: EvidencePiece, frame: int) -> np.ndarray:
        """Candidates on `-` whose stop codon begins `frame` bases behind a multiple of three, in the file's direction.

        Their start codons come after it; the next stop codon of the frame closes them.
        """
        places, codons = _codons(piece, frame)
        begins, ends = places[self._is_start[MINUS][codons]], places[self._is_stop[MINUS][codons]]
        sums = piece.sums[MINUS, (frame + 2) % 3]
        fresh = _ends(ends, piece.ends[3, ends - piece.first], sums[ends - piece.first])
        stops = np.concatenate([self._open_stop[frame], fresh], axis=1)
        past = begins + 3 - piece.first
        fresh = _ends(begins + 3, piece.ends[1, past - 1], sums[past])
        starts = np.concatenate([self._starts[MINUS, frame], fresh], axis=1)
        owner = np.searchsorted(stops[0], starts[0] - 3, side="right") - 1  # the last stop codon before each start
        closed = owner < stops.shape[1] - 1
        if stops[0, -1] + self._longest < piece.stop:  # any further start would be too far away
            closed[:] = True
        self._open_stop[frame], self._starts[MINUS, frame] = stops[:, -1:], starts[:, ~closed]
        return self._candidates(MINUS, frame, starts[:, closed], stops, owner[closed])

    def _candidates(
        self, strand: int, frame: int, starts: np.ndarray, stops: np.ndarray, owner: np.ndarray
    ) -> np.ndarray:
        """Candidates `(n, 7)` of starts `(4, n)` whose stop is number `owner`, ascending, of stops `(4, m)`."""
        length = np.abs(stops[0, owner] - starts[0])
        fits = (length >= self._shortest) & (length <= self._longest)
        starts, owner = starts[:, fits], owner[fits]
        if not len(owner):
            return np.zeros((0, COLUMNS), np.int64)
        groups = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
        best = np.repeat(np.maximum.reduceat(starts[1], groups), np.diff(np.append(groups, len(owner))))
        place, odds, sums, cut = stops[:, owner]
        coding = sums - starts[2] if strand == PLUS else starts[2] - sums
        score = odds + starts[1] - best + coding // ALIKE
        left, right = (starts[0], place) if strand == PLUS else (place, starts[0])
        phase = (frame - left) % 3 if strand == PLUS else (right - frame) % 3
        rows = [left, right, np.full(len(owner), strand), score, coding, phase, starts[3] + 2 * cut]
        return np.stack(rows, axis=1)[score > 0]


def _codons(piece: EvidencePiece, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the codons of a frame begin in a piece, and their numbers."""
    offset = (frame - piece.first) % 3
    codons = piece.codons[offset::3]
    return piece.first + offset + 3 * np.arange(len(codons)), codons


def _ends(places: np.ndarray, probabilities: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Columns (place, log-odds, sum of evidence, not cut) of starts or stops."""
    return np.stack([places, log_odds(probabilities), sums, np.zeros(len(places), np.int64)])
