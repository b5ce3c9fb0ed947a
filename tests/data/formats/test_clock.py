"""Times of rows and the sampling rate that follows."""

import pytest

from atrous.data.formats.clock import across_midnight, moment, name_and_unit, step_between


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01 00:00:00.250", 0.25),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-02T00:00:00Z", 86400.0),
        ("01:02:03.5", 3723.5),
        ("3", None),
        ("run", None),
        ("05/07/2014 13:29", None),
    ],
)
def test_iso_times_are_seconds_and_other_texts_are_none(text, seconds):
    assert moment(text) == (None if seconds is None else pytest.approx(seconds))


def test_the_step_is_the_mean_of_even_and_the_median_of_broken_times():
    thirty = [round(i / 30, 3) for i in range(31)]  # rounded to milliseconds, as loggers write them
    assert step_between(thirty) == pytest.approx(1 / 30)
    assert step_between([*thirty, 100.0, 100.033]) == pytest.approx(0.033)
    whole_seconds = [float(i // 25) for i in range(1001)]
    assert step_between(whole_seconds) == pytest.approx(0.04)


@pytest.mark.parametrize("times", [[], [1.0], [2.0, 1.0], [0.0, None, 2.0], [5.0, 5.0], [0.0, float("inf")]])
def test_times_that_say_no_step_have_none(times):
    assert step_between(times) is None


def test_times_of_day_go_on_after_midnight():
    assert across_midnight([86398.0, 86399.0, 0.0, 1.0]) == [86398.0, 86399.0, 86400.0, 86401.0]
    dated = [1e9, 1e9 - 5]
    assert across_midnight(dated) == dated


def test_units_stand_in_brackets_or_behind_a_dash():
    assert [name_and_unit(name) for name in ("Time [ms]", "t_s", "sample_rate", "µs")] == [
        ("time", "ms"),
        ("t", "s"),
        ("sample_rate", ""),
        ("\u03bcs", "\u03bcs"),
    ]
