"""Motifs: how often each base occurs at each position of a short sequence, and files of them in MEME format."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from atrous.analysis.filters import BASES
from atrous.errors import UserError

LETTERS = "".join(BASES)
PSEUDO = 0.25
"""Pseudocount: added to every count, so that a base that was never seen has a frequency above 0."""


@dataclass(frozen=True)
class Motif:
    """A position frequency matrix.

    Attributes:
        name: the motif's name.
        counts: `(4, width)`, number of sites with A, C, G, T at each position.
        source: where the motif comes from: a filter, a number of seqlets, or the identifier in a database.
        score: the number that motifs are sorted by, largest first.
        both_strands: whether it was found on either strand about as often, so that it has no direction of its own.

    >>> motif = Motif("start", np.array([[9, 0, 0], [0, 0, 0], [0, 0, 9], [0, 9, 0]]))
    >>> motif.consensus, motif.sites, motif.reverse().consensus
    ('ATG', 9, 'CAT')
    """

    name: str
    counts: np.ndarray
    source: str = ""
    score: float = 0.0
    both_strands: bool = False

    @property
    def width(self) -> int:
        """Number of positions."""
        return self.counts.shape[1]

    @property
    def sites(self) -> int:
        """Number of sequences that were counted: the largest sum of counts at one position."""
        return round(float(self.counts.sum(0).max()))

    @property
    def frequencies(self) -> np.ndarray:
        """`(4, width)` frequencies that add up to 1 at each position; `PSEUDO` is added to every count."""
        counts = self.counts + PSEUDO
        return counts / counts.sum(0)

    @property
    def information(self) -> np.ndarray:
        """`(width,)` information in bits, 0 to 2: `2 + sum p log2 p` over the four bases (Schneider & Stephens 1990).

        The background is 1/4 for each base.
        """
        p = self.frequencies
        return 2 + (p * np.log2(p)).sum(0)

    @property
    def consensus(self) -> str:
        """The most frequent base at each position, in lower case if the position has less than half a bit."""
        letters = [LETTERS[i] for i in self.counts.argmax(0)]
        return "".join(x if bits >= 0.5 else x.lower() for x, bits in zip(letters, self.information, strict=True))

    def reverse(self) -> "Motif":
        """Return the motif on the other strand: positions reversed, bases complemented."""
        return replace(self, counts=self.counts[::-1, ::-1])

    def trimmed(self, bits: float = 0.25) -> "Motif":
        """Cut off the positions at either end that have fewer bits; return the motif itself if all have fewer."""
        informative = np.flatnonzero(self.information >= bits)
        return replace(self, counts=self.counts[:, informative[0] : informative[-1] + 1]) if len(informative) else self


def write_meme(path: Path | str, motifs: Sequence[Motif]) -> Path:
    """Write motifs in the minimal MEME format (https://meme-suite.org/meme/doc/meme-format.html); return the path.

    The background is 1/4 for each base.

    Raises:
        UserError: `motifs` is empty, or the folder does not exist.
    """
    path = Path(path)
    if not motifs:
        raise UserError(f"{path}: there are no motifs to write")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder: create it first")
    lines = ["MEME version 4", "", f"ALPHABET= {LETTERS}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", " ".join(f"{letter} 0.25" for letter in LETTERS), ""]
    for motif in motifs:
        lines.append(f"MOTIF {_word(motif.name)} {_word(motif.source)}".rstrip())
        total = np.maximum(motif.counts.sum(0), 1e-12)
        head = f"letter-probability matrix: alength= 4 w= {motif.width} nsites= {motif.sites} E= 0"
        lines += [head, *(" ".join(f"{p:.6f}" for p in column) for column in (motif.counts / total).T), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read_meme(path: Path | str) -> list[Motif]:
    """Read the motifs of a file in MEME format.

    Counts are frequencies times the number of sites, which is 20 if the file does not state it.

    Raises:
        UserError: the file is missing, is not in MEME format, or its motifs are not of DNA.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file: give a file in MEME format")
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not lines or not lines[0].startswith("MEME version"):
        raise UserError(f"{path}: not in MEME format (line 1 is not `MEME version 4`): export the motifs as MEME")
    motifs: list[Motif] = []
    name, source = "", ""
    for i, line in enumerate(lines):
        if line.startswith("MOTIF"):
            name, source = (*line.split()[1:3], "", "")[:2]
        elif line.startswith("letter-probability matrix"):
            motifs.append(Motif(name, _matrix(path, lines, i), source))
    if not motifs:
        raise UserError(f"{path}: holds no `letter-probability matrix`: export the motifs as MEME")
    return motifs


def _matrix(path: Path, lines: Sequence[str], header: int) -> np.ndarray:
    """Return the counts `(4, width)` of the matrix whose header is line `header`, counted from 0."""
    fields = lines[header].replace("=", "= ").split()
    stated = {key.rstrip("="): value for key, value in pairwise(fields) if key.endswith("=")}
    rows: list[list[float]] = []
    for line in lines[header + 1 :]:
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            break
        if not row:
            break
        rows.append(row)
    width = int(stated.get("w", len(rows)))
    if not rows or len(rows) != width or any(len(row) != len(LETTERS) for row in rows):
        raise UserError(f"{path}: line {header + 1}: {width} rows of four frequencies should follow: correct the file")
    return np.array(rows).T * float(stated.get("nsites", 20))


def _word(text: str) -> str:
    """Join words by underscores, since names in MEME files have no spaces."""
    return "_".join(text.split())
