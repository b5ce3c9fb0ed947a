"""A trained network on a live signal: lines of samples in, lines of labels out, as soon as nothing can change them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from atrous.data.formats.columns import INDEX_NAMES, LABEL_NAMES
from atrous.errors import UserError
from atrous.prediction.predictor import Predictor, Standardized
from atrous.stream.session import Session

CHUNK = 1 << 16
"""Bytes that are taken from the stream at a time, at most."""


def open_session(predictor: Predictor, *, probabilities: bool = False) -> Session:
    """A session of a network for signals whose end is not known.

    Args:
        predictor: the network.
        probabilities: `push` gives probabilities `(K, n)` instead of labels `(n,)`.

    Raises:
        UserError: the network does not read signals, its recipe prepares whole recordings, flips are asked for, or
            (`Refused`, which names the layer) it needs the whole signal before it can answer.
    """
    recipe = predictor.run.recipe
    if recipe.model.ndim != 1:
        raise UserError(f"{predictor.run.folder}: reads {recipe.model.ndim} axes, a live input is a signal of one")
    if set(recipe.input.intensity) - {"keep", "clip"}:
        raise UserError(
            f"{predictor.run.folder}: its recipe scales each recording by its own mean and deviation (zscore), which "
            "a live signal does not have: train with --set input.intensity='[\"keep\"]'"
        )
    if recipe.input.spacing:
        raise UserError(f"{predictor.run.folder}: its recipe resamples recordings: train without input.spacing")
    if predictor.flips:
        raise UserError("--tta flip needs the whole signal: leave it out")
    post = predictor.task.probabilities if probabilities else predictor.task.decode
    return Session(predictor.inner, (recipe.model.in_channels, None), post=post, dtype=predictor.dtype)


def latency_text(session: Session, rate: float | None) -> str:
    """How long an answer waits for samples that come after it.

    A network of stride s answers s samples at a time, so that up to s - 1 more may pass.
    """
    time = "" if rate is None else f" ({1000 * session.latency / rate:.0f} ms at {rate:g} Hz)"
    return f"latency {session.latency} samples{time}: a label is written when so many samples after it have come"


def live_labels(
    predictor: Predictor,
    stream: Any,
    write: Callable[[str], None],
    *,
    probabilities: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Label samples as they come, until the stream ends.

    A line has one sample: a number per channel, between commas, semicolons, tabs or blanks. The first line may name
    the columns; those of an index, of time or of labels (`formats/columns.py`) are then passed over. What is written is
    CSV with a header, the number of the sample and its label, and with `probabilities` those of the classes. All lines
    together are the prediction for the whole signal.

    Args:
        predictor: the network.
        stream: bytes, with `read1` (standard input's buffer).
        write: given whole lines, to be flushed by it.
        probabilities: whether they are written beside the labels.
        tell: given the latency, before the first line is read.

    Returns:
        How many samples were labeled.

    Raises:
        UserError: as `open_session`; a line is no sample (it is named); there are no samples.
    """
    session = open_session(predictor, probabilities=probabilities)
    tell(latency_text(session, predictor.run.recipe.input.rate))
    write(",".join(["index", "label", *(predictor.classes if probabilities else ())]) + "\n")
    came = done = 0
    for rows in _samples(stream, predictor.run.recipe.model.in_channels):
        came += rows.shape[1]
        done += _written(session.push(_ready(predictor, rows)), done, predictor, write)
    if not came:
        raise UserError("standard input: no samples: pipe lines of numbers into it")
    return done + _written(session.close(), done, predictor, write)


def _ready(predictor: Predictor, rows: np.ndarray) -> np.ndarray:
    """Samples `(C, n)` clipped as the recipe says and standardized."""
    given = predictor.run.recipe.input
    if "clip" in given.intensity:
        low, high = (np.array(side, np.float32)[:, None] for side in (given.low, given.high))
        clips = np.array([kind == "clip" for kind in given.intensity])[:, None]
        rows = np.where(clips, np.clip(rows, low, high), rows)
    normalize = predictor.network.normalize
    mean, std = (getattr(normalize, name).flatten().cpu().float().numpy() for name in ("mean", "std"))
    return Standardized(rows, mean, std)[...]


def _written(found: np.ndarray, done: int, predictor: Predictor, write: Callable[[str], None]) -> int:
    count = found.shape[-1]
    labels = found.argmax(0) if found.ndim == 2 else found
    lines = []
    for i in range(count):
        fields = [str(done + i), predictor.classes[int(labels[i])]]
        fields += [f"{p:.6g}" for p in found[:, i]] if found.ndim == 2 else []
        lines.append(",".join(fields) + "\n")
    if lines:
        write("".join(lines))
    return count


def _samples(stream: Any, channels: int) -> Iterator[np.ndarray]:
    """Blocks `(C, n)` float32 of the samples that have come."""
    chosen: list[int] | None = None
    width, number = 0, 0
    for lines in _lines(stream):
        rows: list[list[float]] = []
        for line in lines:
            number += 1
            fields = _fields(line)
            if not fields:
                continue
            if chosen is None:
                header = any(_number(field) is None for field in fields)
                chosen, width = _channels(fields, channels, number, header), len(fields)
                if header:
                    continue
            if len(fields) != width:
                raise UserError(f"standard input, line {number}: {len(fields)} fields, the first line has {width}")
            rows.append([_value(fields[i], number) for i in chosen])
        if rows:
            yield np.array(rows, np.float32).T


def _lines(stream: Any) -> Iterator[list[str]]:
    """Lines that have come whole; the last one need not end."""
    rest = b""
    while chunk := stream.read1(CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield [line.decode("utf-8", "replace") for line in lines]
    if rest:
        yield [rest.decode("utf-8", "replace")]


def _fields(line: str) -> list[str]:
    """Fields of a line, none of a blank one."""
    line = line.strip().removeprefix("\ufeff")
    separator = next((mark for mark in ",;\t" if mark in line), None)
    return [field.strip() for field in line.split(separator)] if line else []


def _channels(fields: Sequence[str], channels: int, number: int, header: bool) -> list[int]:
    """Which fields of a line are the channels."""
    aside = (*INDEX_NAMES, *LABEL_NAMES) if header else ()
    chosen = [i for i, field in enumerate(fields) if field.lower() not in aside]
    if len(chosen) != channels:
        what = f"channels ({', '.join(fields[i] for i in chosen)})" if header else "numbers"
        mend = "give those alone, or a first line that names them and an index column `index`"
        raise UserError(
            f"standard input, line {number}: {len(chosen)} {what}, but the network reads {channels}: {mend}"
        )
    return chosen


def _value(field: str, number: int) -> float:
    value = _number(field)
    if value is None or not np.isfinite(value):
        raise UserError(f"standard input, line {number}: {field!r} is no number: mend or leave out that line")
    return value


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None
