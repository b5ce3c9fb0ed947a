"""Variants of sequences, from VCF: what stands in the reference, and what stands there instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.genomes.annotation import ERRORS, NUMBER, text_lines
from atrous.data.genomes.letters import CODES, IUPAC
from atrous.data.plain_text import why_not_text

_COLUMNS = 5
_MOST_BASES = 10_000
"""Bases that a replacement takes away or gives, at most."""


@dataclass(frozen=True)
class Variant:
    """A replacement of bases.

    Attributes:
        sequence: on which it lies.
        place: its first base, counted from 0.
        name: its ID; "." without one.
        reference: the bases that are replaced.
        alternative: the bases that stand there instead.
        line: in the file, counted from 1.
    """

    sequence: str
    place: int
    name: str
    reference: str
    alternative: str
    line: int

    @property
    def end(self) -> int:
        """The base after the last one that is replaced."""
        return self.place + len(self.reference)


def read_variants(path: Path) -> Iterator[Variant]:
    """Yield the variants of a VCF file, plain, gzip or bgzip, one for each alternative.

    Alternatives that are no bases (`<DEL>`, `*`, breakends, also those at the place 0 of a telomere) are left out, and
    so is what replaces or gives more than 10 000 bases.

    Raises:
        UserError: the file cannot be read; or a line does not fit the format, which is named with its number.
    """
    try:
        for number, line in text_lines(path):
            if line.startswith("#") or not line.strip():
                continue
            fields = line.split("\t")
            if len(fields) < _COLUMNS:
                what = f"line {number} has {len(fields)} columns, VCF has at least 8"
                raise FileFault(path, what, "separate CHROM, POS, ID, REF, ALT and so on by tabs")
            sequence, place, name, reference, alternatives = fields[:_COLUMNS]
            given = [text for text in alternatives.split(",") if _are_letters(text)]
            first = 1 if given else 0  # VCF 4.3, section 1.6.1, "POS": a telomere is at 0
            if not NUMBER.fullmatch(place) or int(place) < first or not _are_letters(reference):
                what = f"line {number} has POS {place[:20]} and REF {reference[:20]}"
                raise FileFault(path, what, "POS counts from 1, REF are the bases there")
            for alternative in given:
                if _are_bases(reference) and _are_bases(alternative):
                    bases = reference.upper(), alternative.upper()
                    yield Variant(sequence, int(place) - 1, name or ".", *bases, number)
    except UnicodeDecodeError as error:
        raise FileFault(path, f"it is {why_not_text(path)}", "save it as UTF-8 (iconv -f latin1 -t utf-8)") from error
    except ERRORS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(path, f"cannot be read ({said})", "copy it again from its source") from error


def agree(reference: np.ndarray, there: np.ndarray) -> bool:
    """Return whether codes of REF (`letters.py`) say what codes of a sequence say, both `(n,)`.

    Where a sequence has a letter for several bases, REF has that letter, the first of these bases, or N: VCF knows
    A, C, G, T and N alone (VCF 4.3, section 1.6.1, "REF").

    >>> from atrous.data.genomes.letters import encode
    >>> agree(encode(b"CNA"), encode(b"YKa")), agree(encode(b"T"), encode(b"Y")), agree(encode(b"A"), encode(b"N"))
    (True, False, False)
    """
    lowest = there & -there.astype(np.int16)  # of A 1, C 2, G 4, T 8
    anything, single = CODES[ord("N")], np.isin(there, (1, 2, 4, 8))
    fits = (reference == there) | (~single & (reference == anything)) | ((there != anything) & (reference == lowest))
    return bool(fits.all())


def _are_letters(text: str) -> bool:
    return bool(text) and set(text.upper()) <= set(IUPAC)


def _are_bases(text: str) -> bool:
    return _are_letters(text) and len(text) <= _MOST_BASES
