"""Features on sequences, from GFF3, GTF and BED: intervals 0-based and half open, whatever the file counts from."""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from atrous.data.formats import FileFault
from atrous.data.plain_text import text_encoding, why_not_text

GFF_SUFFIXES = (".gff", ".gff3", ".gtf", ".gff.gz", ".gff3.gz", ".gtf.gz")
PEAK_SUFFIXES = (".narrowpeak", ".broadpeak", ".narrowpeak.gz", ".broadpeak.gz")
BED_SUFFIXES = (".bed", ".bed.gz", *PEAK_SUFFIXES)
STRANDS = ("+", "-")
_MOST_LINE = 1 << 24
MOST_KINDS = 3
"""Different names in a BED file that are kinds of features, whatever they are."""
_GTF = re.compile(r'(\w+) (?:"([^"]*)"|([\w.]+))(?=\s*(?:;|$))')
"""An attribute of GTF: `transcript_id "T1";`."""
NUMBER = re.compile("[0-9]{1,18}")
"""A place in a sequence; what `str.isdigit` takes for digits may be none."""
ERRORS = (OSError, EOFError, zlib.error, UnicodeDecodeError)


@dataclass(frozen=True)
class Feature:
    """One feature; its parts in the order of the file.

    A feature whose parts are on both strands (trans-splicing) is several: one for each strand.

    Attributes:
        sequence: on which it lies.
        kind: GFF3's type, or the name in BED.
        parts: `(start, end)` of each, 0-based and half open; on a circular sequence an end beyond it goes on at its
            origin.
        strand: `+`, `-` or `.` for both.
        pseudo: whether it is marked as a pseudogene.
        phase: bases of its first part, in the direction of reading, before the first whole codon.
        phases: the same of every part, if the file says it of all; empty: codons go on from part to part.
        circular: whether its sequence is.
        bases: of the whole feature, if some of its parts are on the other strand; 0: of these parts.
    """

    sequence: str
    kind: str
    parts: tuple[tuple[int, int], ...]
    strand: str = "."
    pseudo: bool = False
    phase: int = 0
    phases: tuple[int, ...] = ()
    circular: bool = False
    bases: int = 0


@dataclass
class _Line:
    """One line of GFF3 or GTF."""

    number: int
    part: tuple[int, int]
    strand: str
    phase: int | None
    pseudo: bool


def is_gff(path: Path | str) -> bool:
    """Whether a file's name says that it is GFF3 or GTF."""
    return str(path).lower().endswith(GFF_SUFFIXES)


def is_bed(path: Path | str) -> bool:
    """Whether a file's name says that it is BED."""
    return str(path).lower().endswith(BED_SUFFIXES)


def is_peaks(path: Path | str) -> bool:
    """Whether a file's name says that it holds the peaks of MACS (ENCODE narrowPeak and broadPeak)."""
    return str(path).lower().endswith(PEAK_SUFFIXES)


def read_features(path: Path | str) -> list[Feature]:
    """Features of a GFF3, GTF or BED file, plain or gzip.

    Lines of a GFF3 file with one ID are the parts of one feature (a CDS that is joined), lines of GTF those of one
    transcript; its stop codons are added to its CDS, as GFF3 has them. `pseudo=true`, `pseudogene=` and the type
    `pseudogene` mark pseudogenes, `Is_circular=true` circular sequences. In BED the fourth column names the kind
    (`feature` where there is none, or every row has another), the blocks of BED12 are parts.

    Raises:
        UserError: the file cannot be read; or a line does not fit the format, which is named with its number.
    """
    path = Path(path)
    read = _gff if is_gff(path) else _bed
    try:
        return read(path)
    except UnicodeDecodeError as error:
        raise FileFault(path, f"it is {why_not_text(path)}", "save it as UTF-8 (iconv -f latin1 -t utf-8)") from error
    except ERRORS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise FileFault(path, f"cannot be read ({said})", "copy it again from its source") from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line of a file, plain, gzip or bgzip.

    Raises:
        UserError: a line is too long to be one; and what reading raises.
    """
    packed = path.name.lower().endswith((".gz", ".bgz"))
    opened = partial(gzip.open, path, "rt") if packed else path.open
    with opened(encoding="utf-8-sig" if packed else text_encoding(path)) as file:
        number = 0
        while line := file.readline(_MOST_LINE):
            number += 1
            if len(line) == _MOST_LINE:
                raise FileFault(path, f"line {number} has more than {_MOST_LINE - 1} letters", "it is no annotation")
            yield number, line.rstrip("\r\n")


def _gff(path: Path) -> list[Feature]:
    """Features of GFF3, or of GTF, whose attributes say `transcript_id "T";` where those of GFF3 say `ID=T`."""
    groups: dict[tuple[str, str, str], list[_Line]] = {}
    circular = set()
    for number, line in text_lines(path):
        if line.startswith(("##FASTA", ">")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            count = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            what = f"line {number} has {count}, GFF3 and GTF have 9"
            raise FileFault(path, what, "separate nine columns by tabs, not by blanks")
        gtf = _GTF.search(fields[8]) is not None
        attributes = _gtf_attributes(fields[8]) if gtf else _attributes(fields[8])
        sequence, kind = fields[0] if gtf else unquote(fields[0]), fields[2]
        pseudo = attributes.get("pseudo", "false").lower() == "true" or "pseudogene" in attributes
        read = _Line(
            number,
            _interval(path, number, fields[3], fields[4], first=1),
            _strand(path, number, fields[6], ("+", "-", ".", "?")),
            int(fields[7]) if fields[7] in ("0", "1", "2") else None,
            pseudo or kind == "pseudogene",
        )
        if attributes.get("Is_circular", "").lower() == "true":
            circular.add(sequence)
        key = "ID" if not gtf else "gene_id" if kind == "gene" else "transcript_id"
        groups.setdefault((sequence, kind, attributes.get(key) or f"line {number}"), []).append(read)
    _join_stops(groups)
    return [
        feature
        for (sequence, kind, _), lines in groups.items()
        for feature in _joined(path, sequence, kind, lines, sequence in circular)
    ]


def _join_stops(groups: dict[tuple[str, str, str], list[_Line]]) -> None:
    """Make the stop codons of GTF, which its CDS lack, part of them, as they are in GFF3."""
    for sequence, kind, name in [key for key in groups if key[1] == "stop_codon"]:
        coding = groups.get((sequence, "CDS", name))
        if coding is None:
            continue
        for stop in groups.pop((sequence, kind, name)):
            low, high = stop.part
            if any(line.part[0] <= low and high <= line.part[1] for line in coding):
                continue
            for line in coding:
                start, end = line.part
                if line.strand == "+" and end == low:
                    line.part = (start, high)
                    break
                if line.strand == "-" and start == high:
                    line.part = (low, end)
                    break
            else:
                coding.append(stop)


def _joined(path: Path, sequence: str, kind: str, lines: list[_Line], circular: bool) -> Iterator[Feature]:
    """Yield the feature that lines make up; one for each strand where they are on both."""
    pseudo = any(line.pseudo for line in lines)
    strands = list(dict.fromkeys(line.strand for line in lines))
    bases = sum(end - start for start, end in (line.part for line in lines)) if len(strands) > 1 else 0
    if bases and kind == "CDS" and any(line.phase is None for line in lines):
        what = f"line {lines[0].number}: the parts of a CDS are on both strands, and do not all say their phase"
        raise FileFault(path, what, "write it in column 8")
    for strand in strands:
        here = [line for line in lines if line.strand == strand]
        parts, phases = tuple(line.part for line in here), tuple(line.phase for line in here)
        first = max(here, key=lambda line: line.part) if strand == "-" else min(here, key=lambda line: line.part)
        known = tuple(phase for phase in phases if phase is not None)
        plain = len(parts) == 1 and not bases  # one part: its phase says all
        yield Feature(
            sequence, kind, parts, strand, pseudo, first.phase or 0,
            known if len(known) == len(parts) and not plain else (), circular, bases,
        )  # fmt: skip


def _attributes(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in text.split(";") if "=" in entry)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}


def _gtf_attributes(text: str) -> dict[str, str]:
    return {key: quoted or bare for key, quoted, bare in _GTF.findall(text)}


def _bed(path: Path) -> list[Feature]:
    rows: list[tuple[str, str, tuple[tuple[int, int], ...], str]] = []
    for number, line in text_lines(path):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) < 3:
            raise FileFault(path, f"line {number} has {len(fields)} columns, BED has at least 3", "fix the line")
        if not rows and fields[1].isalpha() and fields[2].isalpha():
            continue  # names of the columns
        start, end = _interval(path, number, fields[1], fields[2], first=0)
        strand = _strand(path, number, fields[5], ("+", "-", ".")) if len(fields) > 5 else "."
        name = fields[3] if len(fields) > 3 and fields[3] not in ("", ".") else ""
        whole = len(fields) >= 12 and not is_peaks(path)
        rows.append((fields[0], name, _blocks(path, number, start, fields) if whole else ((start, end),), strand))
    kinds = _kinds(path, [name for _, name, _, _ in rows])
    return [
        Feature(sequence, kind, parts, strand) for (sequence, _, parts, strand), kind in zip(rows, kinds, strict=True)
    ]


def _kinds(path: Path, names: list[str]) -> list[str]:
    """What the rows of a BED file are: their names; `peak` or `feature` for all, where names only tell rows apart.

    MACS names every peak (`sample_peak_1`), others every gene: names of which most occur once are no kinds.
    """
    apart = len(set(names)) > max(MOST_KINDS, len(names) // 2)
    if is_peaks(path) or (apart and any("peak" in name.lower() for name in names)):
        return ["peak"] * len(names)
    return ["feature" if apart or not name else name for name in names]


def _blocks(path: Path, number: int, start: int, fields: list[str]) -> tuple[tuple[int, int], ...]:
    sizes, starts = ([int(n) for n in text.split(",") if NUMBER.fullmatch(n)] for text in (fields[10], fields[11]))
    if not sizes or len(sizes) != len(starts):
        raise FileFault(path, f"line {number} has {len(sizes)} blocks with {len(starts)} starts", "fix the line")
    return tuple((start + at, start + at + size) for at, size in zip(starts, sizes, strict=True))


def _interval(path: Path, number: int, low: str, high: str, first: int) -> tuple[int, int]:
    if not (NUMBER.fullmatch(low) and NUMBER.fullmatch(high)):
        raise FileFault(path, f"line {number} has the interval {low[:20]}..{high[:20]}", "write whole numbers")
    start, end = int(low) - first, int(high)
    if start < 0 or end <= start:
        counted = "1-based and closed" if first else "0-based and half open"
        raise FileFault(path, f"line {number} has the interval {low}..{high}, which is none", f"it is {counted}")
    return start, end


def _strand(path: Path, number: int, strand: str, known: tuple[str, ...]) -> str:
    if strand not in known:
        raise FileFault(path, f"line {number} has the strand {strand!r}", f"write {', '.join(known)}")
    return "." if strand == "?" else strand
