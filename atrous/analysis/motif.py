"""Motifs: how often each base stands at each position of a short sequence, and the MEME format that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from atrous.analysis.filters import BASES
from atrous.errors import UserError

LETTERS = "".join(BASES)
PSEUDO = 0.25
"""Added to every count, so that a base that was never seen is not impossible."""


@dataclass(frozen=True)
class Motif:
    """A position frequency matrix.

    Attributes:
        name: in words.
        counts: `(4, width)`, how many sites have A, C, G, T at each position.
        source: where it comes from: a filter, a class, a database's number.
        score: what it was ranked by, greatest first.

    >>> motif = Motif("start", np.array([[9, 0, 0], [0, 0, 0], [0, 0, 9], [0, 9, 0]]))
    >>> motif.consensus, motif.sites, motif.reverse().consensus
    ('ATG', 9, 'CAT')
    """

    name: str
    counts: np.ndarray
    source: str = ""
    score: float = 0.0

    @property
    def width(self) -> int:
        """Positions."""
        return self.counts.shape[1]

    @property
    def sites(self) -> int:
        """Sequences that were counted: the most at any position."""
        return round(float(self.counts.sum(0).max()))

    @property
    def frequencies(self) -> np.ndarray:
        """`(4, width)`, each position adding up to 1; `PSEUDO` is added to every count."""
        counts = self.counts + PSEUDO
        return counts / counts.sum(0)

    @property
    def information(self) -> np.ndarray:
        """Bits of each position, 0 to 2: `2 + sum p log2 p` (Schneider & Stephens 1990), over even background."""
        p = self.frequencies
        return 2 + (p * np.log2(p)).sum(0)

    @property
    def consensus(self) -> str:
        """The commonest base at each position, small where the position has less than half a bit."""
        letters = [LETTERS[i] for i in self.counts.argmax(0)]
        return "".join(x if bits >= 0.5 else x.lower() for x, bits in zip(letters, self.information, strict=True))

    def reverse(self) -> "Motif":
        """The motif on the other strand."""
        return replace(self, counts=self.counts[::-1, ::-1])

    def trimmed(self, bits: float = 0.25) -> "Motif":
        """Without the positions at either end that have fewer bits; all of them where none has as many."""
        kept = np.flatnonzero(self.information >= bits)
        return replace(self, counts=self.counts[:, kept[0] : kept[-1] + 1]) if len(kept) else self


def write_meme(path: Path | str, motifs: Sequence[Motif]) -> Path:
    """Write motifs in MEME's minimal format (https://meme-suite.org/meme/doc/meme-format.html), even background.

    Raises:
        UserError: there are none, or the folder does not exist.
    """
    path = Path(path)
    if not motifs:
        raise UserError(f"{path}: there are no motifs to write")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder: make it first")
    lines = ["MEME version 4", "", f"ALPHABET= {LETTERS}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", " ".join(f"{letter} 0.25" for letter in LETTERS), ""]
    for motif in motifs:
        lines.append(f"MOTIF {_word(motif.name)} {_word(motif.source)}".rstrip())
        total = np.maximum(motif.counts.sum(0), 1e-12)
        head = f"letter-probability matrix: alength= 4 w= {motif.width} nsites= {motif.sites} E= 0"
        lines += [head, *(" ".join(f"{p:.6f}" for p in column) for column in (motif.counts / total).T), ""]
    path.write_text("\n".join(lines))
    return path


def read_meme(path: Path | str) -> list[Motif]:
    """Motifs of a file in MEME format; counts are frequencies times the number of sites (20 where it is not said).

    Raises:
        UserError: the file is missing, is no MEME file, or is not of DNA.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file: give a file in MEME format")
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    if not lines or not lines[0].startswith("MEME version"):
        raise UserError(f"{path}: no MEME file (its first line is not `MEME version 4`): export the motifs as MEME")
    found: list[Motif] = []
    name, source = "", ""
    for i, line in enumerate(lines):
        if line.startswith("MOTIF"):
            name, source = (*line.split()[1:3], "", "")[:2]
        elif line.startswith("letter-probability matrix"):
            found.append(Motif(name, _matrix(path, lines, i), source))
    if not found:
        raise UserError(f"{path}: no `letter-probability matrix` in it: export the motifs as MEME")
    return found


def _matrix(path: Path, lines: Sequence[str], at: int) -> np.ndarray:
    fields = lines[at].replace("=", "= ").split()
    stated = {key.rstrip("="): value for key, value in pairwise(fields) if key.endswith("=")}
    rows: list[list[float]] = []
    for line in lines[at + 1 :]:
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            break
        if not row:
            break
        rows.append(row)
    width = int(stated.get("w", len(rows)))
    if not rows or len(rows) != width or any(len(row) != len(LETTERS) for row in rows):
        raise UserError(f"{path}: line {at + 1}: {width} rows of four frequencies should follow: mend the file")
    return np.array(rows).T * float(stated.get("nsites", 20))


def _word(text: str) -> str:
    """One word, as MEME's names are."""
    return "_".join(text.split())
