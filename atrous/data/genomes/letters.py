"""Letters of nucleotide sequences as numbers, after IUPAC (Cornish-Bowden 1985, Nucleic Acids Research 13: 3021).

A letter is the set of bases that it stands for, four bits: A 1, C 2, G 4, T 8. The complement reverses the four bits.
"""

import numpy as np

from atrous.data.source import Key, LazySource, Source

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT", "X": "ACGT",
}  # fmt: skip
"""The bases that each letter stands for; U is RNA's T, X an older N."""
WRONG = 0
"""Code of everything that is no letter of a sequence."""


def _codes() -> np.ndarray:
    table = np.full(256, WRONG, np.uint8)
    for letter, bases in IUPAC.items():
        code = sum(1 << "ACGT".index(base) for base in bases)
        table[ord(letter)] = table[ord(letter.lower())] = code
    return table


CODES = _codes()
"""Code of every byte."""
SHARES = np.array(
    [[0.0] * 4] + [[(code >> base & 1) / code.bit_count() for base in range(4)] for code in range(1, 16)], np.float32
)
"""Shares of A, C, G and T of every code, `(16, 4)`: each row but the first sums to 1."""
COMPLEMENT = np.array([int(f"{code:04b}"[::-1], 2) for code in range(16)], np.uint8)
"""Code of the complement of every code."""
NAMES = {sum(1 << "ACGT".index(base) for base in bases): letter for letter, bases in reversed(IUPAC.items())}
"""A letter for every code."""


def encode(text: bytes) -> np.ndarray:
    """Codes of letters, upper or lower case; 0 for what is none.

    >>> encode(b"ACgtN-").tolist()
    [1, 2, 4, 8, 15, 0]
    """
    return CODES[np.frombuffer(text, np.uint8)]


def one_hot(codes: np.ndarray) -> np.ndarray:
    """Codes `(L,)` as shares of A, C, G and T, `(4, L)` float32.

    >>> one_hot(encode(b"CRn")).T.tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25]]
    """
    return np.ascontiguousarray(SHARES[codes].T)


class OneHot(LazySource):
    """Letters as a source `(4, L)` of float32, one-hot over A, C, G and T as it is sliced.

    Args:
        codes: `(L,)`, anything that gives codes when it is sliced.
        length: L.

    >>> source = OneHot(encode(b"ACGT"), 4)
    >>> source.shape, source[:, 1:3].tolist()
    ((4, 4), [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    """

    def __init__(self, codes: Source, length: int) -> None:
        super().__init__((4, length), np.float32)
        self.codes = codes

    def _read(self, key: Key) -> np.ndarray:
        channel, place = key
        if isinstance(place, slice):
            return one_hot(np.asarray(self.codes[place]))[channel]
        return SHARES[int(self.codes[place])][channel]
