"""A trained network on a live signal: samples come line by line, and each answer is given as soon as it is final."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atrous.data.formats.column_roles import named_roles
from atrous.data.preprocess import positions
from atrous.data.views import Filled, Gaps
from atrous.errors import UserError
from atrous.prediction.live_intervals import IntervalSession
from atrous.prediction.predictor import Predictor
from atrous.stream.session import Session
from atrous.tasks.custom import least_lengths, value_task

CHUNK = 1 << 16
"""Bytes that are read from the stream at a time, at most."""


@dataclass(frozen=True)
class LiveAnswer:
    """What is known of the next samples.

    Attributes:
        labels: `(n,)`.
        values: probabilities of the classes, or numbers, `(K, n)`; None where only labels are written.
    """

    labels: np.ndarray
    values: np.ndarray | None


def open_session(predictor: Predictor, *, probabilities: bool = False) -> Session | IntervalSession:
    """Open a session of a network for a signal whose end is not known yet.

    It is an `IntervalSession` where intervals have a least length: labels wait until they are certain.

    Args:
        predictor: the network.
        probabilities: whether `push` returns probabilities `(K, n)` instead of labels `(n,)`. Of a network that gives
            numbers it always returns these, `(K, n)`.

    Raises:
        UserError: the network does not read signals, or answers on a finer grid, its recipe needs the whole recording,
            test-time augmentation is on, or the network needs the whole signal before it can answer (`Refused`, which
            names the layer).
    """
    recipe, folder = predictor.run.recipe, predictor.run.folder
    if recipe.model.ndim != 1:
        raise UserError(f"{folder}: reads inputs of {recipe.model.ndim} axes, but a live input is a signal of one axis")
    if set(recipe.input.intensity) - {"keep", "clip"}:
        raise UserError(
            f"{folder}: its recipe scales each recording by its own mean and deviation (zscore), which are unknown "
            "while a signal is live: train with --set input.intensity='[\"keep\"]'"
        )
    if recipe.input.spacing:
        raise UserError(f"{folder}: its recipe resamples recordings: train without input.spacing")
    if predictor.flips:
        raise UserError("--tta flip needs the whole signal: leave it out")
    numbers = value_task(predictor.task)
    if numbers is not None and numbers.factor > 1:
        what = f"makes {numbers.factor} samples of one, and a live signal has a line for each"
        raise UserError(f"{folder}: {what}: give files")
    least = () if probabilities else least_lengths(predictor.task)
    values = probabilities or bool(least) or numbers is not None
    post = predictor.task.probabilities if values else predictor.task.decode
    session = Session(predictor.inner, (recipe.model.in_channels, None), post=post, dtype=predictor.dtype)
    return IntervalSession(session, least) if least else session


def latency_text(session: Session | IntervalSession, rate: float | None) -> str:
    """Say for how many samples (and, if `rate` in Hz is known, for how long) a label waits before it is final.

    A network of output stride s answers s samples at a time, so that up to s - 1 more samples may pass.
    """
    time = "" if rate is None else f" ({1000 * session.latency / rate:.0f} ms at {rate:g} Hz)"
    until = ", or more, until its interval is certain" if isinstance(session, IntervalSession) else ""
    return f"latency {session.latency} samples{time}: a label is written when so many samples after it have come{until}"


def live_labels(
    predictor: Predictor,
    stream: Any,
    write: Callable[[str], None],
    *,
    probabilities: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Label samples as they come, until the stream ends.

    A line holds one sample: a number per channel, separated by commas, semicolons, tabs or spaces. The first line may
    name the columns: channels are then found by the names of the training data, in any order. Where these are unknown,
    columns of an index, of time or of labels (by their names, see
    `data/formats/column_roles.py`) are skipped. The output is CSV with a header: the number of the sample, its label,
    and with `probabilities` the probability of each class; of a network that gives numbers, these in place of a label.
    All lines together are the prediction for the whole signal.

    Args:
        predictor: the network.
        stream: bytes, with `read1` (as standard input's buffer has).
        write: called with whole lines; it should flush them.
        probabilities: whether to write the probabilities too.
        tell: called with the latency, before the first line is read.

    Returns:
        How many samples were labeled.

    Raises:
        UserError: as `open_session`; a line is not a sample (its number is named); or there are no samples.
    """
    least = least_lengths(predictor.task)
    session = open_session(predictor, probabilities=probabilities and not least)
    tell(latency_text(session, predictor.run.recipe.input.rate))
    numbers = value_task(predictor.task)
    columns = ("label", *(predictor.classes if probabilities else ())) if numbers is None else numbers.names
    write(",".join(["index", *columns]) + "\n")
    received = labeled = 0
    recipe, gaps = predictor.run.recipe, np.zeros(0, bool)  # of the samples that wait for their answer
    for samples in _samples(stream, recipe.model.in_channels, recipe.input.channels):
        received += samples.shape[1]
        source, new = _prepared(predictor, samples)
        gaps = np.concatenate([gaps, new])
        found = session.push(source, ~new) if isinstance(session, IntervalSession) else session.push(source)
        answer = _answer(session, found, probabilities)
        done = _write_lines(answer, gaps, labeled, predictor, write)
        labeled, gaps = labeled + done, gaps[done:]
    if not received:
        raise UserError("standard input: no samples: pipe lines of numbers into it")
    answer = _answer(session, session.close(), probabilities)
    return labeled + _write_lines(answer, gaps, labeled, predictor, write)


def _answer(session: Session | IntervalSession, values: np.ndarray, probabilities: bool) -> LiveAnswer:
    """What a session has returned: labels, and with `probabilities` these too; or numbers."""
    if isinstance(session, IntervalSession):
        return LiveAnswer(values, session.probabilities if probabilities else None)
    return LiveAnswer(values.argmax(0), values) if values.ndim == 2 else LiveAnswer(values, None)


def _prepared(predictor: Predictor, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples `(C, n)` as those of a file are prepared, standardized; and where they have no data, `(n,)` bool."""
    preparation = predictor.preparation
    if preparation.nodata:
        samples = Gaps(samples, preparation.nodata)[...]
    gaps = np.asarray(~np.isfinite(samples).all(axis=0))
    if "clip" in preparation.intensity:
        low, high = (np.array(side, np.float32)[:, None] for side in (preparation.low, preparation.high))
        clipped = np.array([kind == "clip" for kind in preparation.intensity])[:, None]
        samples = np.where(clipped, np.clip(samples, low, high), samples)
    return predictor.standardized(Filled(samples, preparation.fill))[...], gaps


def _write_lines(
    answer: LiveAnswer, gaps: np.ndarray, first: int, predictor: Predictor, write: Callable[[str], None]
) -> int:
    """Write the answers for the n samples from number `first` on; return n.

    Of samples without data nothing but their number is written.

    Args:
        answer: the answers.
        gaps: `(m,)` bool, m at least n: which of the samples from number `first` on have no data.
        first: number of the first sample.
        predictor: the network.
        write: called with all lines at once.
    """
    values, none = answer.values, gaps[: len(answer.labels)]
    if value_task(predictor.task) is not None and values is not None:
        rows = [[f"{number:.9g}" for number in sample] for sample in values.T.tolist()]
    else:
        rows = [[predictor.classes[int(label)]] for label in answer.labels]
        if values is not None:
            rows = [[*row, *(f"{p:.6g}" for p in sample)] for row, sample in zip(rows, values.T, strict=True)]
    rows = [[""] * len(row) if gap else row for row, gap in zip(rows, none.tolist(), strict=True)]
    lines = [",".join([str(number), *row]) + "\n" for number, row in enumerate(rows, first)]
    if lines:
        write("".join(lines))
    return len(lines)


def _samples(stream: Any, channels: int, names: Sequence[str]) -> Iterator[np.ndarray]:
    """Blocks `(C, n)` float32 of the samples that have come so far."""
    columns: list[int] | None = None
    width, number = 0, 0
    for lines in _lines(stream):
        rows: list[list[float]] = []
        for line in lines:
            number += 1
            fields = _fields(line)
            if not fields:
                continue
            if columns is None:
                header = any(_number(field) is None for field in fields)
                columns, width = (
                    _channel_columns(fields, channels, names if header else (), number, header),
                    len(fields),
                )
                if header:
                    continue
            if len(fields) != width:
                raise UserError(f"standard input, line {number}: {len(fields)} fields, the first line has {width}")
            rows.append([_value(fields[i], number) for i in columns])
        if rows:
            yield np.array(rows, np.float32).T


def _lines(stream: Any) -> Iterator[list[str]]:
    """Lines that have arrived completely; the last one may lack its line break."""
    rest = b""
    while chunk := stream.read1(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield [line.decode("utf-8", "replace") for line in lines]
    if rest:
        yield [rest.decode("utf-8", "replace")]


def _fields(line: str) -> list[str]:
    """The fields of a line; an empty list for a blank line."""
    line = line.strip().removeprefix("\ufeff")
    separator = next((character for character in ",;\t" if character in line), None)
    return [field.strip() for field in line.split(separator)] if line else []


def _channel_columns(
    fields: Sequence[str], channels: int, names: Sequence[str], number: int, header: bool
) -> list[int]:
    """Which fields of a line are channels, found on the first line that is not blank; by name where that is known."""
    if (found := positions(fields, names)) is not None:
        return list(found)
    skipped = named_roles(fields) if header else set()
    columns = [i for i in range(len(fields)) if i not in skipped]
    if len(columns) != channels or (len(names) > 1 and header):
        what = f"channels ({', '.join(fields[i] for i in columns)})" if header else "numbers"
        wanted = ", ".join(names) or channels
        raise UserError(
            f"standard input, line {number}: {len(columns)} {what}, but the network reads {wanted}: "
            "write the channels alone, or a first line that names the columns, with an index column called `index`"
        )
    return columns


def _value(field: str, number: int) -> float:
    value = _number(field)
    if value is None or not np.isfinite(value):
        raise UserError(
            f"standard input, line {number}: {field!r} is not a finite number: correct or leave out that line"
        )
    return value


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None
