"""From annotations of a recording (EDF+, WFDB) to a label per sample, by a rule that dataset.toml states."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import (
    Annotations,
    FileFault,
    Header,
    is_annotated,
    nearest_sample,
    read_annotations,
    read_header,
)
from atrous.errors import UserError
from atrous.labels import IGNORE


@dataclass(frozen=True)
class Rule:
    """The table `[annotations]` of dataset.toml.

    A sample has the text of the interval that it lies in, of several the one that began last. The samples of an
    interval run from the one nearest to its start to the one before that nearest to its end.

    Attributes:
        annotator: suffix of the WFDB annotation file.
        background: class of the samples that no annotation covers; None: they count for nothing.
        around: seconds before and after an instant (a beat) that have its label; None: instants are refused.
        names: class of each text that counts; all others are passed over. Empty: every text is a class.
    """

    annotator: str = "atr"
    background: str | None = None
    around: tuple[float, float] | None = None
    names: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Span:
    """Samples `start` to `stop` (half open) that have the label `word`."""

    start: int
    stop: int
    word: str


def parse_rule(value: object, file: Path, _: Path | None = None) -> Rule:
    """The rule from its table in dataset.toml.

    Raises:
        UserError: an unknown key or a value of the wrong kind.

    >>> parse_rule({"around": [0.05, 0.1]}, Path("dataset.toml")).around
    (0.05, 0.1)
    """
    parsers = {"annotator": _word, "background": _word, "around": _around, "names": _names}
    if not isinstance(value, dict) or set(value) - set(parsers):
        unknown = sorted(set(value) - set(parsers)) if isinstance(value, dict) else [value]
        raise UserError(f"{file}: [annotations] knows {', '.join(parsers)}, not {unknown[0]!r}")
    found: dict[str, Any] = {key: parsers[key](f"annotations.{key}", entry, file) for key, entry in value.items()}
    return Rule(**found)


def is_labeled(path: Path, rule: Rule) -> bool:
    """Whether a recording has annotations that give labels; with `background`, also one without a single event.

    Raises:
        UserError: the file cannot be read.
    """
    if not is_annotated(path, rule.annotator):
        return False
    return rule.background is not None or bool(annotated_words(path, rule))


def annotated_words(path: Path, rule: Rule) -> set[str]:
    """The classes that occur in a recording, `background` included.

    Raises:
        UserError: the annotations cannot be read.
    """
    texts = {interval.text for interval in read_annotations(path, rule.annotator).intervals}
    words = {rule.names[text] for text in texts if text in rule.names} if rule.names else texts - {""}
    return words if rule.background is None else words | {rule.background}


def annotated_values(path: Path, rule: Rule, words: tuple[str, ...], recording: Path | None = None) -> np.ndarray:
    """Labels `(L,)` uint8 of a recording: positions in `words`, `IGNORE` where nothing is known.

    Args:
        path: the recording, or the file that holds its annotations.
        rule: how annotations become labels.
        words: the classes in label order.
        recording: the recording, if its annotations are in a file of their own. They count from the start of that file.

    Raises:
        UserError: the annotations cannot be read, one is an instant and the rule has no `around`, or a class is not
            among the words; or the two files are of different times.
    """
    header, found = read_header(recording or path), read_annotations(path, rule.annotator)
    if recording is not None:
        found = _shifted(path, found, read_annotations(recording, rule.annotator), recording, header)
    assert header.spacing is not None
    length, rate = header.size[0], 1 / header.spacing[0]
    labels = np.full(length, IGNORE, np.uint8)
    if rule.background is not None:
        known = (0, length) if found.known is None else [nearest_sample(t, rate) for t in found.known]
        labels[known[0] : known[1]] = _position(path, rule.background, words)
    for span in _spans(path, found, rule, rate):
        labels[max(0, span.start) : max(0, span.stop)] = _position(path, span.word, words)
    return labels


def _shifted(path: Path, found: Annotations, other: Annotations, recording: Path, header: Header) -> Annotations:
    """Return annotations of another file in seconds from the start of their recording, by the start of both files."""
    if found.started is None or other.started is None or found.started == other.started:
        return found
    later = (found.started - other.started).total_seconds()
    length = header.size[0] * (header.spacing or (0.0,))[0]
    moved = [replace(one, start=one.start + later, stop=one.stop + later) for one in found.intervals]
    if not any(one.stop > 0 and one.start < length for one in moved):
        what = f"it begins at {found.started}, {recording.name} at {other.started}: none of it is during the recording"
        raise FileFault(path, what, "give the annotations of that recording")
    return replace(found, intervals=tuple(moved))


def _spans(path: Path, found: Annotations, rule: Rule, rate: float) -> Iterator[Span]:
    for interval in found.intervals:
        word = rule.names.get(interval.text) if rule.names else interval.text
        if not word:
            continue
        start, stop = interval.start, interval.stop
        if start == stop:
            if rule.around is None:
                what = f"its annotation {interval.text!r} at {start:g} s is an instant, not an interval"
                fix = "write around = [BEFORE, AFTER] in seconds, or names = {...} without it, under [annotations] in "
                raise FileFault(path, what, f"{fix}dataset.toml")
            start, stop = start - rule.around[0], stop + rule.around[1]
        yield Span(nearest_sample(start, rate), nearest_sample(stop, rate), word)


def _position(path: Path, word: str, words: tuple[str, ...]) -> int:
    if word not in words:
        what = f"annotation {word!r} is none of the classes {', '.join(words)}"
        raise FileFault(path, what, "add it to `classes`, or say which texts count in `names` under [annotations]")
    return words.index(word)


def _word(key: str, value: object, file: Path) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{file}: `{key}` must be a word, not {value!r}")
    return value


def _around(key: str, value: object, file: Path) -> tuple[float, float]:
    good = isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) and v >= 0 for v in value)
    if not isinstance(value, list) or not good or not sum(value) > 0:
        raise UserError(f"{file}: `{key}` must be seconds before and after, such as [0.05, 0.1], not {value!r}")
    return float(value[0]), float(value[1])


def _names(key: str, value: object, file: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not value or not all(isinstance(v, str) and v for v in value.values()):
        raise UserError(f'{file}: `{key}` must say the class of each text, such as {{ N = "normal" }}, not {value!r}')
    return dict(value)
