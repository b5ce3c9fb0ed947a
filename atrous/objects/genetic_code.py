"""Genetic codes: the codons at which genes begin and end, by NCBI's numbers.

Of the start codons of a code only ATG, GTG and TTG are kept, with which nearly all genes of bacteria begin (Hyatt et
al. 2010, "Prodigal", BMC Bioinformatics 11: 119).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from atrous.errors import UserError

BASES = "ACGT"
"""Base k of these has the number k + 1; 0 is a base that is not known."""
STARTS = ("ATG", "GTG", "TTG")
_USUAL = "TAA TAG TGA"
# https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi: number: (stop codons, start codons out of `STARTS`)
_CODES = {
    1: (_USUAL, "ATG TTG"), 2: ("TAA TAG AGA AGG", "ATG GTG"), 3: ("TAA TAG", "ATG GTG"),
    4: ("TAA TAG", "ATG GTG TTG"), 5: ("TAA TAG", "ATG GTG TTG"), 6: ("TGA", "ATG"), 9: ("TAA TAG", "ATG GTG"),
    10: ("TAA TAG", "ATG"), 11: (_USUAL, "ATG GTG TTG"), 12: (_USUAL, "ATG"), 13: ("TAA TAG", "ATG GTG TTG"),
    14: ("TAG", "ATG"), 15: ("TAA TGA", "ATG"), 16: ("TAA TGA", "ATG"), 21: ("TAA TAG", "ATG GTG"),
    22: ("TCA TAA TGA", "ATG"), 23: ("TTA TAA TAG TGA", "ATG GTG"), 24: ("TAA TAG", "ATG GTG TTG"),
    25: ("TAA TAG", "ATG GTG TTG"), 26: (_USUAL, "ATG"), 27: ("TGA", "ATG"), 28: (_USUAL, "ATG"), 29: ("TGA", "ATG"),
    30: ("TGA", "ATG"), 31: ("TAA TAG", "ATG"), 32: ("TAA TGA", "ATG GTG TTG"), 33: ("TAG", "ATG GTG TTG"),
}  # fmt: skip
NUMBERS = (11, 4, *(number for number in sorted(_CODES) if number not in (11, 4)))
"""The codes that are known, those of bacteria first."""


@dataclass(frozen=True)
class GeneticCode:
    """The codons at which genes begin and end.

    Attributes:
        number: NCBI's.
        starts: codons at which a gene may begin.
        stops: codons at which every gene ends.
    """

    number: int
    starts: tuple[str, ...]
    stops: tuple[str, ...]


def genetic_code(number: int) -> GeneticCode:
    """Return the code with one of NCBI's numbers.

    Raises:
        UserError: there is no such code.

    >>> genetic_code(4).stops
    ('TAA', 'TAG')
    """
    if number not in _CODES:
        known = ", ".join(map(str, sorted(_CODES)))
        raise UserError(f"{number} is no genetic code of NCBI: known are {known} (11: bacteria, 4: Mycoplasma)")
    stops, starts = _CODES[number]
    return GeneticCode(number, tuple(starts.split()), tuple(stops.split()))


def require_codes(numbers: Sequence[int]) -> None:
    """Raise `UserError` unless all of these are different codes that are known."""
    for number in numbers:
        genetic_code(number)
    if len(set(numbers)) < len(numbers):
        raise UserError(f"genetic codes {list(numbers)}: name each once")


def codon_numbers(bases: np.ndarray) -> np.ndarray:
    """Return the number of the codon that begins at each base but the last two: `(n - 2,)` uint8, below 125.

    Args:
        bases: `(n,)`, 1 to 4 for A, C, G, T, and 0 where they are not known.

    >>> codon_numbers(np.array([1, 4, 3])).tolist()  # ATG
    [48]
    """
    if len(bases) < 3:
        return np.zeros(0, np.uint8)
    wide = np.asarray(bases).astype(np.uint8)
    return wide[:-2] * np.uint8(25) + wide[1:-1] * np.uint8(5) + wide[2:]


def codon_table(codons: Iterable[str], *, reverse: bool = False) -> np.ndarray:
    """Return for every number of `codon_numbers` whether it is one of these codons, `(125,)` bool.

    Args:
        codons: three letters each.
        reverse: whether they are looked for on the other strand: their reverse complements.

    >>> codon_table(["ATG"])[48], codon_table(["CAT"], reverse=True)[48]
    (np.True_, np.True_)
    """
    table = np.zeros(125, bool)
    for codon in codons:
        numbers = [BASES.index(letter) + 1 for letter in codon]
        if reverse:
            numbers = [5 - number for number in reversed(numbers)]
        table[25 * numbers[0] + 5 * numbers[1] + numbers[2]] = True
    return table
