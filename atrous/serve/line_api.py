"""The routes of recordings and genomes: curves, labels, probabilities, letters and features of a window."""

from typing import Annotated, Any

from pydantic import Field

from atrous.errors import UserError
from atrous.serve.class_shares import bins_of, class_shares, looked_at
from atrous.serve.extremes import fitting_step
from atrous.serve.labeled_sequence import LabeledSequence
from atrous.serve.line import OpenedLine
from atrous.serve.line_facts import (
    ClassCurves,
    CurveFacts,
    IntervalFacts,
    IntervalList,
    LetterFacts,
    SequenceList,
    SequenceName,
    ShareFacts,
    annotated_interval,
    curve_facts,
    found_interval,
    rounded,
)
from atrous.serve.parameters import Bins, InputNumber, ListCount, ListStart, Origin, SequenceNumber, Start, Stop
from atrous.serve.turnstile import Turnstile, awaited
from atrous.serve.viewer import Viewer
from atrous.tasks.temperature import class_task

MOST_NUMBERS = 2**18
"""Numbers of curves in one answer, at most."""
EXACT = 2**18
"""Positions of a window up to which its probabilities are computed."""
INTERVALS = 4000
"""Features in one answer, at most."""


def add_lines(api: Any, viewer: Viewer, reading: Turnstile, labeling: Turnstile) -> None:
    """Add the routes to the API."""
    _add_curves(api, viewer, reading)
    _add_features(api, viewer, labeling)
    _add_classes(api, viewer, labeling)


def _add_curves(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add what the file itself holds."""

    @api.get("/api/inputs/{number}/sequences", tags=["lines"])
    async def sequences(
        number: InputNumber,
        start: ListStart = 0,
        count: ListCount = 200,
        name: Annotated[str, Field(max_length=200, description="a part of the name; empty for all")] = "",
    ) -> SequenceList:
        """List the sequences of a genome, or of those the ones whose names contain a text; a recording has one."""

        def find() -> SequenceList:
            fitting = [one for one in viewer.line(number).sequences if name.lower() in one.name.lower()]
            if name:
                fitting.sort(key=lambda one: one.name.lower() != name.lower())  # the very name first
            shown = [SequenceName(**vars(one)) for one in fitting[start : start + count]]
            return SequenceList(total=len(fitting), sequences=shown)

        return await turnstile.run(find)

    @api.get("/api/inputs/{number}/curves", tags=["lines"])
    async def curves(
        number: InputNumber, start: Start, stop: Stop, sequence: SequenceNumber = 0, bins: Bins = 2000,
        channels: Annotated[str, Field(max_length=2000, description="numbers, separated by commas")] = "0",
    ) -> CurveFacts:  # fmt: skip
        """Return the smallest and the largest value of channels in each bin of a window, or every sample.

        A request does a bounded amount of work: of a long recording that was not looked at before, some bins are empty
        and `complete` is false; the same request again gives more of them.
        """

        def read() -> CurveFacts:
            line = viewer.line(number)
            wanted = _numbers(channels)
            first, step, count = _grid(line.sequence(sequence).length, start, stop, bins)
            if count * len(set(wanted)) > MOST_NUMBERS:
                raise UserError(f"curves: {count} bins of {len(wanted)} channels: ask for {MOST_NUMBERS} at most")
            return curve_facts(first, step, line.curves(sequence, wanted, first, step, count))

        return await turnstile.run(read)

    @api.get("/api/inputs/{number}/letters", tags=["lines"])
    async def letters(number: InputNumber, start: Start, stop: Stop, sequence: SequenceNumber = 0) -> LetterFacts:
        """Return the bases of a part of a sequence, 20,000 at most; no letters for a recording."""

        def read() -> LetterFacts:
            return LetterFacts(start=start, letters=viewer.line(number).letters(sequence, start, stop))

        return await turnstile.run(read)


def _add_features(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add the features of genomes."""

    @api.get("/api/inputs/{number}/features", tags=["lines"])
    async def features(
        number: InputNumber, start: Start, stop: Stop, sequence: SequenceNumber = 0, origin: Origin = "network"
    ) -> IntervalList:
        """Return the features that overlap a part of a sequence: those that the network finds, or the annotated ones.

        Genes are chosen along the whole sequence, so the network's are known once all of it is labelled (`fill`).
        """

        def find() -> IntervalList:
            line = viewer.line(number)
            line.sequence(sequence)
            if origin == "file":
                return _listed([annotated_interval(one) for one in line.annotation(sequence, start, stop)])
            labeled, _ = viewer.labeled(number, sequence)
            found = labeled.features() if isinstance(labeled, LabeledSequence) else None
            if found is None or viewer.predictor is None:
                return IntervalList(found=False, total=0, intervals=[])
            inside = [one for one in found if one.start < stop and one.end > start]
            return _listed([found_interval(one, viewer.predictor.classes) for one in inside])

        return await turnstile.run(find)


def _add_classes(api: Any, viewer: Viewer, turnstile: Turnstile) -> None:
    """Add what the network says."""
    from fastapi import Request

    @api.get("/api/inputs/{number}/shares", tags=["lines"])
    async def shares(
        number: InputNumber, start: Start, stop: Stop, sequence: SequenceNumber = 0, bins: Bins = 2000,
        origin: Origin = "network",
    ) -> ShareFacts:  # fmt: skip
        """Return how much of each bin of a window has each class, as far as the labels are computed (`view`).

        With `origin=file` the labels are the true ones of a sample of the evaluation. In long bins 32 positions are
        looked at.
        """

        def count_classes() -> ShareFacts:
            line = viewer.line(number)
            first, step, count = _grid(line.sequence(sequence).length, start, stop, bins)
            if origin == "file":
                labels, known = viewer.truth(number, sequence).labels, None
            else:
                labeled, _ = viewer.labeled(number, sequence)
                if labeled.store is None:
                    return ShareFacts(start=first, step=step, shares=[], known=[False] * count)
                labels, known = labeled.store.labels, labeled.store.known_at
            found, counted, whole = looked_at(labels, known, first, step, count)
            predictor = viewer.predictor
            assert predictor is not None
            task = class_task(predictor.task)
            percent = class_shares(found, counted, len(predictor.classes), task is not None and task.bits)
            return ShareFacts(start=first, step=step, shares=percent.tolist(), known=whole.tolist())

        return await turnstile.run(count_classes)

    @api.get("/api/inputs/{number}/probabilities", tags=["lines"])
    async def probabilities(
        request: Request, number: InputNumber, start: Start, stop: Stop, sequence: SequenceNumber = 0, bins: Bins = 2000
    ) -> ClassCurves:
        """Return the probability of every class in each bin of a window of 262,144 positions at most: the exact mean.

        It is what the network says of the whole recording or sequence, computed for the window alone.
        """
        line: OpenedLine = await turnstile.run(viewer.line, number)
        length = (await turnstile.run(line.sequence, sequence)).length
        first, step, count = _grid(length, start, stop, bins)
        last = min(first + step * count, length)
        if last - first > EXACT:
            raise UserError(f"probabilities of {last - first:,} positions: ask for {EXACT:,} at most")
        labeled, worker = await turnstile.run(viewer.labeled, number, sequence)
        wish = worker.ask(lambda between: labeled.maps((slice(first, last),), between))
        found = await awaited(wish, request.is_disconnected)
        return ClassCurves(start=first, step=step, probabilities=rounded(bins_of(found, step, count), 4))


def _numbers(text: str) -> list[int]:
    """Return the numbers that are written in a text.

    Raises:
        UserError: it is written otherwise.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 7 for part in parts):
        raise UserError("channels: write numbers, separated by commas")
    return [int(part) for part in parts]


def _grid(length: int, start: int, stop: int, bins: int) -> tuple[int, int, int]:
    """Return the first position, the positions of a bin and the number of bins of a window.

    Bins begin at whole multiples of their length, so that a curve does not flicker while it is moved.

    Raises:
        UserError: the window lies outside.
    """
    stop = min(stop, length)
    if start >= stop:
        raise UserError(f"positions {start:,} to {stop:,}: there are {length:,}, counted from 0")
    step = fitting_step(stop - start, bins)
    first = start // step * step
    return first, step, -(-(stop - first) // step)


def _listed(found: list[IntervalFacts]) -> IntervalList:
    """Return features by start, of too many the longest."""
    longest = sorted(found, key=lambda one: one.start - one.end)[:INTERVALS]
    return IntervalList(found=True, total=len(found), intervals=sorted(longest, key=lambda one: one.start))
