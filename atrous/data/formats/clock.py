"""Times of rows: what ISO 8601 texts and numbers with a unit say, and the sampling rate that follows."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time

import numpy as np

from atrous.data.plain_text import plain_name

SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0,
    "ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "\u03bcs": 1e-6, "microseconds": 1e-6, "ns": 1e-9,
}  # fmt: skip
"""Seconds in the units that names of columns state: `Time (s)`, `time_ms`, `seconds`."""
GAP = 1.5
"""A step this many times the median is a gap: the median is then the step."""
_DAY = 86400.0


def moment(text: str) -> float | None:
    """Return the seconds that an ISO 8601 time names, of the day where it has no date; None for other texts.

    >>> moment("2014-05-07 13:29:00.040"), moment("00:01:00"), moment("walk")
    (1399469340.04, 60.0, None)
    """
    text = text.strip()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _of_day(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _of_day(text: str) -> float | None:
    try:
        clock = time.fromisoformat(text) if ":" in text else None
    except ValueError:
        return None
    return None if clock is None else clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond * 1e-6


def name_and_unit(name: str) -> tuple[str, str]:
    """Return the name of a column in lower case without its unit, and the unit, "" where it has none.

    >>> name_and_unit("Time (s)"), name_and_unit("time_ms"), name_and_unit("heart_rate"), name_and_unit("seconds")
    (('time', 's'), ('time', 'ms'), ('heart_rate', ''), ('seconds', 'seconds'))
    """
    plain = plain_name(name)
    match = re.fullmatch(r"(.*?)\s*[(\[](.*)[)\]]", plain)
    if match is not None:
        return match[1], match[2]
    first, _, last = plain.rpartition("_")
    if first and last in SECONDS:
        return first, last
    return plain, plain if plain in SECONDS else ""


def step_between(moments: Iterable[float | None]) -> float | None:
    """Return the seconds between rows: the mean step, or the median of times with gaps.

    Args:
        moments: the time of each row in seconds. Times of day begin anew at midnight.

    Returns:
        None where a time is unknown, where they go back, or where they stand still.

    >>> step_between([0.0, 0.5, 1.0]), step_between([0.0, 0.5, 1.0, 60.0]), step_between([1.0, 0.0])
    (0.5, 0.5, None)
    """
    known = [np.nan if one is None else one for one in moments]
    seconds = np.array(known, np.float64)
    if len(seconds) < 2 or not np.isfinite(seconds).all():
        return None
    steps = np.diff(seconds)
    if steps.min() < 0 or seconds[-1] <= seconds[0]:
        return None
    median = float(np.median(steps[steps > 0]))
    gaps = steps.min() > 0 and steps.max() > GAP * median
    return median if gaps else float((seconds[-1] - seconds[0]) / (len(seconds) - 1))


def across_midnight(moments: Iterable[float | None]) -> list[float | None]:
    """Return times of day that go on to count after midnight; times with a date as they are.

    >>> across_midnight([86399.0, 0.0, 1.0])
    [86399.0, 86400.0, 86401.0]
    """
    later, days, last = [], 0.0, -1.0
    for one in moments:
        if one is not None and 0 <= one < _DAY and one + days < last - _DAY / 2:
            days += _DAY
        last = last if one is None else one + days
        later.append(None if one is None else last)
    return later
