"""Small genomes with genes that can be found: open reading frames of few codons in random sequence."""

import gzip
from pathlib import Path

import numpy as np
import pytest

CODONS = ("GCG", "CTG", "GAA", "AAA", "GGC")
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def flipped(text: str) -> str:
    """The reverse complement of a sequence."""
    return text.translate(COMPLEMENT)[::-1]


def random_bases(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def genome(rng: np.random.Generator, length: int) -> tuple[str, list[tuple[int, int, str]]]:
    """A sequence and its genes `(start, end, strand)`, 0-based and half open."""
    parts, genes, at = [], [], 0
    while at < length:
        gap = random_bases(rng, int(rng.integers(30, 90)))
        gene = "ATG" + "".join(rng.choice(CODONS, int(rng.integers(40, 80)))) + "TAA"
        strand = "+-"[int(rng.integers(2))]
        parts += [gap, gene if strand == "+" else flipped(gene)]
        genes.append((at + len(gap), at + len(gap) + len(gene), strand))
        at += len(gap) + len(gene)
    return "".join(parts), genes


def numbers(text: str) -> np.ndarray:
    """1 to 4 for A, C, G, T, and 0 for other letters."""
    return np.array(["ACGT".find(letter) + 1 for letter in text], np.uint8)


def evidence_for(length: int, genes: list[tuple[int, int, str]], sure: float = 0.95) -> np.ndarray:
    """Probabilities `(10, L)` as a network would give them that knows the genes `(start, end, strand)`."""
    values = np.full((10, length), 1 - sure, np.float32)
    for start, end, strand in genes:
        own = "+-".index(strand)
        read = np.arange(start, end) if strand == "+" else np.arange(start, end)[::-1]
        for place, base in enumerate(read):
            values[2 * (place % 3) + own, base] = sure
        values[6 + own, read[0]] = values[8 + own, read[-1]] = sure
    return values


def write_fasta(path: Path, sequences: dict[str, str], width: int = 60) -> Path:
    """FASTA, gzip where the name says so."""
    lines = []
    for name, text in sequences.items():
        lines += [f">{name} made up", *(text[i : i + width] for i in range(0, len(text), width))]
    data = ("\n".join(lines) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_gff(path: Path, rows: list[tuple[str, str, int, int, str, str]]) -> Path:
    """GFF3 of rows `(sequence, type, start, end, strand, attributes)`, 1-based and closed as in the file."""
    lines = [f"{s}\ttest\t{kind}\t{a}\t{b}\t.\t{strand}\t0\t{more}" for s, kind, a, b, strand, more in rows]
    data = ("##gff-version 3\n" + "\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_genomes(root: Path, count: int = 3, length: int = 6000) -> Path:
    """A folder of genomes, one sequence each."""
    rng = np.random.default_rng(0)
    for number in range(count):
        name = f"g{number}"
        text, genes = genome(rng, length)
        write_fasta(root / f"{name}.fa.gz", {f"{name}.1": text})
        rows = [(f"{name}.1", "CDS", a + 1, b, strand, f"ID=c{i}") for i, (a, b, strand) in enumerate(genes)]
        write_gff(root / f"{name}.gff.gz", rows)
    return root


def write_track(path: Path, values: dict[str, np.ndarray], sizes: dict[str, int] | None = None) -> Path:
    """A bigWig file of one value per base; bases whose value is NaN are not covered.

    Sequences of which nothing is known, but their sizes, stand in `sizes`.
    """
    pyBigWig = pytest.importorskip("pyBigWig")
    path.parent.mkdir(parents=True, exist_ok=True)
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([*((name, len(row)) for name, row in values.items()), *(sizes or {}).items()])
        for name, row in values.items():
            places = np.flatnonzero(np.isfinite(row))
            if len(places):
                starts, numbers = places.tolist(), np.asarray(row, np.float64)[places].tolist()
                file.addEntries(name, starts, values=numbers, span=1)
    return path


WORD = "GATTACAGGCATC"
"""Its copies on either strand make the signals of `write_signal_tracks`."""


def word_signal(text: str, word: str = WORD) -> np.ndarray:
    """A number for every base: how many copies of a word on either strand lie near, as a smooth bump for each."""
    hits = np.zeros(len(text))
    for copy in (word, flipped(word)):
        start = text.find(copy)
        while start >= 0:
            hits[start + len(word) // 2] += 1
            start = text.find(copy, start + 1)
    return np.convolve(hits, np.hanning(31), "same").astype(np.float32)


def write_signal_tracks(root: Path, count: int = 4, length: int = 3000, names: tuple[str, ...] = ("bump",)) -> Path:
    """A folder of genomes, each a sequence with planted words and the signals that these make.

    A further name holds the same signal, doubled and shifted.
    """
    rng = np.random.default_rng(0)
    for number in range(count):
        letters = list(random_bases(rng, length))
        for start in rng.integers(0, length - len(WORD), length // 60):
            letters[start : start + len(WORD)] = WORD if rng.random() < 0.5 else flipped(WORD)
        text = "".join(letters)
        write_fasta(root / f"g{number}.fa", {f"g{number}.1": text})
        for place, name in enumerate(names):
            write_track(root / f"g{number}.{name}.bw", {f"g{number}.1": (place + 1) * word_signal(text) + place})
    return root
