"""What the API answers about recordings and genomes, as models that its OpenAPI description shows."""

import math

import numpy as np
from pydantic import BaseModel, Field

from atrous.data.genomes.annotation import Feature
from atrous.data.genomes.runs import ChannelInterval
from atrous.serve.display import MOST, window
from atrous.serve.extremes import Extents
from atrous.serve.facts import ChannelFacts, InputFacts
from atrous.serve.levels import TILE
from atrous.serve.line import OpenedLine

COLORS = ("3b82c4", "d9822b", "2f9e6f", "c95a5a", "8e6bbf", "9a7b4f", "c9659b", "7f8790", "9a9a2e", "2ba3b0")
"""Of curves, to be seen on white and on black."""
WINDOWS = 9
"""Places of a recording from which the first range of its channels follows."""
LOOKED_AT = 4096
"""Samples of each of them."""


class SequenceName(BaseModel):
    """One sequence of a file."""

    number: int = Field(description="of the sequence in its file, from 0")
    name: str = Field(description="empty for a recording")
    length: int = Field(description="samples or bases")


class SequenceList(BaseModel):
    """A part of the list of sequences."""

    total: int = Field(description="sequences that fit the filter")
    sequences: list[SequenceName]


class CurveFacts(BaseModel):
    """Curves of a part of a recording: the smallest and the largest value in each bin."""

    start: int = Field(description="first sample of the first bin")
    step: int = Field(description="samples of a bin")
    low: list[list[float | None]] = Field(description="for each channel and bin; null where there is no value")
    high: list[list[float | None]] = Field(description="for each channel and bin")
    complete: bool = Field(description="false: bins are missing that a further request computes")


class ShareFacts(BaseModel):
    """How many percent of each bin have each class, rounded up."""

    start: int = Field(description="first position of the first bin")
    step: int = Field(description="positions of a bin; 1: each label")
    shares: list[list[int]] = Field(description="for each class and bin, 0 to 100")
    known: list[bool] = Field(description="for each bin, whether its labels are computed")


class ClassCurves(BaseModel):
    """The mean probability of each class in each bin, computed exactly."""

    start: int = Field(description="first position of the first bin")
    step: int = Field(description="positions of a bin")
    probabilities: list[list[float | None]] = Field(description="for each class and bin; null where there are no data")


class LetterFacts(BaseModel):
    """The bases of a part of a sequence."""

    start: int = Field(description="place of the first base, from 0")
    letters: str = Field(description="letters of IUPAC, in capitals")


class IntervalFacts(BaseModel):
    """A feature on a sequence."""

    start: int = Field(description="its first base, from 0")
    end: int = Field(description="the base after its last one")
    kind: str = Field(description="such as CDS")
    strand: str = Field(description="+, - or . for both")
    parts: list[tuple[int, int]] = Field(description="of which it is joined; one for most")
    score: float | None = Field(default=None, description="mean probability; null for annotated features")
    notes: dict[str, str] = Field(default_factory=dict, description="what else is known, such as its start codon")


class IntervalList(BaseModel):
    """Features that overlap a part of a sequence."""

    found: bool = Field(description="false: the network has not labelled all of the sequence yet")
    total: int = Field(description="features that overlap the part; the longest are given if these are too many")
    intervals: list[IntervalFacts]


def line_facts(number: int, line: OpenedLine) -> InputFacts:
    """Return the facts of an opened recording or genome."""
    length = line.sequences[0].length if line.sequences else 0
    return InputFacts(
        id=number,
        name=line.file.name,
        view=line.kind,
        shape=(len(line.names), length),
        dtype=line.dtype,
        kind=line.kind,
        spacing=None if line.spacing is None else (line.spacing,),
        unit=line.unit,
        axes=None,
        channels=_channels(line, length),
        planes=[],
        tile=TILE,
        sequences=len(line.sequences),
        annotated=line.annotated,
    )


def _channels(line: OpenedLine, length: int) -> list[ChannelFacts]:
    """Names and first ranges of the curves."""
    if not line.names:
        return []
    everything = range(len(line.names))
    starts = sorted({max(0, (2 * part + 1) * length // (2 * WINDOWS) - LOOKED_AT // 2) for part in range(WINDOWS)})
    looked = [line.curves(0, everything, start, 1, min(LOOKED_AT, length - start)).low for start in starts]
    ranges = [window(values) for values in np.concatenate(looked, axis=1)]
    return [
        ChannelFacts(
            number=number,
            name=name,
            low=ranges[number][0],
            high=ranges[number][1],
            color=COLORS[number % len(COLORS)],
            shown=number < MOST,
        )
        for number, name in enumerate(line.names)
    ]


def curve_facts(start: int, step: int, found: Extents) -> CurveFacts:
    """Return curves as numbers."""
    low, high = rounded(found.low, 7), rounded(found.high, 7)
    return CurveFacts(start=start, step=step, low=low, high=high, complete=bool(found.known.all()))


def rounded(values: np.ndarray, digits: int) -> list[list[float | None]]:
    """Return numbers with so many digits, and None for what is no number.

    >>> rounded(np.array([[0.123456, np.nan]], np.float32), 3)
    [[0.123, None]]
    """
    rows = values.astype(np.float64).tolist()
    return [[float(f"{one:.{digits}g}") if math.isfinite(one) else None for one in row] for row in rows]


def found_interval(interval: ChannelInterval, classes: tuple[str, ...]) -> IntervalFacts:
    """Return a feature that the network has found."""
    name = classes[interval.channel]
    kind, strand = (name[:-1], name[-1]) if name[-1:] in ("+", "-") else (name, ".")
    return IntervalFacts(
        start=interval.start, end=interval.end, kind=kind, strand=strand, parts=[(interval.start, interval.end)],
        score=round(interval.score, 4), notes=dict(interval.notes),
    )  # fmt: skip


def annotated_interval(feature: Feature) -> IntervalFacts:
    """Return a feature of the file of annotations."""
    starts, ends = zip(*feature.parts, strict=True)
    notes = {"pseudogene": "yes"} if feature.pseudo else {}
    return IntervalFacts(
        start=min(starts), end=max(ends), kind=feature.kind, strand=feature.strand, parts=sorted(feature.parts),
        notes=notes,
    )  # fmt: skip
