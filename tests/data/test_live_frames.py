"""Frames that come are taken in order, none is lost, and their times rise."""

from fractions import Fraction
from threading import Event

import numpy as np
import pytest

from atrous.data.live_frames import FrameClock, FrameReader, LiveFrame, LiveSource, MissingFrames, now
from atrous.errors import UserError

STEP = Fraction(1, 25)


class Numbers(LiveSource):
    """Frames with numbers, then an error if one is given; `reached` is set before the frame of that number is given."""

    title = "numbers"

    def __init__(self, count: int, error: Exception | None = None, tells: int = -1) -> None:
        self.count, self.error, self.tells, self.reached = count, error, tells, Event()

    def frames(self, stop):
        for number in range(self.count):
            if stop.is_set():
                return
            if number == self.tells:
                self.reached.set()
            yield LiveFrame(str(number), np.full((1, 2, 2), number, np.uint8), number * STEP, 0.0)
        if self.error is not None:
            raise self.error


def test_every_frame_is_taken_in_order_though_few_are_held():
    reader = FrameReader(Numbers(50), Event(), held=3)
    assert [int(frame.pixels[0, 0, 0]) for frame in reader] == list(range(50))
    reader.close()


def test_what_is_wrong_is_told_after_the_frames_before_it():
    reader, seen = FrameReader(Numbers(5, UserError("broke off")), Event(), held=2), []
    with pytest.raises(UserError, match="broke off"):
        seen.extend(frame.name for frame in reader)
    assert seen == ["0", "1", "2", "3", "4"]
    reader.close()


def test_a_stopped_reader_gives_what_has_come():
    stop, source = Event(), Numbers(10**9, tells=3)
    reader = FrameReader(source, stop, held=3)
    assert source.reached.wait(60)  # frames 0 to 2 have come
    frames = iter(reader)
    first = next(frames).name
    stop.set()
    names = [first, *(frame.name for frame in frames)]
    assert names == [str(number) for number in range(len(names))]
    assert 3 <= len(names) <= 6
    reader.close()


def test_a_full_reader_is_crowded():
    source = Numbers(5, tells=2)
    reader = FrameReader(source, Event(), held=2)
    assert source.reached.wait(60)  # two frames wait, which nobody takes
    assert reader.crowded
    assert [frame.name for frame in reader] == ["0", "1", "2", "3", "4"]
    assert not reader.crowded
    reader.close()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([None, None, None], [0, 1, 2]),
        ([100, 101, 103], [0, 25, 75]),
        ([0, 1, 1, 2], [0, 25, 26, 51]),  # the same time twice
        ([50, 51, 0, 1], [0, 25, 26, 51]),  # the camera was started again
        ([0, 1, 10**12, 10**12 + 1], [0, 25, 26, 51]),  # a damaged time: no minutes without end
        ([0, 1, None, 2], [0, 25, 26, 50]),
    ],
)
def test_times_rise_and_do_not_jump(times, expected):
    clock = FrameClock(STEP)
    assert [clock.at(None if time is None else Fraction(time)) / STEP for time in times] == expected


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([1] * 20, 0),
        ([1.4, 0.6] * 20, 0),  # times that tremble
        ([1] * 10 + [1.6] + [1] * 5, 1),
        ([1] * 10 + [2, 1, 5, 1], 1 + 4),
        ([3, 1, 1, 1, 1, 1, 1, 1], 2),  # also before the usual step is known
        ([3, 1, 1], 0),  # too few to know it
        ([2.5] * 40, 0),  # whatever rate the stream says
        ([1] * 40 + [2] * 40, 15),  # a camera that sends half as many in the dark: until most of the last steps say so
    ],
)
def test_missing_frames_are_counted_by_the_usual_step(steps, missing):
    found = MissingFrames()
    for step in steps:
        found.add(step / 25)
    assert found.count == missing


def test_breaks_and_streams_without_times_have_no_missing_frames():
    times = [*range(20), 23, 24, 2, 3, 4, 10**12, 10**12 + 1, None, 10**12 + 3]
    clock, still = FrameClock(STEP), FrameClock(STEP)
    for time in times:
        clock.at(None if time is None else Fraction(time))
        still.at(None)
    assert clock.gaps.count == 3
    assert still.gaps.count == 0


def test_a_source_that_hangs_does_not_keep_the_reader():
    class Hangs(Numbers):
        def frames(self, stop):
            yield from super().frames(stop)
            Event().wait(600)

    stop, source = Event(), Hangs(3, tells=2)
    reader = FrameReader(source, stop)
    assert source.reached.wait(60)
    begun = now()
    stop.set()
    assert len(list(reader)) >= 2
    reader.close()
    assert now() - begun < 60
