"""Which genetic code annotated genes obey: where they begin, what stands inside, and where they end."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.labels import CODING, in_order
from atrous.data.genomes.letters import COMPLEMENT
from atrous.data.source import Source
from atrous.objects.genetic_code import NUMBERS, codon_numbers, codon_table, genetic_code

ENOUGH = 0.8
"""Share of the genes that must obey the code, for the genes of a genome to be open reading frames."""
_NUMBER = np.zeros(16, np.uint8)
_NUMBER[[1, 2, 4, 8]] = 1, 2, 3, 4


def gene_bases(features: Iterable[Feature], codes: Source, length: int) -> Iterator[np.ndarray]:
    """Yield the bases of every whole coding sequence as it is read, 1 to 4 for A, C, G, T and 0 for others.

    Pseudogenes, genes that are cut by an end of the sequence and trans-spliced ones are left out.

    Args:
        features: those of one sequence.
        codes: codes of its letters (`letters.py`), `(L,)`.
        length: L.
    """
    whole = np.asarray(codes[0:length])
    for feature in features:
        if feature.kind != CODING or feature.strand == "." or feature.pseudo or feature.bases or _cut(feature, length):
            continue
        parts = [whole[start:end] for start, end in in_order(feature, length)]
        if feature.strand == "-":
            parts = [COMPLEMENT[part[::-1]] for part in parts]
        yield _NUMBER[np.concatenate(parts)]


def obeyed_codes(genomes: Sequence[Sequence[np.ndarray]]) -> tuple[int, ...]:
    """Return the genetic codes that the genes of genomes obey, that of most genes first; none if too few obey any.

    A gene obeys a code if it begins at a start codon, ends at a stop codon, and has no other stop codon in frame. Of
    codes that equally many genes of a genome obey, the first of `NUMBERS` is taken.

    Args:
        genomes: for each genome its genes, as `gene_bases` gives them.

    >>> gene = np.array(["ACGT".index(letter) + 1 for letter in "ATGTGAGCGTAA"])
    >>> obeyed_codes([[gene]])
    (4,)
    """
    genes, obeying = 0, Counter[int]()
    for members in genomes:
        counts = _obeying(members)
        best = int(counts.argmax())  # the first of equal ones
        genes += len(members)
        if members and counts[best] >= ENOUGH * len(members):
            obeying[NUMBERS[best]] += int(counts[best])
    if not genes or obeying.total() < ENOUGH * genes:
        return ()
    return tuple(number for number, _ in obeying.most_common())


def _obeying(genes: Iterable[np.ndarray]) -> np.ndarray:
    """How many genes obey each code of `NUMBERS`."""
    codes = [genetic_code(number) for number in NUMBERS]
    starts = np.stack([codon_table(code.starts) for code in codes])
    stops = np.stack([codon_table(code.stops) for code in codes])
    counts = np.zeros(len(codes), np.int64)
    for bases in genes:
        if len(bases) < 6 or len(bases) % 3:
            continue
        codons = codon_numbers(bases)[::3]
        counts += starts[:, codons[0]] & stops[:, codons[-1]] & ~stops[:, codons[:-1]].any(axis=1)
    return counts


def _cut(feature: Feature, length: int) -> bool:
    """Whether a coding sequence may go on beyond the end of its sequence, or does not begin with a whole codon."""
    starts, ends = zip(*feature.parts, strict=True)
    at_edge = not feature.circular and (min(starts) < 3 or max(ends) > length - 3)
    return bool(at_edge or max(ends) > length or feature.phase)
