"""Features on sequences, from GFF3 and BED: intervals 0-based and half open, whatever the file counts from."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from atrous.data.formats import FileFault

GFF_SUFFIXES = (".gff", ".gff3", ".gff.gz", ".gff3.gz")
BED_SUFFIXES = (".bed", ".bed.gz")
STRANDS = ("+", "-")
_MOST_LINE = 1 << 24
ERRORS = (OSError, EOFError, zlib.error, UnicodeDecodeError)


@dataclass(frozen=True)
class Feature:
    """One feature; its parts in the order of the file.

    Attributes:
        sequence: on which it lies.
        kind: GFF3's type, or the name in BED.
        parts: `(start, end)` of each, 0-based and half open; an end beyond the sequence goes on at its origin.
        strand: `+`, `-` or `.` for both.
        pseudo: whether it is marked as a pseudogene.
        phase: bases of its first part before the first whole codon.
    """

    sequence: str
    kind: str
    parts: tuple[tuple[int, int], ...]
    strand: str = "."
    pseudo: bool = False
    phase: int = 0


def is_gff(path: Path | str) -> bool:
    """Whether a file's name says that it is GFF3."""
    return str(path).lower().endswith(GFF_SUFFIXES)


def is_bed(path: Path | str) -> bool:
    """Whether a file's name says that it is BED."""
    return str(path).lower().endswith(BED_SUFFIXES)


def read_features(path: Path | str) -> list[Feature]:
    """Features of a GFF3 or BED file, plain or gzip.

    Lines of a GFF3 file with one ID are the parts of one feature (a CDS that is joined). `pseudo=true`, `pseudogene=`
    and the type `pseudogene` mark pseudogenes. In BED the fourth column names the kind (`feature` where there is
    none), the blocks of BED12 are parts.

    Raises:
        UserError: the file cannot be read; or a line does not fit the format, which is named with its number.
    """
    path = Path(path)
    read = _gff if is_gff(path) else _bed
    try:
        return read(path)
    except ERRORS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(path, f"cannot be read ({said})", "copy it again from its source") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    opened = partial(gzip.open, path, "rt") if path.name.endswith(".gz") else path.open
    with opened(encoding="utf-8") as file:
        number = 0
        while line := file.readline(_MOST_LINE):
            number += 1
            if len(line) == _MOST_LINE:
                raise FileFault(path, f"line {number} has more than {_MOST_LINE - 1} letters", "it is no annotation")
            yield number, line.rstrip("\r\n")


def _gff(path: Path) -> list[Feature]:
    features: list[Feature] = []
    place: dict[tuple[str, str, str], int] = {}
    for number, line in _lines(path):
        if line.startswith(("##FASTA", ">")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            raise FileFault(path, f"line {number} has {len(fields)} columns, GFF3 has 9", "mend it")
        attributes = _attributes(fields[8])
        start, end = _interval(path, number, fields[3], fields[4], first=1)
        strand = _strand(path, number, fields[6], ("+", "-", ".", "?"))
        pseudo = attributes.get("pseudo", "false").lower() == "true" or "pseudogene" in attributes
        kind = fields[2]
        feature = Feature(
            unquote(fields[0]), kind, ((start, end),), strand, pseudo or kind == "pseudogene",
            int(fields[7]) if fields[7] in ("0", "1", "2") else 0,
        )  # fmt: skip
        key = feature.sequence, kind, attributes.get("ID", "")
        if key[2] and key in place:
            before = features[place[key]]
            features[place[key]] = Feature(
                before.sequence, kind, (*before.parts, (start, end)), before.strand, before.pseudo or feature.pseudo,
                before.phase,
            )  # fmt: skip
            continue
        place[key] = len(features)
        features.append(feature)
    return features


def _attributes(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in text.split(";") if "=" in entry)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}


def _bed(path: Path) -> list[Feature]:
    features = []
    for number, line in _lines(path):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < 3:
            raise FileFault(path, f"line {number} has {len(fields)} columns, BED has at least 3", "mend it")
        start, end = _interval(path, number, fields[1], fields[2], first=0)
        strand = _strand(path, number, fields[5], ("+", "-", ".")) if len(fields) > 5 else "."
        kind = fields[3] if len(fields) > 3 and fields[3] not in ("", ".") else "feature"
        parts = _blocks(path, number, start, fields) if len(fields) >= 12 else ((start, end),)
        features.append(Feature(fields[0], kind, parts, strand))
    return features


def _blocks(path: Path, number: int, start: int, fields: list[str]) -> tuple[tuple[int, int], ...]:
    sizes, starts = ([int(n) for n in text.split(",") if n.isdigit()] for text in (fields[10], fields[11]))
    if not sizes or len(sizes) != len(starts):
        raise FileFault(path, f"line {number} has {len(sizes)} blocks with {len(starts)} starts", "mend it")
    return tuple((start + at, start + at + size) for at, size in zip(starts, sizes, strict=True))


def _interval(path: Path, number: int, low: str, high: str, first: int) -> tuple[int, int]:
    if not (low.isdigit() and high.isdigit()):
        raise FileFault(path, f"line {number} has the interval {low}..{high}", "write whole numbers")
    start, end = int(low) - first, int(high)
    if start < 0 or end <= start:
        counted = "1-based and closed" if first else "0-based and half open"
        raise FileFault(path, f"line {number} has the interval {low}..{high}, which is none", f"it is {counted}")
    return start, end


def _strand(path: Path, number: int, strand: str, known: tuple[str, ...]) -> str:
    if strand not in known:
        raise FileFault(path, f"line {number} has the strand {strand!r}", f"write {', '.join(known)}")
    return "." if strand == "?" else strand
