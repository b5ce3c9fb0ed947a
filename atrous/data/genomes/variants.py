"""Variants of sequences, from VCF: what stands in the reference, and what stands there instead."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atrous.data.formats import FileFault
from atrous.data.genomes.annotation import ERRORS, text_lines
from atrous.data.genomes.letters import IUPAC
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
    """Yield the variants of a VCF file, plain or gzip, one for each alternative.

    Alternatives that are no bases (`<DEL>`, `*`, breakends) are left out, and so is what replaces or gives more than
    10 000 bases.

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
            if not place.isdigit() or int(place) < 1 or not _are_letters(reference):
                what = f"line {number} has POS {place} and REF {reference[:20]}"
                raise FileFault(path, what, "POS counts from 1, REF are the bases there")
            for alternative in alternatives.split(","):
                if _are_bases(reference) and _are_bases(alternative):
                    bases = reference.upper(), alternative.upper()
                    yield Variant(sequence, int(place) - 1, name or ".", *bases, number)
    except UnicodeDecodeError as error:
        raise FileFault(path, f"it is {why_not_text(path)}", "save it as UTF-8 (iconv -f latin1 -t utf-8)") from error
    except ERRORS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(path, f"cannot be read ({said})", "copy it again from its source") from error


def _are_letters(text: str) -> bool:
    return bool(text) and set(text.upper()) <= set(IUPAC)


def _are_bases(text: str) -> bool:
    return _are_letters(text) and len(text) <= _MOST_BASES
